"""The run tree: what runs carry, and how interrupted ones are continued."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import mlflow.artifacts
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

from mer_mlflow import get_method, split_plan
from mer_mlflow.crossval.executors import (
    EpochEnded,
    FoldEvent,
    FoldFailed,
    FoldFinished,
    FoldStarted,
    InlineExecutor,
)
from mer_mlflow.crossval.jobs import Epoch, Job
from mer_mlflow.crossval.results import CrossValidation
from mer_mlflow.crossval.setting import Setting, resolve_setting
from mer_mlflow.crossval.validation import validate
from mer_mlflow.datasets import Clips, FeatureTable
from mer_mlflow.errors import DeletedError, RunInProgressError, UndeliveredError
from mer_mlflow.representations import assemble, open_store
from mer_mlflow.tracking import RunTree, delivery, outage, run_tree
from mer_mlflow.tracking.journal import Entry, Journal, new_journal
from mer_mlflow.tracking.writer import Batch, send

N_FOLDS, N_REPEATS = 3, 2
pytestmark = pytest.mark.usefixtures("store")


def make_setting(*, n_repeats: int = N_REPEATS, broken: bool = False) -> Setting:
    n_clips = 48
    labels = np.arange(n_clips) % 4
    values = np.random.default_rng(0).normal(size=(n_clips, 5)) + np.eye(4, 5)[labels]
    clips = Clips(
        name="original-4qaed",
        ids=tuple(f"c{i:03d}" for i in range(n_clips)),
        quadrants=labels,
        audio=(None,) * n_clips,
        audio_hashes=(None,) * n_clips,
        artists=(None,) * n_clips,
        features={"top100": FeatureTable(names=tuple("abcde"), values=values)},
    )
    plan = split_plan(clips, n_splits=N_FOLDS, n_repeats=n_repeats)
    if broken:  # in a clip that the first fold does not train on: no rehearsal meets it
        bad = values.copy()
        bad[plan.splits[0].test[0], 0] = 1e300
        table = FeatureTable(names=tuple("abcde"), values=bad)
        clips = replace(clips, features={"top100": table})
    return resolve_setting(get_method("svm"), clips, plan)


def work(
    setting: Setting, *, stop_after: int | None = None
) -> tuple[RunTree, CrossValidation | None]:
    """Cross-validate in this process, interrupted after some folds if asked."""

    def on_fold(done: int, total: int, event: FoldFinished | FoldFailed) -> None:
        if done == stop_after:
            raise KeyboardInterrupt

    tree = RunTree(setting, tags={"mer.profile": "quick"}, source="made")
    tree.on_fold = on_fold
    examples = assemble(setting.clips, setting.inputs, store=open_store())
    try:
        with tree as runs:
            validation = validate(setting, examples, executor=InlineExecutor(), listener=runs)
            if runs.duplicate_of is None:
                runs.conclude(validation)
    except KeyboardInterrupt:
        return tree, None
    return tree, validation


def parent(tree: RunTree) -> Run:
    return MlflowClient().get_run(tree.run_id)


def children(tree: RunTree) -> list[Run]:
    return list(
        MlflowClient().search_runs(
            [tree.experiment_id], f"tags.`mlflow.parentRunId` = '{tree.run_id}'", max_results=1000
        )
    )


def one_child(tree: RunTree) -> Run:
    """The only child, as soon as the server knows it."""
    deadline = time.monotonic() + 20
    while not (found := children(tree)) and time.monotonic() < deadline:
        time.sleep(0.02)
    (child,) = found
    return child


def artifact(run: Run, name: str) -> bytes:
    uri = f"{run.info.artifact_uri}/{name}"
    return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri)).read_bytes()


def same_scores(one: CrossValidation, other: CrossValidation) -> bool:
    columns = [name for name in one.predictions if name != "split"]
    return one.predictions[columns].equals(other.predictions[columns])


def test_parent_carries_summary_and_artifacts() -> None:
    setting = make_setting()
    tree, validation = work(setting)
    assert validation is not None
    run = parent(tree)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "svm · 2x3 · paper"
    tags, metrics = run.data.tags, run.data.metrics
    assert tags["mer.status"] == "complete"
    assert tags["mer.identity"] == setting.identity
    assert tags["mer.method"] == "svm"
    assert tags["mer.folds_expected"] == "6"
    assert "numpy" in json.loads(tags["mer.packages"])
    assert json.loads(tags["mer.hardware"])["cores"] >= 1
    assert metrics["folds_done"] == 6
    assert metrics["f1/macro"] == pytest.approx(validation.summary["f1_macro"].mean)
    assert metrics["f1/macro_low"] < metrics["f1/macro"] < metrics["f1/macro_high"]
    assert run.data.params["hp.C"] == "8.0"
    assert run.data.params["cv.n_repeats"] == "2"
    assert run.inputs.dataset_inputs[0].dataset.digest == setting.clips.digest
    folds = pd.read_parquet(io.BytesIO(artifact(run, "folds.parquet")))
    assert folds["f1_macro"].mean() == pytest.approx(metrics["f1/macro"])
    predictions = pd.read_parquet(io.BytesIO(artifact(run, "predictions.parquet")))
    assert len(predictions) == N_REPEATS * len(setting.clips)
    plan = pd.read_parquet(io.BytesIO(artifact(run, "split_plan.parquet")))
    assert len(plan) == N_REPEATS * N_FOLDS * len(setting.clips)
    for figure in ("confusion_matrix", "f1_by_fold"):
        assert artifact(run, f"figures/{figure}.png").startswith(b"\x89PNG")


def test_children_carry_parameters_scores_and_predictions() -> None:
    setting = make_setting()
    tree, validation = work(setting)
    assert validation is not None
    runs = {run.data.tags["mer.split"]: run for run in children(tree)}
    assert sorted(runs) == [split.id for split in setting.plan.splits]
    for row in validation.folds.to_dict("records"):
        run = runs[str(row["split"])]
        assert run.info.status == "FINISHED"
        assert run.data.metrics["f1/macro"] == pytest.approx(row["f1_macro"])
        assert run.data.params["hp.C"] == "8.0"
        table = pd.read_csv(io.BytesIO(artifact(run, "predictions.csv")))
        assert (table["quadrant"] == table["predicted"]).mean() == pytest.approx(row["accuracy"])
        confusion = pd.read_csv(io.BytesIO(artifact(run, "confusion_matrix.csv")), index_col=0)
        assert np.trace(confusion.to_numpy()) == (table["quadrant"] == table["predicted"]).sum()


def test_interrupted_run_is_continued_with_the_same_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = make_setting()
    first, nothing = work(setting, stop_after=2)
    assert nothing is None
    assert parent(first).data.tags["mer.status"] == "interrupted"
    assert parent(first).info.status == "FAILED"
    done = {run.info.run_id for run in children(first) if run.info.status == "FINISHED"}
    assert len(done) == 2
    second, continued = work(setting)
    assert continued is not None
    assert second.n_adopted == 2
    assert parent(second).data.tags["mer.status"] == "complete"
    adopted = {run.info.run_id for run in children(second)}
    assert len(adopted) == 6
    assert done <= adopted
    old = parent(first)
    assert old.data.tags["mer.status"] == "superseded"
    assert old.data.tags["mer.superseded_by"] == second.run_id
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "uninterrupted")
    _, whole = work(setting)
    assert whole is not None
    assert same_scores(continued, whole)


def test_results_that_were_not_delivered_are_delivered_by_the_next_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MER_JOURNAL_ROOT", str(tmp_path / "journals"))
    setting = make_setting()

    def refuse(*arguments: object, **named: object) -> None:
        raise MlflowException("away", error_code=TEMPORARILY_UNAVAILABLE)

    with monkeypatch.context() as patch:
        patch.setenv("MER_TRACKING_PATIENCE", "0.2")
        patch.setattr(delivery, "make_run", refuse)
        with pytest.raises(UndeliveredError, match="-e sync"):
            work(setting)
    (left,) = (tmp_path / "journals").iterdir()
    assert len(MlflowClient().search_runs(["0"], "tags.`mer.kind` = 'fold'")) == 0
    journal = Journal(left)
    parent_id = journal.facts["parent"]
    journal._database.execute("UPDATE facts SET value = '999999999' WHERE key = 'mer.process.pid'")
    journal.close()
    again, validation = work(setting)
    assert again.duplicate_of == parent_id
    assert again.n_adopted == 6
    assert validation is not None and validation.is_complete
    assert len(MlflowClient().search_runs(["0"], "tags.`mer.kind` = 'fold'")) == 6
    assert list((tmp_path / "journals").iterdir()) == []


@pytest.mark.parametrize("moment", range(1, 8))
@pytest.mark.parametrize("is_written", [False, True])
def test_interruption_at_any_write_leaves_everything_in_order(
    moment: int, is_written: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A signal arrives before a write to the journal, or right after it."""
    monkeypatch.setenv("MER_JOURNAL_ROOT", str(tmp_path / "journals"))
    setting, n_writes, append = make_setting(n_repeats=1), count(1), Journal.append

    def interrupted(journal: Journal, *entries: Entry) -> None:
        if next(n_writes) != moment:
            return append(journal, *entries)
        if is_written:
            append(journal, *entries)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", interrupted)
        first, nothing = work(setting)
    assert nothing is None
    assert parent(first).info.status == "FAILED"
    assert {run.info.status for run in children(first)} <= {"FINISHED", "KILLED"}
    assert list((tmp_path / "journals").iterdir()) == []
    done = {run.info.run_id for run in children(first) if run.info.status == "FINISHED"}
    second, validation = work(setting)
    assert validation is not None and validation.is_complete
    finished = [run for run in children(second) if run.info.status == "FINISHED"]
    assert len(finished) == N_FOLDS
    assert done <= {run.info.run_id for run in finished}


def test_results_that_another_process_delivers_are_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = tmp_path / "journals"
    monkeypatch.setenv("MER_JOURNAL_ROOT", str(root))
    setting = make_setting()
    first, _ = work(setting, stop_after=2)
    held = new_journal(root / f"{setting.identity}-{first.run_id}.journal", {"server": ""})
    with pytest.raises(RunInProgressError, match=f"{first.run_id} are being delivered"):
        work(setting)
    held.remove()
    second, _ = work(setting)
    assert second.n_adopted == 2


def test_complete_run_is_not_run_again() -> None:
    first, one = work(make_setting())
    second, other = work(make_setting())
    assert second.duplicate_of == first.run_id
    assert children(second) == []
    assert len(children(first)) == 6
    assert parent(second).data.tags["mer.status"] == "duplicate"
    assert parent(first).data.tags["mer.status"] == "complete"
    assert one is not None
    assert other is not None
    assert same_scores(one, other)


def test_more_repetitions_copy_the_folds_that_a_complete_run_has() -> None:
    first, _ = work(make_setting(n_repeats=1))
    second, validation = work(make_setting(n_repeats=2))
    assert validation is not None
    assert validation.is_complete
    assert len(children(first)) == 3
    copies = [run for run in children(second) if "mer.copied_from" in run.data.tags]
    assert len(children(second)) == 6
    assert {run.data.tags["mer.copied_from"] for run in copies} == {
        run.info.run_id for run in children(first)
    }
    assert parent(first).data.tags["mer.status"] == "complete"


def test_failed_folds_leave_the_run_incomplete_and_without_scores() -> None:
    tree, validation = work(make_setting(broken=True))
    assert validation is not None
    assert not validation.is_complete
    run = parent(tree)
    assert run.data.tags["mer.status"] == "incomplete"
    assert run.info.status == "FAILED"
    assert not any(name.startswith("f1/") for name in run.data.metrics)
    failed = [run for run in children(tree) if run.info.status == "FAILED"]
    attempts = [run.data.tags["mer.split"] for run in failed]
    assert sorted(attempts) == sorted(2 * [item.job.split.id for item in validation.failures])
    assert all(": " in run.data.tags["mer.error"] for run in failed)
    assert all(b"Traceback" in artifact(run, "traceback.txt") for run in failed)


def test_second_process_is_told_who_works_on_the_run() -> None:
    setting = make_setting()
    with RunTree(setting, tags={}, source="made") as first:
        time.sleep(0.01)
        second = RunTree(setting, tags={}, source="made")
        with pytest.raises(RunInProgressError, match=first.run_id), second:
            pass
        assert parent(second).data.tags["mer.status"] == "failed"
    assert parent(first).data.tags["mer.status"] == "interrupted"


def test_process_that_announced_first_goes_on_though_its_run_was_made_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setting = make_setting()
    early = MlflowClient().create_run("0", start_time=1)
    with RunTree(setting, tags={}, source="made") as first:
        first.on_event(FoldStarted(job=Job(split=setting.plan.splits[0], hyperparameters=None)))
        monkeypatch.setenv("MLFLOW_RUN_ID", early.info.run_id)
        second = RunTree(setting, tags={}, source="made")
        with pytest.raises(RunInProgressError, match=first.run_id), second:
            pass
        child = one_child(first)
        assert child.info.status == "RUNNING"
        assert parent(first).data.tags["mer.status"] == "running"


def test_fold_that_cannot_be_read_back_runs_again(capsys: pytest.CaptureFixture[str]) -> None:
    setting = make_setting()
    first, _ = work(setting, stop_after=3)
    lost = next(run for run in children(first) if run.info.status == "FINISHED")
    Path(lost.info.artifact_uri.removeprefix("file://"), "predictions.csv").unlink()
    second, validation = work(setting)
    assert validation is not None
    assert validation.is_complete
    assert second.n_adopted == 2
    assert f"of run {lost.info.run_id} is run again" in capsys.readouterr().out


def change_cell(column: str, value: str, *, row: int = 0) -> Callable[[str], str]:
    def change(text: str) -> str:
        table = pd.read_csv(io.StringIO(text), dtype=str)
        table.loc[row, column] = value
        return table.to_csv(index=False)

    return change


def change_rows(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[str], str]:
    return lambda text: change(pd.read_csv(io.StringIO(text), dtype=str)).to_csv(index=False)


def other_label(text: str) -> str:
    table = pd.read_csv(io.StringIO(text), dtype=str)
    table.loc[0, "quadrant"] = "Q1" if table.loc[0, "quadrant"] != "Q1" else "Q2"
    return table.to_csv(index=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_label, "predictions.csv contradicts the labels of c0"),
        (change_cell("clip", "c999"), "has clips that are not in the dataset: c999"),
        (change_rows(lambda table: table[1:]), "does not list the test clips"),
        (change_rows(lambda table: table[::-1]), "does not list the test clips"),
        (change_rows(lambda table: pd.concat([table, table[:1]])), "does not list the test clips"),
        (change_cell("p_Q1", "nan"), "probabilities are not all finite"),
        (change_cell("p_Q1", "inf", row=3), "probabilities are not all finite"),
        (change_cell("p_Q1", "1.5"), "probabilities are not all between 0 and 1"),
        (change_cell("p_Q1", "-0.1"), "probabilities are not all between 0 and 1"),
        (change_cell("p_Q1", "0.9999"), "probabilities do not sum to 1 in each row"),
        (change_cell("p_Q1", "high"), "could not convert"),
        (lambda text: text[: len(text) // 2], "is run again: "),
    ],
)
def test_fold_that_contradicts_its_clips_runs_again(
    capsys: pytest.CaptureFixture[str], change: Callable[[str], str], words: str
) -> None:
    setting = make_setting(n_repeats=1)
    first, _ = work(setting, stop_after=2)
    wrong = next(run for run in children(first) if run.info.status == "FINISHED")
    path = Path(wrong.info.artifact_uri.removeprefix("file://"), "predictions.csv")
    path.write_text(change(path.read_text()))
    second, validation = work(setting)
    assert validation is not None
    assert validation.is_complete
    assert (second.n_adopted, second.n_run) == (1, 2)
    said = capsys.readouterr().out
    assert f"warning: fold {wrong.data.tags['mer.split']} of run {wrong.info.run_id} is" in said
    assert words in said
    assert wrong.info.run_id not in {run.info.run_id for run in children(second)}


@pytest.mark.parametrize("key", ["cv.repeat", "cv.fold", "cv.fold_seed"])
def test_fold_of_another_split_runs_again(capsys: pytest.CaptureFixture[str], key: str) -> None:
    setting = make_setting(n_repeats=1)
    first, _ = work(setting, stop_after=2)
    wrong = next(run for run in children(first) if run.info.status == "FINISHED")
    path = wrong.info.artifact_uri.removeprefix("file://")
    client = MlflowClient()
    params = {**wrong.data.params, key: "77"}
    tags = {**wrong.data.tags}
    other = client.create_run("0", tags=tags).info
    content = Batch(metrics=(), params=params, tags={}, files=())
    send(client, other.run_id, content)
    for name, value in wrong.data.metrics.items():
        client.log_metric(other.run_id, name, value)
    client.log_artifacts(other.run_id, path)
    client.set_terminated(other.run_id, "FINISHED")
    client.delete_run(wrong.info.run_id)
    second, validation = work(setting)
    assert validation is not None
    assert validation.is_complete
    assert second.n_run == 2
    assert f"of run {other.run_id} is run again: its {key} is 77" in capsys.readouterr().out


def test_parent_deleted_in_mid_run_is_followed_by_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MER_JOURNAL_ROOT", str(tmp_path / "journals"))
    setting = make_setting()
    tree = RunTree(setting, tags={}, source="made")
    examples = assemble(setting.clips, setting.inputs, store=open_store())

    def delete(done: int, total: int, event: FoldFinished | FoldFailed) -> None:
        if done == 2:
            MlflowClient().delete_run(tree.run_id)

    tree.on_fold = delete
    with pytest.raises(DeletedError, match="mlflow runs restore --run-id") as caught, tree as runs:
        runs.conclude(validate(setting, examples, executor=InlineExecutor(), listener=runs))
    assert tree.run_id in str(caught.value)
    (left,) = (tmp_path / "journals").iterdir()
    journal = Journal(left)
    journal._database.execute("UPDATE facts SET value = '999999999' WHERE key = 'mer.process.pid'")
    journal.close()
    again, validation = work(setting)
    assert validation is not None and validation.is_complete
    assert (again.n_adopted, again.n_run) == (6, 0)
    assert parent(again).data.tags["mer.status"] == "complete"
    assert len(children(again)) == 6
    assert list((tmp_path / "journals").iterdir()) == []


def test_parent_deleted_between_runs_is_followed_by_another() -> None:
    setting = make_setting()
    first, _ = work(setting, stop_after=2)
    MlflowClient().delete_run(first.run_id)
    second, validation = work(setting)
    assert validation is not None and validation.is_complete
    assert (second.n_adopted, second.n_run) == (2, 4)
    finished = [run for run in children(second) if run.info.status == "FINISHED"]
    assert len(finished) == 6


@pytest.mark.parametrize("is_complete", [False, True])
def test_deleted_folds_are_run_again(is_complete: bool) -> None:
    setting = make_setting()
    first, _ = work(setting, stop_after=None if is_complete else 3)
    done = [run.info.run_id for run in children(first) if run.info.status == "FINISHED"]
    MlflowClient().delete_run(done[0])
    second, validation = work(setting)
    assert validation is not None and validation.is_complete
    assert second.n_adopted == len(done) - 1
    assert len([run for run in children(second) if run.info.status == "FINISHED"]) == 6
    assert parent(second).data.tags["mer.status"] == "complete"


def test_deleted_run_of_a_process_at_work_is_not_disturbed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MER_JOURNAL_ROOT", str(tmp_path / "journals"))
    setting = make_setting()
    with pytest.raises(DeletedError), RunTree(setting, tags={}, source="made") as first:
        MlflowClient().delete_run(first.run_id)
        second = RunTree(setting, tags={}, source="made")
        with pytest.raises(RunInProgressError, match=first.run_id), second:
            pass


def test_announcement_that_the_server_did_not_keep_is_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outage, "FIRST_PAUSE_SECONDS", 0.001)
    lost = count()

    def forget(*arguments: Any, **named: Any) -> None:
        if next(lost) >= 2:
            send(*arguments, **named)

    monkeypatch.setattr(run_tree, "send", forget)
    setting = make_setting()
    with RunTree(setting, tags={}, source="made") as tree:
        assert parent(tree).data.params["hp.C"] == "8.0"


def test_folds_of_other_software_are_counted() -> None:
    setting = make_setting()
    first, _ = work(setting, stop_after=2)
    foreign = next(run for run in children(first) if run.info.status == "FINISHED")
    MlflowClient().set_tag(foreign.info.run_id, "mer.packages", "{}")
    second, _ = work(setting)
    assert (second.n_adopted, second.n_of_other_software) == (2, 1)


def test_run_of_a_process_that_died_is_taken_over() -> None:
    setting = make_setting()
    code = "import json; from mer_mlflow.tracking.environment import process_tags\n"
    said = subprocess.run(
        [sys.executable, "-c", code + "print(json.dumps(process_tags()))"],
        check=True,
        capture_output=True,
    )
    client = MlflowClient()
    tags = {
        "mer.kind": "cross-validation",
        "mer.status": "running",
        "mer.identity": setting.identity,
        "mer.folds_expected": "6",
        **json.loads(said.stdout),
    }
    dead = client.create_run("0", tags=tags)
    orphan = client.create_run(
        "0",
        tags={
            "mlflow.parentRunId": dead.info.run_id,
            "mer.kind": "fold",
            "mer.identity": setting.identity,
            "mer.split": "r01-f01",
        },
    )
    tree, validation = work(setting)
    assert validation is not None
    assert validation.is_complete
    assert tree.n_adopted == 0
    assert client.get_run(orphan.info.run_id).info.status == "KILLED"
    assert client.get_run(dead.info.run_id).info.status == "KILLED"
    assert client.get_run(dead.info.run_id).data.tags["mer.status"] == "superseded"


def test_epochs_are_live_before_their_fold_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_tree, "FLUSH_SECONDS", 0.05)
    setting = make_setting()
    split = setting.plan.splits[0]
    client = MlflowClient()
    with RunTree(setting, tags={}, source="made") as tree:
        events: list[FoldEvent] = [FoldStarted(job=Job(split=split, hyperparameters=None))]
        for number in (1, 2, 3):
            epoch = Epoch(epoch=number, train_loss=1 / number, train_accuracy=number / 4)
            events.append(EpochEnded(job=Job(split=split, hyperparameters=None), epoch=epoch))
        for event in events:
            tree.on_event(event)
        child = one_child(tree)
        deadline = time.monotonic() + 20
        history: list[float] = []
        while len(history) < 3 and time.monotonic() < deadline:
            metrics = client.get_metric_history(child.info.run_id, "train_loss")
            history = [metric.value for metric in metrics]
        assert history == [1, 1 / 2, 1 / 3]
        assert client.get_run(child.info.run_id).info.status == "RUNNING"
    assert client.get_run(child.info.run_id).info.status == "KILLED"


def test_folds_of_other_arithmetic_are_counted_and_mark_the_parent() -> None:
    setting = make_setting()
    first, _ = work(setting, stop_after=2)
    assert (first.n_of_other_arithmetic, first.warnings) == (0, ())
    foreign = next(run for run in children(first) if run.info.status == "FINISHED")
    own = json.loads(foreign.data.tags["mer.arithmetic"])
    assert own.keys() >= {"blas", "numpy", "processor", "threads"}
    other = json.dumps({**own, "blas": "openblas Katmai", "threads": "64", "processor": "other"})
    MlflowClient().set_tag(foreign.info.run_id, "mer.arithmetic", other)
    second, _ = work(setting)
    assert (second.n_adopted, second.n_of_other_arithmetic) == (2, 1)
    (words,) = second.warnings
    assert words.startswith(
        f"1 of them were run with different arithmetic (blas openblas Katmai, not {own['blas']})"
    )
    tags = parent(second).data.tags
    assert "mer.arithmetic" not in tags
    counted = json.loads(tags["mer.mixed_arithmetic"])
    assert [each["folds"] for each in counted] == [5, 1]
    assert [each["blas"] for each in counted] == [own["blas"], "openblas Katmai"]
    assert "processor" not in counted[0]


def test_threads_and_processor_of_earlier_folds_are_no_other_arithmetic() -> None:
    setting = make_setting()
    first, _ = work(setting, stop_after=2)
    for run in children(first):
        if run.info.status == "FINISHED":
            own = json.loads(run.data.tags["mer.arithmetic"])
            other = json.dumps({**own, "threads": "64", "processor": "other", "detected": "AVX"})
            MlflowClient().set_tag(run.info.run_id, "mer.arithmetic", other)
    second, _ = work(setting)
    assert (second.n_adopted, second.warnings) == (2, ())
    tags = parent(second).data.tags
    assert json.loads(tags["mer.arithmetic"])["blas"] == own["blas"]
    assert "mer.mixed_arithmetic" not in tags


@pytest.mark.parametrize("text", [None, "", "{", "[]", "garbled"])
def test_folds_of_unknown_arithmetic_are_warned_of(text: str | None) -> None:
    setting = make_setting()
    first, _ = work(setting, stop_after=2)
    for run in children(first):
        if text is None:
            MlflowClient().delete_tag(run.info.run_id, "mer.arithmetic")
        else:
            MlflowClient().set_tag(run.info.run_id, "mer.arithmetic", text)
    second, _ = work(setting)
    assert (second.n_adopted, second.n_of_other_arithmetic) == (2, 2)
    assert "2 of them were run with different arithmetic (unknown)" in second.warnings[0]
    counted = json.loads(parent(second).data.tags["mer.mixed_arithmetic"])
    assert [each["folds"] for each in counted] == [4, 2]
    assert counted[1] == {"folds": 2}


def test_copied_folds_keep_the_arithmetic_that_they_were_run_with() -> None:
    first, _ = work(make_setting(n_repeats=1))
    foreign = children(first)[0]
    other = json.dumps({"blas": "openblas Katmai"})
    MlflowClient().set_tag(foreign.info.run_id, "mer.arithmetic", other)
    second, _ = work(make_setting(n_repeats=2))
    copies = {run.data.tags.get("mer.copied_from"): run for run in children(second)}
    kept = copies[foreign.info.run_id].data.tags["mer.arithmetic"]
    assert json.loads(kept) == {"blas": "openblas Katmai"}
    assert second.n_of_other_arithmetic == 1
