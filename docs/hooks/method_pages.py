"""A page for each methodology, from its declaration."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from docstrings import described, markdown

from mer_mlflow.commands.measured import Measured, measured
from mer_mlflow.commands.readme import EARLIER_MARK, NOT_YET, REFERENCE, measured_text
from mer_mlflow.datasets import get_dataset
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.representations import representation_of
from mer_mlflow.representations.pretrained import PUBLISHED
from mer_mlflow.studies.estimates import declared_cost, declared_load
from mer_mlflow.training import Method, Role, Space, Value

ROOT = Path(__file__).parents[2]
N_CLIPS, N_SPLITS, N_REPEATS = 900, 10, 10
"""Size of the study's protocol on Original-4QAED."""
LICENCE = "Apache-2.0"
UNITS = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))


def pages() -> dict[str, str]:
    """Return the Markdown of each page, by file name."""
    return {"index.md": _overview(), **{f"{name}.md": _page(name) for name in method_names()}}


def _overview() -> str:
    rows = [_overview_row(get_method(name)) for name in method_names()]
    return "\n".join(
        [
            "# Methods",
            "",
            "Scores are macro F1 in per cent on Original-4QAED; measured ones have the 95 % "
            f"interval of 10 x 10 folds, and {EARLIER_MARK} if they are of an earlier version. The "
            "title links to the page of a method, with its hyperparameters, cost and sources.",
            "",
            "| name | method | reads | library | published F1 | measured F1 |",
            "|---|---|---|---|---:|---|",
            *rows,
            "",
            "A new method is one file: see [Contributing](../contributing.md#add-a-method).",
        ]
    )


def _overview_row(method: Method) -> str:
    published = method.published.get("original-4qaed")
    score = f"{published.f1:.2f}" if published else ""
    inputs = ", ".join(dict.fromkeys(_input_name(item) for item in method.inputs))
    link = f"[{method.title}]({method.name}.md)"
    found = _scores().get(method.name)
    own = measured_text(found) if found else NOT_YET
    return f"| `{method.name}` | {link} | {inputs} | {method.framework} | {score} | {own} |"


def _page(name: str) -> str:
    method = get_method(name)
    text = markdown(import_module(f"mer_mlflow.methods.{name}").__doc__ or "")
    _, _, rest = text.partition("\n")
    body, _, sources = rest.partition("## References")
    return "\n\n".join(
        filter(
            None,
            [
                f"# {method.title}",
                f"**`{name}`** — {method.summary}",
                body.strip(),
                _commands(method),
                _facts(method),
                _hyperparameters(method),
                _published(method),
                _measured(method),
                f"## References\n\n{sources.strip()}" if sources.strip() else "",
            ],
        )
    )


def _commands(method: Method) -> str:
    given = {"data_root": "~/4qaed"}
    if any(item.network for item in method.inputs):
        given["weights"] = "~/weights"
    parameters = " ".join(f"-P {name}={value}" for name, value in given.items())
    options = " ".join(f"--{name} {value}" for name, value in given.items())
    return (
        "## Run\n\n```sh\n"
        f"mlflow run . -e {method.name} {parameters}\n"
        f"mer train --method {method.name} {options}\n"
        "```"
    )


def _facts(method: Method) -> str:
    facts = {
        "inputs": "<br>".join(map(_input, method.inputs)),
        "library": method.framework,
        "synthesised copies": _copies(method),
        "compared with": f"[`{method.baseline}`]({method.baseline}.md)" if method.baseline else "",
        "shortest excerpt": f"{method.shortest:g} s" if method.shortest else "",
        "cost": _cost(method),
        "table of the study": str(method.table or "not in the study"),
        "version": str(method.version),
        "licence": _licence(method),
        "please cite": method.citation,
    }
    rows = [f"| {name} | {value} |" for name, value in facts.items() if value]
    return "\n".join(["## Facts", "", "| | |", "|---|---|", *rows])


def _input_name(item: Any) -> str:
    if item.table:
        return f"features `{item.table}`"
    if item.network:
        return f"embedding `{item.network}`"
    return type(item).__name__.lower()


def _input(item: Any) -> str:
    if item.table:
        return f"handcrafted features, table `{item.table}`"
    if item.network:
        return f"layer `{item.layer}` of the pretrained network `{item.network}`"
    shape = " x ".join(map(str, representation_of(item).shape))
    return f"{_described_input(item)}; {shape} values a clip"


def _described_input(item: Any) -> str:
    if hasattr(item, "of"):
        return f"chunks of length {item.length} of: {_described_input(item.of)}"
    named = {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
    facts = ", ".join(f"{name} {value}" for name, value in named.items() if name != "dtype")
    return f"{type(item).__name__} ({facts})"


def _copies(method: Method) -> str:
    names = [f"`{type(each).__name__}`" for each in method.augmentations]
    return f"{len(names)} of each training clip: {', '.join(names)}" if names else ""


def _cost(method: Method) -> str:
    load = declared_load(method)
    cost = declared_cost(method)
    seconds = cost.of_fold(load, cost.epochs(load)) * N_SPLITS * N_REPEATS
    each = "clip and epoch" if load.epochs else "clip"
    step = f", and {method.step_cost:g} s per step" if method.step_cost else ""
    least = "at most " if cost.is_bound(load) else "about "
    return (
        f"{method.cost:g} s per {each} on one core{step}; {least}{_clock(seconds)} of one core for "
        f"{N_REPEATS} x {N_SPLITS} folds of {N_CLIPS} clips"
    )


def _clock(seconds: float) -> str:
    unit, size = next(((unit, size) for unit, size in UNITS if seconds >= size), UNITS[-1])
    return f"{seconds / size:,.0f} {unit}"


def _licence(method: Method) -> str:
    networks = dict.fromkeys(item.network for item in method.inputs if item.network)
    weights = [f"weights `{name}`: {PUBLISHED[name].licence}" for name in networks]
    return "; ".join([f"code: {LICENCE}", *weights])


def _hyperparameters(method: Method) -> str:
    words = _descriptions(method.hyperparameters)
    rows = [
        f"| `{name}` | `{_value(method.defaults[name])}` | {_range(space)} | "
        f"{', '.join(f'`{_value(value)}`' for value in space.grid)} | "
        f"{words.get(name) or _spoken(name, method.roles[name])} |"
        for name, space in method.spaces.items()
    ]
    return "\n".join(
        [
            "## Hyperparameters",
            "",
            "Give them by `-P NAME=VALUE`. The grid has the values that a search tries by default.",
            "",
            "| name | default | allowed | grid | meaning |",
            "|---|---|---|---|---|",
            *rows,
        ]
    )


def _descriptions(declaration: type[Any]) -> Mapping[str, str]:
    words: dict[str, str] = {}
    for part in reversed(declaration.__mro__[:-1]):
        words |= described(inspect.cleandoc(part.__doc__ or ""))
    return words


def _spoken(name: str, role: Role) -> str:
    roles = [each.name.lower() for each in role if each.name]
    return f"{name.replace('_', ' ')} ({', '.join(roles)})"


def _value(value: Value) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _range(space: Space) -> str:
    if space.choices:
        return ", ".join(f"`{choice}`" for choice in space.choices)
    low = f"{'>' if space.exclusive_low else '≥'} {space.low:g}" if math.isfinite(space.low) else ""
    high = f"≤ {space.high:g}" if math.isfinite(space.high) else ""
    return ", ".join(filter(None, (low, high))) or "any"


def _published(method: Method) -> str:
    if not method.published:
        return "## Published scores\n\nThe study reports no scores of this method."
    rows = [
        f"| [{get_dataset(name).title}](../datasets/{name}.md) | {scores.precision:.2f} | "
        f"{scores.recall:.2f} | {scores.f1:.2f} |"
        for name, scores in method.published.items()
    ]
    return "\n".join(
        [
            "## Published scores",
            "",
            "In per cent, macro-averaged over the quadrants, 10 x 10 folds.",
            "",
            "| dataset | precision | recall | F1 |",
            "|---|---:|---:|---:|",
            *rows,
        ]
    )


def _measured(method: Method) -> str:
    found = _scores().get(method.name)
    if found is None:
        return "## Measured score\n\nNot yet, with the protocol of the study on all 900 clips."
    source = (
        f"the runs are in [{REFERENCE}](../guides/reference-results.md)"
        if found.is_archived
        else "by an earlier version, whose runs were not kept"
    )
    return (
        "## Measured score\n\n"
        f"Macro F1 {found.f1:.2f} % [{found.low:.2f}, {found.high:.2f}] on Original-4QAED: 10 x 10 "
        f"folds of 900 clips, {source}."
    )


@cache
def _scores() -> dict[str, Measured]:
    return measured(ROOT / REFERENCE)
