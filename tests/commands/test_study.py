"""study as users type it: to its end, again, and with what fails, is missing or stops it."""

from __future__ import annotations

import csv
import io
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from mlflow import MlflowClient
from mlflow.entities import Run

from mer_mlflow.commands import study as command
from mer_mlflow.commands.command import run_command
from mer_mlflow.commands.parameters import STUDY
from mer_mlflow.datasets import Clips
from mer_mlflow.experiments.text import parse
from mer_mlflow.studies.plan import plan_text
from mer_mlflow.studies.reading import parse_plan

ROOT = Path(__file__).parents[2]
QUICK = "{datasets: [demo], duration: 2, folds: 3, methods: [svm]}"


def written(folder: Path, text: str) -> str:
    path = folder / "study.yaml"
    path.write_text(text)
    return f"--plan={path}"


def main(*arguments: str) -> int:
    return command.study(**parse(STUDY, arguments))


def studies() -> list[Run]:
    """Runs of studies, the latest first."""
    return list(MlflowClient().search_runs(["0"], "tags.`mer.kind` = 'study'"))


def artifact(run: Run, name: str) -> str:
    return Path(MlflowClient().download_artifacts(run.info.run_id, name)).read_text()


def items(run: Run) -> dict[str, dict[str, str]]:
    """Rows of a study's table by action, method and dataset."""
    rows = csv.DictReader(io.StringIO(artifact(run, "items.csv")))
    return {f"{row['action']} {row['method']} {row['dataset']}": row for row in rows}


def test_a_study_runs_to_its_end_and_knows_it(
    store: Path, demo: Clips, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
{title: Mine, datasets: [demo], duration: 2, folds: 2, methods: [svm],
 searches: {svm: {strategy: grid, space: C=8}}}"""
    plan = written(store, text)
    run = MlflowClient().create_run("0", tags={"mlflow.user": "me"})
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_RUN_ID", run.info.run_id)
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "elsewhere")
        assert main(plan, "--workers=0") == 0
    said = capfd.readouterr().out
    assert "study: study.yaml – Mine" in said
    assert "  search svm demo | dataset: demo" in said
    assert "  svm demo | dataset: demo" in said
    assert "study: 1/2 items, 0:0" in said
    assert "study: 2 done" in said
    (study,) = studies()
    assert study.info.run_id == run.info.run_id
    assert study.info.status == "FINISHED"
    assert (study.data.tags["mer.status"], study.data.tags["mer.plan"]) == (
        "complete",
        "study.yaml",
    )
    table = items(study)
    assert list(table) == ["search svm demo", "train svm demo"]
    assert {row["status"] for row in table.values()} == {"done"}
    assert all(float(row["seconds"]) > 0 and row["run_id"] for row in table.values())
    resolved = artifact(study, "study.yaml")
    assert plan_text(parse_plan(resolved, name="study.yaml", file="study.yaml")) == resolved

    monkeypatch.setattr(command, "run_process", None)
    assert main(plan) == 0
    said = capfd.readouterr().out
    assert "study: nothing is left to do" in said
    assert said.count("│ done ") == 2
    assert items(studies()[0])["train svm demo"]["run_id"] == table["train svm demo"]["run_id"]


def test_winners_train_everywhere(
    store: Path, demo: Clips, in_process: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = """
{datasets: [demo], duration: 2, folds: 2, methods: [svm],
 searches: {svm: {strategy: grid, space: "C=1,8"}}}"""
    plan = written(store, text)
    assert main(plan, "--workers=0") == 0
    assert in_process == ["search svm demo", "svm demo"]
    assert "to do after its search" in capsys.readouterr().out
    table = items(studies()[0])
    trained = MlflowClient().get_run(table["train svm demo"]["run_id"])
    searched = MlflowClient().get_run(table["search svm demo"]["run_id"])
    assert trained.data.tags["mer.tuned_by"] == searched.data.tags["mer.study"]
    assert main(plan, "--workers=0") == 0
    assert len(in_process) == 2


def test_dry_run_leaves_nothing(
    store: Path, demo: Clips, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = written(store, QUICK)
    monkeypatch.setattr(command, "run_process", None)
    before = sorted(store.iterdir())
    assert main(plan, "--dry_run=true") == 0
    assert not list(MlflowClient().search_runs(["0"]))
    untouched = store / "other.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{untouched}")
    assert main(plan, "--dry_run=true") == 0
    assert sorted(store.iterdir()) == before
    said = capsys.readouterr().out
    assert "│ svm  │ demo    │ train  │ 1 x 3 │" in said
    assert re.search(r"to do: 1 of 1 items, about 0:00:\d\d with workers=", said)


def test_what_fails_does_not_stop_the_rest(
    store: Path,
    demo: Clips,
    in_process: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    for i in range(16):
        path = store / "songs" / f"Q{1 + i % 4}" / f"{i:02d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.random.default_rng(i).normal(size=16_000), 16_000)
    (store / "songs" / "Q1" / "broken.wav").write_bytes(b"no sound")
    plan = """
{datasets: [folder, demo, new-4qaed-c], data_roots: {folder: songs}, profile: quick, duration: 2,
 folds: 2, methods: [svm, crnn], searches: {crnn: {strategy: grid, space: gru_units=16}}}"""
    assert main(written(store, plan), "--workers=0") == 3
    assert in_process == ["svm folder", "svm demo"]
    table = items(studies()[0])
    assert table["train svm folder"]["status"] == "failed"
    assert table["train svm folder"]["reason"] == "it said so"
    assert table["train svm demo"]["status"] == "done"
    assert table["search crnn folder"]["status"] == "cannot run"
    assert "workers=0: crnn needs a worker" in table["search crnn folder"]["reason"]
    assert table["train crnn demo"]["status"] == "not conducted"
    assert table["train svm new-4qaed-c"]["status"] == "no data"
    assert studies()[0].data.tags["mer.status"] == "incomplete"
    said = capsys.readouterr()
    assert "failed: svm folder: it said so" in said.err
    assert "study: 5/6 items" not in said.out
    assert "retry failed items" in said.out
    (store / "songs" / "Q1" / "broken.wav").unlink()
    assert main(written(store, plan), "--workers=0") == 0
    assert in_process[2:] == ["svm folder"]


def test_missing_data_is_passed_over(
    store: Path, demo: Clips, in_process: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    plan = "{datasets: [original-4qaed, demo], profile: quick, duration: 2, methods: [svm]}"
    (store / "data").mkdir()
    assert main(written(store, plan), f"--data_root={store / 'data'}", "--workers=0") == 0
    assert in_process == ["svm demo"]
    said = capsys.readouterr().out
    reason = f"data_root={store / 'data'}: the folder is empty"
    assert f"no data: svm original-4qaed: {reason}" in said
    row = items(studies()[0])["train svm original-4qaed"]
    assert (row["status"], row["reason"]) == ("no data", reason)


def test_stopped_study_closes_everything_and_goes_on(
    store: Path, demo: Clips, in_process: list[str]
) -> None:
    plan = written(store, "{datasets: [demo], duration: 2, repeats: 2, methods: [svm]}")
    victim = subprocess.Popen(
        [sys.executable, "-m", "mer_mlflow", "study", plan, "--workers=1"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    client, deadline = MlflowClient(), time.monotonic() + 60
    finished = "tags.`mer.kind` = 'fold' and status = 'FINISHED'"
    while not client.search_runs(["0"], "tags.`mer.kind` = 'fold'") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert victim.poll() is None, "the study ended before it could be stopped"
    victim.send_signal(signal.SIGTERM)
    said, _ = victim.communicate(timeout=60)
    assert victim.returncode == 130
    assert "interrupted: give the same command again to continue" in said
    assert not list(client.search_runs(["0"], "status = 'RUNNING'"))
    (study,) = studies()
    assert items(study)["train svm demo"]["status"] == "interrupted"
    assert study.data.tags["mer.status"] == "incomplete"
    n_done = len(client.search_runs(["0"], finished, max_results=1000))
    assert n_done < 10
    client.set_tag(study.info.run_id, "mer.status", "running")
    client.update_run(study.info.run_id, status="RUNNING")

    assert main(plan, "--workers=0") == 0
    assert items(studies()[0])["train svm demo"]["status"] == "done"
    assert len(client.search_runs(["0"], finished, max_results=1000)) == 10
    left = client.get_run(study.info.run_id)
    assert (left.info.status, left.data.tags["mer.status"]) == ("KILLED", "incomplete")


@pytest.mark.parametrize(
    ("arguments", "text", "words"),
    [
        (["--plan=papr"], QUICK, "plan=papr: cannot be read (No such file or directory)"),
        (["--workers=-1"], QUICK, "workers=-1: must be >= 0"),
        (["--threads=0"], QUICK, "threads=0: must be >= 1"),
        (["--dry_run=perhaps"], QUICK, "dry_run=perhaps: must be true or false"),
        (["--data_root=nowhere"], QUICK, "data_root=nowhere: no such folder"),
        (["--data_root=folder=."], QUICK, "data_root: folder is not a dataset of plan study.yaml"),
        ([], "{methods: [svn]}", "study.yaml: methods[1]=svn: unknown method"),
        ([], "{method: [svm]}", "study.yaml: method: unknown key"),
        ([], "methods: [svm", "not YAML"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_run(
    arguments: list[str],
    text: str,
    words: str,
    store: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = written(store, text)
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: main(plan, *arguments))
    said = capsys.readouterr()
    assert stop.value.code == 2
    assert said.err.startswith("error: ")
    assert words in said.err
    assert said.err.count("\n") == 1
    assert not said.out
    assert not list(MlflowClient().search_runs(["0"]))
