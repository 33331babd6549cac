"""From one store into another: everything arrives, once, under new ids."""

from __future__ import annotations

import re
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from mer_mlflow.errors import ParameterError, TrackingError
from mer_mlflow.moving import export_runs, open_archive, restore_runs
from mer_mlflow.moving.export import Exported
from mer_mlflow.moving.restore import Imported
from mer_mlflow.tracking.environment import is_alive, process_tags

from .conftest import SECRET, NewStore, add

OWN = ("mer.imported_from", "mer.imported_source", "mer.imported_sha256")
RUN_ID = re.compile("[0-9a-f]{32}")
State = dict[str, dict[str, Any]]


def moved(client: MlflowClient, target: Path, name: str = "study") -> Exported:
    return export_runs(client, home(client, name), target)


def arrived(client: MlflowClient, archive: Path, name: str = "study") -> Imported:
    with open_archive(archive) as opened:
        return restore_runs(client, opened, name)


def home(client: MlflowClient, name: str = "study") -> str:
    return str(client.get_experiment_by_name(name).experiment_id)


def runs_of(client: MlflowClient, name: str = "study") -> list[Run]:
    return list(client.search_runs([home(client, name)], max_results=1000))


def state(client: MlflowClient, folder: Path, name: str = "study") -> State:
    """All that an experiment's runs of this project have, by the id that they were made with.

    Ids in it are replaced by the names of their runs, that of the experiment by a word.
    """
    runs = [run for run in runs_of(client, name) if "mer.kind" in run.data.tags]
    names = {run.info.run_id: f"<{run.info.run_name}>" for run in runs}
    experiment = f"experiments/{home(client, name)}/"

    def general(text: str) -> str:
        replaced = RUN_ID.sub(lambda match: names.get(match[0], match[0]), text)
        return replaced.replace(experiment, "experiments/HOME/")

    found: State = {}
    for run in runs:
        place = folder / run.info.run_id
        place.mkdir(parents=True)
        if client.list_artifacts(run.info.run_id):
            client.download_artifacts(run.info.run_id, "", str(place))
        info, data = run.info, run.data
        found[info.run_name] = {
            "info": (info.status, info.start_time, info.end_time, info.user_id),
            "params": {key: general(value) for key, value in data.params.items()},
            "tags": {key: general(value) for key, value in data.tags.items() if key not in OWN},
            "latest": {key: repr(value) for key, value in data.metrics.items()},
            "metrics": {
                key: [
                    (repr(each.value), each.timestamp, each.step)
                    for each in client.get_metric_history(info.run_id, key)
                ]
                for key in data.metrics
            },
            "inputs": sorted(repr(given.to_dictionary()) for given in run.inputs.dataset_inputs),
            "artifacts": {
                path.relative_to(place).as_posix(): (
                    path.read_bytes()
                    if path.suffix == ".bin"
                    else general(path.read_text(encoding="utf-8"))
                )
                for path in place.rglob("*")
                if path.is_file()
            },
        }
    return found


def test_everything_arrives(origin: MlflowClient, new_store: NewStore, tmp_path: Path) -> None:
    exported = moved(origin, tmp_path / "study.zip")
    assert exported.counts == {
        "cross-validation": 3,
        "search": 1,
        "study": 1,
        "report": 1,
        "fold": 2,
        "artifacts": 5,
    }
    assert not exported.closed
    assert not exported.left_out
    target = new_store("target")
    target.create_experiment("another")  # ids of experiments differ
    imported = arrived(target, tmp_path / "study.zip")
    assert (imported.n_new, imported.n_known, imported.n_continued) == (8, 0, 0)
    before, after = state(origin, tmp_path / "a"), state(target, tmp_path / "b")
    assert after == before
    assert before["r01-f02"]["latest"]["odd"] == repr(5e-324)
    assert ("nan", 7, 0) in before["r01-f02"]["metrics"]["odd"]
    assert before["study"]["artifacts"]["items.csv"] == "method,run_id\nsvm,<svm>\n"
    assert "experiments/HOME/runs/<svm>" in after["report"]["artifacts"]["report.html"]
    assert after["r01-f02"]["tags"]["mer.copied_from"] == "<r01-f01>"
    assert after["search"]["params"]["search.winner"] == "<svm>"
    assert "of no kind" not in {run.info.run_name for run in runs_of(target)}


def test_runs_tell_where_they_came_from(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path
) -> None:
    moved(origin, tmp_path / "study.zip")
    target = new_store("target")
    arrived(target, tmp_path / "study.zip", "elsewhere")
    old = {run.info.run_name: run.info.run_id for run in runs_of(origin)}
    for run in runs_of(target, "elsewhere"):
        assert run.data.tags["mer.imported_from"] == old[run.info.run_name]
        assert run.info.run_id != old[run.info.run_name]
        assert run.data.tags["mer.imported_source"].startswith("experiment study of sqlite:///")


def test_second_import_changes_nothing(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path
) -> None:
    moved(origin, tmp_path / "study.zip")
    target = new_store("target")
    arrived(target, tmp_path / "study.zip")
    before = state(target, tmp_path / "a")
    again = arrived(target, tmp_path / "study.zip")
    assert (again.n_new, again.n_known, again.n_changed) == (0, 8, 0)
    assert state(target, tmp_path / "b") == before


def test_later_export_brings_what_is_new_and_tells_what_has_changed(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path
) -> None:
    target = new_store("target")
    moved(origin, tmp_path / "first.zip")
    arrived(target, tmp_path / "first.zip")
    parent = next(run.info.run_id for run in runs_of(origin) if run.info.run_name == "svm")
    add(origin, home(origin), "r01-f03", kind="fold", parent=parent)
    origin.set_tag(parent, "mlflow.note.content", "look at this")
    moved(origin, tmp_path / "second.zip")
    imported = arrived(target, tmp_path / "second.zip")
    assert (imported.n_new, imported.n_known, imported.n_changed) == (1, 8, 1)
    found = state(target, tmp_path / "b")
    assert found["r01-f03"]["tags"]["mlflow.parentRunId"] == "<svm>"
    assert "mlflow.note.content" not in found["svm"]["tags"]


def test_runs_that_come_home_are_known_there(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path
) -> None:
    before = state(origin, tmp_path / "a")
    moved(origin, tmp_path / "out.zip")
    target = new_store("target")
    arrived(target, tmp_path / "out.zip")
    add(target, home(target), "made there", kind="prepare")
    moved(target, tmp_path / "back.zip")
    imported = arrived(origin, tmp_path / "back.zip")
    assert (imported.n_new, imported.n_known) == (1, 8)
    after = state(origin, tmp_path / "b")
    assert after.pop("made there")
    assert after == before


class Failing:
    """A client of a server that goes away at a certain call."""

    WRITES = ("create_run", "log_batch", "log_inputs", "log_artifacts", "set_terminated")

    def __init__(self, client: MlflowClient, *, at: int) -> None:
        self._client = client
        self._left = at

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if name not in self.WRITES:
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                raise MlflowException("the server is gone")
            return found(*arguments, **named)

        return call


def test_interrupted_import_is_continued_wherever_it_stopped(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path
) -> None:
    moved(origin, tmp_path / "study.zip")
    before = state(origin, tmp_path / "a")
    for at in (0, 5, 14, 35):
        target = new_store(f"target{at}")
        with pytest.raises(TrackingError, match="give the same command again to continue"):
            arrived(Failing(target, at=at), tmp_path / "study.zip")  # type: ignore[arg-type]
        half = [run for run in runs_of(target) if "mer.kind" not in run.data.tags]
        assert bool(half) == (at > 0)
        assert arrived(target, tmp_path / "study.zip").n_continued == len(half)
        assert state(target, tmp_path / f"b{at}") == before
        assert len(runs_of(target)) == 8


def test_run_made_by_a_request_whose_answer_was_lost_goes_away(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path
) -> None:
    moved(origin, tmp_path / "study.zip")
    target = new_store("target")
    experiment = target.create_experiment("study")
    first = next(run for run in runs_of(origin) if run.info.run_name == "svm")
    tags = {"mer.imported_from": first.info.run_id, "mlflow.user": "Ada"}
    for _ in range(2):
        target.create_run(experiment, start_time=first.info.start_time, tags=tags, run_name="svm")
    assert arrived(target, tmp_path / "study.zip").n_continued == 1
    assert len(runs_of(target)) == 8
    assert state(target, tmp_path / "b") == state(origin, tmp_path / "a")


def test_runs_at_work_arrive_as_interrupted_and_running_folds_are_left_out(
    new_store: NewStore, tmp_path: Path
) -> None:
    client = new_store("origin")
    experiment = client.create_experiment("study")
    at_work = process_tags()
    parent = add(client, experiment, "svm", kind="cross-validation", status="running", ended=False)
    study = add(client, experiment, "study", kind="study", status="running", ended=False)
    for run_id in (parent, study):
        for key, value in at_work.items():
            client.set_tag(run_id, key, value)
    add(client, experiment, "r01-f01", kind="fold", parent=parent)
    add(client, experiment, "r01-f02", kind="fold", parent=parent, ended=False)
    exported = moved(client, tmp_path / "study.zip")
    assert exported.closed == {"cross-validation": 1, "study": 1}
    assert exported.left_out == {"fold": 1}
    assert exported.counts["fold"] == 1
    target = new_store("target")
    arrived(target, tmp_path / "study.zip")
    found = {run.info.run_name: run for run in runs_of(target)}
    assert found.keys() == {"svm", "study", "r01-f01"}
    assert found["svm"].data.tags["mer.status"] == "interrupted"
    assert found["study"].data.tags["mer.status"] == "incomplete"
    for name in ("svm", "study"):
        assert found[name].info.status == "KILLED"
        assert abs(found[name].info.end_time / 1000 - time.time()) < 600
        assert not is_alive(found[name].data.tags)
    assert client.get_run(parent).info.status == "RUNNING"


def test_no_credentials_are_in_an_archive(new_store: NewStore, tmp_path: Path) -> None:
    client = new_store("origin")
    experiment = client.create_experiment("study")
    address = f"https://ada:{SECRET}@git.example/project"
    run_id = add(client, experiment, "svm", kind="cross-validation", status="complete")
    client.set_tag(run_id, "mlflow.source.git.repoURL", address)
    client.set_tag(run_id, "mlflow.source.name", f"https://{SECRET}@git.example/project")
    client.log_param(run_id, "storage", f"postgresql://ada:{SECRET}@db/studies")
    client.log_text(run_id, f"Traceback: cannot connect to {address}!", "traceback.txt")
    moved(client, tmp_path / "study.zip")
    with zipfile.ZipFile(tmp_path / "study.zip") as file:
        contents = [file.read(name) for name in file.namelist()]
    assert not any(SECRET.encode() in content for content in contents)
    assert any(b"cannot connect to https://git.example/project!" in each for each in contents)


@pytest.mark.parametrize("ended", [True, False])
def test_experiment_without_runs_of_this_project_is_not_exported(
    new_store: NewStore, tmp_path: Path, ended: bool
) -> None:
    client = new_store("origin")
    experiment = client.create_experiment("study")
    client.set_terminated(client.create_run(experiment).info.run_id)
    if not ended:
        add(client, experiment, "r01-f01", kind="fold", ended=False)
    with pytest.raises(ParameterError, match="experiment=study: has no runs of this project"):
        moved(client, tmp_path / "study.zip")
    assert not (tmp_path / "study.zip").exists()


def test_run_that_cannot_be_read_is_named_and_leaves_no_archive(
    origin: MlflowClient, tmp_path: Path
) -> None:
    broken = next(run for run in runs_of(origin) if run.info.run_name == "report")
    (tmp_path / "odd").mkdir()
    folder = Path(broken.info.artifact_uri.removeprefix("file://"))
    (folder / "100%#.txt").write_text("MLflow does not give this out")
    with pytest.raises(TrackingError, match=f"run {broken.info.run_id} cannot be read") as refusal:
        moved(origin, tmp_path / "odd" / "study.zip")
    assert "\n" not in str(refusal.value)
    assert not list((tmp_path / "odd").iterdir())


def test_deleted_experiment_is_not_written_to(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path
) -> None:
    moved(origin, tmp_path / "study.zip")
    target = new_store("target")
    target.delete_experiment(target.create_experiment("study"))
    with pytest.raises(ParameterError, match="experiment=study: was deleted"):
        arrived(target, tmp_path / "study.zip")
    with pytest.raises(ParameterError, match="cannot be made"):
        arrived(target, tmp_path / "study.zip", "x" * 600)


def test_lack_of_space_is_told_before_anything_is_written(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(origin, tmp_path / "study.zip")
    target = new_store("target")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1}))
    with pytest.raises(ParameterError, match="are needed there to unpack runs"):
        arrived(target, tmp_path / "study.zip")
    assert target.get_experiment_by_name("study") is None


def test_many_values_arrive(new_store: NewStore, tmp_path: Path) -> None:
    from mlflow.entities import Metric, Param, RunTag

    client = new_store("origin")
    run_id = add(client, client.create_experiment("study"), "svm", kind="cross-validation")
    metrics = [Metric(f"curve{i % 3}", i / 7, 1000 + i, i // 3) for i in range(2500)]
    params = [Param(f"p{i}", "x" * 400) for i in range(150)]
    client.log_batch(run_id, metrics, params, [RunTag(f"t{i}", str(i)) for i in range(150)])
    moved(client, tmp_path / "study.zip")
    target = new_store("target")
    arrived(target, tmp_path / "study.zip")
    assert state(target, tmp_path / "b") == state(client, tmp_path / "a")
