"""Parser of a study's plan in YAML, with error messages of one line."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from mer_mlflow.datasets import dataset_names, get_dataset
from mer_mlflow.errors import ParameterError
from mer_mlflow.experiments import Parameter
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.paths import given_path
from mer_mlflow.studies.plan import (
    Gate,
    MethodPlan,
    Plan,
    SearchPlan,
    experiment_keys,
    search_keys,
)
from mer_mlflow.training import Method, Value, converted
from mer_mlflow.tuning.space import declared_space, parse_space, space_text

UNUSABLE = (ValueError, OverflowError, RecursionError, LookupError, AttributeError, TypeError)
"""Exceptions of the YAML parser for invalid dates, invalid values of tags, and deep nesting."""
ALL = "all"
SUFFIX = ".yaml"
MOST_BYTES = 1_000_000
"""Maximum size of a plan's file; a device has no end."""
MOST_VALUES = 10_000
MOST_SHOWN = 60
"""Maximum number of characters of a value in an error message."""
EXPERIMENT_KEYS = experiment_keys()
PLAN_KEYS = ("title", *EXPERIMENT_KEYS, "datasets", "data_roots", "methods", "searches", "gate")
METHOD_KEYS = ("hyperparameters", *EXPERIMENT_KEYS)
VARIANT_KEYS = (*(key for key in search_keys() if key != "space"), "repeats")
SEARCH_KEYS = (*VARIANT_KEYS, "space", "start", "per_dataset", "variants")
GATE_KEYS = ("baseline", "tables", "except")


def built_in_plans() -> tuple[str, ...]:
    """Return the names of the built-in plans."""
    files = (Path(item.name) for item in resources.files(__package__).iterdir())
    return tuple(sorted(file.stem for file in files if file.suffix == SUFFIX))


def read_plan(name: str) -> Plan:
    """Read a plan.

    Parameters
    ----------
    name : name of a built-in plan, or path of a YAML file; relative data roots in the file start
        at its folder

    Raises
    ------
    ParameterError
        If there is no such plan, or it is invalid.
    """
    if name in built_in_plans():
        text = (resources.files(__package__) / f"{name}{SUFFIX}").read_text(encoding="utf-8")
        return parse_plan(text, name=name, file=f"{name}{SUFFIX}")
    path = given_path(name, name="plan")
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ParameterError(f"plan={name}: not a text file in UTF-8") from None
    except OSError as error:
        known = " and ".join(built_in_plans())
        message = f"cannot be read ({error.strerror}); give the path of a YAML file, or a plan: "
        raise ParameterError(f"plan={name}: {message}{known}") from None
    if len(content) > MOST_BYTES:
        raise ParameterError(f"plan={name}: has more than {MOST_BYTES} bytes, the limit of a plan")
    return parse_plan(text, name=path.name, file=name, folder=path.resolve().parent)


def parse_plan(text: str, *, name: str, file: str, folder: Path = Path()) -> Plan:
    """Parse a plan.

    Parameters
    ----------
    text : YAML
    name : name of the plan
    file : name of the file in error messages
    folder : folder to which relative data roots refer

    Raises
    ------
    ParameterError
        If the plan is invalid.
    """
    top = _Part(file=file, key="", value=_load(text, file))
    if top.value is None:
        raise ParameterError(f"{file}: the plan is empty; it needs methods, or datasets at least")
    parts = top.mapping(PLAN_KEYS)
    methods = _methods(parts.get("methods"))
    datasets = _datasets(parts.get("datasets"))
    searches = _searches(parts.get("searches"), methods)
    return Plan(
        name=name,
        title=parts["title"].text() if "title" in parts else name,
        datasets=datasets,
        methods=methods,
        searches=(*searches, *_variants(parts.get("searches"), methods, searches)),
        gate=_gate(parts.get("gate"), methods),
        given=_given(parts, EXPERIMENT_KEYS),
        data_roots=_data_roots(parts.get("data_roots"), datasets, folder),
    )


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A value of the file with its location."""

    file: str
    key: str
    value: Any

    def refused(self, rule: str) -> ParameterError:
        return ParameterError(f"{self.file}: {self.key}={_shown(self.value)}: {rule}")

    def refused_by(self, error: ParameterError) -> ParameterError:
        return ParameterError(f"{self.file}: {self.key}: {error}")

    def mapping(self, known: Collection[str] | None = None) -> dict[str, _Part]:
        """Return values by key; an empty value counts as not given."""
        if not isinstance(self.value, dict):
            where = f"{self.key}: " if self.key else ""
            raise ParameterError(
                f"{self.file}: {where}{_shown(self.value)} is not a mapping of key: value"
            )
        parts = {}
        for key, value in self.value.items():
            where = f"{self.key}.{_shown(key)}" if self.key else _shown(key)
            inner = _Part(file=self.file, key=where, value=value)
            if not isinstance(key, str) or (known is not None and key not in known):
                message = f"; keys are {', '.join(known)}" if known is not None else ""
                raise ParameterError(f"{self.file}: {inner.key}: unknown key{message}")
            parts[key] = inner
        if known is None:
            return parts
        return {key: part for key, part in parts.items() if part.value is not None}

    def parts(self, *, least: int = 1) -> list[_Part]:
        if not isinstance(self.value, list) or len(self.value) < least:
            raise self.refused("must be a list" + " of at least one entry" * least)
        return [
            _Part(file=self.file, key=f"{self.key}[{i}]", value=value)
            for i, value in enumerate(self.value, start=1)
        ]

    def text(self) -> str:
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.refused("must be text")
        return _one_line(self.value)

    def number(self, kind: type[Any]) -> Any:
        if isinstance(self.value, bool) or not isinstance(self.value, int | float | str):
            raise self.refused("must be a number")
        try:
            return converted(self.key, self.value, kind)
        except ParameterError as error:
            raise ParameterError(f"{self.file}: {error}") from None

    def of(self, parameter: Parameter) -> Any:
        """Return the value converted to the type of a parameter."""
        if parameter.kind is str:
            self.text()
        elif isinstance(self.value, bool) != (parameter.kind is bool):
            kind = "true or false" if parameter.kind is bool else "a number"
            raise self.refused(f"must be {kind}")
        elif not isinstance(self.value, int | float | str):
            raise self.refused("must be a number")
        try:
            return replace(parameter, name=self.key).converted(self.value)
        except ParameterError as error:
            raise ParameterError(f"{self.file}: {error}") from None


def _load(text: str, file: str) -> Any:
    root = _parsed(lambda: yaml.compose(text, Loader=yaml.SafeLoader), file)
    if _n_values(root) > MOST_VALUES:
        raise ParameterError(f"{file}: has more than {MOST_VALUES} values, aliases written out")
    duplicate = _duplicate_key(root)
    if duplicate is not None:
        raise ParameterError(f"{file}, line {duplicate[1]}: {duplicate[0]}: given twice")
    return _parsed(lambda: yaml.safe_load(text), file)


def _parsed(parse: Callable[[], Any], file: str) -> Any:
    try:
        return parse()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ParameterError(f"{file}{line}: not YAML ({problem})") from None
    except UNUSABLE as error:
        reason = str(error) or type(error).__name__
        raise ParameterError(f"{file}: not usable YAML ({reason})") from None


def _n_values(root: yaml.Node | None) -> int:
    """Count the values below a node with all aliases expanded, as the parser does."""
    known: dict[int, int] = {}

    def count(node: yaml.Node | None) -> int:
        if id(node) not in known:
            known[id(node)] = 1  # the parser rejects recursive nodes
            inner: list[yaml.Node] = []
            if isinstance(node, yaml.MappingNode):
                inner = [part for pair in node.value for part in pair]
            elif isinstance(node, yaml.SequenceNode):
                inner = node.value
            known[id(node)] += sum(map(count, inner))
        return known[id(node)]

    return count(root)


def _duplicate_key(root: yaml.Node | None) -> tuple[str, int] | None:
    """Return a duplicate key of a mapping, and its line; the parser does not reject it."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                waiting += [key, value]
                if isinstance(key, yaml.ScalarNode):
                    if key.value in keys:
                        return key.value, key.start_mark.line + 1
                    keys.add(key.value)
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
    return None


def _datasets(part: _Part | None) -> tuple[str, ...]:
    if part is None:
        return ()
    names = []
    for entry in part.parts():
        name = _known(entry, dataset_names(), "dataset")
        if name in names:
            raise entry.refused("named twice")
        names.append(name)
    return tuple(names)


def _data_roots(part: _Part | None, datasets: Collection[str], folder: Path) -> dict[str, str]:
    if part is None:
        return {}
    roots = {}
    for name, entry in part.mapping(dataset_names()).items():
        if not get_dataset(name).needs_root:
            raise entry.refused("this dataset needs no folder")
        if datasets and name not in datasets:
            raise entry.refused(f"not among the datasets ({', '.join(datasets)})")
        try:
            roots[name] = str(folder / Path(entry.text()).expanduser())
        except RuntimeError:  # no such user
            raise entry.refused("no such home folder") from None
    return roots


def _methods(part: _Part | None) -> tuple[MethodPlan, ...]:
    if part is None or part.value == ALL:
        return tuple(MethodPlan(name=name) for name in in_order(method_names()))
    found: dict[str, MethodPlan] = {}
    for entry in part.parts():
        method = _method(entry)
        if method.name in found:
            raise entry.refused("named twice")
        found[method.name] = method
    return tuple(found.values())


def in_order(names: Collection[str]) -> list[str]:
    """Sort methodologies by the study's tables, those without a table last."""
    tables = {name: get_method(name).table for name in names}
    return sorted(names, key=lambda name: (tables[name] or 99, name))


def _method(entry: _Part) -> MethodPlan:
    if not isinstance(entry.value, dict):
        return MethodPlan(name=_known(entry, method_names(), "method"))
    if len(entry.value) != 1:
        raise entry.refused("an entry must be one methodology: write a separate dash for each")
    (inner,) = entry.mapping().values()
    name = _known(
        _Part(file=entry.file, key=entry.key, value=next(iter(entry.value))),
        method_names(),
        "method",
    )
    if inner.value is None:
        return MethodPlan(name=name)
    parts = inner.mapping(METHOD_KEYS)
    hyperparameters = _hyperparameters(parts.get("hyperparameters"), get_method(name))
    inputs = get_method(name).inputs_for(get_method(name).resolve(hyperparameters))
    reads_features = any(item.table is not None for item in inputs)
    if "features" in parts and not reads_features:
        raise parts["features"].refused(f"{name} reads no handcrafted features")
    return MethodPlan(
        name=name, hyperparameters=hyperparameters, given=_given(parts, EXPERIMENT_KEYS)
    )


def _hyperparameters(part: _Part | None, method: Method) -> dict[str, Value]:
    if part is None:
        return {}
    values = {}
    for name, entry in part.mapping(tuple(method.defaults)).items():
        if isinstance(entry.value, bool) or not isinstance(entry.value, int | float | str):
            raise entry.refused("must be a number or text")
        try:
            values[name] = getattr(method.resolve({name: entry.value}), name)
        except ParameterError as error:
            raise part.refused_by(error) from None
    return values


def _searches(part: _Part | None, methods: Collection[MethodPlan]) -> tuple[SearchPlan, ...]:
    if part is None:
        return ()
    found: list[SearchPlan] = []
    for name, entry in part.mapping().items():
        planned = _planned(_Part(file=entry.file, key=part.key, value=name), methods)
        parts = {} if entry.value is None else entry.mapping(SEARCH_KEYS)
        start = parts.get("start")
        begun = {search.method for search in found}
        if start is not None and start.text() not in begun:
            raise start.refused("there is no earlier search of this methodology")
        found.append(
            SearchPlan(
                method=name,
                space=_space(parts.get("space"), entry, planned),
                start=None if start is None else start.text(),
                per_dataset=_truth(parts.get("per_dataset")),
                **_of_search(parts),
            )
        )
    return tuple(found)


def _variants(
    part: _Part | None, methods: Collection[MethodPlan], searches: Collection[SearchPlan]
) -> Iterator[SearchPlan]:
    """Return searches of the extensions of a methodology, which start at its best setting."""
    tuned = {search.method: search for search in searches}
    for name, entry in {} if part is None else part.mapping().items():
        given_search = {} if entry.value is None else entry.mapping(SEARCH_KEYS)
        if "variants" not in given_search:
            continue
        of_variants = _of_search(given_search["variants"].mapping(VARIANT_KEYS))
        searched = parse_space(tuned[name].space, get_method(name))
        for method in methods:
            declared = get_method(method.name)
            if declared.baseline != name or method.name in tuned:
                continue
            shared = ";".join(
                f"{key}={','.join(map(str, values.grid))}"
                for key, values in declared.spaces.items()
                if values.grid and key in searched and key not in method.hyperparameters
            )
            if shared:
                space = space_text(parse_space(shared, declared))
                yield SearchPlan(method=method.name, space=space, start=name, **of_variants)


def _of_search(parts: Mapping[str, _Part]) -> dict[str, Any]:
    given = _given(parts, {key: search_keys()[key] for key in VARIANT_KEYS if key != "repeats"})
    repeats = _given(parts, {"repeats": EXPERIMENT_KEYS["repeats"]})
    return {"given": given, "repeats": repeats.get("repeats")}


def _given(parts: Mapping[str, _Part], declared: Mapping[str, Parameter]) -> dict[str, Any]:
    """Return the values of parameters, with validated types and limits."""
    return {name: parts[name].of(declared[name]) for name in declared if name in parts}


def _space(part: _Part | None, search: _Part, planned: MethodPlan) -> str:
    method = get_method(planned.name)
    try:
        space = declared_space(method) if part is None else parse_space(part.text(), method)
    except ParameterError as error:
        raise (part or search).refused_by(error) from None
    both = sorted(set(space) & set(planned.hyperparameters))
    if both:
        message = f"{both[0]} is both fixed by the method's hyperparameters and searched"
        raise search.refused_by(ParameterError(message))
    return space_text(space)


def _gate(part: _Part | None, methods: Collection[MethodPlan]) -> Gate | None:
    if part is None:
        return None
    parts = part.mapping(GATE_KEYS)
    for key in ("baseline", "tables"):
        if key not in parts:
            raise ParameterError(f"{part.file}: {part.key}: {key} is missing")
    exceptions = parts["except"].parts(least=0) if "except" in parts else ()
    return Gate(
        baseline=_planned(parts["baseline"], methods).name,
        tables=tuple(entry.number(int) for entry in parts["tables"].parts()),
        exceptions=tuple(entry.text() for entry in exceptions),
    )


def _planned(part: _Part, methods: Collection[MethodPlan]) -> MethodPlan:
    name = _known(part, method_names(), "method")
    found = [method for method in methods if method.name == name]
    if not found:
        names = ", ".join(method.name for method in methods)
        raise part.refused(f"not among the plan's methods ({names})")
    return found[0]


def _known(part: _Part, names: Collection[str], what: str) -> str:
    if not isinstance(part.value, str) or part.value not in names:
        raise part.refused(f"unknown {what}; {what}s are {', '.join(names)}")
    return part.value


def _truth(part: _Part | None) -> bool:
    if part is None:
        return False
    if not isinstance(part.value, bool):
        raise part.refused("must be true or false")
    return part.value


def _shown(value: Any) -> str:
    try:
        text = value if isinstance(value, str) else reprlib.repr(value)
    except (ValueError, RecursionError):  # a number with thousands of digits, or deep nesting
        return type(value).__name__
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def _one_line(text: str) -> str:
    return " ".join(text.split())
