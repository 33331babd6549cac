"""Estimated times of a study's items, which improve as items are finished."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mer_mlflow.crossval.setting import Setting
from mer_mlflow.tracking import schema
from mer_mlflow.training import Method
from mer_mlflow.tuning.space import SearchSpace, grid

CLIP_SECONDS = 30.0
"""Length of the excerpt for which methodologies declare their cost."""
MOST_SECONDS, MOST_EPOCHS = 1e9, 1e9
"""Maximum plausible value of a run; larger ones are not used."""
START_SECONDS = 10.0
"""Overhead of a process for imports, reading and writing."""
TRUST_SECONDS = 60.0
"""Weight of the original estimates, relative to the times of finished items."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """Work of one fold, in units of a methodology's cost.

    Attributes
    ----------
    units : number of training clips of 30 s, times the maximum number of epochs
    epochs : maximum number of epochs, None if there are none
    """

    units: float
    epochs: int | None


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Time per unit of a methodology's load.

    Attributes
    ----------
    seconds : time on one core
    epochs : maximum number of epochs of the run where it was measured; None if it is declared
    """

    seconds: float
    epochs: int | None = None


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Estimated time of an item.

    Attributes
    ----------
    seconds : wall-clock time
    is_bound : whether it is an upper bound, because training may stop early
    """

    seconds: float
    is_bound: bool

    def __str__(self) -> str:
        return f"{'≤ ' * self.is_bound}{clock(self.seconds)}"


def load_of(setting: Setting) -> Load:
    """Return the load of one fold of a setting."""
    reads_sound = any(not item.is_handcrafted for item in setting.inputs)
    return _load(
        n_clips=len(setting.clips) * (1 + len(setting.augmentations)),
        n_splits=setting.plan.n_splits,
        seconds=setting.duration if reads_sound else None,
        epochs=getattr(setting.hyperparameters, "epochs", None),
    )


def cost_of_run(
    method: Method, params: Mapping[str, str], metrics: Mapping[str, float]
) -> Cost | None:
    """Return the cost of a unit of load in a finished cross-validation.

    Parameters
    ----------
    method : its methodology
    params, metrics : parameters and metrics of its parent run, by their names in reports

    Returns
    -------
    the cost; None if it is unknown, as for a run with nested searches
    """
    if schema.NESTED_STRATEGY in params:
        return None
    try:
        reads_sound = any(not item.is_handcrafted for item in method.inputs)
        epochs, copies = params.get("hp.epochs"), params.get(schema.AUGMENTATIONS, "").split()
        load = _load(
            n_clips=int(params[schema.N_CLIPS]) * (1 + len(copies)),
            n_splits=int(params[schema.N_SPLITS]),
            seconds=float(params[schema.SECONDS]) if reads_sound else None,
            epochs=None if epochs is None else int(float(epochs)),
        )
        seconds = metrics["fit_seconds_total"] / metrics[schema.FOLDS_DONE] / load.units
    except (KeyError, ValueError, ZeroDivisionError, OverflowError):
        return None
    is_likely = 0 <= seconds <= MOST_SECONDS and (load.epochs or 1) <= MOST_EPOCHS
    return Cost(seconds=seconds, epochs=load.epochs) if is_likely else None


def estimate(
    load: Load, cost: Cost, *, n_folds: int, n_points: int = 1, n_workers: int
) -> Estimate:
    """Estimate the time of a cross-validation, or of a search.

    Parameters
    ----------
    load : load of one fold
    cost : cost of a unit of load
    n_folds : number of folds to run
    n_points : number of settings of a search
    n_workers : int >= 0, number of worker processes
    """
    at_once = max(1, min(n_workers, n_folds))
    seconds = load.units * cost.seconds * n_folds * n_points / at_once
    stops_early = load.epochs is not None and load.epochs != cost.epochs
    return Estimate(seconds=START_SECONDS + seconds, is_bound=stops_early or n_points > 1)


def n_points(strategy: str, space: SearchSpace, trials: int) -> int:
    """Return the number of settings of a search; for a neighbour search, that of one round."""
    if strategy == "tpe":
        return trials
    if strategy == "grid":
        return sum(1 for _ in grid(space))
    return 1 + sum(min(2, len(values) - 1) for values in space.values())


def seconds_left(to_do: Iterable[float], finished: Iterable[tuple[float, float]]) -> float:
    """Estimate the remaining time of a study [s].

    Parameters
    ----------
    to_do : estimated times of the remaining items [s]
    finished : (estimated time, actual time) of finished items [s]; longer ones have more weight
    """
    pairs = [(TRUST_SECONDS, TRUST_SECONDS), *finished]
    estimated, real = (sum(pair[i] for pair in pairs) for i in (0, 1))
    return sum(to_do) * real / estimated


def clock(seconds: float) -> str:
    """Format seconds as ``H:MM:SS``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _load(*, n_clips: int, n_splits: int, seconds: float | None, epochs: int | None) -> Load:
    n_trained = n_clips * (1 - 1 / max(n_splits, 2))
    share = 1.0 if seconds is None else seconds / CLIP_SECONDS
    return Load(units=n_trained * share * (epochs or 1), epochs=epochs)
