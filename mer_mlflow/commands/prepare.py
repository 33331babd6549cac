"""prepare: check a dataset and fill the representation store."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from mer_mlflow.arithmetic import NATIVE, require
from mer_mlflow.augmentation import needed_for
from mer_mlflow.checks import ALLOW_COLUMNS, check_columns
from mer_mlflow.commands.announcement import announce_dataset
from mer_mlflow.commands.command import BAD_INPUT, OK, print_where
from mer_mlflow.commands.parameters import PREPARE
from mer_mlflow.crossval.executors import INLINE, PROCESSES, resolve_executor
from mer_mlflow.crossval.executors.filling import fill_on_cluster
from mer_mlflow.datasets import (
    QUADRANTS,
    Clips,
    Reading,
    data_root_or_default,
    get_dataset,
    read_dataset,
)
from mer_mlflow.errors import WeightsError, listing
from mer_mlflow.experiments.text import parse, split_columns
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.progress import progress
from mer_mlflow.representations import (
    Representation,
    open_store,
    with_duration,
    with_features,
    with_weights,
)
from mer_mlflow.representations.audio import shortfalls
from mer_mlflow.representations.inspection import VERY_SHORT_SECONDS, Inspection, inspect_audio
from mer_mlflow.terminal import cell
from mer_mlflow.training import Method


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where representations are computed.

    Attributes
    ----------
    arithmetic : arithmetic of the store
    executor : name of the executor
    root : data root as given by the user
    """

    arithmetic: str
    executor: str
    root: str | None


def prepare(
    *,
    method: str | None = None,
    dataset: str | None = None,
    data_root: str | None = None,
    av_scale: str | None = None,
    duration: float = 30.0,
    allow_columns: str | None = None,
    arithmetic: str = NATIVE,
    executor: str | None = None,
) -> int:
    """Check a dataset, print and log the findings, and compute representations.

    Parameters
    ----------
    method : methodology whose representations are computed, by default all methodologies
    dataset : name; by default original-4qaed if a data root is given, else demo
    data_root : folder of the dataset, by default ``MER_DATA_ROOT``
    av_scale : scale of arousal and valence in its table, by default guessed
    duration : length of the excerpt of each clip [s]; shorter clips are listed
    allow_columns : comma-separated columns of feature tables that are allowed in spite of checks
    arithmetic : ``native`` or ``portable``, each of which has a separate store
    executor : address of a scheduler of Dask, whose workers compute the representations; by default
        ``MER_EXECUTOR``, else this machine computes them

    Returns
    -------
    exit code: 0, or 2 if the dataset has errors

    Raises
    ------
    MerError
        If a parameter or the data cannot be used.
    """
    require(arithmetic)
    place = Place(arithmetic=arithmetic, executor=resolve_executor(executor), root=data_root)
    allowed = split_columns(allow_columns)
    methods = tuple(map(get_method, method_names() if method is None else (method,)))
    name = announce_dataset(dataset, data_root)
    from mlflow import MlflowClient

    from mer_mlflow.tracking import Kind, active_run, check_store

    check_store()
    with ExitStack() as stack:
        if given := os.environ.get("MLFLOW_RUN_ID"):  # the run exists already
            stack.enter_context(active_run(MlflowClient(), given, kind=Kind.PREPARE))
        reading = read_dataset(name, data_root, av_scale=av_scale)
        return _prepare(reading, duration, allowed, place, methods)


def _prepare(
    reading: Reading,
    duration: float,
    allowed: Sequence[str],
    place: Place,
    methods: Sequence[Method],
) -> int:
    clips = reading.clips
    representations = _representations(clips, duration, methods)
    with progress("decoding") as advance:
        inspection = inspect_audio(clips, duration=duration, on_progress=advance)
    found = check_columns(clips, clips.features, allow=allowed)
    errors = [
        *reading.errors,
        *inspection.broken,
        *(f"{finding}, {ALLOW_COLUMNS}" for finding in found if finding.stops),
    ]
    warnings = [*reading.warnings, *(str(finding) for finding in found if not finding.stops)]
    lines = list(_findings(clips, inspection, duration, errors, warnings))
    lines += [f"{file} is {encoding}" for file, encoding in sorted(reading.encodings.items())]
    buffer = io.StringIO()
    console = Console(width=100, file=buffer)
    console.print(_counts_table(clips))
    for line in lines:
        console.print(cell(f"- {line}"))
    summary = buffer.getvalue()
    print(summary, end="", flush=True)
    if not errors and inspection.seconds:
        _fill(clips, representations, place)
    _track(clips, summary, n_errors=len(errors))
    if errors:
        print(f"error: {len(errors)} errors; correct them before training", file=sys.stderr)
    return BAD_INPUT if errors else OK


def _counts_table(clips: Clips) -> Table:
    published = get_dataset(clips.name).published_counts
    table = Table(title=f"{get_dataset(clips.name).title}: clips", title_justify="left")
    table.add_column("")
    for quadrant in (*QUADRANTS, "total"):
        table.add_column(quadrant, justify="right")
    rows = {"found": clips.counts} | ({"published": dict(published)} if published else {})
    for label, counts in rows.items():
        values = [*counts.values(), sum(counts.values())]
        table.add_row(label, *(str(value) for value in values))
    return table


def _findings(
    clips: Clips,
    inspection: Inspection,
    duration: float,
    errors: Sequence[str],
    warnings: Sequence[str],
) -> Iterator[str]:
    declared = get_dataset(clips.name)
    yield declared.summary
    if declared.citation:
        yield f"cite {declared.citation}; {declared.licence}"
    n_files = len(inspection.seconds) + len(inspection.broken)
    if n_files:
        yield f"audio: {len(inspection.seconds)} of {n_files} files can be decoded"
        yield f"sample rates: {_counted(inspection.sample_rates, 'Hz')}"
        yield f"channels: {_counted(inspection.channels, '')}"
    else:
        yield "audio: none; only methods that read features can run"
    short = inspection.shorter_than(duration - 0.5)
    if short:
        named = [f"{clip} {inspection.seconds[clip]:.1f} s" for clip in short]
        yield f"{len(short)} clips are shorter than {duration:g} s: {listing(named)}"
    very_short = inspection.shorter_than(VERY_SHORT_SECONDS)
    if very_short:
        yield f"warning: {len(very_short)} clips are very short: {listing(list(very_short))}"
    if inspection.shortfalls:
        yield f"warning: {shortfalls(inspection.shortfalls)}"
    if inspection.silent:
        yield f"warning: silent clips: {listing(list(inspection.silent))}"
    for name, table in clips.features.items():
        yield f"features '{name}': {len(table.names)} columns, checked"
    if not clips.features:
        yield "features: none; methods that read them extract their own from audio"
    artists = [artist for artist in clips.artists if artist]
    several = sum(artists.count(artist) > 1 for artist in set(artists))
    yield f"artists: {len(set(artists))}, {several} of them with several clips"
    published = declared.published_counts
    if published and dict(published) != clips.counts:
        yield "warning: the counts differ from the published ones"
    yield from (f"warning: {warning}" for warning in warnings)
    yield from (f"ERROR: {error}" for error in errors)


def _counted(counts: dict[int, int], unit: str) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{value} {unit}".strip() + f" ({count})" for value, count in ordered)


def _fill(clips: Clips, representations: Sequence[Representation], place: Place) -> None:
    store = open_store(arithmetic=place.arithmetic)
    if place.executor not in (PROCESSES, INLINE):
        with progress("clips on the cluster") as advance:
            n_new = fill_on_cluster(
                place.executor,
                clips,
                representations,
                store=store,
                root=data_root_or_default(place.root),
                on_progress=advance,
            )
        print(f"{n_new} entries from the cluster", flush=True)
    with progress("representations") as advance:
        filled = store.fill_all(clips, tuple(representations), on_progress=advance)
    for key in filled:
        print(f"{key}: {len(clips)} clips in {store.root}", flush=True)


def _representations(
    clips: Clips, duration: float, methods: Sequence[Method]
) -> Sequence[Representation]:
    """Return all representations that methods need for these clips, without duplicates."""
    found: dict[str, Representation] = {}
    for method in methods:
        try:
            inputs = with_weights(with_duration(with_features(method.inputs, clips), duration))
        except WeightsError as error:
            if len(methods) == 1:
                raise
            print(f"{method.name} is left out: {error}", flush=True)
            continue
        needed = needed_for(inputs, method.augmentations, seed=0)
        found |= {representation.key: representation for representation in needed}
    return tuple(found.values())


def _track(clips: Clips, summary: str, *, n_errors: int) -> None:
    from mlflow import MlflowClient

    from mer_mlflow.tracking import Kind, active_run, close_abandoned, open_run, write
    from mer_mlflow.tracking.items import File, Metric

    client = MlflowClient()
    run = open_run(client, name=f"prepare {clips.name}")
    run_id, experiment = str(run.info.run_id), str(run.info.experiment_id)
    with active_run(client, run_id, kind=Kind.PREPARE, dataset=clips.name):
        close_abandoned(client, experiment, kind=Kind.PREPARE, but=run_id)
        write(
            client,
            run_id,
            [
                Metric(key="n_clips", value=float(len(clips))),
                Metric(key="n_errors", value=float(n_errors)),
                File(name="dataset.txt", content=summary.encode()),
            ],
        )
        client.set_terminated(run_id, "FAILED" if n_errors else "FINISHED")
    print_where(run_id, experiment)


def main(arguments: Sequence[str]) -> int:
    """Run ``prepare``."""
    return prepare(**parse(PREPARE, arguments))
