"""Views of experiments: their format is that of the installed MLflow, and they are saved once."""

from __future__ import annotations

import base64
import json
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

from mer_mlflow.access import LEADERBOARD, SEARCHES, SHARED_VIEW
from mer_mlflow.commands.views import views as print_views
from mer_mlflow.tracking import schema
from mer_mlflow.tracking.notes import experiment_note
from mer_mlflow.tracking.runs import adopt_trial, open_run
from mer_mlflow.tracking.views import COMPRESSED, TAG, keep_views, packed, views

PAGES = Path(mlflow.__file__).parent / "server" / "js" / "build" / "static" / "js"
NOTE = "mlflow.note.content"


@cache
def scripts() -> str:
    """All scripts of MLflow's pages."""
    return "\n".join(path.read_text(errors="replace") for path in sorted(PAGES.glob("*.js")))


def unpacked(tag: str) -> Any:
    assert tag.startswith(COMPRESSED)
    return json.loads(zlib.decompress(base64.b64decode(tag.removeprefix(COMPRESSED))))


@pytest.mark.parametrize("name", [LEADERBOARD, SEARCHES])
def test_view_is_saved_as_mlflow_reads_it(name: str) -> None:
    state = views()[name]
    assert unpacked(packed(state)) == state
    assert len(packed(state)) < 5000  # MLflow's limit of a tag
    assert state["orderByKey"] == state["selectedColumns"][0]


@pytest.mark.parametrize(
    "text",
    [
        f'="{SHARED_VIEW}"',
        f'="{TAG}"',
        f'="{COMPRESSED}"',
        # names of the searches' and the columns' state
        '["searchFilter","orderByKey","orderByAsc",',
        '["selectedColumns","columnOrder","columnWidths",',
        '.RUN_NAME),"runDateAndNestInfo"]',
        # names of columns: a group, and a name in backticks
        'e+".`"+t+"`"',
        '{ATTRIBUTES:"attributes",PARAMS:"params",METRICS:"metrics",TAGS:"tags"}',
        'RUN_NAME:"Run Name"',
        'DATASET:"Dataset"',
        # an address of the runs is no link to traces of language models
        "workflowType",
    ],
)
def test_installed_pages_of_mlflow_use_the_same_names(text: str) -> None:
    assert text in scripts(), "MLflow's pages have changed: look at them, and adapt views.py"


def test_leaderboard_shows_parents_that_searches_have_not_made(store: Path) -> None:
    client = MlflowClient()

    def parent(name: str, **tags: str) -> str:
        tags = {"kind": "cross-validation", "status": "complete", **tags}
        own = {f"mer.{key}": value for key, value in tags.items()}
        return str(client.create_run("0", tags=own, run_name=name).info.run_id)

    for name, score in {"worse": 0.5, "best": 0.7}.items():
        client.log_metric(parent(name), "f1/macro", score)
    parent("running", status="running")
    parent("earlier trial", trial="1")
    trained = parent("trained trial", trial="2", trial_only="true")
    parent("trial", trial="3", trial_only="true")
    parent("superseded", status="superseded")
    parent("fold", kind="fold")
    adopt_trial(trained, {})
    adopt_trial(trained, {})
    state = views()[LEADERBOARD]
    found = client.search_runs(
        ["0"], state["searchFilter"], order_by=[f"{state['orderByKey']} DESC"]
    )
    names = [run.info.run_name for run in found]
    assert names[:2] == ["best", "worse"]
    assert sorted(names[2:]) == ["earlier trial", "running", "trained trial"]


def test_views_are_saved_when_a_command_opens_its_run_and_only_once(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient()
    open_run(client, name="train")
    tags = client.get_experiment("0").tags
    assert {name: unpacked(tags[TAG + name]) for name in views()} == views()
    assert tags[NOTE] == experiment_note("0")
    calls: list[object] = []
    monkeypatch.setattr(MlflowClient, "set_experiment_tag", lambda *given: calls.append(given))
    keep_views(client, "0")
    assert calls == []


@pytest.mark.parametrize("note", ["My experiment", f"{experiment_note('0')}\n\nMine."])
def test_own_note_of_an_experiment_is_kept(note: str, store: Path) -> None:
    client = MlflowClient()
    client.set_experiment_tag("0", NOTE, note)
    client.set_experiment_tag("0", TAG + LEADERBOARD, "of an earlier version")
    keep_views(client, "0")
    tags = client.get_experiment("0").tags
    assert tags[NOTE] == note
    assert unpacked(tags[TAG + LEADERBOARD]) == views()[LEADERBOARD]


def test_experiment_without_permission_stays_as_it_is(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise MlflowException("no permission")

    monkeypatch.setattr(MlflowClient, "set_experiment_tag", refuse)
    keep_views(MlflowClient(), "0")


def test_addresses_are_those_of_experiments_with_cross_validations(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = MlflowClient()
    client.create_experiment("empty")
    key = client.create_experiment("study")
    client.create_run(key, tags={"mer.kind": "cross-validation"})
    assert print_views("http://host:5000") == 0
    assert capsys.readouterr().out == (
        f"study: http://host:5000/#/experiments/{key}/runs?workflowType=machine_learning"
        "&viewStateShareKey=leaderboard\n"
    )
    assert TAG + LEADERBOARD in client.get_experiment(key).tags


def test_lost_answer_to_a_deletion_is_no_error(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient()
    run_id = client.create_run("0", tags={"mer.trial": "1", "mer.trial_only": "true"}).info.run_id
    assert schema.TRIAL_ONLY in client.get_run(run_id).data.tags
    delete = MlflowClient.delete_tag

    def lose_answer(self: MlflowClient, *given: str) -> None:
        monkeypatch.setattr(MlflowClient, "delete_tag", delete)
        delete(self, *given)
        raise MlflowException("lost", error_code=TEMPORARILY_UNAVAILABLE)

    monkeypatch.setattr(MlflowClient, "delete_tag", lose_answer)
    adopt_trial(run_id, {})
    assert schema.TRIAL_ONLY not in client.get_run(run_id).data.tags
