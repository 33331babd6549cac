"""augment as users type it, and training copies by transforms of one's own choice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from mlflow import MlflowClient

from mer_mlflow.commands.augment import main
from mer_mlflow.commands.command import run_command
from mer_mlflow.commands.train import main as train
from mer_mlflow.datasets import Clips
from mer_mlflow.errors import ParameterError

SR = 22_050


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).normal(size=2 * SR), SR)
    return path


def test_copy_is_written_and_logged_beside_the_original(
    store: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--transform=rg", f"--clip={clip}"]) == 0
    folder = store / "augmented"
    before, _ = soundfile.read(folder / "song_rg_0_before.wav")
    after, sr = soundfile.read(folder / "song_rg_0_after.wav")
    assert sr == 44_100
    assert len(before) == len(after) == 2 * 44_100
    gain = after[before != 0] / before[before != 0]
    assert np.median(gain) != pytest.approx(1.0, abs=0.01)
    (run,) = MlflowClient().search_runs(["0"])
    logged = {item.path for item in MlflowClient().list_artifacts(run.info.run_id)}
    assert logged == {path.name for path in folder.iterdir()}
    assert run.data.params["augment.key"].startswith("power-shift-")


def test_files_of_another_are_neither_replaced_nor_followed(
    store: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = store / "augmented"
    assert main(["--transform=rg", f"--clip={clip}"]) == 0
    assert main(["--transform=rg", f"--clip={clip}"]) == 0
    (store / "mine.wav").write_bytes(b"mine")
    (folder / "song_rg_0_after.wav").unlink()
    (folder / "song_rg_0_after.wav").symlink_to(store / "mine.wav")
    with pytest.raises(ParameterError, match=r"song_rg_0_after\.wav is a link"):
        main(["--transform=rg", f"--clip={clip}"])
    (folder / "song_td_0_before.wav").write_bytes(b"mine")
    with pytest.raises(ParameterError, match=r"song_td_0_before\.wav is there already"):
        main(["--transform=td", f"--clip={clip}"])
    assert (store / "mine.wav").read_bytes() == b"mine"
    assert (folder / "song_td_0_before.wav").read_bytes() == b"mine"
    assert not (folder / "song_td_0.png").exists()


def test_mask_has_a_figure_and_nothing_to_listen_to(
    store: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--transform=tfm", f"--clip={clip}", "--seed=2"]) == 0
    assert [path.name for path in (store / "augmented").iterdir()] == ["song_tfm_2.png"]
    assert "there is no audio file" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--transform=echo"], "augment=echo: unknown; transforms are time_shift"),
        ([], "transform: is required"),
        (["--transform=rg", "--clip=nowhere.wav"], "nowhere.wav: no such file"),
        (["--transform=rg", "--noise_root=."], "no transform adds background noise"),
        (["--transform=bg", "--noise_root=nowhere"], "noise_root=nowhere: no such folder"),
        (["--transform=rg", "--output=mlflow.db/x"], "output=mlflow.db/x: cannot be written"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_run(
    arguments: list[str],
    words: str,
    store: Path,
    clip: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [] if any("--clip" in each for each in arguments) else [f"--clip={clip}"]
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: main([*given, *arguments]))
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert words in said
    assert said.count("\n") == 1
    assert not list(MlflowClient().search_runs(["0"]))
    assert not (store / "augmented").exists()


def test_training_takes_transforms_of_ones_own(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MER_CACHE_ROOT", str(store / "cache"))
    for i in range(16):
        path = store / "songs" / f"Q{1 + i % 4}" / f"{i:02d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * np.random.default_rng(i).normal(size=2 * SR), SR)
    data = ["--dataset=folder", f"--data_root={store / 'songs'}", "--profile=quick"]
    common = ["--method=cnn", *data, "--duration=2", "--folds=2", "--max_epochs=1"]
    assert train([*common, "--augment=tfm, rg", "--probe=bg", "--workers=1"]) == 0
    said = capsys.readouterr().out
    assert "2 synthesised copies of each training clip" in said
    assert "changed/bg" in said
    (run,) = MlflowClient().search_runs(["0"], "tags.`mer.kind` = 'cross-validation'")
    first, second = run.data.params["data.augmentations"].split()
    assert first.startswith("time-frequency-mask-")
    assert second.startswith("power-shift-")
    assert 0 <= run.data.metrics["changed/bg_mean"] <= 1
    folds = MlflowClient().search_runs(["0"], "tags.`mer.kind` = 'fold'")
    assert all("changed/bg" in fold.data.metrics for fold in folds)
    MlflowClient().set_tag(run.info.run_id, "mer.status", "interrupted")
    assert train([*common, "--augment=tfm, rg", "--workers=1"]) == 0
    assert "changed/bg" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method=svm", "--augment=rg"], "augment: svm has no audio input"),
        (["--method=sample_cnn", "--augment=tfm"], "sample_cnn has no spectrogram input"),
        (["--method=cnn", "--augment=rg,rg"], "augment: rg is given twice"),
        (["--method=cnn", "--noise_root=."], "noise_root is given, but no transform"),
    ],
)
def test_unusable_transforms_are_named_before_anything_is_run(
    arguments: list[str],
    words: str,
    store: Path,
    demo: Clips,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: train([*arguments, "--dataset=demo", "--workers=1"]))
    assert stop.value.code == 2
    assert words in capsys.readouterr().err
    assert not list(MlflowClient().search_runs(["0"]))
