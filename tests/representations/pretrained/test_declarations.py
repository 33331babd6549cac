"""Every module of a pretrained network declares what the package lists."""

from __future__ import annotations

import pytest

from mer_mlflow.representations import Embedding
from mer_mlflow.representations.pretrained import MODULES, Pretrained


@pytest.mark.parametrize("name", MODULES)
def test_every_declaration_is_there(name: str) -> None:
    module = MODULES[name]
    assert [each for each in Pretrained.__annotations__ if not hasattr(module, each)] == []
    embedding = Embedding(network=name, layer=module.SUMMARY)
    assert embedding.cost > 0 and embedding.required_seconds >= module.SHORTEST
