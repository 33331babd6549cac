"""Damaged runs in a tracking store: each is named and left out, and all others are reported."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.entities import Metric

from mer_mlflow.commands.command import run_command
from mer_mlflow.commands.export import main as export
from mer_mlflow.commands.report import main as report
from mer_mlflow.commands.train import train
from mer_mlflow.experiments import Experiment
from mer_mlflow.methods import get_method
from mer_mlflow.reporting.validations import Selection, read_validations
from mer_mlflow.studies.evidence import collect

SLOW = settings.get_profile("slow faults")
ESCAPES = "\x1b[2J\x07\u202e[/b]\n<b>"
PAGE = b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>"


@dataclass
class Values:
    """What a run holds, to be damaged before it is written."""

    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]
    files: dict[str, bytes]

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(io.BytesIO(self.files[f"{name}.parquet"]))

    def change(self, name: str, **columns: object) -> None:
        """Replace columns of a table; a function is applied to the column as it is."""
        table = self.table(name)
        for column, value in columns.items():
            table[column] = value(table[column].copy()) if callable(value) else value
        self.files[f"{name}.parquet"] = parquet(table)


Damage = Callable[[Values], object]


def parquet(table: pd.DataFrame | pa.Table) -> bytes:
    content = io.BytesIO()
    made = table if isinstance(table, pa.Table) else pa.Table.from_pandas(table)
    pq.write_table(made, content)
    return content.getvalue()


def first(value: object) -> Callable[[pd.Series], pd.Series]:
    def changed(column: pd.Series) -> pd.Series:
        values = column.astype(object)
        values.iloc[0] = value
        return values.infer_objects()

    return changed


def dropped(name: str, column: str) -> Damage:
    def damage(values: Values) -> None:
        values.files[f"{name}.parquet"] = parquet(values.table(name).drop(columns=column))

    return damage


def rows(name: str, choose: Callable[[pd.DataFrame], pd.DataFrame]) -> Damage:
    def damage(values: Values) -> None:
        values.files[f"{name}.parquet"] = parquet(choose(values.table(name)))

    return damage


def many_rows(values: Values) -> None:
    """One text a million times: a few KiB on disk."""
    part = pa.table({name: ["a"] * 1000 for name in values.table("predictions").columns})
    content = io.BytesIO()
    with pq.ParquetWriter(content, part.schema) as writer:
        writer.write_table(pa.concat_tables([part] * 1000))
    values.files["predictions.parquet"] = content.getvalue()


def long_texts(values: Values) -> None:
    """A text of a MiB for each clip, which the file has once."""
    values.change("predictions", clip="a" * 2**20)


def with_epochs(values: Values, epochs: Mapping[str, object] | None = None) -> None:
    values.change("folds", n_epochs=2)
    splits = list(values.table("folds")["split"])
    table = pd.DataFrame(
        {
            "split": np.repeat(splits, 2),
            "stage": "",
            "epoch": [1, 2] * len(splits),
            "train_loss": 0.5,
            "train_accuracy": 0.5,
            "test_loss": None,
            "test_accuracy": None,
        }
    )
    values.files["epochs.parquet"] = parquet(table)
    values.change("epochs", **(epochs or {}))


def other_labels(values: Values) -> None:
    """Labels of two clips change places: tables agree with each other, and not with other runs."""
    table = values.table("predictions")
    clips = [table.loc[table["quadrant"] == quadrant, "clip"].iloc[0] for quadrant in ("Q1", "Q2")]
    table["clip"] = table["clip"].replace(dict(zip(clips, clips[::-1], strict=True)))
    values.files["predictions.parquet"] = parquet(table)


def tag(key: str, value: str) -> Damage:
    return lambda values: values.tags.update({key: value})


def param(key: str, value: str) -> Damage:
    return lambda values: values.params.update({key: value})


def metric(key: str, value: float) -> Damage:
    return lambda values: values.metrics.update({key: value})


def file(name: str, content: bytes) -> Damage:
    return lambda values: values.files.update({f"{name}.parquet": content})


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no predictions": (
        lambda values: values.files.pop("predictions.parquet"),
        "predictions.parquet is missing",
    ),
    "no folds": (lambda values: values.files.pop("folds.parquet"), "folds.parquet is missing"),
    "empty file": (file("folds", b""), "is not a readable Parquet table"),
    "web page": (file("predictions", PAGE), "predictions.parquet is not a readable Parquet table"),
    "garbled": (
        lambda values: values.files.update({"folds.parquet": values.files["folds.parquet"][::-1]}),
        "folds.parquet is not a readable Parquet table",
    ),
    "many rows": (many_rows, "predictions.parquet has 1000000 rows"),
    "long texts": (long_texts, "column clip: texts are too long"),
    "many columns": (
        file("folds", parquet(pd.DataFrame({f"c{i}": [0] for i in range(2001)}))),
        "more than 2000 columns",
    ),
    "no column": (dropped("predictions", "p_Q3"), "predictions.parquet has no column p_Q3"),
    "no score": (dropped("folds", "f1_macro"), "folds.parquet has no column f1_macro"),
    "texts for numbers": (
        lambda values: values.change("folds", f1_macro="high"),
        "column f1_macro: contains",
    ),
    "numbers for texts": (
        lambda values: values.change("predictions", clip=1),
        "column clip: contains int64, must contain texts",
    ),
    "missing text": (
        lambda values: values.change("predictions", clip=first(None)),
        "column clip: texts are missing",
    ),
    "no number": (
        lambda values: values.change("predictions", p_Q1=first(np.nan)),
        "column p_Q1: numbers are missing",
    ),
    "negative": (
        lambda values: values.change("predictions", p_Q1=first(-0.25)),
        "column p_Q1: must be from 0",
    ),
    "infinite": (
        lambda values: values.change("predictions", p_Q1=first(np.inf)),
        "column p_Q1: must be from 0",
    ),
    "sum": (
        lambda values: values.change("predictions", p_Q1=0.9),
        "probabilities of a clip do not sum to 1",
    ),
    "unknown quadrant": (
        lambda values: values.change("predictions", predicted=first("Q5")),
        "column predicted: 'Q5' is not a quadrant",
    ),
    "other label": (
        lambda values: values.change(
            "predictions",
            quadrant=lambda column: first("Q2" if column.iloc[0] == "Q1" else "Q1")(column),
        ),
        "in folds.parquet differs from that of predictions.parquet",
    ),
    "other predictions": (
        lambda values: values.change("predictions", predicted="Q1"),
        "in folds.parquet differs from that of predictions.parquet",
    ),
    "other labels": (other_labels, "differ from other runs"),
    "other splits": (
        lambda values: values.change(
            "predictions", split=lambda column: column.replace("r01-f02", "r01-f01")
        ),
        "predictions.parquet and folds.parquet have different splits",
    ),
    "unknown split": (
        lambda values: values.change("folds", split=first("x")),
        "folds.parquet has not one row for each",
    ),
    "fold twice": (
        rows("folds", lambda table: pd.concat([table.iloc[:1], table.iloc[:-1]])),
        "folds.parquet has not one row for each",
    ),
    "fold missing": (
        rows("folds", lambda table: table.iloc[1:]),
        "folds.parquet has not one row for each",
    ),
    "clips missing": (
        rows("predictions", lambda table: table.iloc[3:]),
        "predictions.parquet does not test each of",
    ),
    "clip twice": (
        rows("predictions", lambda table: pd.concat([table.iloc[:1], table.iloc[:-1]])),
        "a clip is tested twice",
    ),
    "giant time": (
        lambda values: values.change("folds", fit_seconds=first(1e308)),
        "column fit_seconds: must be from 0",
    ),
    "giant count of epochs": (
        lambda values: values.change("folds", n_epochs=first(1e308)),
        "column n_epochs: must be from 0",
    ),
    "epochs missing": (
        lambda values: values.change("folds", n_epochs=3),
        "epochs.parquet is missing",
    ),
    "giant epoch": (
        lambda values: with_epochs(values, {"epoch": first(1e308)}),
        "column epoch: must be from 1",
    ),
    "half an epoch": (
        lambda values: with_epochs(values, {"epoch": first(1.5)}),
        "column epoch: must be whole numbers",
    ),
    "epoch twice": (lambda values: with_epochs(values, {"epoch": 1}), "has an epoch twice"),
    "infinite loss": (
        lambda values: with_epochs(values, {"train_loss": first(np.inf)}),
        "column train_loss: must be from",
    ),
    "other epochs": (
        lambda values: with_epochs(values, {"split": first("r01-f03")}),
        "epochs.parquet and folds.parquet have different numbers of epochs",
    ),
    **{
        f"no {key}": (
            lambda values, key=key: values.tags.pop(key),  # type: ignore[misc]
            f"{key} is missing",
        )
        for key in ("mer.method", "mer.dataset", "mer.protocol", "mer.identity", "mer.status")
    },
    "no count": (lambda values: values.tags.pop("mer.folds_expected"), "folds_expected is missing"),
    "odd status": (tag("mer.status", "done"), "mer.status=done: is unknown"),
    "odd identity": (tag("mer.identity", "a' or '1"), "is not an identity"),
    "no whole number": (tag("mer.folds_expected", "three"), "must be a whole number"),
    "giant number": (tag("mer.folds_expected", "1" * 5000), "must be a whole number"),
    "other number": (tag("mer.folds_expected", "7"), "the protocol has 1 x 3 folds"),
    "no JSON": (tag("mer.packages", "{numpy"), "mer.packages={numpy: must be a JSON object"),
    "a list": (tag("mer.packages", "[1]"), "must be a JSON object"),
    "deep": (tag("mer.packages", "[" * 7000), "must be a JSON object"),
    "huge tag": (tag("mer.packages", "1" * 2**20), "mer.packages has 1048576 characters"),
    "huge finding": (tag("mer.check.MER001", "a" * 2**20), "has 1048576 characters"),
    "long method": (tag("mer.method", "a" * 1000), "mer.method has 1000 characters"),
    "giant epochs": (param("hp.C", "1e308"), "hp.C=1e308: must be at most"),
    "infinite hyperparameter": (param("hp.C", "inf"), "hp.C=inf"),
    "no hyperparameter": (param("hp.C", "many"), "hp.C=many: not a number"),
    "huge hyperparameter": (param("hp.C", "1" * 6000), "hp.C has 6000 characters"),
    "no folds in parameters": (
        lambda values: values.params.pop("cv.n_splits"),
        "cv.n_splits is missing",
    ),
    "many folds": (param("cv.n_splits", "1000000000"), "cv.n_splits=1000000000"),
    "no seed": (param("cv.seed", "x"), "cv.seed=x: must be a whole number"),
    "no share": (param("cv.test_share", "nan"), "cv.test_share=nan"),
    "no clips": (param("data.n_clips", "0"), "data.n_clips=0"),
    "no seconds": (param("data.seconds", "ten"), "data.seconds=ten"),
    "no metrics": (lambda values: values.metrics.clear(), "metric f1_macro_mean is missing"),
    "other metric": (metric("f1/macro", 0.99), "f1_macro_mean is not the mean"),
    "giant metric": (metric("cost/fit_seconds", 1e308), "must be a number up to"),
    "metric is no number": (metric("f1/macro", np.nan), "metric f1_macro_mean=nan"),
}


@pytest.fixture(scope="module")
def place(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder with a store that has two real cross-validations."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copy(empty_store, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        for penalty in (1.0, 8.0):
            train(Experiment(dataset="demo", folds=3, workers=0, hyperparameters={"C": penalty}))
        yield folder


@pytest.fixture(scope="module")
def good(place: Path) -> dict[str, Values]:
    """Values of the real runs by id."""
    client, found = MlflowClient(), {}
    for run in client.search_runs(["0"], "tags.`mer.kind` = 'cross-validation'"):
        folder = Path(client.download_artifacts(run.info.run_id, ""))
        found[run.info.run_id] = Values(
            tags={key: value for key, value in run.data.tags.items() if key.startswith("mer.")},
            params=dict(run.data.params),
            metrics=dict(run.data.metrics),
            files={path.name: path.read_bytes() for path in folder.glob("*.parquet")},
        )
    return found


@pytest.fixture
def add(place: Path, good: dict[str, Values]) -> Iterator[Callable[[Damage], str]]:
    """Function that writes a damaged copy of a real run, under an identity of its own."""
    client, made = MlflowClient(), []

    def write(damage: Damage) -> str:
        real = next(iter(good.values()))
        identity = {"mer.identity": uuid4().hex[:16]}
        values = Values(real.tags | identity, *map(dict, (real.params, real.metrics, real.files)))
        damage(values)
        run = client.create_run("0")
        run_id, home = str(run.info.run_id), Path(run.info.artifact_uri.removeprefix("file://"))
        made.append(run_id)
        home.mkdir(parents=True)
        for name, content in values.files.items():
            (home / name).write_bytes(content)
        metrics = [Metric(key, value, 1000, 0) for key, value in values.metrics.items()]
        client.log_batch(run_id, metrics)
        # a server that checks nothing, unlike MLflow's client
        with sqlite3.connect(place / "mlflow.db", timeout=60) as database:
            for table, texts in (("tags", values.tags), ("params", values.params)):
                sql = f"insert into {table} (run_uuid, key, value) values (?, ?, ?)"
                database.executemany(sql, [(run_id, *pair) for pair in texts.items()])
        database.close()
        return run_id

    yield write
    for run_id in made:
        client.delete_run(run_id)


def read() -> Selection:
    return read_validations(MlflowClient(), ["0"])


@pytest.mark.parametrize("name", sorted(DAMAGES))
def test_damaged_run_is_named_and_left_out(
    name: str, good: dict[str, Values], add: Callable[[Damage], str]
) -> None:
    damage, words = DAMAGES[name]
    run_id = add(damage)
    selection = read()
    assert {item.run_id for item in selection.validations} == set(good)
    (left_out,) = selection.left_out
    assert left_out.run_id == run_id
    assert words in left_out.why
    assert str(left_out).isprintable()
    assert len(str(left_out)) < 400


def test_undamaged_copy_is_read(good: dict[str, Values], add: Callable[[Damage], str]) -> None:
    run_ids = {add(lambda values: None), add(with_epochs)}
    selection = read()
    assert {item.run_id for item in selection.validations} == set(good) | run_ids
    assert selection.left_out == ()


def test_earlier_run_stands_for_a_damaged_one(
    good: dict[str, Values], add: Callable[[Damage], str]
) -> None:
    run_id = next(iter(good))
    same = good[run_id].tags["mer.identity"]

    def damage(values: Values) -> None:
        values.tags["mer.identity"] = same
        values.files["folds.parquet"] = PAGE

    damaged = add(damage)
    selection = read()
    assert {item.run_id for item in selection.validations} == set(good)
    assert [each.run_id for each in selection.left_out] == [damaged]
    assert selection.n_set_aside == 0


@SLOW
@given(data=st.data())
def test_table_with_any_damage_is_read_or_named(
    data: st.DataObject,
    place: Path,
    good: dict[str, Values],
    damaged: Callable[[st.DataObject, bytes], bytes],
) -> None:
    name = data.draw(st.sampled_from(["folds.parquet", "predictions.parquet"]))
    run_id = next(iter(good))
    path = Path(MlflowClient().get_run(run_id).info.artifact_uri.removeprefix("file://")) / name
    content = path.read_bytes()
    path.write_bytes(damaged(data, content))
    try:
        selection = read()
    finally:
        path.write_bytes(content)
    read_or_named = [item.run_id for item in (*selection.validations, *selection.left_out)]
    assert sorted(read_or_named) == sorted(good)
    assert {item.run_id for item in selection.validations} >= set(good) - {run_id}


def test_report_of_all_damages_at_once(
    place: Path,
    good: dict[str, Values],
    add: Callable[[Damage], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_ids = [add(damage) for damage, _ in DAMAGES.values()]

    def hostile(values: Values) -> None:
        values.tags |= {
            "mer.method": f"svm{ESCAPES}",
            "mer.dataset": f"=demo{ESCAPES}",
            f"mer.check.{ESCAPES}": ESCAPES,
            "mer.allowed_columns": f"=cmd|{ESCAPES}",
            "mer.tuned_by": ESCAPES,
            "mer.git_commit": ESCAPES,
            "mer.packages": json.dumps({"numpy": ESCAPES}),
            "mer.mixed_arithmetic": json.dumps([{"folds": 3, "blas": ESCAPES}]),
        }
        values.params["data.digest"] = ESCAPES
        values.change("predictions", clip=lambda column: "=" + column + ESCAPES)

    kept = add(hostile)
    study = MlflowClient().create_run("0", tags={"mer.kind": "study"})
    MlflowClient().log_text(study.info.run_id, PAGE.decode(), "items.csv")
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: report(["--output=all"]))
    MlflowClient().delete_run(study.info.run_id)
    said = capsys.readouterr()
    assert stop.value.code == 0, said
    assert said.err == ""
    for run_id in run_ids:
        assert f"warning: run {run_id} is left out: " in said.out
    assert f"run {kept} is left out" not in said.out
    assert f"study {study.info.run_id} is not read: items.csv is not a table of items" in said.out
    page = (place / "all" / "report.html").read_text()
    for text in (said.out, page):
        assert not set("\x1b\x07\u202e") & set(text)
    assert "<b>" not in page.replace("<b>Table", "").replace("<b>Figure", "")
    for run_id in run_ids:
        assert run_id in page
    tables = place / "all" / "tables"
    ranked = pd.concat([pd.read_csv(path) for path in tables.glob("ranking-*.csv")])
    assert len(ranked) == len(good) + 1
    assert not any(cell.startswith("=") for path in tables.glob("*.csv") for cell in texts_of(path))


def texts_of(path: Path) -> list[str]:
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return [str(cell) for row in table.to_numpy() for cell in row]


def test_report_of_nothing_but_damaged_runs_is_refused(
    place: Path,
    good: dict[str, Values],
    add: Callable[[Damage], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    client = MlflowClient()
    run_id = add(file("folds", PAGE))
    for each in good:
        client.delete_run(each)
    try:
        with pytest.raises(SystemExit) as stop:
            run_command(lambda: report(["--output=none"]))
    finally:
        for each in good:
            client.restore_run(each)
    said = capsys.readouterr()
    assert stop.value.code == 2
    assert f"run {run_id} is left out" in said.out
    assert said.err.startswith("error: none of 1 cross-validations can be read")
    assert said.err.count("\n") == 1
    assert not list((place / "none").iterdir())


def test_damaged_runs_are_no_evidence_of_a_study(
    good: dict[str, Values], add: Callable[[Damage], str]
) -> None:
    names = ("no mer.method", "no mer.identity", "no count", "no whole number", "giant number")
    run_ids = [add(DAMAGES[name][0]) for name in names if name != "no mer.identity"]
    add(DAMAGES["giant metric"][0])
    said: list[str] = []
    methods = {"svm": get_method("svm")}
    evidence = collect(MlflowClient(), "0", methods, on_warning=said.append)
    assert len(said) == len(run_ids)
    assert all(any(run_id in words for words in said) for run_id in run_ids)
    assert len(evidence.trained) == len(good) + 1


@pytest.mark.parametrize(
    "content",
    [PAGE, b"", b"{}", b"[1]", b"\xff", b"[" * 9000, b'{"hyperparameters": {"C": []}}'],
)
def test_damaged_winner_of_a_search_is_refused(
    content: bytes, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = MlflowClient()
    tags = {"kind": "search", "method": "svm", "status": "complete", "dataset": "demo"}
    tags["study"] = "mine"
    run = client.create_run("0", tags={f"mer.{key}": value for key, value in tags.items()})
    client.log_metric(run.info.run_id, "best_f1_macro_mean", 0.5)
    client.log_metric(run.info.run_id, "best_f1_macro", 0.5)
    path = place / "best.json"
    path.write_bytes(content)
    client.log_artifact(run.info.run_id, str(path))
    experiment = Experiment(dataset="demo", folds=3, workers=0, hyperparameters="best")
    try:
        with pytest.raises(SystemExit) as stop:
            run_command(lambda: train(experiment))
    finally:
        client.delete_run(run.info.run_id)
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert f"search run {run.info.run_id}: best.json" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "tags",
    [
        {"mer.process.heartbeat": "soon", "mer.process.pid": "x", "mer.process.host": "elsewhere"},
        {
            "mer.process.heartbeat": "inf",
            "mer.process.pid": "-1",
            "mer.process.started": "long ago",
        },
        {"mer.process.heartbeat": "1e308", "mer.process.pid": "9" * 30},
    ],
)
def test_run_at_work_with_damaged_tags_is_exported(
    tags: dict[str, str],
    place: Path,
    add: Callable[[Damage], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def damage(values: Values) -> None:
        values.tags |= {"mer.status": "running", **tags}

    add(damage)
    target = place / f"{uuid4().hex}.zip"
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: export([f"--archive={target}"]))
    said = capsys.readouterr()
    assert stop.value.code == 0, said.err
    assert target.is_file()


def test_training_goes_on_beside_damaged_folds(
    place: Path, good: dict[str, Values], capsys: pytest.CaptureFixture[str]
) -> None:
    """A finished fold that cannot be read is run again."""
    experiment = Experiment(dataset="demo", folds=3, workers=0, hyperparameters={"C": 3.0})
    assert train(experiment) == 0
    client = MlflowClient()
    (parent,) = (
        run
        for run in client.search_runs(["0"], "params.`hp.C` = '3.0'")
        if run.data.tags["mer.kind"] == "cross-validation"
    )
    found = client.search_runs(["0"], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    first_fold, second, third = found
    client.set_tag(parent.info.run_id, "mer.status", "running")
    client.set_tag(parent.info.run_id, "mer.process.announced", "x")
    client.set_tag(parent.info.run_id, "mer.process.pid", "x")
    client.delete_tag(first_fold.info.run_id, "mer.split")
    for run, change in ((second, ("0.", "-0.")), (third, ("Q1", "Q2"))):
        path = Path(run.info.artifact_uri.removeprefix("file://")) / "predictions.csv"
        path.write_text(path.read_text().replace(*change))
    capsys.readouterr()
    assert train(experiment) == 0
    said = capsys.readouterr().out
    assert said.count("is run again: ") == 2
    for run in client.search_runs(["0"], "params.`hp.C` = '3.0'"):
        client.delete_run(run.info.run_id)
