"""A column that is no feature stops every command that would read it, unless it is allowed."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from mer_mlflow.checks import check_columns
from mer_mlflow.commands import prepare, report, search, study, train
from mer_mlflow.commands.command import run_command
from mer_mlflow.commands.parameters import PREPARE, REPORT, STUDY
from mer_mlflow.datasets import load_dataset
from mer_mlflow.datasets.fourqaed import top_100
from mer_mlflow.errors import ParameterError
from mer_mlflow.experiments.text import parse, split_columns

N_CLIPS = 80
QUICK = ("--folds=2", "--repeats=1", "--workers=0")
LEAKS = {
    "index": ("", lambda row, quadrant: row, "MER001", "(nameless)"),
    "unnamed": ("Unnamed: 0", lambda row, quadrant: row, "MER001", "Unnamed: 0"),
    "counter": ("n", lambda row, quadrant: float(row + 1), "MER003", "n"),
    "label": ("label", lambda row, quadrant: quadrant + 1, "MER004", "label"),
    "arousal": ("Arousal", lambda row, quadrant: (1.5 - quadrant) * (5 + row), "MER005", "Arousal"),
    "comma": ("a, b", lambda row, quadrant: row * row % 79, "MER006", '"a, b"'),
}

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Function that writes Original-4QAED sorted by quadrant, with one more column, or one less."""

    def write(leak: str | None = None, *, missing: Sequence[str] = ()) -> Path:
        rng = np.random.default_rng(0)
        root = tmp_path / "4QAED"
        root.mkdir(exist_ok=True)
        ids = [f"MT{i:02d}" for i in rng.permutation(N_CLIPS)]
        quadrants = np.arange(N_CLIPS) * 4 // N_CLIPS
        names = [name for name in top_100() if name not in missing]
        values = rng.normal(size=(N_CLIPS, len(names))) + 0.5 * np.eye(4, len(names))[quadrants]
        rows: list[list[object]] = [[*names, "SongID", "Quadrant"]]
        rows += [[*values[i].tolist(), ids[i], f"Q{quadrants[i] + 1}"] for i in range(N_CLIPS)]
        if leak is not None:
            name, value, *_ = LEAKS[leak]
            column = [name, *(value(i, int(quadrants[i])) for i in range(N_CLIPS))]
            rows = [[cell, *row] for cell, row in zip(column, rows, strict=True)]
        with (root / "top100_features.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
        with (root / "annotations.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("Song", "Quadrant"), *(row[-2:] for row in rows[1:])])
        return root

    return write


def given(root: Path, *more: str) -> list[str]:
    return ["--dataset=original-4qaed", f"--data_root={root}", *more]


def refusal(command: Callable[[], int], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        run_command(command)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


def runs(kind: str = "cross-validation") -> list[Run]:
    return list(MlflowClient().search_runs(["0"], f"tags.`mer.kind` = '{kind}'"))


@pytest.mark.parametrize("leak", sorted(LEAKS))
def test_train_and_search_stop_before_anything_is_run(
    leak: str, write: Write, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, name = LEAKS[leak][2:]
    root = write(leak)
    for main in (train.main, search.main):
        said = refusal(lambda: main(given(root, *QUICK)), capsys)  # noqa: B023
        assert "table 'top100' of dataset original-4qaed: MER00" in said
        assert f"{code} (" in said
        assert f"MER006 (is not a column of the published table): {name};" in said
        assert "allow_columns=NAME" in said
    assert MlflowClient().search_runs(["0"]) == []
    assert not (store / "optuna.db").exists()


def test_missing_columns_are_named(
    write: Write, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = top_100()[3:6]
    root = write(missing=missing)
    said = refusal(lambda: train.main(given(root, *QUICK)), capsys)
    assert f"MER007 (is published, and missing here): {', '.join(missing)};" in said
    assert train.main(given(root, *QUICK, f"--allow_columns={', '.join(missing)}")) == 0


def test_published_table_is_trained_on_without_a_word(
    write: Write, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write()
    assert train.main(given(root, *QUICK)) == 0
    assert "MER0" not in capsys.readouterr().out
    (run,) = runs()
    assert not [tag for tag in run.data.tags if tag.startswith(("mer.check", "mer.allowed"))]


@pytest.mark.parametrize("leak", ["index", "comma"])
def test_allowed_column_is_recorded_and_reported(
    leak: str, write: Write, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = LEAKS[leak][3]
    root = write(leak)
    assert train.main(given(root, *QUICK, f"--allow_columns= other,{name} ")) == 0
    said = capsys.readouterr().out
    assert f"MER006 (is not a column of the published table): {name}; allowed" in said
    (run,) = runs()
    assert run.data.tags["mer.allowed_columns"] == name
    assert run.data.tags["mer.check.MER006"] == name
    report.report(**parse(REPORT, ["--experiment=Default"]))
    page = (store / "reports" / "report.md").read_text()
    assert "MER006" in page
    assert name.strip('"') in page.partition("Before you believe a score")[2]


def test_run_that_is_complete_already_learns_what_was_allowed(write: Write, store: Path) -> None:
    arguments = given(write("label"), *QUICK, "--allow_columns=LABEL")
    assert train.main(arguments) == 0
    (run,) = runs()
    client = MlflowClient()
    for tag in [tag for tag in run.data.tags if tag.startswith(("mer.check", "mer.allowed"))]:
        client.delete_tag(run.info.run_id, tag)
    assert train.main(arguments) == 0
    tags = client.get_run(run.info.run_id).data.tags
    assert tags["mer.allowed_columns"] == "label"
    assert tags["mer.check.MER004"] == "label"


def test_prepare_checks_every_table(
    write: Write, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write("label")
    (root / "all_features.csv").write_bytes((root / "top100_features.csv").read_bytes())
    arguments = given(root)
    assert prepare.prepare(**parse(PREPARE, arguments)) == 2
    said = " ".join(capsys.readouterr().out.split())
    for table in ("top100", "all"):
        assert (
            f"ERROR: table '{table}' of dataset original-4qaed: MER004 (is a function of the "
            "quadrant): label"
        ) in said
    assert prepare.prepare(**parse(PREPARE, [*arguments, "--allow_columns=label"])) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "warning: table 'all' of dataset original-4qaed: MER004" in said
    assert "ERROR" not in said


def test_search_reads_an_allowed_column(write: Write, store: Path) -> None:
    arguments = given(write("counter"), *QUICK, "--allow_columns=n")
    assert search.main([*arguments, "--strategy=grid", "--space=C=1,2;gamma=0.002"]) == 0
    assert [run.data.tags["mer.allowed_columns"] for run in runs()] == ["n", "n"]


def test_study_passes_on_what_is_allowed(
    write: Write, store: Path, in_process: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    root = write("comma")
    plan = store / "plan.yaml"
    plan.write_text("{datasets: [original-4qaed], profile: quick, folds: 2, methods: [svm]}")
    arguments = [f"--plan={plan}", f"--data_root=original-4qaed={root}", "--workers=0"]
    assert study.study(**parse(STUDY, [*arguments, "--dry_run=true"])) == 0
    assert "cannot run: svm original-4qaed: table" in capsys.readouterr().out
    assert study.study(**parse(STUDY, [*arguments, '--allow_columns="a, b"'])) == 0
    (run,) = runs()
    assert run.data.tags["mer.status"] == "complete"
    assert run.data.tags["mer.allowed_columns"] == '"a, b"'


def test_plan_of_a_study_may_allow_columns(
    write: Write, store: Path, in_process: list[str]
) -> None:
    root = write("comma")
    plan = store / "plan.yaml"
    plan.write_text(
        "{datasets: [original-4qaed], profile: quick, folds: 2, methods: [svm], "
        "allow_columns: '\"a, b\"'}"
    )
    arguments = [f"--plan={plan}", f"--data_root=original-4qaed={root}", "--workers=0"]
    assert study.study(**parse(STUDY, arguments)) == 0
    (run,) = runs()
    assert run.data.tags["mer.allowed_columns"] == '"a, b"'


def test_a_table_that_is_not_read_stops_nothing(
    write: Write, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write()
    (root / "all_features.csv").write_bytes((write("label") / "top100_features.csv").read_bytes())
    write()
    assert train.main(given(root, *QUICK)) == 0
    said = refusal(lambda: train.main(given(root, "--method=dnn_1714", "--folds=2")), capsys)
    assert "table 'all' of dataset original-4qaed: MER002" in said


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (None, ()),
        ("", ()),
        ("a", ("a",)),
        (" a ,b (Mean),, ", ("a", "b (Mean)")),
        ('"a, b", c', ("a, b", "c")),
        ('"say ""a"""', ('say "a"',)),
    ],
)
def test_lists_of_columns(text: str | None, names: tuple[str, ...]) -> None:
    assert split_columns(text) == names


def test_list_with_an_open_quote_is_refused() -> None:
    with pytest.raises(ParameterError, match='allow_columns="a, b: unexpected end'):
        split_columns('"a, b')


def test_every_leak_is_one(write: Write) -> None:
    for leak, (*_, code, name) in LEAKS.items():
        clips = load_dataset("original-4qaed", write(leak))
        found = check_columns(clips, clips.features)
        assert {each for finding in found for each in finding.names} == {name}
        assert code in {finding.check.code for finding in found}
