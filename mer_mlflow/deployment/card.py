"""Model card: what a model hears, what it was trained on, how good it is, and what it is not for.

References
----------
M. Mitchell et al., "Model cards for model reporting", FAT* 2019.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any, cast

import numpy as np

from mer_mlflow.crossval.metrics import SCORES, with_interval
from mer_mlflow.crossval.setting import Setting
from mer_mlflow.datasets import dataset_names, get_dataset, is_synthesised
from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.deployment.evidence import Evidence
from mer_mlflow.representations import Input
from mer_mlflow.representations.pretrained import PUBLISHED
from mer_mlflow.training import Value

STUDY = (
    "Louro et al., “A Comparison Study of Deep Learning Methodologies for Music Emotion "
    "Recognition”, Sensors 24(7), 2024"
)
PLAIN = (str, int, float)
MEANINGS = {
    "Q1": "high arousal, positive valence (happy, excited)",
    "Q2": "high arousal, negative valence (angry, tense)",
    "Q3": "low arousal, negative valence (sad, depressed)",
    "Q4": "low arousal, positive valence (calm, relaxed)",
}
LIMITS = (
    "The demo's clips are synthesised: a model of them is worth nothing on real music.",
    "A quadrant is the emotion that the dataset's annotators perceive in the music. It is not the "
    "emotion that a listener feels, or that a musician means.",
    "Do not use it to judge persons, or in decisions about health.",
    "For music that differs from the dataset (other styles, languages or times, live recordings, "
    "speech), validate it on labelled songs of that kind first.",
)


def model_card(setting: Setting, evidence: Evidence | None, *, chosen: Mapping[str, Value]) -> str:
    """Return the card of a model, in Markdown.

    Parameters
    ----------
    setting : setting of the model
    evidence : cross-validation of the setting, None if there is none
    chosen : hyperparameters that were chosen within the training set
    """
    sections = {
        f"{setting.method.title} on {_title(setting)}": (
            "Predicts the emotion of a song as one of Russell's four quadrants, with the "
            "probability of each.",
            "",
            *(f"- {name}: {MEANINGS[name]}" for name in QUADRANTS),
        ),
        "What it hears": _inputs(setting),
        "Trained on": _training(setting, chosen),
        "Scores": _scores(evidence),
        "What it is not for": [f"- {text}" for text in _limits(setting)],
        "Licences": _licences(setting),
        "Citation": [f"- {text}" for text in _citations(setting)],
    }
    blocks = []
    for level, (title, lines) in zip(
        ["#", *["##"] * len(sections)], sections.items(), strict=False
    ):
        blocks.append("\n".join((f"{level} {title}", "", *lines)))
    return "\n\n".join(blocks) + "\n"


def _title(setting: Setting) -> str:
    name = setting.clips.name
    return get_dataset(name).title if name in dataset_names() else name


def _inputs(setting: Setting) -> Iterator[str]:
    yield setting.method.summary
    yield ""
    shortest = setting.method.shortest
    least = f" A song must last at least {shortest:g} s." if shortest else ""
    yield (
        f"It reads windows of {setting.duration:g} s. A longer song is divided into overlapping "
        f"windows, and its probabilities are the mean over them.{least}"
    )
    yield ""
    yield from (f"- `{_described(item)}`" for item in setting.inputs)


def _described(item: Input) -> str:
    """Return an input with its numbers and names, such as ``Mel(sr=16000, n_mels=96)``."""
    values = {each.name: getattr(item, each.name) for each in fields(cast(Any, item))}
    plain = [f"{name}={value}" for name, value in values.items() if isinstance(value, PLAIN)]
    return f"{type(item).__name__}({', '.join(plain)})"


def _training(setting: Setting, chosen: Mapping[str, Value]) -> Iterator[str]:
    counts = np.bincount(setting.clips.quadrants, minlength=len(QUADRANTS))
    shares = ", ".join(f"{name} {n}" for name, n in zip(QUADRANTS, counts, strict=True))
    yield (
        f"All {len(setting.clips)} clips of {_title(setting)} ({shares}; digest "
        f"`{setting.clips.digest}`), seed {setting.plan.seed}."
    )
    yield ""
    yield "| hyperparameter | value |"
    yield "|---|---|"
    for name, value in (asdict(setting.hyperparameters) | dict(chosen)).items():
        yield f"| {name} | {value} |"


def _scores(evidence: Evidence | None) -> Iterator[str]:
    if evidence is None:
        yield (
            "**Not validated**: no complete cross-validation of this setting was found. `train` "
            "with the same parameters runs one, and `fit` with `validate=true` does so first."
        )
        return
    item, calibration = evidence.validation, evidence.calibration
    yield (
        f"Scores of the cross-validation of this setting ({item.protocol}, {item.n_repeats} x "
        f"{item.n_splits} folds, run `{item.run_id}`), with 95 % intervals that are corrected for "
        "the overlap of folds. Every clip was predicted by models that it did not train."
    )
    yield ""
    yield "| score | mean and interval |"
    yield "|---|---|"
    for name in SCORES:
        yield f"| {name.replace('_', ' ')} | {with_interval(item.summary(name))} |"
    grouped = "not run (`-P protocol=grouped`)"
    if evidence.grouped is not None:
        grouped = with_interval(evidence.grouped.summary())
    yield f"| f1 macro in artist-grouped folds | {grouped} |"
    yield ""
    yield (
        f"Calibration: expected calibration error {calibration.before['ece']:.1%} and Brier score "
        f"{calibration.before['brier']:.3f} as predicted, {calibration.after['ece']:.1%} and "
        f"{calibration.after['brier']:.3f} with a temperature ({calibration.temperature:.2f} for "
        "this model). See `reliability.png`."
    )


def _limits(setting: Setting) -> tuple[str, ...]:
    return LIMITS if is_synthesised(setting.clips.name) else LIMITS[1:]


def _licences(setting: Setting) -> Iterator[str]:
    name = setting.clips.name
    licence = get_dataset(name).licence if name in dataset_names() else ""
    yield f"- data: {licence or 'unknown; see the source of the clips'}"
    for each in setting.weights:
        published = PUBLISHED[each.name]
        known = "" if each.is_known else ", NOT VERIFIED"
        yield f"- weights {each.name}: {published.licence}, {published.source}"
        yield f"  (SHA-256 `{each.digest}`{known})"


def _citations(setting: Setting) -> Iterator[str]:
    name = setting.clips.name
    dataset = get_dataset(name).citation if name in dataset_names() else ""
    yield from dict.fromkeys(text for text in (setting.method.citation, dataset, STUDY) if text)
