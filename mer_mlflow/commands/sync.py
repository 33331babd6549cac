"""sync: deliver results and models that the tracking server has not accepted yet."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mer_mlflow.commands.announcement import print_delivered
from mer_mlflow.commands.command import BAD_INPUT, INCOMPLETE, OK, name_run
from mer_mlflow.commands.parameters import SYNC
from mer_mlflow.errors import DeletedError, JournalError, UndeliveredError
from mer_mlflow.experiments.text import parse
from mer_mlflow.progress import progress

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from mer_mlflow.deployment.delivery import KeptModel


def sync(*, journal: str | None = None) -> int:
    """Deliver journals and fitted models, and close the runs of processes that have ended.

    Parameters
    ----------
    journal : file of a journal, which is delivered to the current tracking server even if it was
        written for another one; by default all journals and models of ``MER_JOURNAL_ROOT`` for
        this server

    Returns
    -------
    exit code: 0; 3 if something could not be delivered; 2 if a run was deleted

    Raises
    ------
    MerError
        If the file or the server cannot be used.
    """
    from mlflow import MlflowClient

    from mer_mlflow.deployment.delivery import kept_models
    from mer_mlflow.tracking import check_store
    from mer_mlflow.tracking.journal import Journal, journal_root, journals
    from mer_mlflow.tracking.outage import without_client_retries

    files = list(journals(journal_root())) if journal is None else [Path(journal)]
    if journal is not None:
        Journal(files[0]).close()
    check_store()
    name_run("sync")
    client = MlflowClient()
    with without_client_retries():
        codes = [_deliver(client, file, is_chosen=journal is not None) for file in files]
    models = [] if journal is not None else list(kept_models())
    codes += [_deliver_model(client, kept) for kept in models]
    if not codes:
        print(f"nothing to deliver in {journal_root()}")
    return next((code for code in (BAD_INPUT, INCOMPLETE) if code in codes), OK)


def _deliver(client: MlflowClient, file: Path, *, is_chosen: bool) -> int:
    """Deliver a journal, print the result and return the exit code."""
    from mer_mlflow.tracking.delivery import NAME, PARENT, SERVER, deliver_journal, server_name
    from mer_mlflow.tracking.environment import is_alive
    from mer_mlflow.tracking.journal import Journal, JournalGoneError, JournalInUseError

    try:
        waiting = Journal(file)
    except JournalGoneError:  # its process has removed it
        return OK
    except JournalInUseError as error:
        print(error)
        return OK
    except JournalError as error:
        print(f"error: {error}", file=sys.stderr)
        return INCOMPLETE
    name = f"run {waiting.facts[PARENT]} ({waiting.facts[NAME]})"
    if is_alive(waiting.facts):
        print(f"{name}: its process is still running")
        waiting.close()
        return OK
    if waiting.facts[SERVER] != server_name(client.tracking_uri) and not is_chosen:
        print(
            f"{name}: {len(waiting)} writes are to be delivered to {waiting.facts[SERVER]}; set "
            f"MLFLOW_TRACKING_URI to it, or give journal={file}"
        )
        waiting.close()
        return INCOMPLETE
    try:
        with progress("writes") as advance:
            n_delivered = deliver_journal(client, waiting, on_progress=advance)
    except DeletedError as error:
        print(f"error: {name}: {error}", file=sys.stderr)
        return BAD_INPUT
    except UndeliveredError as error:
        print(f"error: {name}: {error}", file=sys.stderr)
        return INCOMPLETE
    finally:
        waiting.close()
    print(f"{name}: {n_delivered} writes delivered")
    return OK


def _deliver_model(client: MlflowClient, kept: KeptModel) -> int:
    """Deliver a fitted model, print the result and return the exit code."""
    from mer_mlflow.deployment.delivery import deliver
    from mer_mlflow.tracking.delivery import server_name
    from mer_mlflow.tracking.environment import is_alive

    name = f"model of run {kept.order.run_id}"
    if is_alive(kept.order.process):
        print(f"{name}: its process is still running")
        return OK
    if kept.order.server != server_name(client.tracking_uri):
        print(
            f"{name}: is to be delivered to {kept.order.server}; set MLFLOW_TRACKING_URI to it, "
            f"or remove {kept.folder}"
        )
        return INCOMPLETE
    try:
        delivered = deliver(client, kept)
    except UndeliveredError as error:
        print(f"error: {name}: {error}", file=sys.stderr)
        return INCOMPLETE
    print(f"{name}: delivered")
    print_delivered(delivered)
    return OK


def main(arguments: Sequence[str]) -> int:
    """Run ``sync``."""
    return sync(**parse(SYNC, arguments))
