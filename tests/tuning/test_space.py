"""Spaces: read from text, checked against the method's declaration."""

from __future__ import annotations

import pytest

from mer_mlflow.errors import ParameterError
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.tuning.space import declared_space, grid, parse_space, point_key


@pytest.mark.parametrize("name", method_names())
def test_every_method_declares_a_space_that_holds_its_defaults(name: str) -> None:
    method = get_method(name)
    space = declared_space(method)
    for parameter, values in space.items():
        assert method.defaults[parameter] in values
        assert list(values) == sorted(values)


def test_space_is_read_in_the_types_of_the_method_and_in_order() -> None:
    space = parse_space("learning_rate=0.01, 1e-3; batch_size=100,50.0,100", get_method("cnn"))
    assert space == {"learning_rate": (0.001, 0.01), "batch_size": (50, 100)}
    assert all(isinstance(value, int) for value in space["batch_size"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("learning_rate", 'write "name=value,value'),
        ("learning_rate=", 'write "name=value,value'),
        ("learning_rate=0.1,", 'write "name=value,value'),
        ("learning_rate=fast", "not a number"),
        ("learning_rate=-1", "must be > 0"),
        ("colour=red", "no hyperparameter 'colour'"),
        ("batch_size=1;batch_size=2", "given twice"),
        (" ; ", "names no hyperparameter"),
    ],
)
def test_bad_space_is_named(text: str, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        parse_space(text, get_method("cnn"))


def test_what_is_read_of_each_clip_cannot_be_searched() -> None:
    with pytest.raises(ParameterError, match="unfreeze says what is read of each clip"):
        parse_space("unfreeze=head,all", get_method("crnn_mtat"))


def test_grid_has_every_combination_once() -> None:
    points = list(grid({"a": (1, 2), "b": ("x", "y", "z")}))
    assert len({point_key(point) for point in points}) == len(points) == 6
    assert points[0] == {"a": 1, "b": "x"}
