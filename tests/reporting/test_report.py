"""The report: sections from stores of every kind, with figures that can be checked by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from mer_mlflow.access import run_page
from mer_mlflow.datasets import Clips
from mer_mlflow.reporting.descriptions import describe_clips
from mer_mlflow.reporting.document import Block, Document, Picture, Section, Table, Text
from mer_mlflow.reporting.rendering import to_html, to_latex, to_markdown
from mer_mlflow.reporting.report import build_report, read_reasons
from mer_mlflow.reporting.sections.details import clip_table
from mer_mlflow.reporting.validations import read_validations
from mer_mlflow.tracking import write
from mer_mlflow.tracking.items import File, Tag

PAGES = "http://pages"


def build() -> Document:
    client = MlflowClient()
    reasons = read_reasons(client, ["0"])
    return build_report(read_validations(client, ["0"]), address=PAGES, reasons=reasons)


def section(document: Document, name: str) -> Section:
    return next(each for each in document.sections if each.name == name)


def tables(blocks: tuple[Block, ...]) -> dict[str, Table]:
    return {block.name: block for block in blocks if isinstance(block, Table)}


def table(document: Document, section_name: str, name: str) -> list[dict[str, str]]:
    found = tables(section(document, section_name).blocks)[name]
    heads = [column.title for column in found.columns]
    return [dict(zip(heads, (cell.text for cell in row), strict=True)) for row in found.rows]


def words(document: Document, section_name: str) -> str:
    blocks = section(document, section_name).blocks
    return " ".join(block.content for block in blocks if isinstance(block, Text))


@pytest.mark.usefixtures("store")
def test_empty_store_gives_a_report_that_says_so() -> None:
    document = build()
    baselines = tables(section(document, "study").blocks)["study-2"]
    assert baselines.rows == ()
    assert [row[0].text for row in baselines.folded] == ["CNN"] * 3 + ["SVM"] * 3
    assert "so there are no findings" in words(document, "findings")
    assert "No two complete cross-validations" in words(document, "differences")
    assert not any(isinstance(block, Picture) for s in document.sections for block in s.blocks)
    for render in (to_html(document), to_markdown(document, picture_folder="figures")):
        assert "2 of 2 methodologies were not run" in render


def test_our_scores_stand_beside_the_published_ones(add_run: Callable[..., str]) -> None:
    add_run("svm", share_right=1.0)
    add_run("cnn", dataset="new-4qaed-c", share_right=0.65)
    document = build()
    lines = {
        (row["methodology"], row["scores"]): row for row in table(document, "study", "study-2")
    }
    assert lines["SVM", "ours"]["Original-4QAED F1"] == "100.00"
    assert lines["SVM", "published"]["Original-4QAED F1"] == "75.59"
    assert lines["SVM", "difference"]["Original-4QAED F1"] == "+24.41 outside"
    assert lines["SVM", "difference"]["Original-4QAED P"] == "+24.37"
    assert lines["CNN", "difference"]["New-4QAED C F1"].endswith("inside")
    assert lines["CNN", "ours"]["New-4QAED B F1"] == "not run"
    study_table = tables(section(document, "study").blocks)["study-2"]
    assert study_table.notes == (
        "80 clips, the study's dataset has 1629",
        "2 x 4 folds",
        "80 clips, the study's dataset has 900",
    )


def test_missing_cells_say_why(
    add_run: Callable[..., str], add_fold: Callable[[str, str, str], None]
) -> None:
    partial = add_run("cnn", status="interrupted")
    add_fold(partial, "r01-f01", "FINISHED")
    client = MlflowClient()
    study = client.create_run("0").info.run_id
    items = pd.DataFrame(
        [
            ["svm", "new-4qaed-c", "train", "not conducted", "F1 60.1 is below cnn's 60.6"],
            ["svm", "new-4qaed-b", "train", "no data", ""],
            ["svm", "original-4qaed", "train", "done", ""],
        ],
        columns=["method", "dataset", "action", "status", "reason"],
    )
    content = items.to_csv(index=False).encode()
    write(client, study, [Tag(key="mer.kind", value="study")])
    write(client, study, [File(name="items.csv", content=content)])
    client.create_run("0", tags={"mer.kind": "study"})
    document = build()
    ours = {
        row["methodology"]: row
        for row in table(document, "study", "study-2")
        if row["scores"] == "ours"
    }
    assert ours["CNN"]["Original-4QAED F1"] == "partial 1/8"
    assert ours["SVM"]["New-4QAED C F1"] == "not conducted"
    assert ours["SVM"]["New-4QAED B F1"] == "no data"
    assert ours["SVM"]["Original-4QAED F1"] == "not run"
    notes = tables(section(document, "study").blocks)["study-2"].notes
    assert notes == ("F1 60.1 is below cnn's 60.6",)
    (row,) = table(document, "ranking", "partial")
    assert row["folds"] == "partial 1/8"


def test_ranking_orders_by_mean_and_links_to_runs(add_run: Callable[..., str]) -> None:
    add_run("svm", share_right=0.6)
    best = add_run("cnn", share_right=0.9)
    document = build()
    rows = table(document, "ranking", "ranking-1")
    assert [row["methodology"] for row in rows] == ["CNN, 2 x 4 folds", "SVM, 2 x 4 folds"]
    found = tables(section(document, "ranking").blocks)["ranking-1"]
    assert found.rows[0][-1].address == run_page(PAGES, "0", best)
    details = table(document, "ranking", "quadrants-1")
    assert details[0]["parameters"] == "1\u202f234"
    assert details[1]["parameters"] == "–"


def test_pairs_say_which_is_better_and_partial_ones_take_no_part(
    add_run: Callable[..., str],
) -> None:
    add_run("cnn", share_right=0.3)
    add_run("svm", share_right=1.0)
    add_run("crnn", status="interrupted")
    document = build()
    (pair,) = table(document, "differences", "pairs-1")
    assert (pair["first"], pair["second"], pair["verdict on the second"]) == (
        "CNN, 2 x 4 folds",
        "SVM, 2 x 4 folds",
        "better",
    )
    assert pair["p"] == pair["p, Holm"] == "< 0.001"
    assert pair["difference"].startswith("+")


def test_pair_is_compared_on_all_splits_that_both_have(add_run: Callable[..., str]) -> None:
    add_run("svm", n_repeats=3)
    add_run("cnn", n_repeats=3, share_right=0.5)
    add_run("crnn", n_repeats=1)
    rows = table(build(), "differences", "pairs-1")
    assert sorted(row["splits"] for row in rows) == ["12", "4", "4"]


def test_part_of_a_larger_cross_validation_is_noted_and_not_tested(
    add_run: Callable[..., str],
) -> None:
    part = add_run("svm", n_repeats=1)
    add_run("svm", n_repeats=2)
    document = build()
    assert len(table(document, "ranking", "ranking-1")) == 1
    (note,) = tables(section(document, "ranking").blocks)["ranking-1"].notes
    assert f"1 x 4 folds (run {part[:8]}," in note
    assert "share their splits yet" in words(document, "differences")
    (row,) = table(document, "provenance", "parts")
    assert row["run"] == part[:8]


def test_findings_say_what_is_decided_and_what_would_decide_the_rest(
    add_run: Callable[..., str],
) -> None:
    add_run("svm", share_right=0.80)
    add_run("cnn", share_right=0.78)
    add_run("crnn", share_right=0.3)
    document = build()
    assert document.sections[0].name == "findings"
    said = words(document, "findings")
    assert "of 3 cross-validations, the best is that of" in said
    assert "3 further rows with a published score differ from the study's setting" in said
    assert "it is better than CRNN." in said
    assert "Undecided is its difference from" in said
    assert "Of all 3 pairs, 2 are decided." in said
    assert "stays as it is" in said


def test_published_score_is_reproduced_or_not(add_run: Callable[..., str]) -> None:
    size = {"n_clips": 900, "n_splits": 10, "n_repeats": 10}
    add_run("svm", share_right=0.757, **size)
    add_run("cnn", share_right=0.757, **size)
    said = words(build(), "findings")
    assert "Reproduced, because the published score is inside the interval: SVM (75." in said
    assert "Not reproduced, because it is outside: CNN (75." in said
    assert "further row" not in said


def test_hardest_clips_are_named_where_the_dataset_is_at_hand(
    add_run: Callable[..., str], made_clips: Clips
) -> None:
    add_run("svm")
    n = len(made_clips)
    named = replace(
        made_clips,
        titles=("a title",) * n,
        genres=("Jazz; Rock",) * n,
        audio=(Path("/data/a b.mp3"),) * n,
    )
    described = describe_clips(named).relative_to(Path("/data/reports"))
    selection = read_validations(MlflowClient(), ["0"])
    with_names = build_report(selection, address=PAGES, descriptions=[described])
    found = tables(section(with_names, "details").blocks)["hardest-1"]
    assert [cell.text for cell in found.rows[0][2:4]] == ["a title", "Jazz; Rock"]
    assert found.rows[0][1].text.startswith("artist ")
    assert 'href="../a%20b.mp3"' in to_html(with_names)
    assert "give its folder by -P data_root=" in words(build(), "details")
    assert "artist" not in table(build(), "details", "hardest-1")[0]


def test_size_and_balance_are_described_per_methodology(add_run: Callable[..., str]) -> None:
    add_run("svm", share_right=0.6)
    add_run("svm", share_right=1.0, dataset="new-4qaed-c", n_clips=100)
    document = build()
    (row,) = table(document, "questions", "effect-size")
    first, second = float(row["Original-4QAED"]), float(row["New-4QAED C"])
    assert second == 100
    assert row["difference"] == f"+{second - first:.2f}"
    assert "no methodology is complete on New-4QAED C and New-4QAED B" in words(
        document, "questions"
    )


def test_methodology_is_compared_with_its_baseline_fold_by_fold(
    add_run: Callable[..., str],
) -> None:
    add_run("cnn", share_right=0.5)
    add_run("cnn_gru", share_right=1.0)
    (row,) = table(build(), "questions", "effect-added")
    assert (row["methodology"], row["against"]) == (
        "CNN + GRU, 2 x 4 folds",
        "CNN, 2 x 4 folds",
    )
    assert float(row["better"]) > 0.95


def test_flags_stand_where_a_reader_must_know(add_run: Callable[..., str]) -> None:
    add_run("svm", share_right=0.9)
    add_run("svm", share_right=0.8, protocol="grouped")
    add_run("svm", hyperparameters={"C": 2.0}, tags={"mer.tuned_by": "svm grid"})
    document = build()
    (gap,) = table(document, "honesty", "protocol-gap")
    assert gap["methodology"] == "SVM, 2 x 4 folds"
    assert gap["difference"].startswith("−")
    (tuned,) = table(document, "honesty", "tuned")
    assert tuned["study"] == "svm grid"
    said = words(document, "honesty")
    assert "ranked with the labels of the whole dataset" in said
    assert "80.20" in said


def test_findings_of_checks_stand_where_a_reader_must_know(add_run: Callable[..., str]) -> None:
    tags = {
        "mer.allowed_columns": "label",
        "mer.check.MER004": "label",
        "mer.check.MER008": "F1",
        "mer.check.MER999": "F2",
    }
    add_run("svm", share_right=0.9, tags=tags)
    add_run("dnn_100", share_right=0.8)
    rows = table(build(), "honesty", "checks")
    assert [(row["methodology"], row["check"], row["columns"]) for row in rows] == [
        ("SVM, 2 x 4 folds", "MER004", "label"),
        ("SVM, 2 x 4 folds", "MER008", "F1"),
        ("SVM, 2 x 4 folds", "MER999", "F2"),
    ]
    assert [row["finding"] for row in rows] == [
        "is a function of the quadrant: allowed",
        "has the same value for all clips: a warning",
        "a check of another version",
    ]


def test_without_findings_the_report_has_no_table_of_them(add_run: Callable[..., str]) -> None:
    add_run("svm")
    (section,) = [each for each in build().sections if each.name == "honesty"]
    assert "checks" not in [block.name for block in section.blocks if isinstance(block, Table)]


def test_hardest_clips_weigh_cross_validations_alike(add_run: Callable[..., str]) -> None:
    add_run("svm", share_right=1.0)
    add_run("cnn", share_right=0.0)
    items = list(read_validations(MlflowClient(), ["0"]).complete)
    clips = clip_table(items)
    assert len(clips) == 80
    assert clips["share_wrong"].to_numpy() == pytest.approx(np.full(80, 0.5))
    easy = clip_table(items[:1]) if items[0].method == "svm" else clip_table(items[1:])
    assert easy["share_wrong"].max() == 0
    first = easy[easy["quadrant"] == "Q1"].iloc[0]
    assert (first["valence"], first["arousal"]) == pytest.approx((0.6, 0.6))
    third = easy[easy["quadrant"] == "Q3"].iloc[0]
    assert (third["valence"], third["arousal"]) == pytest.approx((-0.6, -0.6))


def test_duplicates_are_counted_in_the_facts(add_run: Callable[..., str]) -> None:
    add_run()
    add_run()
    assert dict(build().facts)["duplicates"].startswith("1 finished runs repeat")


def test_splits_that_test_the_same_clips_allow_no_inference(add_run: Callable[..., str]) -> None:
    for method, share in (("svm", 0.9), ("cnn", 0.5)):
        run_id = add_run(method, share_right=share)
        MlflowClient().set_tag(run_id, "mer.protocol", "fixed")
    document = build()
    assert "allows no inference" in words(document, "differences")
    (pair,) = table(document, "differences", "pairs-1")
    assert pair["p"] == "–"


def test_full_report_is_rendered_in_all_formats(add_run: Callable[..., str]) -> None:
    for method, share in (("svm", 0.8), ("dnn_100", 0.7), ("cnn", 0.6), ("hybrid", 0.65)):
        add_run(method, share_right=share)
        add_run(method, share_right=share, dataset="new-4qaed-c", n_clips=100)
    document = build()
    names = {
        block.name for s in document.sections for block in s.blocks if isinstance(block, Picture)
    }
    assert names >= {"forest", "folds", "slopes", "confusions-1", "curves-1", "hardest-1"}
    html = to_html(document)
    assert len(html.encode()) < 5e6
    assert html.count("<table") == sum(
        bool(block.rows) + bool(block.folded)
        for s in document.sections
        for block in s.blocks
        if isinstance(block, Table)
    )
    assert "\\begin{tabular" in to_latex(document, picture_folder="figures")


def test_changes_of_mind_are_told_by_transform(add_run: Callable[..., str]) -> None:
    add_run("cnn", changed={"tfm": 0.25})
    (row,) = table(build(), "details", "changes-of-mind")
    assert row["methodology"] == "CNN, 2 x 4 folds"
    assert (row["transform"], row["changed"]) == ("tfm", "25.00")


def test_allowed_columns_are_marked_in_the_ranking(add_run: Callable[..., str]) -> None:
    add_run("svm", share_right=0.95, tags={"mer.allowed_columns": "=label"})
    add_run("dnn_100", share_right=0.6)
    document = build()
    found = tables(section(document, "ranking").blocks)["ranking-1"]
    rows = table(document, "ranking", "ranking-1")
    assert rows[0]["methodology"] == "SVM, 2 x 4 folds"
    assert [row[0].marks for row in found.rows] == [(1,), ()]
    assert [row[0].is_best for row in found.rows] == [False, True]
    assert "the score may be meaningless: =label" in found.notes[0]
    said = words(document, "findings")
    assert "the only one is that of DNN, top 100" in said
    assert "Not considered: 1 cross-validation with columns that were allowed" in said
    assert "SVM" not in said
    study = tables(section(document, "study").blocks)["study-2"]
    assert any("allowed in spite of a check" in note for note in study.notes)
    (forest,) = (
        block
        for block in section(document, "ranking").blocks
        if isinstance(block, Picture) and block.name == "forest"
    )
    assert "SVM, 2 x 4 folds, columns allowed" in forest.description


def test_mixed_arithmetic_is_marked_where_its_scores_stand(add_run: Callable[..., str]) -> None:
    kept = {"blas": "openblas Haswell", "onednn": "AVX2"}
    mixed = [{"folds": 5, **kept}, {"folds": 3, **kept, "onednn": "AVX512_CORE"}, {"folds": 2}]
    add_run("cnn", tags={"mer.mixed_arithmetic": json.dumps(mixed)})
    add_run("svm", tags={"mer.arithmetic": json.dumps({**kept, "processor": "some"})})
    add_run("dnn_100")
    document = build()
    (row,) = table(document, "honesty", "mixed")
    said = (
        "5 folds: blas openblas Haswell, onednn AVX2; "
        "3 folds: blas openblas Haswell, onednn AVX512_CORE; 2 folds: unknown"
    )
    assert (row["methodology"], row["arithmetic"]) == ("CNN, 2 x 4 folds", said)
    ranking = tables(section(document, "ranking").blocks)["ranking-1"]
    marked = [row[0].text for row in ranking.rows if row[0].marks]
    assert marked == ["CNN, 2 x 4 folds"]
    assert "mixed arithmetic" in ranking.notes[0]
    kernels = {
        row["arithmetic"]: row["kernels"] for row in table(document, "provenance", "arithmetic")
    }
    rows = {
        row["methodology"].removesuffix(", 2 x 4 folds"): row
        for row in table(document, "provenance", "provenance")
    }
    assert kernels[rows["CNN"]["arithmetic"]] == said
    assert kernels[rows["SVM"]["arithmetic"]] == "blas openblas Haswell, onednn AVX2"
    assert kernels[rows["DNN, top 100"]["arithmetic"]] == "unknown"


@pytest.mark.parametrize("text", ["", "{", "[3]", '"a"', "[[]]"])
def test_mixture_that_cannot_be_read_does_not_stop_the_report(
    text: str, add_run: Callable[..., str]
) -> None:
    add_run("svm", tags={"mer.mixed_arithmetic": text})
    assert [row["arithmetic"] for row in table(build(), "honesty", "mixed")] == ["unknown"]
