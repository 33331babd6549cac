"""Findings of checks as tags of runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mer_mlflow.checks import check_columns
from mer_mlflow.datasets import Clips, FeatureTable
from mer_mlflow.tracking.findings import finding_tags, read_findings

N_CLIPS = 40
CLIPS = Clips(
    name="made",
    ids=tuple(f"c{i:02d}" for i in range(N_CLIPS)),
    quadrants=np.arange(N_CLIPS) % 4,
    audio=(None,) * N_CLIPS,
    audio_hashes=(None,) * N_CLIPS,
    artists=(None,) * N_CLIPS,
)


def tags_of(*names: str) -> dict[str, str]:
    values = np.random.default_rng(0).normal(size=(N_CLIPS, len(names)))
    values[:, 0] = 1.0
    table = FeatureTable(names=names, values=values, unpublished=names[1:])
    clips = replace(CLIPS, features={"all": table})
    return finding_tags(check_columns(clips, ["all"], allow=names[1:]))


def test_tags_say_what_was_found_and_what_was_allowed() -> None:
    tags = tags_of("c", "id", "F1")
    assert tags == {
        "mer.check.MER002": "id",
        "mer.check.MER006": "id, F1",
        "mer.check.MER008": "c",
        "mer.allowed_columns": "id, F1",
    }
    assert list(read_findings({"mer.kind": "fold", **tags})) == [
        ("MER002", "id"),
        ("MER006", "id, F1"),
        ("MER008", "c"),
    ]
    assert finding_tags(()) == {}


def test_tags_have_an_end() -> None:
    tags = tags_of("c", *(f"{i:03d}" + "x" * 300 for i in range(200)))
    assert tags["mer.check.MER006"].endswith("and 180 more")
    assert max(map(len, tags.values())) < 5000
