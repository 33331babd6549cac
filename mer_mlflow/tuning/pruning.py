"""Early stopping of settings over folds.

References
----------
E. Bergman, L. Purucker, F. Hutter, "Don't waste your time: early stopping cross-validation",
AutoML 2024 (the forgiving rule, and folds in random order).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from mer_mlflow.crossval.splits import Split, SplitPlan

WILCOXON, FORGIVING = "wilcoxon", "forgiving"
PRUNERS = (WILCOXON, FORGIVING)
"""Rules by which a search stops settings."""


def is_forgiven(so_far: Iterable[float], incumbent: Iterable[float]) -> bool:
    """Whether a setting goes on: its mean is not worse than the worst fold of the best setting.

    Parameters
    ----------
    so_far : score of each fold that it has finished, at least one
    incumbent : score of each fold of the best setting
    """
    return float(np.mean(list(so_far))) >= min(incumbent)


def fold_order(plan: SplitPlan, prune: str) -> Sequence[Split]:
    """Return the splits in the order in which a search evaluates them.

    The forgiving rule takes them in random order, so that the first are not all of one repetition.

    Parameters
    ----------
    plan : the split plan, whose seed decides
    prune : one of ``PRUNERS``, empty for none
    """
    if prune != FORGIVING:
        return plan.splits
    order = np.random.default_rng(plan.seed).permutation(len(plan.splits))
    return [plan.splits[i] for i in order]
