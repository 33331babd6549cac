"""The study's own run: its plan, and how each item stands, kept up to date while it works."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mer_mlflow.studies.items import Item, Standing, items_csv
from mer_mlflow.studies.plan import Plan, plan_text
from mer_mlflow.tracking import Kind, Status, open_run, search, write
from mer_mlflow.tracking.environment import is_alive, process_tags
from mer_mlflow.tracking.items import File, Param, Tag

ITEMS, PLAN = "items.csv", "study.yaml"


class Record:
    """The run of a study.

    Parameters
    ----------
    client : of the tracking server
    plan : of the study, with nothing left open
    """

    def __init__(self, client: MlflowClient, plan: Plan) -> None:
        self._client = client
        run = open_run(client, name=f"study {plan.name}")
        self.run_id, self.experiment_id = str(run.info.run_id), str(run.info.experiment_id)
        _close_abandoned(client, self.experiment_id, plan.name, but=self.run_id)
        tags = {
            "mer.kind": Kind.STUDY,
            "mer.plan": plan.name,
            "mer.status": Status.RUNNING,
            **process_tags(),
        }
        params = {
            "study.title": plan.title,
            "study.datasets": ", ".join(plan.datasets),
            "study.methods": ", ".join(method.name for method in plan.methods),
            "study.searches": ", ".join(search.method for search in plan.searches),
            "study.profile": ", ".join(dict.fromkeys(map(plan.profile_name, plan.datasets))),
            "study.protocol": plan.given.get("protocol", "paper"),
            "study.seed": str(plan.given.get("seed", 0)),
        }
        write(
            client,
            self.run_id,
            [
                *(Tag(key=key, value=str(value)) for key, value in tags.items()),
                *(Param(key=key, value=value) for key, value in params.items()),
                File(name=PLAN, content=plan_text(plan).encode()),
            ],
        )

    def keep(self, standings: Mapping[Item, Standing]) -> None:
        """Write how each item stands now."""
        write(self._client, self.run_id, [File(name=ITEMS, content=items_csv(standings))])

    def close(self, *, is_complete: bool) -> None:
        """Close the run; it is complete where no item failed or is left to do."""
        status = Status.COMPLETE if is_complete else Status.INCOMPLETE
        self._client.set_terminated(self.run_id, "FINISHED" if is_complete else "FAILED")
        self._client.set_tag(self.run_id, "mer.status", str(status))


def _close_abandoned(client: MlflowClient, experiment: str, plan: str, *, but: str) -> None:
    """Close what a killed process left: its study cannot say any more that it is not running."""
    for run in list(search(client, experiment, kind=Kind.STUDY, status=Status.RUNNING)):
        tags = run.data.tags
        if run.info.run_id != but and tags.get("mer.plan") == plan and not is_alive(tags):
            with contextlib.suppress(MlflowException):
                client.set_terminated(run.info.run_id, "KILLED")
                client.set_tag(run.info.run_id, "mer.status", str(Status.INCOMPLETE))
