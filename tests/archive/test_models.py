"""Logged and registered models: everything arrives, once, under new ids, or nothing is half."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import LoggedModel, LoggedModelOutput, Metric

from mer_mlflow.archive import container, open_archive
from mer_mlflow.archive.container import MANIFEST, N_DIGITS, SEAL, seal
from mer_mlflow.errors import ParameterError, TrackingError

from .conftest import SECRET, NewStore, add
from .test_moving import Failing, arrived, home, moved, runs_of

WRITES = (
    "create_logged_model",
    "set_logged_model_tags",
    "log_outputs",
    "log_model_artifacts",
    "finalize_logged_model",
    "create_registered_model",
    "create_model_version",
    "set_registered_model_alias",
)
NAME, WEIGHTS = "mer-svm", "artifacts/trained/weights/λ.bin"
MODEL_RECORD = re.compile(r"models/m-[0-9a-f]{32}/model\.json")


def add_model(
    client: MlflowClient,
    folder: Path,
    *,
    run_id: str,
    parent: str = "",
    weights: str = "",
    status: str = "READY",
) -> str:
    """Log a model to a run, like fit does, and return its id."""
    model = client.create_logged_model(
        client.get_run(run_id).info.experiment_id,
        name="model",
        source_run_id=run_id,
        tags={"mer.validated_by": parent, "mer.method": "svm"},
        params={"hp.C": "8.0"},
        model_type="emotion",
    )
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=3)])
    metric = Metric("f1", 0.5, 77, 3, model_id=model.model_id)
    client.log_batch(run_id, metrics=[metric])
    files = files_of(model, weights)
    for name, content in files.items():
        path = folder / model.model_id / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    client.log_model_artifacts(model.model_id, str(folder / model.model_id))
    if status != "PENDING":
        client.finalize_logged_model(model.model_id, status)  # type: ignore[arg-type]
    return str(model.model_id)


def files_of(model: LoggedModel, weights: str) -> dict[str, bytes]:
    described = {
        "artifact_path": model.artifact_location,
        "flavors": {"python_function": {"loader_module": "none"}},
        "model_id": model.model_id,
        "model_uuid": model.model_id,
        "run_id": model.source_run_id,
        "source": f"https://ada:{SECRET}@git.example/project",
    }
    return {
        "MLmodel": yaml.safe_dump(described).encode(),
        "card.md": f"model {model.model_id} of run {model.source_run_id}".encode(),
        "artifacts/trained/model.json": json.dumps({"run": model.source_run_id}).encode(),
        WEIGHTS: weights.encode(),
        "registered_model_meta": b"model_name: x",
    }


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Callable[[MlflowClient], MlflowClient]:
    """Make a store that of this process: MLflow's registry in a file reads no other one."""

    def use(client: MlflowClient) -> MlflowClient:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
        return client

    return use


Place = Callable[[MlflowClient], MlflowClient]


@pytest.fixture
def origin(new_store: NewStore, place: Place, tmp_path: Path) -> MlflowClient:
    """A store with two models of one run, registered as three versions."""
    client = place(new_store("origin"))
    experiment = client.create_experiment("study")
    parent = add(client, experiment, "svm", kind="cross-validation", status="complete")
    run_id = add(client, experiment, "fit svm", kind="fit", validated_by=parent)
    first = add_model(client, tmp_path / "models", run_id=run_id, parent=parent, weights="1")
    second = add_model(client, tmp_path / "models", run_id=run_id, weights="2" * 1000)
    for status in ("PENDING", "FAILED"):
        add_model(client, tmp_path / "models", run_id=run_id, status=status)
    client.log_text(run_id, f"experiments/{experiment}/models/{first}", "report.html")
    client.create_registered_model(NAME, {"licence": "none"}, description="hears emotion")
    for model_id in (first, second, first):
        version = client.create_model_version(
            NAME,
            f"models:/{model_id}",
            tags={"mer.validated_by": parent},
            description=f"made by {run_id}",
            model_id=model_id,
        )
    client.set_registered_model_alias(NAME, "candidate", version.version)
    client.set_registered_model_alias(NAME, "champion", "2")
    return client


def models_of(client: MlflowClient, *, status: str = "READY") -> list[LoggedModel]:
    found = client.search_logged_models([home(client)])
    return sorted(
        (model for model in found if model.status.value == status),
        key=lambda model: model.creation_timestamp,
    )


def versions_of(client: MlflowClient) -> list[Any]:
    found = client.search_model_versions(f"name = '{NAME}'")
    return sorted(found, key=lambda version: int(version.version))


def state(client: MlflowClient, folder: Path) -> dict[str, Any]:
    """All that models and versions have; ids are replaced by names."""
    names = {run.info.run_id: f"<{run.info.run_name}>" for run in runs_of(client)}
    models = models_of(client)
    # models are distinguished by the size of their weights
    contents = {model.model_id: content(client, model, folder) for model in models}
    order = sorted(
        contents, key=lambda each: len(contents[each]["artifacts/trained/weights/λ.bin"])
    )
    names |= {model_id.removeprefix("m-"): f"<{i}>" for i, model_id in enumerate(order)}
    names |= {f"experiments/{home(client)}/": "experiments/HOME/"}

    def general(text: str) -> str:
        for old, new in names.items():
            text = text.replace(old, new)
        return text

    described = {
        general(model.model_id): {
            "values": (model.name, model.model_type, model.params, general(model.source_run_id)),
            "tags": {
                key: general(value)
                for key, value in model.tags.items()
                if not key.startswith(("mer.imported", "mlflow.modelVersions"))
            },
            "metrics": [
                (each.key, each.value, each.timestamp, each.step) for each in model.metrics
            ],
            "artifacts": {
                name: general(text)
                for name, text in contents[model.model_id].items()
                if name not in ("MLmodel", "artifacts/trained/model.json")
            },
        }
        for model in models
    }
    versions = [
        (
            general(each.source),
            general(each.description),
            each.run_id in names,
            {key: general(value) for key, value in each.tags.items()},
        )
        for each in versions_of(client)
    ]
    registered = client.get_registered_model(NAME)
    outputs = {
        (general(run.info.run_id), general(each.model_id), each.step)
        for run in runs_of(client)
        for each in run.outputs.model_outputs
        if each.model_id in contents
    }
    return {
        "models": described,
        "versions": versions,
        "registered": (registered.description, registered.tags, aliases_of(registered)),
        "outputs": outputs,
        "report": [
            general(Path(client.download_artifacts(run.info.run_id, "report.html")).read_text())
            for run in runs_of(client)
            if run.info.run_name == "fit svm"
        ],
    }


def aliases_of(registered: Any) -> dict[str, int]:
    """Versions by alias; servers give them as texts."""
    return {alias: int(version) for alias, version in registered.aliases.items()}


def content(client: MlflowClient, model: LoggedModel, folder: Path) -> dict[str, str]:
    place = folder / model.model_id
    found = Path(download_artifacts(artifact_uri=model.artifact_location, dst_path=str(place)))
    return {
        path.relative_to(found).as_posix(): path.read_text()
        for path in found.rglob("*")
        if path.is_file() and path.name != "registered_model_meta"
    }


@pytest.fixture
def archive(origin: MlflowClient, tmp_path: Path) -> Path:
    moved(origin, tmp_path / "study.zip")
    return tmp_path / "study.zip"


def test_everything_arrives(
    origin: MlflowClient, new_store: NewStore, place: Place, tmp_path: Path
) -> None:
    exported = moved(origin, tmp_path / "study.zip")
    assert exported.counts == {
        "cross-validation": 1,
        "fit": 1,
        "model": 2,
        "registered version": 3,
        "artifacts": 9,
    }
    before = state(origin, tmp_path / "a")
    target = new_store("target")
    target.create_experiment("another")  # ids of experiments differ
    imported = arrived(place(target), tmp_path / "study.zip")
    assert (imported.n_new, imported.n_models) == (2, 2)
    assert imported.versions == tuple(f"{NAME}/{i}" for i in (1, 2, 3))
    assert imported.messages == ()
    assert state(target, tmp_path / "b") == before
    assert before["registered"][2] == {"candidate": 3, "champion": 2}
    assert before["models"]["m-<0>"]["tags"]["mer.validated_by"] == "<svm>"
    assert before["models"]["m-<0>"]["artifacts"]["card.md"] == "model m-<0> of run <fit svm>"
    assert before["report"] == ["experiments/HOME/models/m-<0>"]


def test_description_names_the_new_model_and_files_with_checksums_are_exact(
    archive: Path, origin: MlflowClient, new_store: NewStore, place: Place, tmp_path: Path
) -> None:
    old = models_of(origin)[0]
    target = place(new_store("target"))
    arrived(target, archive)
    (model,) = (
        model for model in models_of(target) if model.tags["mer.imported_from"] == old.model_id
    )
    found = content(target, model, tmp_path / "found")
    described = yaml.safe_load(found["MLmodel"])
    assert described["model_id"] == described["model_uuid"] == model.model_id != old.model_id
    assert described["run_id"] == model.source_run_id != old.source_run_id
    assert described["artifact_path"] == model.artifact_location
    exact = json.loads(found["artifacts/trained/model.json"])
    assert exact == {"run": old.source_run_id}, "files below artifacts/ have checksums of their own"
    assert "registered_model_meta" not in found
    (version,) = json.loads(model.tags["mlflow.modelVersions"])[:1]
    assert version == {"name": NAME, "version": 1}
    assert model.tags["mer.imported_source"].startswith("experiment study of sqlite:///")


def test_everything_arrives_through_a_server_and_comes_back(
    archive: Path,
    origin: MlflowClient,
    new_store: NewStore,
    place: Place,
    server: str,
    tmp_path: Path,
) -> None:
    before = state(origin, tmp_path / "a")
    remote = place(MlflowClient(tracking_uri=server))
    assert arrived(remote, archive).n_models == 2
    assert state(remote, tmp_path / "b") == before
    again = arrived(remote, archive)
    assert (again.n_models, again.versions, again.messages) == (0, (), ())
    moved(remote, tmp_path / "back.zip")
    assert arrived(place(origin), tmp_path / "back.zip").n_models == 0
    target = place(new_store("target"))
    assert arrived(target, tmp_path / "back.zip").n_models == 2
    assert state(target, tmp_path / "c") == before


def test_archive_has_a_digest_of_every_file_and_no_credentials(archive: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        manifest = json.loads(file.read(MANIFEST))
        assert manifest["format"] == 2
        for model_id in manifest["models"]:
            assert f"models/{model_id}/artifacts/artifacts/trained/model.json" in file.namelist()
        for name, member in manifest["members"].items():
            assert hashlib.sha256(file.read(name)).hexdigest() == member["sha256"]
            assert SECRET.encode() not in file.read(name)


def test_second_import_makes_nothing_twice(
    archive: Path, new_store: NewStore, place: Place, tmp_path: Path
) -> None:
    target = place(new_store("target"))
    arrived(target, archive)
    before = state(target, tmp_path / "a")
    again = arrived(target, archive)
    assert (again.n_new, again.n_known, again.n_models, again.versions) == (0, 2, 0, ())
    assert state(target, tmp_path / "b") == before
    assert not models_of(target, status="PENDING")


def test_models_that_come_home_are_known_there(
    archive: Path, origin: MlflowClient, new_store: NewStore, place: Place, tmp_path: Path
) -> None:
    before = state(origin, tmp_path / "a")
    target = place(new_store("target"))
    arrived(target, archive)
    moved(target, tmp_path / "back.zip")
    imported = arrived(place(origin), tmp_path / "back.zip")
    assert (imported.n_new, imported.n_updated, imported.n_models) == (0, 0, 0)
    assert (imported.versions, imported.messages) == ((), ())
    assert state(origin, tmp_path / "b") == before


def test_alias_that_another_version_has_stays_there(
    archive: Path, new_store: NewStore, place: Place
) -> None:
    target = place(new_store("target"))
    run = target.create_run("0")
    own = target.create_logged_model("0", source_run_id=run.info.run_id)
    target.create_registered_model(NAME, description="of this server")
    target.create_model_version(NAME, f"models:/{own.model_id}", model_id=own.model_id)
    target.set_registered_model_alias(NAME, "champion", "1")
    imported = arrived(target, archive)
    assert imported.versions == tuple(f"{NAME}/{i}" for i in (2, 3, 4))
    (message,) = imported.messages
    assert "alias champion of mer-svm stays on version 1; version 3, which" in message
    registered = target.get_registered_model(NAME)
    assert aliases_of(registered) == {"champion": 1, "candidate": 4}
    assert registered.description == "of this server"
    assert arrived(target, archive).messages == (message,)


def test_later_archive_brings_new_models_and_versions(
    archive: Path, origin: MlflowClient, new_store: NewStore, place: Place, tmp_path: Path
) -> None:
    target = new_store("target")
    arrived(place(target), archive)
    place(origin)
    run_id = add(origin, home(origin), "fit again", kind="fit")
    model_id = add_model(origin, tmp_path / "models", run_id=run_id, weights="3" * 2000)
    origin.create_model_version(NAME, f"models:/{model_id}", model_id=model_id)
    moved(origin, tmp_path / "second.zip")
    imported = arrived(place(target), tmp_path / "second.zip")
    assert (imported.n_new, imported.n_models, imported.versions) == (1, 1, (f"{NAME}/4",))
    assert len(models_of(target)) == 3


def test_import_is_continued_wherever_it_stopped(
    archive: Path,
    origin: MlflowClient,
    new_store: NewStore,
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Failing, "WRITES", WRITES)
    before = state(origin, tmp_path / "a")
    at, stopped = 0, True
    while stopped:
        target = place(new_store(f"target{at}"))
        try:
            arrived(Failing(target, at=at), archive)  # type: ignore[arg-type]
            stopped = False
        except TrackingError as error:
            assert "give the same command again to continue" in str(error)
            ready = {model.model_uri for model in models_of(target)}
            assert all(version.source in ready for version in target.search_model_versions())
        arrived(target, archive)
        assert state(target, tmp_path / f"b{at}") == before
        assert not models_of(target, status="PENDING")
        at += 3
    assert at > 12


def test_model_made_by_a_request_whose_answer_was_lost_goes_away(
    archive: Path, origin: MlflowClient, new_store: NewStore, place: Place, tmp_path: Path
) -> None:
    target = place(new_store("target"))
    experiment = target.create_experiment("study")
    run = target.create_run(experiment)
    tags = {"mer.imported_from": models_of(origin)[0].model_id}
    for _ in range(3):
        target.create_logged_model(experiment, source_run_id=run.info.run_id, tags=tags)
    arrived(target, archive)
    assert len(models_of(target)) == 2
    assert not models_of(target, status="PENDING")


def test_files_that_the_server_has_not_kept_are_found(
    archive: Path, new_store: NewStore, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = place(new_store("target"))
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_model_artifacts", lambda *arguments: None)
        with pytest.raises(TrackingError, match="the server has not kept all of its files"):
            arrived(target, archive)
    assert not models_of(target)
    assert not target.search_model_versions()
    assert arrived(target, archive).n_models == 2


def test_archive_without_models_is_that_of_earlier_versions(
    new_store: NewStore, place: Place, tmp_path: Path
) -> None:
    client = place(new_store("origin"))
    add(client, client.create_experiment("study"), "svm", kind="cross-validation")
    moved(client, tmp_path / "study.zip")
    with zipfile.ZipFile(tmp_path / "study.zip") as file:
        manifest = json.loads(file.read(MANIFEST))
    assert manifest["format"] == 1
    assert "models" not in manifest
    imported = arrived(place(new_store("target")), tmp_path / "study.zip")
    assert (imported.n_new, imported.n_models) == (1, 0)


def test_models_follow_runs_of_an_earlier_archive_without_models(
    origin: MlflowClient,
    new_store: NewStore,
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = new_store("target")
    with monkeypatch.context() as patch:
        patch.setattr("mer_mlflow.archive.export.write_models", lambda *arguments: ())
        moved(origin, tmp_path / "first.zip")
    arrived(place(target), tmp_path / "first.zip")
    place(origin)
    moved(origin, tmp_path / "second.zip")
    before = state(origin, tmp_path / "a")
    imported = arrived(place(target), tmp_path / "second.zip")
    assert (imported.n_new, imported.n_updated, imported.n_models) == (0, 1, 2)
    assert state(target, tmp_path / "b") == before


def test_older_versions_refuse_the_format_of_models_by_its_number(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "FORMAT", 1)  # as before
    refused = pytest.raises(ParameterError, match="format 2 is not that of this version")
    with refused, open_archive(archive):
        pass


Contents = dict[str, bytes]


def rebuilt(archive: Path, target: Path, change: Callable[[Contents], Contents]) -> Path:
    """An archive with other contents and a right seal; the manifest is right if it is left out."""
    with zipfile.ZipFile(archive) as file:
        contents = change({name: file.read(name) for name in file.namelist()})
        facts = json.loads(file.read(MANIFEST))
    facts["members"] = {
        name: {"size": len(each), "sha256": hashlib.sha256(each).hexdigest()}
        for name, each in contents.items()
        if name != MANIFEST
    }
    with target.open("w+b") as stream:
        with zipfile.ZipFile(stream, "w") as made:
            for name, each in {MANIFEST: json.dumps(facts).encode(), **contents}.items():
                made.writestr(name, each)
            made.comment = SEAL + b"0" * N_DIGITS
        seal(stream)
    return target


def with_content(end: str, new: bytes | None) -> Callable[[Contents], Contents]:
    """Replace or delete the first member with this end of its name; the manifest follows."""

    def change(contents: Contents) -> Contents:
        found = next(name for name in contents if name.endswith(end) and name != MANIFEST)
        kept = {name: each for name, each in contents.items() if name not in (found, MANIFEST)}
        return kept if new is None else {**kept, found: new}

    return change


def with_values(**values: Any) -> Callable[[Contents], Contents]:
    def change(contents: Contents) -> Contents:
        name = next(name for name in contents if MODEL_RECORD.fullmatch(name))
        record = json.loads(contents[name]) | values
        kept = {key: each for key, each in contents.items() if key != MANIFEST}
        return {**kept, name: json.dumps(record).encode()}

    return change


def with_other_weights(contents: Contents) -> Contents:
    name = next(name for name in contents if name.endswith("λ.bin"))
    return {**contents, name: bytes(len(contents[name]))}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_other_weights, "λ.bin differs from the manifest"),
        (with_content("/MLmodel", None), "has no file MLmodel"),
        (with_content("/MLmodel", b"none"), "MLmodel has no values"),
        (with_content("/MLmodel", b"a: [\xff"), "cannot be read"),
        (with_values(model_id="m-" + "0" * 32), "its id is m-000"),
        (with_values(run_id="0" * 32), "its run 000"),
        (with_values(run_id=3), "3 is not a text"),
        (with_values(scores=[["f1", "much", 1, 1, None]]), "'much' is not a metric value"),
        (with_values(scores=[["f1", 1, 1, 1, ["demo"]]]), "cannot be read"),
        (with_values(registered={"mer-svm": {}}), "KeyError: 'description'"),
    ],
)
def test_archive_with_a_fault_is_refused_before_anything_is_changed(
    archive: Path,
    new_store: NewStore,
    place: Place,
    tmp_path: Path,
    change: Callable[[Contents], Contents],
    words: str,
) -> None:
    target = place(new_store("target"))
    changed = rebuilt(archive, tmp_path / "changed.zip", change)
    with pytest.raises(ParameterError) as refusal:
        arrived(target, changed)
    assert words in str(refusal.value)
    assert "nothing was imported" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert target.get_experiment_by_name("study") is None
    assert not target.search_registered_models()


def test_rebuilt_archive_without_a_fault_is_imported(
    archive: Path, new_store: NewStore, place: Place, tmp_path: Path
) -> None:
    same = rebuilt(archive, tmp_path / "same.zip", lambda contents: contents)
    assert arrived(place(new_store("target")), same).n_models == 2


def test_two_models_of_one_origin_are_refused(
    archive: Path, origin: MlflowClient, tmp_path: Path
) -> None:
    first, second = models_of(origin)
    origin.set_logged_model_tags(second.model_id, {"mer.imported_from": first.model_id})
    with pytest.raises(ParameterError, match=f"are copies of model {first.model_id}; delete one"):
        moved(origin, tmp_path / "second.zip")
    assert not (tmp_path / "second.zip").exists()


def test_model_without_files_is_named_and_leaves_no_archive(
    origin: MlflowClient, tmp_path: Path
) -> None:
    model = models_of(origin)[0]
    (Path(model.artifact_location) / "MLmodel").unlink()
    with pytest.raises(TrackingError, match=f"model {model.model_id} has no file MLmodel"):
        moved(origin, tmp_path / "study.zip")
    assert not (tmp_path / "study.zip").exists()
