"""transfer: models of one dataset on the clips of another, with a planted duplicate."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from mlflow import MlflowClient

from mer_mlflow import cross_validate, get_method, load_dataset, split_plan
from mer_mlflow.commands.command import run_command
from mer_mlflow.commands.transfer import main
from mer_mlflow.datasets import QUADRANTS, Clips
from mer_mlflow.transfer.matrix import SCORES

N_TRAIN, N_TEST = 6, 4
SHORT = ("--folds=3", "--repeats=1", "--duration=2", "--profile=quick", "--workers=0")


@pytest.fixture(scope="module")
def data(demo: Clips, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two datasets of demo clips: ``folder``, and ``new-4qaed-b``, which has a copy of one of its
    clips as MP3 without its first two seconds."""
    root = tmp_path_factory.mktemp("data")
    artists = []
    for label, quadrant in enumerate(QUADRANTS):
        for i, place in enumerate(np.flatnonzero(demo.quadrants == label)[: N_TRAIN + N_TEST]):
            file = demo.audio[place]
            assert file is not None
            target = root / ("folder" if i < N_TRAIN else "new-4qaed-b") / quadrant
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
            artists.append((file.stem, f"artist {i % 3}"))
    with (root / "folder" / "metadata.csv").open("w") as stream:
        csv.writer(stream).writerows([("Song", "Artist"), *artists])
    original = sorted((root / "folder" / "Q1").iterdir())[0]
    samples, sr = soundfile.read(original)
    copy = root / "new-4qaed-b" / "Q1" / "planted.mp3"
    soundfile.write(copy, samples[2 * sr :], sr, format="MP3", compression_level=0.7)
    return root


def artifact(run_id: str, name: str) -> Path:
    return Path(MlflowClient().download_artifacts(run_id, name))


def test_matrix_duplicates_and_figure_are_logged(data: Path, store: Path) -> None:
    command = ("--train=folder", "--test=new-4qaed-b", f"--data_root={data}", *SHORT)
    assert main(command) == 0
    (run,) = MlflowClient().search_runs(["0"])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "transfer folder to new-4qaed-b"
    assert run.data.tags["mer.kind"] == "transfer"
    table = pd.read_csv(artifact(run.info.run_id, "transfer.csv"))
    assert set(zip(table["train"], table["test"], strict=True)) == {
        ("folder", "folder"),
        ("folder", "new-4qaed-b"),
    }
    assert set(table["score"]) == set(SCORES)
    for row in table.to_dict("records"):
        key = "/".join((row["score"], "svm", row["train"], row["test"]))
        assert run.data.metrics[key] == pytest.approx(row["mean"])
    duplicates = pd.read_csv(artifact(run.info.run_id, "duplicates.csv"))
    (found,) = duplicates.to_dict("records")
    assert (found["test_clip"], found["evidence"]) == ("planted", "same landmarks")
    assert set(table["left_out_train"]) == {1}
    assert set(table["n_train"]) == {4 * N_TRAIN - 1}
    predictions = pd.read_parquet(artifact(run.info.run_id, "transfer_predictions.parquet"))
    assert len(predictions) == 3 * (4 * N_TEST + 1)
    settings = pd.read_csv(artifact(run.info.run_id, "transfer_settings.csv")).set_index("name")
    assert settings.loc["data.n_clips", "value"] == str(4 * N_TRAIN - 1)
    assert settings.loc["data.features", "value"] == "extracted"
    assert artifact(run.info.run_id, "transfer.png").read_bytes().startswith(b"\x89PNG")


def test_own_folds_are_those_of_a_cross_validation(data: Path, store: Path) -> None:
    command = ("--train=folder", "--test=new-4qaed-b", f"--data_root={data}", *SHORT)
    assert main((*command, "--landmarks=false")) == 0
    (run,) = MlflowClient().search_runs(["0"])
    clips = load_dataset("folder", data / "folder")
    plan = split_plan(clips, n_splits=3, n_repeats=1)
    alone = cross_validate(get_method("svm"), clips, plan=plan, duration=2.0, workers=0)
    for name in SCORES:
        metric = run.data.metrics[f"{name}/svm/folder/folder"]
        assert metric == pytest.approx(alone.summary[name].mean)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "train: is required"),
        (("--train=demo",), "test=demo: give a dataset other than those of train"),
        (
            ("--train=demo,demo-shifted", "--test=demo"),
            "test=demo: give a dataset other than those",
        ),
        (("--train=demo", "--test=demo-shifted", "--folds=1"), "folds=1: must be >= 2"),
        (("--train=demo", "--test=demo-shifted", "--protocol=fixed"), "lacks that partition"),
        (("--train=demo", "--test=nope"), "dataset=nope: unknown"),
        (("--train=demo", "--test=deam"), "dataset deam needs its files: give data_root=deam=FOLD"),
        (("--train=demo", "--test=demo-shifted", "--methods=nope"), "nope"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_run(
    arguments: tuple[str, ...], message: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: main(arguments))
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not MlflowClient().search_runs(["0"])


def test_dataset_that_is_contained_in_another_of_its_size_is_refused(
    data: Path, tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("folder", "new-4qaed-b"):
        shutil.copytree(data / "folder", tmp_path / "same" / name)
    command = ("--train=folder", "--test=new-4qaed-b", f"--data_root={tmp_path / 'same'}", *SHORT)
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: main(command))
    assert stop.value.code == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert "without the 24 clips that are also in new-4qaed-b, none of Q1, Q2, Q3, Q4 is" in line
    (run,) = MlflowClient().search_runs(["0"])
    assert run.info.status == "FAILED"
