"""A search as users ask for it, and the name that says what it depends on."""

from __future__ import annotations

import hashlib
import json

from mer_mlflow.tuning.space import Point, SearchSpace
from mer_mlflow.tuning.study import Search
from mer_mlflow.tuning.trials import Protocol


def declare_search(
    protocol: Protocol,
    *,
    strategy: str,
    space: SearchSpace,
    start: Point,
    trials: int,
    prune: str | None,
) -> Search:
    """Declare a search: the same question means the same name, and so the same study.

    Parameters
    ----------
    protocol : what all its trials share
    strategy : ``grid``, ``neighbour`` or ``tpe``
    space : values by hyperparameter
    start : point that a neighbour search begins at
    trials : number of trials after which ``tpe`` ends
    prune : ``wilcoxon`` to stop settings that lose, None for none

    Raises
    ------
    ParameterError
        If the protocol's values are not allowed.
    """
    setting, plan = protocol.setting(start), protocol.plan
    n_trials = trials if strategy == "tpe" else 0
    facts = [setting.identity, plan.n_repeats, prune or "", dict(space), n_trials]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]
    clips = protocol.clips
    return Search(
        name=f"{protocol.method.name} {clips.name} {strategy} {digest}",
        strategy=strategy,
        space=space,
        start=start,
        n_trials=trials,
        seed=plan.seed,
        prune=prune or "",
        facts={
            "objective": "mean macro F1 over folds",
            "method": protocol.method.title,
            "dataset": f"{clips.name}, {len(clips)} clips",
            "protocol": f"{plan.protocol}, {plan.n_repeats} x {plan.n_splits}, seed {plan.seed}",
        },
    )
