"""leaderboard: ranking of finished and running cross-validations, updated in a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from mlflow import MlflowClient
from rich.console import Group, RenderableType
from rich.text import Text

from mer_mlflow.commands.command import OK
from mer_mlflow.commands.parameters import LEADERBOARD
from mer_mlflow.commands.ranking import (
    NOTHING,
    PRINTED_WIDTH,
    filters,
    ranking_table,
    requested_experiments,
)
from mer_mlflow.errors import TrackingError
from mer_mlflow.experiments.text import parse
from mer_mlflow.reporting.validations import Selection, Validation, read_validations
from mer_mlflow.terminal import console, guard_output, printable
from mer_mlflow.tracking import check_store, current_experiment
from mer_mlflow.tracking.outage import without_client_retries


def leaderboard(
    *,
    experiment: str | None = None,
    methods: str | None = None,
    datasets: str | None = None,
    protocol: str | None = None,
    interval: float = 5.0,
) -> int:
    """Print the ranking; in a terminal, update it until the process is interrupted.

    Parameters
    ----------
    experiment : comma-separated names of experiments, or ``all``; by default that of commands
    methods, datasets : comma-separated names to select, by default all
    protocol : protocol to select, by default all
    interval : time between updates [s]; 0 to print it once

    Returns
    -------
    exit code

    Raises
    ------
    MerError
        If there is no such experiment or the store is unavailable.
    """
    wanted = filters(methods, datasets, protocol)
    check_store()
    client = MlflowClient()
    sources = requested_experiments(client, experiment) or [current_experiment(client)]

    known: dict[str, Validation] = {}

    def read() -> Selection:
        with without_client_retries():
            selection = read_validations(client, sources, **wanted, known=known)
        known.update({item.run_id: item for item in selection.complete})
        return selection

    if interval > 0 and sys.stdout.isatty():
        _watch(read, interval)
    else:
        console(width=PRINTED_WIDTH).print(_board(read()))
    return OK


def _watch(read: Callable[[], Selection], interval: float) -> None:
    """Update the ranking until the process is interrupted; an outage of the server is shown."""
    from rich.live import Live

    board = _board(read())
    with Live(board, console=console(), auto_refresh=False) as live, suppress(KeyboardInterrupt):
        guard_output()  # it has replaced the guarded streams
        live.refresh()
        while True:
            time.sleep(interval)
            try:
                board = _board(read())
                live.update(board, refresh=True)
            except TrackingError as error:
                live.update(Group(board, Text(f"not updated: {error}")), refresh=True)


def _board(selection: Selection) -> RenderableType:
    n_complete = len(selection.complete)
    counts = (
        f"{datetime.now():%H:%M:%S}: {n_complete} complete, "
        f"{len(selection.validations) - n_complete} partial, "
        f"{sum(item.n_done for item in selection.validations)} folds"
    )
    lines = [counts, *(f"warning: {printable(each)}" for each in selection.left_out)]
    board = ranking_table(selection) if selection.validations else Text(NOTHING)
    return Group(board, *map(Text, lines))


def main(arguments: Sequence[str]) -> int:
    """Run ``leaderboard``."""
    return leaderboard(**parse(LEADERBOARD, arguments))
