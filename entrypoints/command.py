"""What all entry points do alike: signals, errors, exit codes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from mer_mlflow.access import refusal, shown
from mer_mlflow.errors import MerError, UndeliveredError

OK, BAD_INPUT, INCOMPLETE, INTERRUPTED = 0, 2, 3, 130


def run_command(command: Callable[[], int]) -> None:
    """Run a command and exit with its code.

    A user's mistake is one line on stderr and code 2; results that wait for the tracking server are
    code 3; an interruption (Ctrl-C, SIGTERM) is code 130.

    Parameters
    ----------
    command : returns the exit code
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = command()
    except MerError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        code = INCOMPLETE if isinstance(error, UndeliveredError) else BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted: give the same command again to continue", file=sys.stderr, flush=True)
        code = INTERRUPTED
    except Exception as error:
        words = refusal(error)
        if words is None:
            raise
        print(f"error: {words}", file=sys.stderr, flush=True)
        code = BAD_INPUT
    sys.exit(code)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def name_run(name: str) -> None:
    """Name the run that ``mlflow run`` made for a command that keeps nothing in it."""
    from mlflow import MlflowClient

    run_id = os.environ.get("MLFLOW_RUN_ID")
    if run_id:
        MlflowClient().update_run(run_id, name=name)


def print_where(run_id: str, experiment_id: str) -> None:
    """Print how to look at a run."""
    import mlflow

    uri = shown(mlflow.get_tracking_uri())
    if uri.startswith("http"):
        print(f"look at it: {uri}/#/experiments/{experiment_id}/runs/{run_id}")
    else:
        print(f"look at it: `make ui`, then run {run_id} (store: {uri})")
