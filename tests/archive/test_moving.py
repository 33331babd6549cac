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

from mer_mlflow.archive import export_runs, open_archive, restore_runs
from mer_mlflow.archive.export import Exported
from mer_mlflow.archive.restore import Imported
from mer_mlflow.errors import DeletedError, ParameterError, TrackingError
from mer_mlflow.tracking.environment import is_alive, process_tags

from .conftest import SECRET, NewStore, add

OWN = (
    "mer.imported_from",
    "mer.imported_source",
    "mer.imported_sha256",
    "mer.imported_state",
    "mer.imported_version",
)
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
    assert (again.n_new, again.n_known, again.n_updated) == (0, 8, 0)
    assert state(target, tmp_path / "b") == before


def run_ids(client: MlflowClient, name: str = "study") -> dict[str, str]:
    return {run.info.run_name: run.info.run_id for run in runs_of(client, name)}


def test_later_archive_brings_what_is_new_and_what_has_changed(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path
) -> None:
    target = new_store("target")
    moved(origin, tmp_path / "first.zip")
    arrived(target, tmp_path / "first.zip")
    ids, before = run_ids(origin), run_ids(target)
    winner = add(origin, home(origin), "svm new", kind="cross-validation", status="complete")
    add(origin, home(origin), "r01-f03", kind="fold", parent=winner)
    for fold in ("r01-f01", "r01-f02"):
        origin.set_tag(ids[fold], "mlflow.parentRunId", winner)
    origin.set_tag(ids["svm"], "mer.superseded_by", winner)
    origin.set_tag(ids["svm"], "mer.status", "superseded")
    origin.set_terminated(ids["svm"], "KILLED", 77_000)
    origin.delete_tag(ids["r01-f02"], "mer.copied_from")
    origin.log_metric(ids["r01-f01"], "loss", 0.5, step=3, timestamp=9)
    origin.log_text(ids["search"], f"now {winner}", "best.json")
    origin.update_run(ids["study"], name="study of late")
    moved(origin, tmp_path / "second.zip")
    imported = arrived(target, tmp_path / "second.zip")
    assert (imported.n_new, imported.n_updated, imported.n_known) == (2, 5, 3)
    assert state(target, tmp_path / "b") == state(origin, tmp_path / "a")
    after = run_ids(target)
    assert all(after[name] == before[name] for name in before if name != "study")
    again = arrived(target, tmp_path / "second.zip")
    assert (again.n_new, again.n_updated, again.n_known) == (0, 0, 10)


def test_older_archive_does_not_undo_a_later_one(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path
) -> None:
    moved(origin, tmp_path / "first.zip")
    target, copy = new_store("target"), new_store("copy")
    arrived(copy, tmp_path / "first.zip")
    winner = add(origin, home(origin), "svm new", kind="cross-validation", status="complete")
    origin.set_tag(run_ids(origin)["r01-f01"], "mlflow.parentRunId", winner)
    moved(origin, tmp_path / "second.zip")
    arrived(target, tmp_path / "second.zip")
    before = state(target, tmp_path / "a")
    moved(copy, tmp_path / "copy.zip")
    for older in ("first.zip", "copy.zip"):
        with pytest.raises(ParameterError, match=r"1 runs, .* and from an earlier one"):
            arrived(target, tmp_path / older)
    assert state(target, tmp_path / "b") == before


def test_run_that_was_deleted_comes_back_to_those_that_name_it(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path
) -> None:
    moved(origin, tmp_path / "study.zip")
    target = new_store("target")
    arrived(target, tmp_path / "study.zip")
    target.delete_run(run_ids(target)["r01-f01"])
    imported = arrived(target, tmp_path / "study.zip")
    assert (imported.n_new, imported.n_updated) == (1, 1)
    assert state(target, tmp_path / "b") == state(origin, tmp_path / "a")
    target.delete_run(run_ids(target)["svm"])  # a parameter, which nobody can change, names it
    with pytest.raises(ParameterError, match=run_ids(target)["search"]):
        arrived(target, tmp_path / "study.zip")


def test_run_that_names_one_which_arrives_later_is_written_again(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path
) -> None:
    search = add(origin, home(origin), "late", kind="search", ended=False)
    add(origin, home(origin), "trial", kind="cross-validation", parent=search)
    moved(origin, tmp_path / "first.zip")
    target = new_store("target")
    arrived(target, tmp_path / "first.zip")
    origin.set_terminated(search)
    moved(origin, tmp_path / "second.zip")
    imported = arrived(target, tmp_path / "second.zip")
    assert (imported.n_new, imported.n_updated) == (1, 1)
    assert state(target, tmp_path / "b") == state(origin, tmp_path / "a")


def test_interrupted_update_is_continued_wherever_it_stopped(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path
) -> None:
    moved(origin, tmp_path / "first.zip")
    ids = run_ids(origin)
    winner = add(origin, home(origin), "svm new", kind="cross-validation", status="complete")
    for fold in ("r01-f01", "r01-f02"):
        origin.set_tag(ids[fold], "mlflow.parentRunId", winner)
    moved(origin, tmp_path / "second.zip")
    origin.set_tag(ids["r01-f01"], "mlflow.note.content", "later still")
    moved(origin, tmp_path / "third.zip")
    after = state(origin, tmp_path / "a")
    for at in (0, 3, 4, 5, 6, 7, 8, 12):
        target = new_store(f"target{at}")
        arrived(target, tmp_path / "first.zip")
        with pytest.raises(TrackingError, match="give the same command again to continue"):
            arrived(Failing(target, at=at), tmp_path / "second.zip")  # type: ignore[arg-type]
        arrived(target, tmp_path / "third.zip")
        assert state(target, tmp_path / f"b{at}") == after
        assert len(runs_of(target)) == 9


@pytest.mark.parametrize("where", ["elsewhere", "home"])
def test_runs_that_changed_in_both_places_are_refused_before_anything_is_written(
    where: str, origin: MlflowClient, new_store: NewStore, tmp_path: Path
) -> None:
    target = new_store("target")
    moved(origin, tmp_path / "first.zip")
    arrived(target, tmp_path / "first.zip")
    sender, receiver = (origin, target) if where == "elsewhere" else (target, origin)
    for client in (sender, receiver):
        winner = add(client, home(client), f"of {client.tracking_uri}", kind="cross-validation")
        client.set_tag(run_ids(client)["r01-f01"], "mlflow.parentRunId", winner)
    moved(sender, tmp_path / "second.zip")
    before = state(receiver, tmp_path / "a")
    with pytest.raises(ParameterError, match=r"1 runs, .* -P experiment=NAME imports all"):
        arrived(receiver, tmp_path / "second.zip")
    assert state(receiver, tmp_path / "b") == before
    # what has no news of the run is no reason to refuse
    assert arrived(target, tmp_path / "first.zip").n_known == 8
    assert arrived(receiver, tmp_path / "second.zip", "other").n_new == 9


def test_run_that_changed_at_home_alone_is_refused_too(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path
) -> None:
    """Which of the two is the later one cannot be told where the run was made."""
    moved(origin, tmp_path / "out.zip")
    target = new_store("target")
    arrived(target, tmp_path / "out.zip")
    target.set_tag(run_ids(target)["svm"], "mer.status", "superseded")
    moved(target, tmp_path / "back.zip")
    with pytest.raises(ParameterError, match=f"1 runs, such as {run_ids(origin)['svm']},"):
        arrived(origin, tmp_path / "back.zip")


def test_archive_of_a_copy_is_known_where_the_first_one_arrived(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path
) -> None:
    moved(origin, tmp_path / "first.zip")
    copy, target = new_store("copy"), new_store("target")
    copy.create_experiment("another")
    for client in (copy, target):
        arrived(client, tmp_path / "first.zip")
    moved(copy, tmp_path / "copy.zip")
    imported = arrived(target, tmp_path / "copy.zip")
    assert (imported.n_new, imported.n_updated, imported.n_known) == (0, 0, 8)


def test_two_runs_of_one_origin_are_refused(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path
) -> None:
    moved(origin, tmp_path / "first.zip")
    ids = run_ids(origin)
    origin.set_tag(ids["report"], "mer.imported_from", ids["svm"])
    words = f"are copies of run {ids['svm']}; delete one of them"
    with pytest.raises(ParameterError, match=words):
        moved(origin, tmp_path / "second.zip")
    with pytest.raises(ParameterError, match=words):
        arrived(origin, tmp_path / "first.zip")
    target = new_store("target")
    with open_archive(tmp_path / "first.zip") as opened:
        records = {run_id: opened.record(run_id) for run_id in opened.manifest.runs}
        records[ids["report"]]["tags"]["mer.imported_from"] = ids["svm"]
        opened.record = records.__getitem__  # type: ignore[method-assign]
        with pytest.raises(ParameterError, match=words):
            restore_runs(target, opened, "study")
    assert target.get_experiment_by_name("study") is None


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

    WRITES = (
        "create_run",
        "log_batch",
        "log_inputs",
        "log_artifacts",
        "set_terminated",
        "update_run",
    )

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


def test_interrupted_import_is_continued_by_a_later_archive(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path
) -> None:
    late = add(origin, home(origin), "late", kind="fold", ended=False)
    origin.log_param(run_ids(origin)["svm"], "named", late)
    moved(origin, tmp_path / "first.zip")
    origin.set_terminated(late)
    origin.log_text(run_ids(origin)["search"], "later", "best.json")
    moved(origin, tmp_path / "second.zip")
    before = state(origin, tmp_path / "a")
    for at in (5, 14, 17, 25):
        target = new_store(f"target{at}")
        with pytest.raises(TrackingError):
            arrived(Failing(target, at=at), tmp_path / "first.zip")  # type: ignore[arg-type]
        if any("named" in run.data.params for run in runs_of(target)):
            with pytest.raises(ParameterError, match="and from an earlier one"):
                arrived(target, tmp_path / "second.zip")
            continue
        arrived(target, tmp_path / "second.zip")
        assert state(target, tmp_path / f"b{at}") == before
        assert len(runs_of(target)) == 9


def test_empty_runs_that_a_killed_import_left_go_away(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path
) -> None:
    moved(origin, tmp_path / "study.zip")
    target = new_store("target")
    arrived(target, tmp_path / "study.zip")
    tags = {"mer.imported_from": run_ids(origin)["svm"]}
    target.create_run(home(target), tags=tags)
    assert arrived(target, tmp_path / "study.zip").n_known == 8
    assert len(runs_of(target)) == 8


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
    with pytest.raises(ParameterError, match="experiment=study: has no finished runs"):
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
    with pytest.raises(DeletedError, match=r"=study: experiment \d+ was deleted"):
        arrived(target, tmp_path / "study.zip")
    with pytest.raises(ParameterError, match="cannot be created"):
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


def test_space_is_needed_for_what_is_written_only(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(origin, tmp_path / "study.zip")
    target = new_store("target")
    arrived(target, tmp_path / "study.zip")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1}))
    assert arrived(target, tmp_path / "study.zip").n_known == 8


def test_server_that_goes_away_at_any_call_is_one_line(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(origin, tmp_path / "study.zip")
    target = new_store("target")
    for name in ("get_experiment_by_name", "get_experiment", "set_experiment_tag", "search_runs"):
        with monkeypatch.context() as patch:
            patch.setattr(Failing, "WRITES", (name,))
            with pytest.raises(TrackingError, match="the server is gone"):
                arrived(Failing(target, at=0), tmp_path / "study.zip")  # type: ignore[arg-type]
            if name in ("get_experiment", "search_runs"):
                with pytest.raises(TrackingError, match="the server is gone"):
                    export_runs(
                        Failing(origin, at=0),  # type: ignore[arg-type]
                        home(origin),
                        tmp_path / "new.zip",
                    )
    assert not runs_of(target)
    assert not (tmp_path / "new.zip").exists()


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
