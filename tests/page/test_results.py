"""Results as HTML: nothing of a file's name or a clip's title becomes markup."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import soundfile

from mer_mlflow.datasets import QUADRANTS, Clips
from mer_mlflow.deployment.figures import boundaries
from mer_mlflow.deployment.prediction import EmotionPrediction, mean_of, predict_song
from mer_mlflow.errors import AudioError
from mer_mlflow.page.drawing import draw_plane, draw_timeline, peaks
from mer_mlflow.page.errors_table import HARDEST, SUSPECTS, errors_table
from mer_mlflow.page.models import PageModel
from mer_mlflow.page.out_of_fold import compare_without, mean_predictions
from mer_mlflow.page.results import answer, compared, failed
from mer_mlflow.page.served import ServedClips
from mer_mlflow.reporting.descriptions import ClipDescriptions, describe_clips
from mer_mlflow.reporting.validations import Validation
from mer_mlflow.representations.audio import Audio, decode
from mer_mlflow.training.method import most_probable

SR = 8000
Make = Callable[..., Validation]


@dataclass(frozen=True, kw_only=True)
class Loudness:
    """Stands for a trained model: its quadrant is Q1 where a window is loud, else Q3."""

    share: float = 0.7

    def predict(self, song: Path) -> EmotionPrediction:
        audio = decode(song)
        rest = (1 - self.share) / 3
        fitted = SimpleNamespace(
            predict=lambda examples: most_probable(
                np.where(
                    np.eye(4)[np.where(np.abs(examples.read(0)).mean(axis=1) > 0.3, 0, 2)] > 0,
                    self.share,
                    rest,
                )
            )
        )
        from mer_mlflow.representations import Waveform

        inputs = (Waveform(sr=SR, duration=2.0),)
        return predict_song(cast(Any, fitted), inputs, audio, song=song.name)


class Parts(HTMLParser):
    """Elements of an HTML text with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("rect", "path", "circle", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "path", "circle"):
            assert self.open.pop() == tag


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """A song that is loud for four seconds, and quiet for four."""
    samples = np.repeat([0.8, 0.05], 4 * SR) * np.where(np.arange(8 * SR) % 2, 1, -1)
    path = tmp_path / "<b>&'loud\".wav"
    soundfile.write(path, samples, SR)
    return path


@pytest.fixture
def clips(tmp_path: Path) -> Clips:
    """Four clips with artists, titles and, except one, audio."""
    audio = []
    for i in range(4):
        audio.append(tmp_path / f"clip-{i}.wav")
        soundfile.write(audio[-1], np.full(100, 0.1 * i), SR)
    return Clips(
        name="folder",
        ids=tuple(f"clip-{i}" for i in range(4)),
        quadrants=np.arange(4),
        audio=(*audio[:3], None),
        audio_hashes=("a", "b", "c", None),
        artists=("Ann", None, "<Cy>", None),
        titles=("One", None, None, None),
    )


@pytest.fixture
def validation(clips: Clips, make_validation: Make) -> Validation:
    """A cross-validation of the clips, in which one is predicted wrong."""
    rows = {
        clip: (QUADRANTS[i], [tuple(0.07 + 0.72 * np.eye(4)[i])])
        for i, clip in enumerate(clips.ids)
    }
    rows["clip-2"] = ("Q3", [(0.9, 0.05, 0.03, 0.02)])
    return make_validation(rows, digest=clips.digest)


def model(validation: Validation | None, share: float = 0.7) -> PageModel:
    known = pd.DataFrame() if validation is None else mean_predictions(validation)
    return PageModel(
        address=f"models:/mer-loud-{share:g}@candidate",
        trained=cast(Any, Loudness(share=share)),
        validation=validation,
        known=known,
    )


def test_result_names_the_song_and_its_nearest_clips(
    song: Path, clips: Clips, validation: Validation, tmp_path: Path
) -> None:
    copies = ServedClips(folder=tmp_path / "served")
    copies.folder.mkdir()
    found = answer([model(validation)], song, descriptions=describe_clips(clips), served=copies)
    assert (found.quadrant, found.song) == ("Q1", song)
    parts = Parts(found.html)
    assert parts.open == []
    assert not {"b'", "cy", "script"} & {tag for tag, _ in parts.found}
    assert "&lt;b&gt;&amp;" in found.html and "&lt;Cy&gt;" in found.html
    assert "clip-0 – Ann – One: labelled Q1" in found.html
    served = [attrs["src"] for tag, attrs in parts.found if tag == "audio"]
    assert len(served) == len(list((copies.folder / "clips").iterdir())) == 3
    (line,) = [attrs for _, attrs in parts.found if attrs.get("class") == "mer-timeline"]
    assert line["data-seconds"] == "8.000"


def test_timeline_and_plane_have_a_part_for_each_window(song: Path) -> None:
    prediction = Loudness().predict(song)
    quadrants = list(prediction.timeline["quadrant"])
    assert quadrants[0] == "Q1" and quadrants[-1] == "Q3"
    plane = Parts(draw_plane(prediction.timeline, pd.DataFrame(), {})).found
    windows = [attrs for _, attrs in plane if "mer-window" in (attrs.get("class") or "")]
    assert [(each["class"] or "").split()[-1] for each in windows] == [
        f"mer-{q}" for q in quadrants
    ]
    assert windows[0]["data-start"] == "0.000" and windows[-1]["data-end"] == "8.000"
    # loud and happy is above the middle, and y grows downwards
    assert float(windows[0]["cy"] or 0) < 0 < float(windows[-1]["cy"] or 0)
    bars = Parts(draw_timeline(prediction.timeline, np.ones(4))).found
    heights = [float(attrs["height"] or 0) for tag, attrs in bars if tag == "rect"]
    assert len(heights) == 4 * len(windows)
    assert np.sum(np.reshape(heights, (-1, 4)), axis=1) == pytest.approx(1, abs=1e-3)


def test_windows_share_the_song_without_gaps(song: Path) -> None:
    timeline = Loudness().predict(song).timeline
    edges = boundaries(timeline)
    assert len(edges) == len(timeline) + 1
    assert edges[0] == 0 and edges[-1] == 8
    assert (np.diff(edges) > 0).all()


def test_several_models_have_their_mean(song: Path, tmp_path: Path) -> None:
    models = [model(None, share) for share in (0.7, 0.4)]
    found = answer(
        models, song, descriptions=ClipDescriptions(), served=ServedClips(folder=tmp_path)
    )
    assert found.models == tuple(each.address for each in models)
    assert found.html.count("mer-timeline") == 2
    mean = mean_of([each.trained.predict(song) for each in models])
    assert found.quadrant == mean.quadrant == "Q1"
    assert f"{mean.probabilities['Q1']:.1%}" in found.html


def test_file_that_is_no_song_is_named_without_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "<i>notes.mp3"
    path.write_text("no sound" * 100)
    with pytest.raises(AudioError) as raised:
        answer(
            [model(None)],
            path,
            descriptions=ClipDescriptions(),
            served=ServedClips(folder=tmp_path),
        )
    text = failed(raised.value)
    assert str(tmp_path) not in text
    assert "&lt;i&gt;notes.mp3: not decodable audio" in text


def test_envelope_of_a_short_song_is_short() -> None:
    audio = Audio(samples=np.array([0.0, -0.5, 0.25], dtype=np.float32), sr=SR, n_channels=1)
    assert peaks(audio).tolist() == [0.0, 1.0, 0.5]


def test_errors_are_ordered_by_the_probability_of_the_truth(
    clips: Clips, validation: Validation
) -> None:
    table = errors_table(validation, {"clip-1"}, describe_clips(clips), order=HARDEST)
    first = table.iloc[0]
    assert (first["clip"], first["artist"], first["true"], first["predicted"]) == (
        "clip-2",
        "<Cy>",
        "Q3",
        "Q1",
    )
    assert first["p(true)"] == "0.030"
    by_suspicion = errors_table(validation, {"clip-1"}, describe_clips(clips), order=SUSPECTS)
    assert list(by_suspicion["clip"])[:2] == ["clip-1", "clip-2"]
    assert sorted(by_suspicion["clip"]) == list(clips.ids)


def test_clips_with_other_contents_are_not_described(clips: Clips, make_validation: Make) -> None:
    other = make_validation({"clip-0": ("Q1", [(1.0, 0.0, 0.0, 0.0)])}, digest="other")
    assert describe_clips(clips).describe(other, "clip-0").audio is None


def test_scores_are_shown_with_and_without_suspects(validation: Validation) -> None:
    text = compared(compare_without(validation, {"clip-2"}), n_methods=1)
    assert "1 label suspect of 4 clips" in text and "1 methodology" in text
    assert "no label suspects" in compared(compare_without(validation, set()), n_methods=2)
