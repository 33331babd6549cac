"""Logged items as plain values, built without a server."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_mlflow.arithmetic import UNKNOWN, Facts, facts_text, kinds, readable_facts
from mer_mlflow.crossval.jobs import Epoch, FoldResult
from mer_mlflow.crossval.metrics import confusion_counts
from mer_mlflow.crossval.results import CHANGED, NOTES, CrossValidation, fold_row, prediction_table
from mer_mlflow.crossval.setting import Setting
from mer_mlflow.crossval.splits import Split
from mer_mlflow.datasets.clips import QUADRANTS, Clips
from mer_mlflow.errors import listing
from mer_mlflow.spreadsheet import to_csv, unescaped
from mer_mlflow.tracking import schema
from mer_mlflow.tracking.metric_names import PARENT_METRICS, fold_metric, parent_metric
from mer_mlflow.training import Illustration, Prediction, Value

NO_METRICS = ("repeat", "fold")
PAGE_HEAD = """\
<!doctype html><meta charset="utf-8"><title>clips</title>
<style>body { font: 14px sans-serif } td, th { padding: 2px 10px; text-align: left }</style>
"""
DECIMALS = 4
"""Decimals of probabilities in the table of clips."""
SUM_TOLERANCE = 1e-3
"""Tolerance of the sum of a clip's probabilities, which may be in single precision."""


@dataclass(frozen=True, kw_only=True)
class Param:
    """A parameter of a run."""

    key: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of a run."""

    key: str
    value: float
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A tag of a run."""

    key: str
    value: str


@dataclass(frozen=True, kw_only=True)
class File:
    """An artifact of a run: name, with folders, and content."""

    name: str
    content: bytes


Item = Param | Metric | Tag | File


def setting_params(setting: Setting) -> Iterator[Param]:
    """Yield hyperparameters and protocol; their prefixes differ from names in ``MLproject``."""
    choice = setting.choice
    chosen = dict.fromkeys(choice.names, schema.CHOSEN) if choice else {}
    for name, value in {**asdict(setting.hyperparameters), **chosen}.items():
        yield Param(key=schema.HP + name, value=str(value))
    for name, value in choice.facts.items() if choice else ():
        yield Param(key=f"{schema.NESTED}{name}", value=value)
    plan = setting.plan
    own = setting.method.augmentations
    facts = {
        schema.CV_PROTOCOL: plan.protocol,
        schema.N_SPLITS: plan.n_splits,
        schema.N_REPEATS: plan.n_repeats,
        schema.SEED: plan.seed,
        schema.TEST_SHARE: plan.test_share,
        schema.THREADS: setting.threads,
        schema.CV_ARITHMETIC: setting.arithmetic,
        schema.SECONDS: "" if setting.duration is None else f"{setting.duration:g}",
        schema.N_CLIPS: len(setting.clips),
        schema.DIGEST: setting.clips.digest,
        schema.FEATURES: setting.features or "",
        schema.AUGMENTATIONS: " ".join(item.key for item in setting.augmentations)
        or schema.NO_AUGMENTATIONS * bool(own),
        schema.INPUTS: " ".join(item.key for item in setting.inputs),
    }
    for key, fact in facts.items():
        if fact != "":
            yield Param(key=key, value=str(fact))


def epoch_metrics(epoch: Epoch) -> Iterator[Metric]:
    """Yield the metrics of a fold's epoch: training metrics, and test metrics if requested."""
    prefix = f"{epoch.stage}/" if epoch.stage else ""
    for key, value in asdict(epoch).items():
        if key not in ("epoch", "stage") and value is not None:
            yield Metric(key=prefix + key, value=value, step=epoch.epoch)


def fold_items(setting: Setting, split: Split, result: FoldResult) -> Iterator[Item]:
    """Yield the items of a finished fold's run, without its curves."""
    for name, value in {**asdict(setting.hyperparameters), **result.chosen}.items():
        yield Param(key=schema.HP + name, value=str(value))
    yield Param(key=schema.REPEAT, value=str(split.repeat))
    yield Param(key=schema.FOLD, value=str(split.fold))
    yield Param(key=schema.FOLD_SEED, value=str(split.seed))
    if result.arithmetic:
        yield Tag(key=schema.ARITHMETIC, value=facts_text(result.arithmetic))
    for key, value in fold_row(result).items():
        if (
            isinstance(value, int | float)
            and key not in NO_METRICS
            and not key.startswith(schema.HP)
        ):
            yield Metric(key=fold_metric(key), value=float(value))
    table = prediction_table(result, setting.clips)
    yield File(name=schema.PREDICTIONS, content=to_csv(table))
    yield File(name=schema.CONFUSION, content=to_csv(confusion_matrix(table).reset_index()))
    if result.epochs:
        epochs = pd.DataFrame([asdict(epoch) for epoch in result.epochs])
        yield File(name=schema.EPOCHS, content=to_csv(epochs))


def validation_items(validation: CrossValidation) -> Iterator[Item]:
    """Yield the summary of a complete cross-validation.

    Metrics in sections come first, macro F1 before all others: MLflow's pages show metrics in this
    order, and compare runs by the first one.
    """
    folds, metrics = validation.folds, _validation_metrics(validation)
    first = [name for name, _ in PARENT_METRICS]
    for name in (*first, *(each for each in metrics if each not in first)):
        if not math.isnan(metrics[name]):
            yield Metric(key=parent_metric(name), value=metrics[name])
    yield File(name=schema.FOLDS_TABLE, content=_parquet(folds))
    yield File(
        name=schema.PREDICTIONS_TABLE,
        content=_parquet(validation.predictions),
    )
    clips = clips_table(validation)
    yield File(name=schema.CLIPS_TABLE, content=to_csv(clips))
    yield File(name=schema.CLIPS_PAGE, content=_page(clips))
    confusion = confusion_matrix(validation.predictions)
    yield File(name=schema.CONFUSION, content=to_csv(confusion.reset_index()))
    histories = [
        pd.DataFrame([asdict(epoch) for epoch in result.epochs]).assign(split=result.split_id)
        for result in validation.results
        if result.epochs
    ]
    if histories:
        yield File(name=schema.EPOCHS_TABLE, content=_parquet(pd.concat(histories)))


def _validation_metrics(validation: CrossValidation) -> dict[str, float]:
    """Return the metrics of a complete cross-validation, by their names in reports."""
    found: dict[str, float] = {}
    for name, summary in validation.summary.items():
        low, high = summary.bounds
        found |= {f"{name}_mean": summary.mean, f"{name}_std": summary.std}
        found |= {f"{name}_low": low, f"{name}_high": high}
    folds = validation.folds
    for name in (name for name in folds.columns if name.startswith((CHANGED, NOTES))):
        found[f"{name}_mean"] = float(folds[name].mean())
    found["fit_seconds_total"] = float(folds["fit_seconds"].sum())
    n_epochs = float(folds["n_epochs"].mean())
    found["n_epochs_mean"] = n_epochs or math.nan
    found["peak_memory_mib_max"] = float(folds["peak_memory_mib"].max())
    return found


def clips_table(validation: CrossValidation) -> pd.DataFrame:
    """Return a table with a row for each clip that was tested, wrong predictions first.

    Columns are clip, artist, title, true quadrant, the quadrant that was predicted most often, its
    mean probability, that of the true quadrant, and the share of wrong predictions.
    """
    clips, rows = validation.setting.clips, validation.predictions
    wrong = (rows["quadrant"] != rows["predicted"]).groupby(rows["clip"]).mean()
    means = rows.groupby("clip")[[f"p_{name}" for name in QUADRANTS]].mean().to_numpy()
    votes = pd.crosstab(rows["clip"], rows["predicted"]).reindex(
        columns=list(QUADRANTS), fill_value=0
    )
    predicted = (votes.to_numpy() + means / 2).argmax(axis=1)  # the mean decides equal votes
    positions = {clip: i for i, clip in enumerate(clips.ids)}
    tested = [positions[clip] for clip in wrong.index]
    true, each = clips.quadrants[tested], np.arange(len(tested))
    titles = clips.titles or (None,) * len(clips)
    table = pd.DataFrame(
        {
            "clip": wrong.index,
            "artist": [clips.artists[i] or "" for i in tested],
            "title": [titles[i] or "" for i in tested],
            "true": [QUADRANTS[label] for label in true],
            "predicted": [QUADRANTS[label] for label in predicted],
            "probability": means[each, predicted].round(DECIMALS),
            "probability_of_true": means[each, true].round(DECIMALS),
            "share_wrong": wrong.to_numpy().round(DECIMALS),
        }
    )
    order = ["share_wrong", "probability_of_true", "clip"]
    return table.sort_values(order, ascending=[False, True, True], ignore_index=True)


def arithmetic_tags(results: Sequence[FoldResult]) -> Iterator[Tag]:
    """Yield a tag with the arithmetic of all folds; another tag if they differ."""
    found = kinds(result.arithmetic for result in results)
    if len(found) > 1:
        counted = [{"folds": count, **facts} for count, facts in found]
        yield Tag(key=schema.MIXED_ARITHMETIC, value=json.dumps(counted, sort_keys=True))
    elif found and found[0][1]:
        yield Tag(key=schema.ARITHMETIC, value=facts_text(results[0].arithmetic))


def readable_mixture(text: str) -> list[str]:
    """Describe each kind of arithmetic in a tag of mixed ones: ``4 folds: …``."""
    try:
        counted = [{str(key): str(fact) for key, fact in each.items()} for each in json.loads(text)]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return [UNKNOWN]
    return [f"{each.pop('folds', '?')} folds: {readable_facts(each)}" for each in counted]


def plan_file(setting: Setting) -> File:
    """Return the split plan as a table."""
    return File(
        name=schema.SPLIT_PLAN_TABLE, content=_parquet(setting.plan.to_frame(setting.clips))
    )


def confusion_matrix(predictions: pd.DataFrame) -> pd.DataFrame:
    """Count clips by true quadrant (rows) and predicted quadrant (columns)."""
    true, predicted = (
        pd.Categorical(predictions[name], QUADRANTS).codes.astype(np.int64)
        for name in ("quadrant", "predicted")
    )
    return pd.DataFrame(
        confusion_counts(true, predicted),
        index=pd.Index(QUADRANTS, name="quadrant"),
        columns=pd.Index(QUADRANTS, name="predicted"),
    )


def read_fold(
    *,
    split_id: str,
    clips: Clips,
    predictions: str,
    epochs: str | None,
    metrics: dict[str, float],
    started: float,
    chosen: Mapping[str, Value],
    arithmetic: Facts,
) -> FoldResult:
    """Restore a fold's result exactly from its run.

    Parameters
    ----------
    split_id : id of the split
    clips : clips of the dataset
    predictions, epochs : contents of the CSV artifacts
    metrics : latest metrics of the run, by their names in tables
    started : Unix time [s]
    chosen : hyperparameters that were chosen within the training set
    arithmetic : arithmetic of the fold, empty if unknown

    Raises
    ------
    ValueError, KeyError, OverflowError, csv.Error
        If something is missing, damaged or of another dataset.
    """
    table = list(csv.DictReader(io.StringIO(predictions)))
    if not table or any(None in row.values() for row in table):
        raise ValueError(f"{schema.PREDICTIONS} of fold {split_id} is truncated")
    positions = {clip: i for i, clip in enumerate(clips.ids)}
    unknown = sorted({unescaped(row["clip"]) for row in table} - positions.keys())
    if unknown:
        raise ValueError(
            f"{schema.PREDICTIONS} has clips that are not in the dataset: {listing(unknown)}"
        )
    labels = {quadrant: label for label, quadrant in enumerate(QUADRANTS)}
    test = np.array([positions[unescaped(row["clip"])] for row in table])
    true = np.array([labels[row["quadrant"]] for row in table])
    history = csv.DictReader(io.StringIO(epochs or ""))
    n_parameters = metrics.get("n_parameters")
    return FoldResult(
        split_id=split_id,
        test=test,
        true=true,
        prediction=Prediction(
            probabilities=_read_probabilities(table, ""),
            quadrants=np.array([labels[row["predicted"]] for row in table]),
            stages={
                stage: _read_probabilities(table, f"{stage}/")
                for stage in dict.fromkeys(name.split("/")[0] for name in table[0] if "/" in name)
            },
        ),
        epochs=tuple(_read_epoch(row) for row in history),
        started=started,
        fit_seconds=metrics["fit_seconds"],
        predict_seconds=metrics["predict_seconds"],
        peak_memory=metrics["peak_memory_mib"],
        n_parameters=None if n_parameters is None else int(n_parameters),
        chosen=chosen,
        changed=_under(CHANGED, metrics),
        illustration=Illustration(numbers=_under(NOTES, metrics)),
        arithmetic=arithmetic,
    )


def check_fold(
    result: FoldResult, *, split: Split, clips: Clips, params: Mapping[str, str]
) -> None:
    """Check that a fold's result belongs to this split and these clips.

    Parameters
    ----------
    result : result returned by :func:`read_fold`
    split : split of the plan
    clips : clips of the dataset
    params : parameters of the fold's run

    Raises
    ------
    ValueError
        If it contradicts them, or its probabilities are invalid.
    """
    planned = {schema.REPEAT: split.repeat, schema.FOLD: split.fold, schema.FOLD_SEED: split.seed}
    for key, value in planned.items():
        if params.get(key, str(value)) != str(value):
            raise ValueError(f"its {key} is {params[key]}, the plan's {value}")
    if not np.array_equal(result.test, split.test):
        raise ValueError(f"{schema.PREDICTIONS} does not list the test clips of fold {split.id}")
    wrong = [clips.ids[i] for i in split.test[result.true != clips.quadrants[split.test]]]
    if wrong:
        raise ValueError(f"{schema.PREDICTIONS} contradicts the labels of {listing(wrong)}")
    for stage, values in {"": result.prediction.probabilities, **result.prediction.stages}.items():
        fault = _fault_of(values, n_clips=len(split.test))
        if fault:
            raise ValueError(
                f"{schema.PREDICTIONS}: probabilities {stage and f'of {stage} '}{fault}"
            )


def _fault_of(probabilities: NDArray[np.float64], *, n_clips: int) -> str | None:
    """Return the fault of probabilities; None if they are valid."""
    if probabilities.shape != (n_clips, len(QUADRANTS)):
        return f"have shape {probabilities.shape}, not {(n_clips, len(QUADRANTS))}"
    if not np.isfinite(probabilities).all():
        return "are not all finite"
    if (probabilities < 0).any() or (probabilities > 1 + SUM_TOLERANCE).any():
        return "are not all between 0 and 1"
    if (abs(probabilities.sum(axis=1) - 1) > SUM_TOLERANCE).any():
        return "do not sum to 1 in each row"
    return None


def read_chosen(setting: Setting, params: Mapping[str, str]) -> dict[str, Value]:
    """Read the hyperparameters that a fold has chosen from its run's parameters."""
    names = setting.choice.names if setting.choice else ()
    resolved = setting.method.resolve({name: params[schema.HP + name] for name in names})
    return {name: getattr(resolved, name) for name in names}


def _under(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {
        name.removeprefix(prefix): value
        for name, value in metrics.items()
        if name.startswith(prefix)
    }


def _read_probabilities(table: Sequence[dict[str, str]], prefix: str) -> NDArray[np.float64]:
    return np.array([[float(row[f"{prefix}p_{name}"]) for name in QUADRANTS] for row in table])


def _read_epoch(row: dict[str, str]) -> Epoch:
    figures = {name: text for name, text in row.items() if name not in ("epoch", "stage")}
    return Epoch(
        epoch=int(row["epoch"]),
        stage=row["stage"],
        **{name: float(text) if text else None for name, text in figures.items()},  # type: ignore[arg-type]
    )


def _page(table: pd.DataFrame) -> bytes:
    """Return a table as a page, without columns of which every cell is empty."""
    shown = table.loc[:, (table != "").any()]
    return (PAGE_HEAD + shown.to_html(index=False, border=0)).encode()


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()
