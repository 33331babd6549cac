"""Table of the clips of a cross-validation, by how hard they are."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from mer_mlflow.page.out_of_fold import mean_predictions, true_probability
from mer_mlflow.reporting.descriptions import ClipDescriptions
from mer_mlflow.reporting.validations import Validation

HARDEST, SUSPECTS = "Hardest clips first", "Label suspects first"
ORDERS = (HARDEST, SUSPECTS)
COLUMNS = ("clip", "true", "predicted", "p(true)", "suspect", "artist", "title")
UNKNOWN = "–"


def errors_table(
    validation: Validation, suspects: Collection[str], descriptions: ClipDescriptions, *, order: str
) -> pd.DataFrame:
    """Return one row per clip: the lowest probability of the true quadrant first.

    Parameters
    ----------
    validation : a complete cross-validation
    suspects : ids of clips whose labels are suspect
    descriptions : descriptions of clips
    order : one of ``ORDERS``; the second one has all suspects before the others

    Returns
    -------
    table with the columns ``COLUMNS``; probabilities are means over the repetitions
    """
    means = mean_predictions(validation)
    described = [descriptions.describe(validation, str(clip)) for clip in means.index]
    table = pd.DataFrame(
        {
            "clip": means.index.astype(str),
            "artist": [each.artist or UNKNOWN for each in described],
            "title": [each.title or UNKNOWN for each in described],
            "true": means["quadrant"].to_numpy(dtype=object),
            "predicted": means["predicted"].to_numpy(dtype=object),
            "p(true)": true_probability(means).map("{:.3f}".format).to_numpy(dtype=object),
            "suspect": ["yes" if clip in suspects else "" for clip in means.index],
        },
        columns=list(COLUMNS),
    )
    by_probability = table.sort_values("p(true)", kind="stable", ignore_index=True)
    if order == HARDEST:
        return by_probability
    return by_probability.sort_values("suspect", ascending=False, kind="stable", ignore_index=True)
