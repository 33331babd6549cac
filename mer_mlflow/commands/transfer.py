"""transfer: train on datasets, and predict the clips of others."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from rich.table import Table

from mer_mlflow.arithmetic import NATIVE, require
from mer_mlflow.commands.command import OK, print_where
from mer_mlflow.commands.parameters import TRANSFER
from mer_mlflow.datasets import QUADRANTS, Clips, get_dataset, load_dataset
from mer_mlflow.errors import DatasetError, ParameterError, listing
from mer_mlflow.experiments import Experiment, resolve
from mer_mlflow.experiments.text import parse, split_names
from mer_mlflow.methods import get_method
from mer_mlflow.progress import progress
from mer_mlflow.representations import open_store
from mer_mlflow.spreadsheet import to_csv
from mer_mlflow.studies.roots import locate, parse_data_roots
from mer_mlflow.terminal import cell, console
from mer_mlflow.transfer.evaluation import Transfer, evaluate, left_out, without
from mer_mlflow.transfer.matrix import Cell, cells, matrix_table
from mer_mlflow.transfer.overlap import Duplicate, find_duplicates

if TYPE_CHECKING:
    from mer_mlflow.tracking.items import Item

PRINTED_WIDTH = 150


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A training and a test dataset without the clips that are left out.

    Attributes
    ----------
    train, test : all clips of the datasets
    duplicates : recordings that they have in common
    left_out_train, left_out_test : positions of the clips that are left out
    """

    train: Clips
    test: Clips
    duplicates: tuple[Duplicate, ...]
    left_out_train: tuple[int, ...]
    left_out_test: tuple[int, ...]


def transfer(
    *,
    methods: str = "svm",
    train: str | None = None,
    test: str | None = None,
    data_root: str | None = None,
    landmarks: bool = True,
    **requested: Any,
) -> int:
    """Train methodologies on datasets, predict the clips of others, and log the matrix to a run.

    The models are those of the folds of a cross-validation. Handcrafted features are extracted from
    audio, because tables of different datasets have different columns.

    Parameters
    ----------
    methods : comma-separated methodologies
    train, test : comma-separated datasets; by default those of ``train`` are also tested
    data_root : folder of the datasets, or ``"deam=/a;pmemo=/b"``
    landmarks : whether duplicates are also found by their audio
    requested : fields of :class:`mer_mlflow.experiments.Experiment` that all trainings have

    Returns
    -------
    exit code

    Raises
    ------
    MerError
        If a parameter or the data cannot be used, or a fold failed.
    """
    require(requested.get("arithmetic") or NATIVE)
    named = list(dict.fromkeys(split_names(methods)))
    if not named:
        raise ParameterError('methods: is required; give a methodology, or several: "svm,cnn"')
    for name in named:
        get_method(name)
    sources, targets = _names(train, test)
    clips = _load(sources, targets, data_root)
    for source in sources:
        for method in named:
            resolve(_experiment(method, source, requested), clips[source])  # before a run is made
    from mlflow import MlflowClient

    from mer_mlflow.tracking import Kind, active_run, check_store, close_abandoned, open_run, write

    check_store()
    client = MlflowClient()
    title = f"transfer {', '.join(sources)} to {', '.join(targets)}"
    run = open_run(client, name=title)
    run_id, experiment = str(run.info.run_id), str(run.info.experiment_id)
    with active_run(client, run_id, kind=Kind.TRANSFER):
        close_abandoned(client, experiment, kind=Kind.TRANSFER, but=run_id)
        pairs = _pairs(sources, targets, clips, landmarks=landmarks)
        found: list[Cell] = []
        transfers: list[Transfer] = []
        for source in sources:
            for method in named:
                for group in _by_training_clips(pairs[source]):
                    predicted = _evaluate(method, source, group, requested)
                    found += _cells(predicted, group)
                    transfers.append(predicted)
        table = matrix_table(_distinct(found), seed=requested.get("seed") or 0)
        every = [pair for source in sources for pair in pairs[source]]
        items = _items(table, every, transfers)
        write(client, run_id, [*_params(named, sources, targets), *items])
        client.set_terminated(run_id, "FINISHED")
    _print_matrix(table)
    print_where(run_id, experiment)
    return OK


def _names(train: str | None, test: str | None) -> tuple[list[str], list[str]]:
    sources = list(dict.fromkeys(split_names(train)))
    targets = list(dict.fromkeys(split_names(test))) or sources
    if not sources:
        raise ParameterError('train: is required; give a dataset, or several: train="deam,pmemo"')
    for name in (*sources, *targets):
        get_dataset(name)
    if len(targets) == 1 and targets[0] in sources:
        raise ParameterError(f"test={targets[0]}: give a dataset other than those of train")
    return sources, targets


def _load(
    sources: Sequence[str], targets: Sequence[str], data_root: str | None
) -> dict[str, Clips]:
    names = list(dict.fromkeys((*sources, *targets)))
    roots = locate(names, given=parse_data_roots(data_root), planned={})
    found = {}
    for name in names:
        if roots[name] is None and get_dataset(name).needs_root:
            raise ParameterError(
                f"dataset {name} needs its files: give data_root={name}=FOLDER, or a data_root "
                f"that contains a folder {name}"
            )
        found[name] = load_dataset(
            name, roots[name], on_warning=lambda words: print(f"warning: {words}", flush=True)
        )
        found[name].audio_files()
        print(f"dataset: {name}, {len(found[name])} clips", flush=True)
    return found


def _pairs(
    sources: Sequence[str],
    targets: Sequence[str],
    clips: Mapping[str, Clips],
    *,
    landmarks: bool,
) -> dict[str, list[Pair]]:
    """Return the pairs of each training dataset with the other datasets."""
    pairs: dict[str, list[Pair]] = {source: [] for source in sources}
    known: dict[tuple[str, str], tuple[Duplicate, ...]] = {}
    for source in sources:
        for target in (name for name in targets if name != source):
            mirrored = known.get((target, source))
            if mirrored is not None:
                duplicates = tuple(
                    replace(each, first=each.second, second=each.first) for each in mirrored
                )
            else:
                with progress(f"duplicates of {source} and {target}") as advance:
                    duplicates = find_duplicates(
                        clips[source],
                        clips[target],
                        store=open_store() if landmarks else None,
                        on_progress=advance,
                    )
            known[source, target] = duplicates
            train, test = left_out(clips[source], clips[target], duplicates)
            pair = Pair(
                train=clips[source],
                test=clips[target],
                duplicates=duplicates,
                left_out_train=tuple(train.tolist()),
                left_out_test=tuple(test.tolist()),
            )
            pairs[source].append(pair)
            _announce(pair)
            _require_quadrants(pair)
    return pairs


def _announce(pair: Pair) -> None:
    n_found = len(pair.duplicates)
    larger = pair.train if pair.left_out_train else pair.test
    n_left_out = len(pair.left_out_train) + len(pair.left_out_test)
    what = f"; clips of {larger.name} that are left out: {n_left_out}" if n_found else ""
    print(f"recordings in both {pair.train.name} and {pair.test.name}: {n_found}{what}", flush=True)


def _require_quadrants(pair: Pair) -> None:
    """Refuse a pair of which one dataset has no clips of a quadrant without the duplicates."""
    for clips, positions, other in (
        (pair.train, pair.left_out_train, pair.test),
        (pair.test, pair.left_out_test, pair.train),
    ):
        left = without(clips, np.array(positions, dtype=np.int64))
        missing = [quadrant for quadrant, count in left.counts.items() if count == 0]
        if positions and missing:
            raise DatasetError(
                f"dataset {clips.name}: without the {len(positions)} clips that are also in "
                f"{other.name}, none of {listing(missing)} is left; test other datasets"
            )


def _by_training_clips(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """Group test datasets for which the same clips are trained on."""
    groups: dict[tuple[int, ...], list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.left_out_train, []).append(pair)
    return list(groups.values())


def _evaluate(
    method: str, source: str, group: Sequence[Pair], requested: Mapping[str, Any]
) -> Transfer:
    train = without(group[0].train, np.array(group[0].left_out_train, dtype=np.int64))
    tested = [without(pair.test, np.array(pair.left_out_test, dtype=np.int64)) for pair in group]
    resolved = resolve(_experiment(method, source, requested), train)
    plan = resolved.setting.plan
    print(
        f"{method}: {plan.n_repeats} x {plan.n_splits} folds of {len(train)} clips of {source}, "
        f"which also predict {', '.join(each.name for each in tested)}",
        flush=True,
    )
    with progress("representations") as on_clip, progress(f"{method} folds") as on_fold:
        return evaluate(
            resolved.setting,
            tested,
            executor=resolved.executor,
            store=open_store(),
            on_clip=on_clip,
            on_fold=on_fold,
        )


def _experiment(method: str, source: str, requested: Mapping[str, Any]) -> Experiment:
    declared = get_method(method)
    inputs = declared.inputs_for(declared.resolve())
    features = "extracted" if any(item.table is not None for item in inputs) else None
    return Experiment(method=method, dataset=source, features=features, **requested)


def _cells(predicted: Transfer, group: Sequence[Pair]) -> list[Cell]:
    return cells(
        predicted,
        left_out_train=len(group[0].left_out_train),
        left_out_test={pair.test.name: len(pair.left_out_test) for pair in group},
    )


def _distinct(found: Sequence[Cell]) -> list[Cell]:
    """Return one cell for own folds: that of the most training clips."""
    by_place: dict[tuple[str, str, str], Cell] = {}
    for each in sorted(found, key=lambda cell: cell.n_train):
        by_place[each.method, each.train, each.test] = each
    order = dict.fromkeys((each.method, each.train, each.test) for each in found)
    return [by_place[place] for place in order]


def _predictions(predicted: Transfer) -> pd.DataFrame:
    setting = predicted.setting
    frames = [
        pd.DataFrame(
            {
                "method": setting.method.name,
                "train": setting.clips.name,
                "test": clips.name,
                "split": split.id,
                "clip": clips.ids,
                "quadrant": [QUADRANTS[label] for label in clips.quadrants],
                "predicted": [QUADRANTS[label] for label in labels],
            }
        )
        for clips, by_fold in zip(predicted.others, predicted.predicted, strict=True)
        for split, labels in zip(setting.plan.splits, by_fold, strict=True)
    ]
    return pd.concat(frames, ignore_index=True)


def _params(methods: Sequence[str], sources: Sequence[str], targets: Sequence[str]) -> list[Item]:
    from mer_mlflow.tracking import schema
    from mer_mlflow.tracking.items import Param

    return [
        Param(key=schema.TRAIN_METHODS, value=",".join(methods)),
        Param(key=schema.TRAIN_ON, value=",".join(sources)),
        Param(key=schema.TEST_ON, value=",".join(targets)),
    ]


def _items(table: pd.DataFrame, pairs: Sequence[Pair], transfers: Sequence[Transfer]) -> list[Item]:
    from mer_mlflow.tracking import schema
    from mer_mlflow.tracking.items import File, Metric
    from mer_mlflow.transfer.heat_map import heat_map

    picture, parquet = io.BytesIO(), io.BytesIO()
    heat_map(table).savefig(picture, format="png", dpi=150)
    predictions = pd.concat(map(_predictions, transfers), ignore_index=True)
    predictions.to_parquet(parquet, index=False)
    metrics = [
        Metric(
            key=f"{row['score']}/{row['method']}/{row['train']}/{row['test']}", value=row["mean"]
        )
        for row in table.to_dict("records")
    ]
    return [
        *metrics,
        File(name=schema.TRANSFER_TABLE, content=to_csv(table)),
        File(name=schema.DUPLICATES, content=to_csv(_duplicates(pairs))),
        File(name=schema.HEAT_MAP, content=picture.getvalue()),
        File(name=schema.TRANSFER_PREDICTIONS, content=parquet.getvalue()),
        File(name=schema.TRANSFER_SETTINGS, content=to_csv(_settings(transfers))),
    ]


def _settings(transfers: Sequence[Transfer]) -> pd.DataFrame:
    """Return a table with a row for each parameter of each cross-validation."""
    from mer_mlflow.tracking import schema
    from mer_mlflow.tracking.items import setting_params

    rows = []
    for each in transfers:
        facts = {param.key: param.value for param in setting_params(each.setting)}
        facts[schema.IDENTITY] = each.setting.identity
        facts |= {f"{clips.name} {schema.DIGEST}": clips.digest for clips in each.others}
        tested = ",".join(clips.name for clips in each.others)
        place = (each.setting.method.name, each.setting.clips.name, tested)
        rows += [(*place, name, value) for name, value in facts.items()]
    return pd.DataFrame(rows, columns=["method", "train", "test", "name", "value"])


def _duplicates(pairs: Sequence[Pair]) -> pd.DataFrame:
    columns = ("train", "test", "train_clip", "test_clip", "evidence")
    rows = [
        (
            pair.train.name,
            pair.test.name,
            pair.train.ids[each.first],
            pair.test.ids[each.second],
            str(each.evidence),
        )
        for pair in pairs
        for each in pair.duplicates
    ]
    return pd.DataFrame(rows, columns=list(columns))


def _print_matrix(table: pd.DataFrame) -> None:
    shown = Table(title="In per cent: mean over folds, interval over folds, interval over songs")
    for column in ("method", "trained on", "tested on"):
        shown.add_column(column)
    for column in ("macro F1", "arousal", "valence", "clips", "left out"):
        shown.add_column(column, justify="right")
    scores: dict[tuple[str, str, str], list[Any]] = {}
    for row in table.to_dict("records"):
        scores.setdefault((row["method"], row["train"], row["test"]), []).append(row)
    for (method, train, test), rows in scores.items():
        n_out = rows[0]["left_out_train"] + rows[0]["left_out_test"]
        own = " (own folds)" if train == test else ""
        texts = map(_cell_text, rows)
        shown.add_row(
            *map(cell, (method, train, f"{test}{own}", *texts, str(rows[0]["n_test"]), str(n_out)))
        )
    console(width=PRINTED_WIDTH).print(shown)


def _cell_text(row: Mapping[str, Any]) -> str:
    intervals = ((row[f"{name}_low"], row[f"{name}_high"]) for name in ("folds", "songs"))
    texts = [
        f"{100 * max(low, 0):.0f}–{100 * min(high, 1):.0f}" for low, high in intervals if low == low
    ]
    return " ".join([f"{100 * row['mean']:.1f}", *(f"[{text}]" for text in texts)])


def main(arguments: Sequence[str]) -> int:
    """Run ``transfer``."""
    return transfer(**parse(TRANSFER, arguments))
