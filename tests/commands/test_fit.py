"""From clips to a model and to the emotion of a song: fit, predict, load_model, MLflow's pyfunc."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import mlflow
import numpy as np
import pandas as pd
import pytest
import soundfile
from mlflow import MlflowClient
from starlette.testclient import TestClient

from mer_mlflow import cross_validate, get_method, load_dataset, load_model
from mer_mlflow.commands.command import run_command
from mer_mlflow.commands.fit import main as fit
from mer_mlflow.commands.predict import main as predict
from mer_mlflow.commands.train import main as train
from mer_mlflow.crossval.splits import Split, SplitPlan, derived_seed
from mer_mlflow.datasets import QUADRANTS, Clips
from mer_mlflow.deployment import TrainedModel, demo_model
from mer_mlflow.deployment.trained import DESCRIPTION, load_trained
from mer_mlflow.errors import AudioError, ModelError

N_TRAIN, N_TEST = 9, 3
SHORT = ("--method=svm", "--dataset=folder", "--duration=2", "--workers=0", "--profile=quick")


@pytest.fixture(scope="module")
def songs(demo: Clips, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of the demo with a partition: CSVs of all, of those that train and of the others."""
    root = tmp_path_factory.mktemp("songs")
    rows = []
    for label, quadrant in enumerate(QUADRANTS):
        for i in np.flatnonzero(demo.quadrants == label)[: N_TRAIN + N_TEST]:
            path = demo.audio[i]
            assert path is not None
            shutil.copy(path, root / path.name)
            rows.append((path.name, quadrant))
    train = [row for i, row in enumerate(rows) if i % (N_TRAIN + N_TEST) < N_TRAIN]
    for name, kept in (("train", train), ("test", [row for row in rows if row not in train])):
        folder = root / name
        folder.mkdir()
        for file, _ in kept:
            (root / file).rename(folder / file)
        with (folder / "clips.csv").open("w") as stream:
            csv.writer(stream).writerows([("path", "quadrant"), *kept])
    return root


@pytest.fixture(scope="module")
def fitted(
    songs: Path, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of a model that was fitted once, in a store of its own."""
    folder = tmp_path_factory.mktemp("fitted")
    shutil.copy(empty_store, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
        assert train((*SHORT, f"--data_root={songs / 'train'}", "--folds=3")) == 0
        command = (*SHORT, f"--data_root={songs / 'train'}", "--folds=3", "--register")
        assert fit(command) == 0
        yield "models:/mer-svm@candidate"
        mlflow.set_tracking_uri(None)


def test_model_is_logged_registered_and_linked_to_its_validation(fitted: str) -> None:
    client = MlflowClient()
    version = client.get_model_version_by_alias("mer-svm", "candidate")
    model = client.get_logged_model(version.source.rpartition("/")[2])
    (parent,) = client.search_runs(["0"], "tags.`mer.kind` = 'cross-validation'")
    assert model.tags["mer.validated_by"] == parent.info.run_id
    assert model.tags["mer.validation"].startswith("macro F1 ")
    assert model.tags["mer.identity"] == parent.data.tags["mer.identity"]
    (run,) = client.search_runs(["0"], "tags.`mer.kind` = 'fit'")
    assert run.info.status == "FINISHED"
    assert model.source_run_id == run.info.run_id
    assert run.data.params["hp.C"] == model.params["hp.C"] == "8.0"
    assert version.description.startswith("# SVM on Folder")
    metrics = {metric.key: metric.value for metric in model.metrics}
    for name in ("f1/macro", "f1/macro_low", "f1/q1", "axes/arousal", "details/recall_macro_mean"):
        assert metrics[name] == pytest.approx(parent.data.metrics[name])
    assert {f"calibration/{name}" for name in ("ece", "brier", "temperature")} <= metrics.keys()


def test_folder_of_a_model_has_its_card_and_the_figure_of_its_calibration(fitted: str) -> None:
    folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=fitted)) / "artifacts/trained"
    card = (folder / "README.md").read_text()
    (parent,) = MlflowClient().search_runs(["0"], "tags.`mer.kind` = 'cross-validation'")
    assert f"run `{parent.info.run_id}`" in card
    assert f"| f1 macro | {parent.data.metrics['f1/macro']:.2%} [" in card
    assert "artist-grouped folds | not run" in card
    assert "36 clips of" in card and "Q1 9, Q2 9, Q3 9, Q4 9" in card
    assert (folder / "reliability.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def other_store(store: Path) -> Iterator[None]:
    """A fresh store instead of that of the fitted model."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{store / 'mlflow.db'}")
    yield
    mlflow.set_tracking_uri(before)


@pytest.mark.usefixtures("other_store")
def test_validation_comes_first_on_request_and_keeps_the_run_of_the_command(
    songs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = MlflowClient()
    given = client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    command = (*SHORT, f"--data_root={songs / 'train'}", "--folds=2")
    assert fit((*command, "--validate")) == 0
    said = capsys.readouterr().out
    (parent,) = client.search_runs(["0"], "tags.`mer.kind` = 'cross-validation'")
    assert f"validated by run {parent.info.run_id}: macro F1 " in said
    assert parent.info.run_id != given
    assert client.get_run(given).data.tags["mer.kind"] == "fit"
    assert fit((*command, "--folds=3")) == 0
    assert "not validated: the same command with -P validate=true" in capsys.readouterr().out


def test_predictions_are_the_same_wherever_they_come_from(
    fitted: str, songs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sorted((songs / "test").glob("*.flac"))
    assert len(files) == 4 * N_TEST
    model = load_model(fitted)
    by_python = [list(model.predict(file).probabilities.values()) for file in files]
    capsys.readouterr()
    assert predict((f"--clip={songs / 'test'}", f"--model={fitted}", "--format=csv")) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(table["song"]) == [file.name for file in files]
    assert np.allclose(table[list(QUADRANTS)], by_python, rtol=0, atol=1e-12)
    pyfunc = mlflow.pyfunc.load_model(fitted)
    by_path = pyfunc.predict(pd.DataFrame({"path": [str(file) for file in files]}))
    content = pd.DataFrame({"audio": [file.read_bytes() for file in files]})
    assert np.allclose(by_path[list(QUADRANTS)], by_python, rtol=0, atol=1e-12)
    assert np.allclose(pyfunc.predict(content)[list(QUADRANTS)], by_python, rtol=0, atol=1e-12)
    assert list(by_path["quadrant"]) == list(table["quadrant"])
    assert [each.quadrant for each in model.predict(files)] == list(table["quadrant"])


def test_several_models_and_their_mean(
    fitted: str, songs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(file) for file in sorted((songs / "test").glob("*.flac"))[:2]]
    client = MlflowClient()
    version = client.get_model_version_by_alias("mer-svm", "candidate").version
    models = f"--model={fitted},models:/mer-svm/{version}"
    assert predict((*files, models, "--format=csv")) == 0
    said = capsys.readouterr()
    table = pd.read_csv(io.StringIO(said.out))
    assert list(table["model"]) == [fitted, f"models:/mer-svm/{version}", "mean"] * 2
    first, same, mean = table[list(QUADRANTS)].to_numpy()[:3]
    assert np.allclose(first, same) and np.allclose(first, mean)
    assert said.err.startswith("model: SVM, fitted to 36 clips of folder: macro F1 ")


def test_jams_file_of_each_song_is_valid(
    fitted: str, songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import jams

    good = sorted((songs / "test").glob("*.flac"))[:2]
    target = f"--output={tmp_path / 'out'}"
    assert predict((*map(str, good), f"--model={fitted}", "--format=jams", target)) == 0
    written = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.name for path in written] == [f"{path.name}.jams" for path in good]
    with warnings.catch_warnings():
        # the package uses an earlier interface of jsonschema
        warnings.simplefilter("ignore", DeprecationWarning)
        document = jams.load(str(written[0]), validate=True, strict=True)
    quadrants, moods = document.annotations
    expected = load_model(fitted).predict(good[0])
    assert [each.value for each in quadrants.data] == list(expected.timeline["quadrant"])
    assert moods.data[0].value == [
        expected.timeline.loc[0, "valence"],
        expected.timeline.loc[0, "arousal"],
    ]


def test_probabilities_are_calibrated_by_the_temperature_of_the_model(
    fitted: str, songs: Path
) -> None:
    model = replace(load_model(fitted), temperature=2.0)
    file = next((songs / "test").glob("*.flac"))
    calibrated, raw = model.predict(file, hop=2), model.predict(file, hop=2, calibrated=False)
    roots = np.sqrt(raw.timeline[list(QUADRANTS)].to_numpy())
    expected = roots / roots.sum(axis=1, keepdims=True)
    assert np.allclose(calibrated.timeline[list(QUADRANTS)], expected)
    assert list(calibrated.timeline["quadrant"]) == list(raw.timeline["quadrant"])


@pytest.mark.usefixtures("demo")
def test_demo_has_a_model_of_its_own(
    songs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    file = str(next((songs / "test").glob("*.flac")))
    monkeypatch.setattr(demo_model, "EXPERIMENT", replace(demo_model.EXPERIMENT, duration=2.0))
    monkeypatch.setattr(demo_model, "cache_root", lambda: store)
    for _ in range(2):
        assert predict((file,)) == 0
        said = capsys.readouterr()
        assert "not validated, worth nothing on real music" in said.err
        assert said.out.splitlines()[1].split()[1] in QUADRANTS
    (folder,) = store.glob("*demo*")
    monkeypatch.setattr(demo_model, "installed", lambda packages: {})
    assert demo_model.demo_model() != folder  # versions of packages are others


def test_request_that_cannot_be_used_gets_one_line(fitted: str) -> None:
    from mlflow.pyfunc import scoring_server

    app = TestClient(scoring_server.init(mlflow.pyfunc.load_model(fitted)))

    def post(audio: bytes) -> httpx.Response:
        row = {"audio": base64.b64encode(audio).decode()}
        return app.post("/invocations", json={"dataframe_records": [row]})

    silence = io.BytesIO()
    soundfile.write(silence, np.zeros(64_000), 16_000, format="FLAC")
    for content, words in ((b"no sound" * 100, "row 0"), (silence.getvalue(), "is silent")):
        answer = post(content)
        assert answer.status_code == 400
        assert answer.json()["error_code"] == "BAD_REQUEST"
        assert words in answer.json()["message"] and "\n" not in answer.json()["message"]
        assert "/tmp" not in answer.text and "Traceback" not in answer.text
    neither = app.post("/invocations", json={"dataframe_records": [{"path": None}]})
    for nothing in ({"inputs": 3}, {"inputs": []}, {"dataframe_records": []}):
        answer = app.post("/invocations", json=nothing)
        assert answer.status_code == 400 and "there is no song" in answer.json()["message"]
    assert neither.status_code == 400 and "row 0: give either audio or path" in neither.text


@pytest.fixture(scope="module")
def whole(songs: Path) -> Clips:
    """All clips as one dataset."""
    rows = []
    for part in ("train", "test"):
        with (songs / part / "clips.csv").open() as stream:
            rows += [
                (f"{part}/{file}", quadrant) for file, quadrant in list(csv.reader(stream))[1:]
            ]
    with (songs / "clips.csv").open("w") as stream:
        csv.writer(stream).writerows([("path", "quadrant"), *rows])
    return load_dataset("folder", songs)


def test_model_predicts_what_a_fold_with_the_same_split_predicted(
    fitted: str, whole: Clips
) -> None:
    is_test = np.array([clip.startswith("test") for clip in whole.ids])
    split = Split(
        repeat=1,
        fold=1,
        train=np.flatnonzero(~is_test),
        test=np.flatnonzero(is_test),
        seed=derived_seed(0, 1, 1),
    )
    plan = SplitPlan(protocol="paper", n_splits=1, n_repeats=1, seed=0, splits=(split,))
    result = cross_validate(get_method("svm"), whole, plan=plan, duration=2, workers=0)
    model = load_model(fitted)
    files = [path for path in whole.audio_files() if path.parent.name == "test"]
    windows = [model.predict(file).timeline for file in files]
    found = [list(table.loc[0, list(QUADRANTS)]) for table in windows]
    expected = result.results[0].prediction.probabilities
    assert np.allclose(found, expected, rtol=0, atol=1e-6)


def test_files_that_cannot_be_used_are_named_and_others_go_on(
    fitted: str, songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = next((songs / "test").glob("*.flac"))
    shutil.copy(good, tmp_path / "b.flac")
    (tmp_path / "a.mp3").write_bytes(b"no sound" * 100)
    (tmp_path / "c.wav").write_bytes(b"")
    assert predict((f"--clip={tmp_path}", f"--model={fitted}", "--format=json")) == 2
    said = capsys.readouterr()
    (row,) = json.loads(said.out)
    assert row["song"] == "b.flac" and row["quadrant"] in QUADRANTS
    errors = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert "a.mp3" in errors[0] and "c.wav" in errors[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model=models:/mer-svm@candidate",), "clip: is required"),
        ((), "clip: is required"),
        (("--clip=x.flac", "--model=models:/nothing@here"), "nothing@here: cannot be loaded"),
        (("--clip=x.flac", "--model=nowhere"), "nowhere: no model of mer_mlflow"),
        (("--clip=x.flac", "--model=nowhere", "--hop=0"), "hop=0"),
        (("--clip=x.flac", "--model=nowhere", "--format=xml"), "format=xml"),
    ],
)
def test_bad_input_is_one_line(
    arguments: tuple[str, ...], words: str, fitted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: predict(arguments))
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    assert words in said


def test_artifacts_have_no_names_of_this_machine(fitted: str, songs: Path) -> None:
    downloaded = Path(mlflow.artifacts.download_artifacts(artifact_uri=fitted))
    (description,) = downloaded.rglob(DESCRIPTION)
    assert description.parent.relative_to(downloaded).as_posix() == "artifacts/trained"
    assert str(songs) not in description.read_text()
    assert str(Path.home()) not in description.read_text()


WITHOUT_PACKAGE = """
import sys
sys.meta_path = [each for each in sys.meta_path if "ditable" not in repr(each)]
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
found = model.predict(pandas.DataFrame({"path": [sys.argv[2]]}))
import mer_mlflow
print(mer_mlflow.__file__, found.loc[0, "quadrant"])
"""


def test_model_works_without_the_package(fitted: str, songs: Path, tmp_path: Path) -> None:
    model = Path(mlflow.artifacts.download_artifacts(artifact_uri=fitted, dst_path=tmp_path))
    file = next((songs / "test").glob("*.flac"))
    without = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", WITHOUT_PACKAGE, str(model), str(file)]
    done = subprocess.run(
        command, env=without, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    place, quadrant = done.stdout.split()
    assert Path(place).is_relative_to(model / "code")
    assert quadrant == load_model(fitted).predict(file).quadrant
    needed = (model / "requirements.txt").read_text().split()
    assert "mer_mlflow" not in " ".join(needed)
    assert f"mlflow=={mlflow.__version__}" in needed


@pytest.fixture
def folder(fitted: str, tmp_path: Path) -> Path:
    """A copy of the folder of the trained model."""
    downloaded = Path(mlflow.artifacts.download_artifacts(artifact_uri=fitted))
    (found,) = downloaded.rglob(DESCRIPTION)
    shutil.copytree(found.parent, tmp_path / "model")
    return tmp_path / "model"


def test_folder_of_a_model_is_loaded_as_it_is(folder: Path, songs: Path) -> None:
    model = load_trained(folder)
    assert isinstance(model, TrainedModel)
    file = next((songs / "test").glob("*.flac"))
    assert model.predict(file).quadrant in QUADRANTS
    with pytest.raises(AudioError, match="sr="):
        model.predict(np.zeros(10))


@pytest.mark.parametrize("name", ["model.json", "fitted/estimator.skops"])
def test_tampered_model_is_refused(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelError, match=f"{name} was changed"):
        load_trained(folder)


def test_other_versions_are_named(folder: Path, songs: Path) -> None:
    description = json.loads((folder / DESCRIPTION).read_text())
    description["packages"]["scikit-learn"] = "0.1"
    (folder / DESCRIPTION).write_text(json.dumps(description))
    sums = (folder / "SHA256SUMS").read_text().splitlines()
    digest = hashlib.sha256((folder / DESCRIPTION).read_bytes()).hexdigest()
    lines = [f"{digest}  {DESCRIPTION}" if DESCRIPTION in line else line for line in sums]
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n")
    with pytest.warns(UserWarning, match=r"scikit-learn .* \(fitted with 0\.1\)"):
        load_model(folder)


def test_incomplete_model_is_refused(folder: Path) -> None:
    (folder / "fitted" / "estimator.skops").unlink()
    with pytest.raises(ModelError, match=r"lacks fitted/estimator.skops"):
        load_trained(folder)


def test_file_that_was_added_is_refused(folder: Path) -> None:
    (folder / "fitted" / "more").write_text("x")
    with pytest.raises(ModelError, match="more was changed"):
        load_trained(folder)
