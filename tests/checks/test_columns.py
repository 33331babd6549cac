"""Columns of feature tables: what is no feature is named, what is one is not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mer_mlflow.checks import ALLOW_COLUMNS, Finding, check_columns, refuse
from mer_mlflow.datasets import Clips, FeatureTable
from mer_mlflow.errors import CheckError

N_CLIPS = 80
LABELS = np.arange(N_CLIPS) % 4
RNG = np.random.default_rng(0)


def made_clips(values: np.ndarray, names: Sequence[str], labels: np.ndarray = LABELS) -> Clips:
    n_clips = len(labels)
    return Clips(
        name="made",
        ids=tuple(f"c{i:04d}" for i in range(n_clips)),
        quadrants=labels,
        audio=(None,) * n_clips,
        audio_hashes=(None,) * n_clips,
        artists=(None,) * n_clips,
        features={"all": FeatureTable(names=tuple(names), values=np.array(values, dtype=float))},
    )


def beside_features(column: object, name: str, *, labels: np.ndarray = LABELS) -> Clips:
    """A table of five random features and a column."""
    features = np.random.default_rng(1).normal(size=(len(labels), 5))
    names = [*(f"F{i}" for i in range(5)), name]
    return made_clips(np.column_stack([features, np.asarray(column, float)]), names, labels)


def codes(clips: Clips, *, allow: Sequence[str] = ()) -> dict[str, list[str]]:
    """Codes by column of what stops a command."""
    found: dict[str, list[str]] = {}
    for finding in check_columns(clips, ["all"], allow=allow):
        for name in finding.names if finding.stops else ():
            found.setdefault(name, []).append(finding.check.code)
    return found


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "MER001"),
        (" ", "MER001"),
        ("\u200b", "MER001"),
        ("Unnamed: 0", "MER001"),
        ("unnamed:_0", "MER001"),
        ("Unnamed: 0.1", "MER001"),
        ("nan", "MER001"),
        ("index", "MER002"),
        (" INDEX ", "MER002"),
        ("level_0", "MER002"),
        ("id", "MER002"),
        ("Song ID", "MER002"),
        ("row_number", "MER002"),
        ("Row", "MER002"),
        ("label", "MER002"),
        ("Arousal", "MER002"),
        ("VALENCE", "MER002"),
        ("Target", "MER002"),
        ("quadrant_code", "MER002"),
        ("PQuad", "MER002"),
    ],
)
def test_names_of_no_feature(name: str, code: str) -> None:
    values = np.random.default_rng(2).normal(size=N_CLIPS)
    (found,) = codes(beside_features(values, name)).values()
    assert found == [code]


@pytest.mark.parametrize(
    "name", ["F0001", "tempo", "loudness (Mean)", "X", "rows of notes", "class-D noise", "Index of"]
)
def test_names_of_features(name: str) -> None:
    assert codes(beside_features(RNG.normal(size=N_CLIPS), name)) == {}


@pytest.mark.parametrize(
    "column",
    [
        np.arange(N_CLIPS),
        np.arange(N_CLIPS)[::-1] + 1.0,
        RNG.permutation(N_CLIPS),
        RNG.permutation(N_CLIPS) / 10,
        RNG.permutation(N_CLIPS) * 7 - 1000,
        np.round(RNG.permutation(N_CLIPS) / (N_CLIPS - 1), 4),
        RNG.choice(2 * N_CLIPS, N_CLIPS, replace=False),
        np.sort(RNG.normal(size=N_CLIPS)),
        np.cumsum(RNG.integers(1, 9999, size=N_CLIPS)),
    ],
    ids=["0", "1", "shuffled", "tenths", "steps", "normed", "with gaps", "as ids", "ids"],
)
def test_counters(column: np.ndarray) -> None:
    assert codes(beside_features(column, "n")) == {"n": ["MER003"]}


def test_whole_numbers_are_no_counter_by_themselves() -> None:
    for n_values in (10, N_CLIPS, 10**6):
        column = np.random.default_rng(3).integers(n_values, size=N_CLIPS)
        assert codes(beside_features(column, "n")) == {}


@pytest.mark.parametrize("codes_of", [(1, 2, 3, 4), (0, 1, 2, 3), (2.5, -1, 7, 0)])
@pytest.mark.parametrize("n_clips", [8, 80])
def test_functions_of_the_quadrant(codes_of: Sequence[float], n_clips: int) -> None:
    labels = np.arange(n_clips) % 4
    clips = beside_features(np.array(codes_of)[labels], "q", labels=labels)
    assert codes(clips) == {"q": ["MER004"]}


@pytest.mark.parametrize("high", [(0, 1), (0, 3), (0, 2), (1,)])
def test_signs_and_annotations_of_halves(high: tuple[int, ...]) -> None:
    sign = np.where(np.isin(LABELS, high), 1, -1)
    assert codes(beside_features(sign, "s")) == {"s": ["MER004"]}
    annotated = sign * np.random.default_rng(0).uniform(0.05, 1, N_CLIPS)
    assert codes(beside_features(annotated, "s")) == {"s": ["MER005"]}


def test_a_constant_column_is_a_warning() -> None:
    (finding,) = check_columns(beside_features(np.ones(N_CLIPS), "c"), ["all"])
    assert (finding.check.code, finding.names, finding.stops) == ("MER008", ("c",), False)
    refuse([finding], allow=ALLOW_COLUMNS)


def test_few_clips_show_nothing() -> None:
    assert codes(beside_features([3, 1, 4, 2], "q", labels=np.arange(4))) == {}
    labels = np.arange(8) % 4
    assert codes(beside_features(labels < 2, "s", labels=labels)) == {}


def test_clips_and_columns_without_values_are_passed_over() -> None:
    label = LABELS.astype(float)
    label[:10] = np.nan
    clips = beside_features(label, "q")
    assert codes(clips) == {"q": ["MER004"]}
    assert codes(beside_features(np.full(N_CLIPS, np.nan), "")) == {"(nameless)": ["MER001"]}


def test_huge_and_infinite_values_are_taken() -> None:
    column = RNG.normal(size=N_CLIPS)
    column[:3] = (1e308, -1e308, np.inf)
    assert codes(beside_features(column, "x")) == {}


def test_published_columns_that_are_wrong_are_all_named() -> None:
    table = FeatureTable(
        names=("a",),
        values=RNG.normal(size=(N_CLIPS, 1)),
        unpublished=("b, c", ""),
        missing=("d",),
    )
    clips = made_clips(table.values, ("a",))
    clips = Clips(**{**vars(clips), "features": {"all": table}})
    assert codes(clips) == {'"b, c"': ["MER006"], "(nameless)": ["MER006"], "d": ["MER007"]}
    assert codes(clips, allow=["b, c", "(nameless)", "D"]) == {}


def test_allowed_columns_are_found_and_stop_nothing() -> None:
    clips = beside_features(LABELS, "Label")
    assert codes(clips, allow=["other"]) == {"Label": ["MER002", "MER004"]}
    findings = check_columns(clips, ["all"], allow=[" label "])
    assert [finding.is_allowed for finding in findings] == [True, True]
    refuse(findings, allow=ALLOW_COLUMNS)


def test_only_the_tables_that_are_read_are_checked() -> None:
    clips = beside_features(LABELS, "label")
    assert check_columns(clips, ["top100"]) == ()
    assert len(check_columns(clips, ["all", "all"])) == 2


def test_refusal_is_one_line_with_all_columns_and_codes() -> None:
    values = np.column_stack([LABELS, np.arange(N_CLIPS), RNG.normal(size=N_CLIPS)])
    findings = check_columns(made_clips(values, ("quadrant\nx", "n", "F1")), ["all"])
    with pytest.raises(CheckError) as refused:
        refuse(findings, allow=ALLOW_COLUMNS)
    assert str(refused.value) == (
        "table 'all' of dataset made: MER003 (numbers the clips): n; "
        "MER004 (is a function of the quadrant): quadrant\ufffdx; "
        "remove such columns from the table's CSV, "
        "or give allow_columns=NAME,… if they are intended"
    )


@settings(deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_random_tables_are_not_refused(data: st.DataObject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=data.draw(st.integers(1, 120)))
    shape = (len(labels), data.draw(st.integers(1, 60)))
    kind = data.draw(st.sampled_from(["normal", "uniform", "rounded", "counts", "shares", "flags"]))
    values = {
        "normal": lambda: rng.normal(size=shape) + 0.3 * rng.normal(size=(4, shape[1]))[labels],
        "uniform": lambda: rng.uniform(-1e6, 1e6, size=shape),
        "rounded": lambda: rng.lognormal(size=shape).round(2),
        "counts": lambda: rng.poisson(20, size=shape),
        "shares": lambda: rng.integers(100, size=shape) / 100,
        "flags": lambda: rng.integers(2, size=shape),
    }[kind]()
    assert codes(made_clips(values, [f"F{i}" for i in range(shape[1])], labels)) == {}


LEAKS = {
    "label": lambda labels, rng: rng.permutation(4)[labels],
    "noisy label": lambda labels, rng: rng.permutation(4)[labels] + rng.normal(0, 0.2, len(labels)),
    "arousal": lambda labels, rng: np.where(labels < 2, 1, -1) * rng.uniform(0.1, 1, len(labels)),
    "valence": lambda labels, rng: np.where(labels % 3, -1, 1) * rng.uniform(0.1, 1, len(labels)),
    "one quadrant": lambda labels, rng: labels == rng.integers(4),
    "counter": lambda labels, rng: rng.permutation(len(labels)) + rng.integers(2),
    "rows of a sorted table": lambda labels, rng: np.argsort(np.argsort(labels, kind="stable")),
}


@settings(deadline=None)
@given(
    kind=st.sampled_from(sorted(LEAKS)),
    n_clips=st.integers(100, 400),
    n_features=st.integers(1, 50),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([-3.0, 1e-6, 1.0, 1e6]),
)
def test_planted_leaks_are_refused(
    kind: str, n_clips: int, n_features: int, seed: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=n_clips)
    assume(np.bincount(labels, minlength=4).min() >= 15)
    values = rng.normal(size=(n_clips, n_features + 1))
    where = int(rng.integers(n_features + 1))
    values[:, where] = scale * np.asarray(LEAKS[kind](labels, rng), dtype=float)
    clips = made_clips(values, [f"F{i}" for i in range(n_features + 1)], labels)
    assert set(codes(clips)) == {f"F{where}"}
    findings: tuple[Finding, ...] = check_columns(clips, ["all"])
    with pytest.raises(CheckError, match=rf"MER00[345].*F{where}\b"):
        refuse(findings, allow=ALLOW_COLUMNS)
