from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest

from mer_mlflow.datasets import QUADRANTS
from mer_mlflow.reporting.validations import Validation

Rows = Mapping[str, tuple[str, list[tuple[float, ...]]]]


@pytest.fixture
def make_validation() -> Callable[..., Validation]:
    """Function that returns a cross-validation with given out-of-fold probabilities."""

    def make(
        rows: Rows,
        *,
        method: str = "svm",
        run_id: str = "a" * 32,
        digest: str = "d",
        folds: int = 2,
    ) -> Validation:
        found = []
        for i, (clip, (quadrant, repeats)) in enumerate(rows.items()):
            for repeat, shares in enumerate(repeats, start=1):
                fold = i % folds + 1
                predicted = QUADRANTS[int(np.argmax(shares))]
                row = (f"r{repeat:02d}-f{fold:02d}", clip, quadrant, predicted, *shares)
                found.append(row)
        columns = ["split", "clip", "quadrant", "predicted", *(f"p_{each}" for each in QUADRANTS)]
        return Validation(
            run_id=run_id,
            experiment_id="0",
            artifacts="",
            method=method,
            dataset="folder",
            protocol="paper",
            status="complete",
            identity=run_id,
            n_done=folds,
            n_expected=folds,
            started=0.0,
            params={"data.digest": digest, "cv.n_splits": str(folds)},
            metrics={"f1_macro_mean": 0.5},
            tags={},
            predictions=pd.DataFrame(found, columns=columns),
        )

    return make
