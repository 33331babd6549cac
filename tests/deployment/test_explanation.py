"""Explanations of models whose decision is known, and of models that decide at random."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mer_mlflow import get_method
from mer_mlflow.commands.predict import main as predict
from mer_mlflow.crossval.setting import resolve_setting
from mer_mlflow.crossval.splits import split_plan
from mer_mlflow.datasets import QUADRANTS, Clips
from mer_mlflow.deployment import Explanation
from mer_mlflow.deployment.explanation import explain_song
from mer_mlflow.deployment.feature_groups import (
    GROUPS,
    N_BACKGROUND,
    draw_background,
    group_of,
    group_values,
    shapley_values,
)
from mer_mlflow.deployment.occlusion import Occlusion, frequency_bands, stretches
from mer_mlflow.deployment.prediction import examples_of, predict_song
from mer_mlflow.deployment.trained import FITTED, load_trained, write_model
from mer_mlflow.errors import ParameterError
from mer_mlflow.representations import Examples, Handcrafted, Waveform
from mer_mlflow.representations.audio import Audio, decode
from mer_mlflow.representations.handcrafted.handcrafted import NAMES
from mer_mlflow.training import FittedModel, Prediction
from mer_mlflow.training.method import most_probable

SR = 16_000
INPUTS = (Waveform(sr=SR, duration=10.0),)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A model whose probability of Q1 is a function of the first input of each example."""

    score: Callable[[NDArray[np.floating]], NDArray[np.float64]]
    n_parameters: int | None = None

    def predict(self, examples: Examples) -> Prediction:
        first = np.clip(self.score(examples.read(0)), 0, 1)
        return most_probable(np.stack([first, *3 * [(1 - first) / 3]], axis=1))

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def noise(seconds: float = 10.0) -> NDArray[np.float32]:
    values = np.random.default_rng(0).normal(scale=0.1, size=round(seconds * SR))
    return values.astype(np.float32)


def song(samples: NDArray[np.floating]) -> Audio:
    return Audio(samples=samples.astype(np.float32), sr=SR, n_channels=1)


def energy(low: float, high: float) -> Callable[[NDArray[np.floating]], NDArray[np.float64]]:
    """Share of a band's energy that a white noise of `noise` has there, at most 1."""

    def score(samples: NDArray[np.floating]) -> NDArray[np.float64]:
        power = np.abs(np.fft.rfft(samples)) ** 2
        hz = np.fft.rfftfreq(samples.shape[1], 1 / SR)
        kept = power[:, (hz >= low) & (hz < high)].sum(axis=1)
        return 0.9 * kept / (power.shape[1] * samples.shape[1] * 0.01 * (high - low) / (SR / 2))

    return score


def between(start: float, end: float) -> Callable[[NDArray[np.floating]], NDArray[np.float64]]:
    """Level of a stretch, 1 for a level of 0.5."""

    def score(samples: NDArray[np.floating]) -> NDArray[np.float64]:
        part = samples[:, round(start * SR) : round(end * SR)]
        return 2 * np.sqrt((part.astype(np.float64) ** 2).mean(axis=1))

    return score


def explain(fitted: Made, audio: Audio, **options: object) -> Explanation:
    return explain_song(fitted, INPUTS, audio, song="made", **options)  # type: ignore[arg-type]


def others(drops: pd.Series, index: int) -> float:
    return float(drops.drop(index).abs().max())


@pytest.mark.parametrize(("low", "high", "index"), [(420, 760, 3), (3300, 6200, 6), (0, 90, 0)])
def test_model_of_one_band_is_explained_by_this_band(low: float, high: float, index: int) -> None:
    found = explain(Made(score=energy(low, high)), song(noise()))
    assert found.quadrant == "Q1"
    drops = found.bands["drop"]
    assert drops[index] == pytest.approx(found.probability, abs=0.01)
    assert others(drops, index) < 0.01
    assert f"{found.bands['low'][index]:.0f}–{found.bands['high'][index]:.0f} Hz" in str(found)


@pytest.mark.parametrize("index", range(4))
def test_model_of_one_stretch_is_explained_by_this_stretch(index: int) -> None:
    samples = 0.2 * noise()
    start, end = 2.5 * index, 2.5 * (index + 1)
    samples[round(start * SR) : round(end * SR)] *= 20
    found = explain(Made(score=between(start, end)), song(samples), quadrant="Q1")
    drops = found.seconds["drop"]
    assert drops[index] > 0.3
    assert others(drops, index) < 0.02
    assert list(found.seconds.loc[index, ["start", "end"]]) == [start, end]


def test_model_of_a_band_in_a_stretch_is_explained_by_the_map() -> None:
    def score(samples: NDArray[np.floating]) -> NDArray[np.float64]:
        return energy(820, 1580)(samples[:, round(5 * SR) : round(7.5 * SR)])

    found = explain(Made(score=score), song(noise()), with_map=True)
    assert found.map is not None and len(found.map) == 4 * 8
    highest = found.map.loc[found.map["drop"].idxmax()]
    assert list(highest[["start", "end", "low", "high"]]) == [5.0, 7.5, 800.0, 1600.0]
    assert highest["drop"] > 0.8
    assert others(found.map["drop"], int(found.map["drop"].idxmax())) < 0.05


def test_model_that_reads_nothing_has_a_flat_explanation() -> None:
    fitted = Made(score=lambda samples: np.full(len(samples), 0.7))
    found = explain(fitted, song(noise()), with_map=True)
    assert found.map is not None
    for table in (found.seconds, found.bands, found.map):
        assert table["drop"].abs().max() < 1e-9
    assert str(found).count("none of them alone") == 2


def test_most_decisive_window_of_a_long_song_is_explained() -> None:
    samples = np.concatenate([0.1 * noise(20), noise(10), 0.1 * noise(10)])
    found = explain(Made(score=between(0, 10)), song(samples), quadrant="Q1", hop=5.0)
    assert (found.start, found.end) == (20.0, 30.0)
    assert list(found.seconds["start"]) == [20.0, 22.5, 25.0, 27.5]
    predicted = predict_song(Made(score=between(0, 10)), INPUTS, song(samples), song="", hop=5.0)
    assert found.probability == pytest.approx(predicted.timeline["Q1"].max(), abs=1e-12)


def test_a_short_song_is_divided_where_it_is_recorded() -> None:
    found = explain(Made(score=between(0, 3)), song(noise(3.0)), seconds=1.0)
    assert list(found.seconds["end"]) == pytest.approx([1, 2, 3])


def test_progress_counts_every_copy() -> None:
    steps: list[tuple[int, int]] = []
    fitted = Made(score=between(0, 10))
    explain(fitted, song(noise()), with_map=True, on_progress=lambda *step: steps.append(step))
    assert steps == [(i + 1, 4 + 8 + 32) for i in range(4 + 8 + 32)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"quadrant": "Q5"}, "quadrant=Q5"),
        ({"seconds": 0.0}, "seconds=0"),
        ({"seconds": float("nan")}, "seconds=nan"),
        ({"bands": 0}, "bands=0"),
        ({"bands": 33}, "bands=33"),
    ],
)
def test_bad_parameter_is_refused(options: Mapping[str, object], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        explain(Made(score=between(0, 1)), song(noise()), **options)


@given(st.integers(1, 32), st.integers(2_000, 96_000))
def test_bands_cover_all_frequencies(n_bands: int, sr: int) -> None:
    bands = frequency_bands(n_bands, sr=sr)
    assert bands[0][0] == 0 and bands[-1][1] == sr / 2
    assert all(low < high for low, high in bands)
    assert [high for _, high in bands[:-1]] == [low for low, _ in bands[1:]]


def test_occlusion_keeps_the_rest_without_clicks() -> None:
    time = np.arange(10 * SR) / SR
    audio = song(0.5 * np.sin(2 * np.pi * 300 * time))
    occlusion = Occlusion(audio=audio, duration=10.0)
    occluded = occlusion.without_stretch((2.5, 5.0)).samples
    changed = np.flatnonzero(np.abs(occluded - audio.samples) > 1e-6) / SR
    assert changed.min() > 2.4 and changed.max() < 5.1
    within = occluded[3 * SR : 4 * SR]
    assert np.sqrt((within**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.5)
    without_other = occlusion.without_band((1600.0, 3200.0)).samples
    assert np.allclose(without_other[SR:-SR], audio.samples[SR:-SR], atol=1e-4)
    without_own = occlusion.without_band((200.0, 400.0)).samples[SR:-SR]
    assert np.abs(without_own).max() == pytest.approx(0.005, rel=0.2)


def test_stretches_together_are_the_excerpt() -> None:
    parts = stretches(29.9, step=2.5)
    assert len(parts) == 12
    assert parts[0][0] == 0 and parts[-1][1] == 29.9


def test_shapley_values_of_a_known_game() -> None:
    def worth(members: NDArray[np.bool_]) -> float:
        return 0.1 + 2.0 * members[0] + 1.0 * (members[1] & members[2])

    values, base = shapley_values(worth, n_players=7)
    assert values == pytest.approx([2.0, 0.5, 0.5, 0, 0, 0, 0], abs=1e-9)
    assert base == pytest.approx(0.1)


def test_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(ParameterError, match=r"shap.*pip install 'mer_mlflow\[explain\]'"):
        explain(Made(score=between(0, 1)), song(noise()), background=np.zeros((2, len(NAMES))))


def test_every_feature_has_one_group() -> None:
    assert {group_of(name) for name in NAMES} == set(GROUPS)
    assert len(set(GROUPS)) == 7


@pytest.mark.parametrize("group", ["rhythm", "timbre"])
def test_model_of_one_group_is_explained_by_this_group(group: str) -> None:
    is_member = np.array([group_of(name) == group for name in NAMES])
    random = np.random.default_rng(0)
    features, background = random.normal(1, 1, len(NAMES)), random.normal(0, 1, (5, len(NAMES)))

    def predict(rows: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.tanh(rows[:, is_member].mean(axis=1))

    table, base = group_values(predict, features, background)
    values = dict(zip(table["group"], table["value"], strict=True))
    expected = predict(features[np.newaxis])[0] - predict(background).mean()
    assert values.pop(group) == pytest.approx(expected, abs=1e-9)
    assert base == pytest.approx(predict(background).mean())
    assert max(map(abs, values.values())) < 1e-9


N_TRAIN, N_SHUFFLES = 16, 3
"""Training clips of each quadrant, and permutations of their labels."""
SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Heard:
    """Examples of the demo, and a song of each quadrant that is not among them."""

    clips: Clips
    inputs: tuple[Handcrafted, ...]
    train: Examples
    songs: Sequence[Path]


@pytest.fixture(scope="module")
def heard(demo: Clips) -> Iterator[Heard]:
    """The demo's examples; features of equal samples are computed once, for all models."""
    known: dict[bytes, NDArray[np.floating]] = {}
    compute = Handcrafted.compute

    def compute_once(self: Handcrafted, audio: Audio) -> NDArray[np.floating]:
        key = audio.samples.tobytes()
        if key not in known:
            known[key] = compute(self, audio)
        return known[key]

    by_quadrant = [np.flatnonzero(demo.quadrants == label) for label in range(len(QUADRANTS))]
    kept = np.concatenate([each[:N_TRAIN] for each in by_quadrant])
    files = demo.audio_files()
    inputs = (Handcrafted(duration=SECONDS),)
    examples = examples_of(inputs, (decode(files[i], seconds=SECONDS) for i in kept))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Handcrafted, "compute", compute_once)
        yield Heard(
            clips=demo.take(kept),
            inputs=inputs,
            train=replace(examples, quadrants=demo.quadrants[kept]),
            songs=[files[each[N_TRAIN]] for each in by_quadrant],
        )


def fit_svm(train: Examples) -> FittedModel:
    method = get_method("svm")
    return method.fit(train, method.hyperparameters(), 0, lambda record, predict: None)


def explanations(heard: Heard, labels: NDArray[np.int64]) -> list[Explanation]:
    train = replace(heard.train, quadrants=labels)
    fitted, background = fit_svm(train), draw_background(train, heard.inputs)
    return [
        explain_song(
            fitted,
            heard.inputs,
            decode(path, seconds=SECONDS - 1),  # one more second is kept
            song=path.name,
            background=background,
            seconds=1.0,
            bands=4,
        )
        for path in heard.songs
    ]


@pytest.fixture(scope="module")
def real(heard: Heard) -> list[Explanation]:
    return explanations(heard, heard.train.labels)


def largest(found: Sequence[Explanation], table: str, column: str) -> float:
    """Mean over songs of the largest absolute value of a table."""
    return float(np.mean([getattr(each, table)[column].abs().max() for each in found]))


@pytest.mark.slow
def test_explanations_of_shuffled_labels_are_flat(heard: Heard, real: list[Explanation]) -> None:
    labels = heard.train.labels
    permutations = [np.random.default_rng(seed).permutation(labels) for seed in range(N_SHUFFLES)]
    shuffled = [each for order in permutations for each in explanations(heard, order)]
    for table, column in (("seconds", "drop"), ("bands", "drop"), ("groups", "value")):
        assert largest(shuffled, table, column) < 0.05
        assert largest(shuffled, table, column) < largest(real, table, column) / 4


@pytest.mark.slow
def test_group_values_sum_to_the_probability_minus_that_of_the_background(
    real: list[Explanation],
) -> None:
    for found in real:
        assert found.groups is not None and found.base is not None
        assert list(found.groups["group"]) == list(GROUPS)
        total = found.groups["value"].sum()
        assert total == pytest.approx(found.probability - found.base, abs=1e-9)
        assert "; features, from " in str(found)


@pytest.mark.slow
def test_figure_shows_what_there_is(real: list[Explanation]) -> None:
    panels = {axes.get_ylabel() or axes.get_xlabel() for axes in real[0].plot().axes}
    assert "waveform" in panels and "mel, Hz" in panels
    assert any(text.startswith("probability from the mean") for text in panels)
    without = replace(real[0], groups=None, base=None, song="$_{x.wav")
    assert len(without.plot().axes) == len(real[0].plot().axes) - 1


@pytest.fixture(scope="module")
def folder(heard: Heard, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a trained model."""
    folder = tmp_path_factory.mktemp("model")
    setting = resolve_setting(
        get_method("svm"), heard.clips, split_plan(heard.clips, n_splits=2), duration=SECONDS
    )
    (folder / FITTED).mkdir()
    fit_svm(heard.train).save(folder / FITTED)
    dataset = {"name": "made", "digest": "", "n_clips": len(heard.train)}
    write_model(
        folder,
        setting,
        chosen={},
        temperature=2.0,
        facts={"dataset": dataset},
        examples=heard.train,
    )
    return folder


@pytest.mark.slow
def test_background_is_features_of_training_clips(heard: Heard, folder: Path) -> None:
    background = load_trained(folder).background
    assert background is not None and background.shape == (N_BACKGROUND, len(NAMES))
    own = {row.tobytes() for row in heard.train.read(0)}
    assert len({row.tobytes() for row in background} & own) == N_BACKGROUND
    assert draw_background(heard.train, INPUTS) is None


@pytest.mark.slow
def test_model_explains_a_file_and_its_samples_alike(heard: Heard, folder: Path) -> None:
    model, path = load_trained(folder), heard.songs[0]
    audio = decode(path)
    by_file = model.explain(path, seconds=1.0, bands=1)
    by_samples = model.explain(audio.samples, sr=audio.sr, seconds=1.0, bands=1)
    pd.testing.assert_frame_equal(by_file.seconds, by_samples.seconds)
    predicted = model.predict(path)
    assert by_file.quadrant == predicted.quadrant
    assert by_file.probability == pytest.approx(predicted.timeline[by_file.quadrant].max())
    assert by_file.groups is not None
    without = replace(model, background=None).explain(path, seconds=1.0, bands=1)
    assert without.groups is None


@pytest.mark.slow
def test_command_writes_a_figure_of_each_song_and_touches_no_other_file(
    heard: Heard, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    songs, output = tmp_path / "songs", tmp_path / "figures"
    (songs / "a").mkdir(parents=True)
    samples, sr = soundfile.read(heard.songs[0], frames=2 * decode(heard.songs[0]).sr)
    for name in ("one.wav", "a/two.wav"):
        soundfile.write(songs / name, samples, sr)
    (songs / "bad.wav").write_bytes(b"no sound")
    command = (f"--model={folder}", "--explain=true", f"--output={output}")
    assert predict((f"--clip={songs}", *command)) == 2
    said = capsys.readouterr().out
    assert said.count("most is lost without") == 4 and said.count("written: ") == 2
    names = {"one.wav.png", "two.wav.png"}
    assert {path.name for path in output.glob("[!.]*")} == names
    (output / "mine.png").write_bytes(b"mine")
    assert predict((f"--clip={songs / 'one.wav'}", *command, "--format=csv")) == 0
    assert "most is lost" not in capsys.readouterr().out
    assert {path.name for path in output.glob("[!.]*")} == {*names, "mine.png"}
    (output / "one.wav.png").write_bytes(b"mine")
    with pytest.raises(ParameterError, match=r"one\.wav\.png was changed since it was written"):
        predict((f"--clip={songs / 'one.wav'}", *command))
