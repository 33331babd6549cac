"""Estimated times of a study's items, which improve as items are finished."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from mer_mlflow.crossval.setting import Setting
from mer_mlflow.representations import Store
from mer_mlflow.tracking import schema
from mer_mlflow.training import Method, Value
from mer_mlflow.tuning.space import SearchSpace, grid

CLIP_SECONDS = 30.0
"""Length of the excerpt for which methodologies declare their cost."""
MOST_SECONDS, MOST_EPOCHS = 1e9, 1e9
"""Maximum plausible value of a run; larger ones are not used."""
START_SECONDS = 10.0
"""Overhead of a process for imports, reading and writing."""
TRACKING_SECONDS = 0.1
"""Time of the command to track one fold."""
STUDY_CLIPS, STUDY_SPLITS = 900, 10
"""Clips and folds for which methodologies declare after how many epochs training ends."""
SIMILAR = 2.0
"""Largest ratio of the numbers of steps of two epochs that are similar."""
EARLY = 0.95
"""Share of the maximum number of epochs below which training has ended early."""
PACE = ("epochs", "batch_size", "stop_accuracy")
"""Hyperparameters on which the time of a training depends most."""
DECLARED = "declared cost"
"""Source of costs that no run has measured."""
TRUST_SECONDS = 60.0
"""Weight of the original estimates, relative to the times of finished items."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """Work of one fold.

    Attributes
    ----------
    clips : number of training clips of 30 s; a clip of another length counts in proportion
    steps : number of training steps of an epoch, 0 if there are none
    epochs : maximum number of epochs, None if there are none
    stop_accuracy : training accuracy at which the training ends, None if it never ends early
    """

    clips: float
    steps: float = 0.0
    epochs: int | None = None
    stop_accuracy: float | None = None


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Number of epochs after which a training ended.

    Attributes
    ----------
    epochs : mean over folds
    load : load of the folds in which it was observed
    """

    epochs: float
    load: Load

    def applies(self, load: Load) -> bool:
        """Return whether folds with another load end after a similar number of epochs."""
        if load.epochs is None or self.load.epochs is None or not self.load.steps:
            return False
        is_similar = 1 / SIMILAR <= load.steps / self.load.steps <= SIMILAR
        is_known = load.epochs <= self.load.epochs or self.epochs < EARLY * self.load.epochs
        return is_similar and is_known and load.stop_accuracy == self.load.stop_accuracy


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Time of a methodology on one core.

    Attributes
    ----------
    seconds : time of a clip of 30 s in one epoch, or in one fit without epochs
    step_seconds : additional time of a training step
    stop : when training ends, None if it is unknown
    source : where these values are from
    """

    seconds: float
    step_seconds: float = 0.0
    stop: Stop | None = None
    source: str = DECLARED

    def of_fold(self, load: Load, epochs: float) -> float:
        """Return the time of a fold on one core [s]."""
        return (load.clips * self.seconds + load.steps * self.step_seconds) * epochs

    def epochs(self, load: Load) -> float:
        """Return the usual number of epochs, the maximum if it is unknown; 1 without epochs."""
        if load.epochs is None:
            return 1.0
        if self.stop is None or not self.stop.applies(load):
            return load.epochs
        return min(load.epochs, self.stop.epochs)

    def is_bound(self, load: Load) -> bool:
        """Return whether training may end earlier than expected."""
        may_stop = load.epochs is not None and load.stop_accuracy is not None
        return may_stop and (self.stop is None or not self.stop.applies(load))


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Estimated time of an item.

    Attributes
    ----------
    seconds : wall-clock time
    is_bound : whether it is an upper bound, because training may stop early
    source : where the cost of a fold is from
    """

    seconds: float
    is_bound: bool
    source: str = DECLARED

    def __str__(self) -> str:
        return f"{'at most ' * self.is_bound}{clock(self.seconds)}"


def load_of(setting: Setting) -> Load:
    """Return the load of one fold of a setting."""
    reads_sound = any(not item.is_handcrafted for item in setting.inputs)
    return _load(
        n_clips=len(setting.clips) * (1 + len(setting.augmentations)),
        n_splits=setting.plan.n_splits,
        seconds=setting.duration if reads_sound else None,
        hyperparameters=asdict(setting.hyperparameters),
    )


def declared_load(method: Method) -> Load:
    """Return the load of one fold of the study, for which a methodology is declared."""
    return _load(
        n_clips=STUDY_CLIPS * (1 + len(method.augmentations)),
        n_splits=STUDY_SPLITS,
        seconds=None,
        hyperparameters=method.defaults,
    )


def declared_cost(method: Method) -> Cost:
    """Return the declared cost of a methodology."""
    usual = method.usual_epochs
    return Cost(
        seconds=method.cost,
        step_seconds=method.step_cost,
        stop=None if usual is None else Stop(epochs=usual, load=declared_load(method)),
    )


def measured_cost(
    method: Method,
    params: Mapping[str, str],
    *,
    fit_seconds: float,
    n_epochs: float | None,
    source: str,
) -> Cost | None:
    """Return the cost of a methodology according to finished folds.

    The declared costs of clips and steps are scaled so that they give the measured time.

    Parameters
    ----------
    method : the methodology
    params : parameters of the parent run, by their names in reports
    fit_seconds : mean training time of a fold [s]
    n_epochs : mean number of epochs of a fold, None if it is unknown
    source : name of the folds for users

    Returns
    -------
    the cost; None if it is unknown, as for a run with nested searches
    """
    if schema.NESTED_STRATEGY in params:
        return None
    declared = declared_cost(method)
    try:
        load = _load_of_run(method, params)
        epochs = declared.epochs(load) if n_epochs is None else min(load.epochs or 1, n_epochs)
        ratio = fit_seconds / declared.of_fold(load, epochs)
    except (KeyError, ValueError, ZeroDivisionError, OverflowError):
        return None
    if not (0 <= ratio * declared.of_fold(load, epochs) <= MOST_SECONDS and epochs <= MOST_EPOCHS):
        return None
    is_measured = load.epochs is not None and n_epochs is not None
    return Cost(
        seconds=ratio * declared.seconds,
        step_seconds=ratio * declared.step_seconds,
        stop=Stop(epochs=epochs, load=load) if is_measured else declared.stop,
        source=source,
    )


def estimate(
    load: Load,
    cost: Cost,
    *,
    n_folds: int,
    n_points: int = 1,
    n_workers: int,
    preparation: float = 0.0,
) -> Estimate:
    """Estimate the time of a cross-validation, or of a search.

    Parameters
    ----------
    load : load of one fold
    cost : cost of the methodology
    n_folds : number of folds to run
    n_points : number of settings of a search
    n_workers : int >= 0, number of worker processes
    preparation : time to compute missing representations, on one core [s]
    """
    at_once = max(1, min(n_workers, n_folds))
    fold = cost.of_fold(load, cost.epochs(load)) / at_once + TRACKING_SECONDS
    cores = os.cpu_count() or 1
    return Estimate(
        seconds=START_SECONDS + preparation / cores + fold * n_folds * n_points,
        is_bound=cost.is_bound(load) or n_points > 1,
        source=cost.source,
    )


def preparation_seconds(setting: Setting, store: Store) -> float:
    """Estimate the time to compute a setting's missing representations, on one core [s].

    Whether an entry exists is checked, but not whether it is valid.
    """
    return sum(
        each.cost * each.duration / CLIP_SECONDS * store.n_absent(setting.clips, each)
        for each in setting.representations
    )


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


def _load_of_run(method: Method, params: Mapping[str, str]) -> Load:
    copies = params.get(schema.AUGMENTATIONS, "").split()
    reads_sound = any(not item.is_handcrafted for item in method.inputs)
    given = {name: params[schema.HP + name] for name in PACE if schema.HP + name in params}
    return _load(
        n_clips=int(params[schema.N_CLIPS]) * (1 + len(copies)),
        n_splits=int(params[schema.N_SPLITS]),
        seconds=float(params[schema.SECONDS]) if reads_sound else None,
        hyperparameters=given,
    )


def _load(
    *,
    n_clips: int,
    n_splits: int,
    seconds: float | None,
    hyperparameters: Mapping[str, Value],
) -> Load:
    n_trained = n_clips * (1 - 1 / max(n_splits, 2))
    epochs, batch, accuracy = (hyperparameters.get(name) for name in PACE)
    return Load(
        clips=n_trained * (1.0 if seconds is None else seconds / CLIP_SECONDS),
        steps=0.0 if batch is None else n_trained / float(batch),
        epochs=None if epochs is None else int(float(epochs)),
        stop_accuracy=None if accuracy is None else float(accuracy),
    )
