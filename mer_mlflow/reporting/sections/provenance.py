"""Provenance of each row of the report."""

from __future__ import annotations

from datetime import UTC, datetime

from mer_mlflow.reporting.document import Block, Section, Text
from mer_mlflow.reporting.sections._context import Context, columns, number, table, text
from mer_mlflow.reporting.validations import Validation
from mer_mlflow.tracking import schema


def section(context: Context) -> Section:
    """Return the section: runs, package versions and kernels of the cross-validations."""
    versions: list[str] = []
    arithmetics: list[str] = []
    rows = []
    for item in context.selection.validations:
        packages = ", ".join(f"{name} {version}" for name, version in item.packages.items())
        if packages not in versions:
            versions.append(packages)
        if item.arithmetic not in arithmetics:
            arithmetics.append(item.arithmetic)
        rows.append(
            (
                text(context.label(item)),
                text(context.frame_titles[item.frame]),
                text(", ".join(item.remarks) or "–"),
                text(item.protocol),
                text(f"{item.n_repeats} x {item.n_splits}"),
                text(item.params.get(schema.SEED, "")),
                text(item.params.get(schema.DIGEST, "")),
                text(item.tags.get(schema.GIT_COMMIT, "")[:8] or "unknown"),
                text(f"set {versions.index(packages) + 1}"),
                text(f"kernels {arithmetics.index(item.arithmetic) + 1}"),
                text(_day(item)),
                number(item.metrics.get("fit_seconds_total"), digits=0),
                context.link(item),
            )
        )
    heads = columns(
        "methodology",
        "dataset",
        "remarks",
        "protocol",
        "folds",
        "seed",
        "dataset digest",
        "commit",
        "packages",
        "arithmetic",
        "started",
        ("fits, s", "total time of all fits, in seconds"),
        "run",
    )
    blocks: list[Block] = [
        Text(
            content="Each run's page has its parameters, its folds as nested runs, the split plan, "
            "all predictions and figures. Runs with the same dataset digest used the same clips."
        ),
        *table("provenance", "Runs of the rows", heads, rows),
        *table(
            "parts",
            "Cross-validations that are part of a larger one of the same setting, and no rows",
            columns("methodology", "dataset", "folds", "part of", "run"),
            (
                (
                    text(context.label(larger)),
                    text(context.frame_titles[larger.frame]),
                    text(f"{part.n_repeats} x {part.n_splits}"),
                    text(f"run {larger.run_id[:8]}"),
                    context.link(part),
                )
                for part, larger in context.selection.parts
            ),
        ),
        *table(
            "left-out",
            "Runs that are left out, because their content cannot be read or is inconsistent",
            columns("run", "reason"),
            ((text(each.run_id), text(each.why)) for each in context.selection.left_out),
        ),
        *table(
            "packages",
            "Versions of packages",
            columns("set", "versions"),
            ((text(f"set {i}"), text(each)) for i, each in enumerate(versions, start=1)),
        ),
        *table(
            "arithmetic",
            "Kernels that computed the folds",
            columns("arithmetic", "kernels"),
            ((text(f"kernels {i}"), text(each)) for i, each in enumerate(arithmetics, start=1)),
        ),
    ]
    return Section(name="provenance", title="Provenance", blocks=tuple(blocks))


def _day(item: Validation) -> str:
    return datetime.fromtimestamp(item.started, tz=UTC).strftime("%Y-%m-%d %H:%M")
