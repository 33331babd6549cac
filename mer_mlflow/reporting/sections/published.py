"""The study's tables, with our scores and the published ones."""

from __future__ import annotations

from collections.abc import Iterator

from mer_mlflow.augmentation import BackgroundNoise
from mer_mlflow.datasets import get_dataset
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.reporting.document import Block, Cell, Column, Section, Table, Text
from mer_mlflow.reporting.sections._context import MISSING, Context, mark, percent, points, text
from mer_mlflow.reporting.validations import Validation, dataset_title
from mer_mlflow.tracking import schema
from mer_mlflow.training import Method
from mer_mlflow.training import Scores as Published

DATASETS = ("original-4qaed", "new-4qaed-c", "new-4qaed-b")
MEASURES = ("precision", "recall", "f1")
CAPTIONS = {
    2: "Baselines",
    3: "Architectures",
    4: "Networks on segments",
    5: "Embeddings",
    6: "Data augmentation",
    7: "Knowledge transfer",
}
ALLOWED = "reads columns allowed in spite of a check: see Before you believe a score"
MIXED = "folds computed by different kernels: see Before you believe a score"
NOT_RUN = "not run"


def section(context: Context) -> Section:
    """Return the section: tables 2 to 7 with the study's rows and columns, three lines each."""
    blocks: list[Block] = [
        Text(
            content="Macro scores in per cent. A difference is our score minus the published one, "
            "in points; for F1, a note shows whether the published score is inside our corrected "
            "95 % interval. Of several settings, the one closest to the study is shown; the "
            "ranking shows all. Footnotes list differences from the study."
        )
    ]
    for number in CAPTIONS:
        methods = [method for method in map(get_method, method_names()) if method.table == number]
        if methods:
            blocks.append(_table(context, number, methods))
        else:
            words = (
                f"The study's table {number}, {CAPTIONS[number].lower()}: this version has none of "
            )
            blocks.append(Text(content=words + "its methodologies."))
    return Section(name="study", title="The study's tables", blocks=tuple(blocks))


def nearest(context: Context, method: str, dataset: str) -> Validation | None:
    """Return the cross-validation closest to the study's; None if there is none."""
    return max(
        (
            item
            for item in context.selection.validations
            if (item.method, item.dataset) == (method, dataset)
        ),
        key=lambda item: (
            item.is_complete,
            item.selection != "nested",
            -len(deviations(item)),
            item.n_expected,
            item.selection == "tuned",
            item.started,
        ),
        default=None,
    )


def deviations(item: Validation) -> list[str]:
    """Return the differences from the study."""
    found = []
    n_published = sum((get_dataset(item.dataset).published_counts or {}).values())
    if n_published and item.n_clips != n_published:
        found.append(f"{item.n_clips} clips, the study's dataset has {n_published}")
    if item.protocol != "paper":
        found.append(f"{item.protocol} protocol")
    found += item.departures
    if BackgroundNoise().key in item.params.get(schema.AUGMENTATIONS, ""):
        found.append("background noise synthesised instead of recordings of ESC-50")
    if schema.UNVERIFIED_WEIGHTS in item.tags:
        found.append(f"unverified weights: {item.tags[schema.UNVERIFIED_WEIGHTS]}")
    return found


def _table(context: Context, number: int, methods: list[Method]) -> Table:
    heads = [Column(title="methodology"), Column(title="scores")]
    for dataset in DATASETS:
        heads += [
            Column(title=f"{dataset_title(dataset)} {measure}", is_number=True)
            for measure in ("P", "R", "F1")
        ]
    notes: list[str] = []
    rows: list[tuple[Cell, ...]] = []
    folded: list[tuple[Cell, ...]] = []
    for method in methods:
        lines = [_lines(context, method, dataset, notes) for dataset in DATASETS]
        was_run = any(of_dataset[0][-1].text != NOT_RUN for of_dataset in lines)
        for i, words in enumerate(("ours", "published", "difference")):
            cells = [cell for of_dataset in lines for cell in of_dataset[i]]
            (rows if was_run else folded).append((text(method.title), text(words), *cells))
    n_folded = len(folded) // 3
    return Table(
        name=f"study-{number}",
        title=f"{CAPTIONS[number]} (the study's table {number})",
        columns=tuple(heads),
        rows=tuple(rows),
        notes=tuple(notes),
        folded=tuple(folded),
        folded_title=f"{n_folded} of {len(methods)} methodologies were not run",
    )


def _lines(
    context: Context, method: Method, dataset: str, notes: list[str]
) -> tuple[tuple[Cell, ...], tuple[Cell, ...], tuple[Cell, ...]]:
    item = nearest(context, method.name, dataset)
    published = method.published.get(dataset)
    theirs = tuple(_published(published))
    if item is None or not item.is_complete:
        return (_missing(context, method, dataset, item, notes), theirs, (MISSING,) * 3)
    marks = tuple(mark(words, notes) for words in deviations(item))
    if item.selection == "tuned":
        words = "hyperparameters tuned on the test folds: optimistic"
        marks += (mark(words, notes),)
    if item.is_mixed:
        marks += (mark(MIXED, notes),)
    if item.allowed_columns:
        marks += (mark(ALLOWED, notes),)
    means = [item.summary(f"{measure}_macro").mean for measure in MEASURES]
    ours = (
        *(percent(mean) for mean in means[:-1]),
        Cell(text=f"{100 * means[-1]:.2f}", value=100 * means[-1], marks=marks),
    )
    if published is None:
        return (ours, theirs, (MISSING,) * 3)
    differences = [
        mean - getattr(published, measure) / 100
        for mean, measure in zip(means, MEASURES, strict=True)
    ]
    f1 = item.summary()
    place = ""
    if f1.low == f1.low:
        place = "inside" if f1.low <= published.f1 / 100 <= f1.high else "outside"
    return (
        ours,
        theirs,
        (*(points(value) for value in differences[:-1]), points(differences[-1], note=place)),
    )


def _published(scores: Published | None) -> Iterator[Cell]:
    for measure in MEASURES:
        value = None if scores is None else getattr(scores, measure)
        yield Cell(text=NOT_RUN) if value is None else Cell(text=f"{value:.2f}", value=value)


def _missing(
    context: Context, method: Method, dataset: str, item: Validation | None, notes: list[str]
) -> tuple[Cell, ...]:
    if item is not None:
        words = f"partial {item.n_done}/{item.n_expected}"
        return (MISSING, MISSING, Cell(text=words))
    status, _, reason = context.reasons.get((method.name, dataset), NOT_RUN).partition(": ")
    marks = (mark(reason, notes),) if reason else ()
    return (MISSING, MISSING, Cell(text=status, marks=marks))
