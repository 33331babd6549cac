"""A search with all defaults filled in, and a name made of what it depends on."""

from __future__ import annotations

import hashlib
import json

from mer_mlflow.crossval.setting import Setting
from mer_mlflow.tuning.space import SearchSpace
from mer_mlflow.tuning.study import SearchSetting


def declare_search(
    setting: Setting, *, strategy: str, space: SearchSpace, trials: int, prune: str | None
) -> SearchSetting:
    """Declare a search: the same question means the same name, and so the same study.

    Parameters
    ----------
    setting : cross-validation of the point that a neighbour search begins at
    strategy : ``grid``, ``neighbour`` or ``tpe``
    space : values by hyperparameter
    trials : number of trials after which ``tpe`` ends
    prune : one of ``PRUNERS``, None to run all folds of all settings
    """
    plan, clips = setting.plan, setting.clips
    n_trials = trials if strategy == "tpe" else 0
    facts = [setting.identity, plan.n_repeats, prune or "", dict(space), n_trials]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]
    return SearchSetting(
        name=f"{setting.method.name} {clips.name} {strategy} {digest}",
        strategy=strategy,
        space=space,
        start={name: getattr(setting.hyperparameters, name) for name in space},
        n_trials=trials,
        seed=plan.seed,
        prune=prune or "",
        facts={
            "objective": "mean macro F1 over folds",
            "method": setting.method.title,
            "dataset": f"{clips.name}, {len(clips)} clips",
            "protocol": f"{plan.protocol}, {plan.n_repeats} x {plan.n_splits}, seed {plan.seed}",
        },
    )
