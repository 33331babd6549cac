"""Run of a study, with its plan and the current state of each item."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from mlflow import MlflowClient

from mer_mlflow.studies.items import Item, ItemState, items_csv
from mer_mlflow.studies.plan import Plan, plan_text
from mer_mlflow.tracking import Kind, Status, close_abandoned, heartbeat, open_run, schema, write
from mer_mlflow.tracking.items import File, Param


class Record:
    """The run of a study.

    Parameters
    ----------
    client : client of the tracking server
    plan : resolved plan of the study
    """

    def __init__(self, client: MlflowClient, plan: Plan) -> None:
        self._client = client
        run = open_run(client, name=f"study {plan.name}")
        self.run_id, self.experiment_id = str(run.info.run_id), str(run.info.experiment_id)
        self._presence = ExitStack()
        self._presence.enter_context(
            heartbeat(client, self.run_id, kind=Kind.STUDY, plan=plan.name, status=Status.RUNNING)
        )
        close_abandoned(
            client,
            self.experiment_id,
            kind=Kind.STUDY,
            but=self.run_id,
            as_status=Status.INCOMPLETE,
            plan=plan.name,
        )
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
                *(Param(key=key, value=value) for key, value in params.items()),
                File(name=schema.PLAN, content=plan_text(plan).encode()),
            ],
        )

    def keep(self, states: Mapping[Item, ItemState]) -> None:
        """Write the current state of each item."""
        write(self._client, self.run_id, [File(name=schema.ITEMS, content=items_csv(states))])

    def close(self, *, is_complete: bool) -> None:
        """Close the run; it is complete if no item failed or remains."""
        self._presence.close()
        status = Status.COMPLETE if is_complete else Status.INCOMPLETE
        self._client.set_terminated(self.run_id, "FINISHED" if is_complete else "FAILED")
        self._client.set_tag(self.run_id, schema.STATUS, str(status))
