"""Predictions in the JAMS format of music annotations.

References
----------
E. J. Humphrey et al., "JAMS: a JSON annotated music specification for reproducible MIR research",
ISMIR 2014.
"""

from __future__ import annotations

from typing import Any

from mer_mlflow._version import __version__
from mer_mlflow.deployment.prediction import EmotionPrediction
from mer_mlflow.packages import require_package


def to_jams(prediction: EmotionPrediction, *, model: str) -> str:
    """Return a prediction as the text of a JAMS file.

    Parameters
    ----------
    prediction : prediction of a song
    model : address of the model

    Returns
    -------
    JSON with two annotations: the quadrant of each window with its probability as confidence
    (``segment_open``), and valence and arousal of each window (``mood_thayer``)

    Raises
    ------
    ParameterError
        If the package jams is not installed.
    """
    require_package("jams", needed_by="format=jams")
    import jams

    timeline = prediction.timeline
    document = jams.JAMS()
    document.file_metadata.title = prediction.song
    document.file_metadata.duration = float(timeline["end"].max())
    quadrants, moods = (
        _annotation(name, prediction, model=model) for name in ("segment_open", "mood_thayer")
    )
    for row in timeline.to_dict("records"):
        span = {"time": row["start"], "duration": row["end"] - row["start"]}
        quadrant = row["quadrant"]
        quadrants.append(**span, value=quadrant, confidence=row[quadrant])
        moods.append(**span, value=[row["valence"], row["arousal"]], confidence=None)
    document.annotations.extend([quadrants, moods])
    text: str = document.dumps(indent=1)
    return text


def _annotation(namespace: str, prediction: EmotionPrediction, *, model: str) -> Any:
    import jams

    return jams.Annotation(
        namespace=namespace,
        time=0,
        duration=float(prediction.timeline["end"].max()),
        annotation_metadata=jams.AnnotationMetadata(
            data_source="program",
            annotation_tools=f"mer_mlflow {__version__}, {model}",
        ),
    )
