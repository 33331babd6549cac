"""Transfer: frozen layers computed once give what training the whole frozen network gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from mer_mlflow.errors import WeightsError
from mer_mlflow.methods import get_method
from mer_mlflow.networks.won_crnn import WonCRNN, trunk_above
from mer_mlflow.representations import Embedding, Examples
from mer_mlflow.representations.pretrained import find_weights
from mer_mlflow.training import EpochRecord
from mer_mlflow.training.torch_transfer import FittedTransfer, train_transfer

N_CLIPS = 16


def published() -> WonCRNN:
    torch.manual_seed(3)
    network = WonCRNN()
    for layer in (network.spec_bn, network.layer1.bn, network.layer4.bn):
        layer.running_mean.uniform_(-1, 1)  # type: ignore[operator]
        layer.running_var.uniform_(0.5, 2)  # type: ignore[operator]
    return network.eval()


def mels() -> NDArray[np.float32]:
    labels = np.arange(N_CLIPS) % 4
    values = np.random.default_rng(0).normal(-30, 5, size=(N_CLIPS, 96, 120))
    values += 10 * labels[:, np.newaxis, np.newaxis]
    return values.astype(np.float32)


def examples(values: NDArray[np.float32], **more: Any) -> Examples:
    return Examples(
        inputs=(values,),
        positions=np.arange(N_CLIPS),
        quadrants=np.arange(N_CLIPS) % 4,
        **more,
    )


def train(
    given: Examples, layer: str, trunk: nn.Module, *, is_frozen: bool, epochs: int = 4
) -> tuple[FittedTransfer, list[EpochRecord]]:
    records: list[EpochRecord] = []
    fitted = train_transfer(
        given,
        layer=layer,
        trunk=lambda: trunk,
        is_frozen=is_frozen,
        dropout=0.5,
        learning_rate=0.01,
        batch_size=6,
        epochs=epochs,
        stop_accuracy=1.1,
        seed=1,
        on_epoch=lambda record, predict: records.append(record),
    )
    return fitted, records


def test_frozen_layers_computed_once_give_the_same_training() -> None:
    network = published()
    with torch.inference_mode():
        steps = network.activations(torch.from_numpy(mels())).steps[:, -1].numpy()
    once, short = train(examples(steps), "gru", nn.Identity(), is_frozen=True)
    whole, long = train(examples(mels()), "mel", trunk_above("mel", network), is_frozen=True)
    for one, other in zip(short, long, strict=True):
        assert one.loss == pytest.approx(other.loss, abs=1e-5)
        assert one.accuracy == other.accuracy
    assert len({record.loss for record in short}) > 1
    expected = whole.predict(examples(mels())).probabilities
    assert once.predict(examples(steps)).probabilities == pytest.approx(expected, abs=1e-5)
    trunk = whole.network[0]
    for before, after in zip(
        trunk_above("mel", published()).state_dict().values(),
        trunk.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(before, after), "a frozen layer changed"


@pytest.mark.parametrize(("unfreeze", "layer"), [("last_block", "layer4"), ("all", "mel")])
def test_layers_that_are_trained_further_change_and_are_saved(
    unfreeze: str, layer: str, tmp_path: Path
) -> None:
    file = tmp_path / "best_model.pth"
    torch.save(published().state_dict(), file)
    weights = find_weights("crnn_mtat", file, allow_unverified=True)
    method = get_method("crnn_mtat")
    chosen = method.resolve({"unfreeze": unfreeze, "epochs": 2, "batch_size": 6})
    (item,) = method.inputs_for(chosen)
    assert item == Embedding(network="crnn_mtat", layer=layer)
    with torch.inference_mode():
        blocks = published().activations(torch.from_numpy(mels())).blocks
    values = mels() if layer == "mel" else blocks[-1].squeeze(2).transpose(1, 2).numpy()
    given = examples(values, weights={"crnn_mtat": weights})
    fitted = method.fit(given, chosen, 0, lambda record, predict: None)
    assert isinstance(fitted, FittedTransfer)
    before = trunk_above(layer, published()).state_dict()
    after = fitted.network[0].state_dict()
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"gru.weight_hh_l0", "gru.weight_ih_l1"} <= moved
    (tmp_path / "saved").mkdir()
    fitted.save(tmp_path / "saved")
    again = method.load(tmp_path / "saved").predict(given).probabilities
    assert np.array_equal(again, fitted.predict(given).probabilities)


def test_layers_cannot_be_trained_further_without_their_weights() -> None:
    method = get_method("crnn_mtat")
    chosen = method.resolve({"unfreeze": "all"})
    with pytest.raises(WeightsError, match="crnn_mtat: no weights to train further"):
        method.fit(examples(mels()), chosen, 0, lambda record, predict: None)


def test_learning_rates_fall_as_the_study_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[tuple[str, float, int]] = []
    epochs: list[int] = [0]
    for name in ("Adam", "SGD"):
        plain = getattr(torch.optim, name)

        def noting(*arguments: Any, name: str = name, plain: Any = plain, **more: Any) -> Any:
            used.append((name, more["lr"], epochs[-1] + 1))
            return plain(*arguments, **more)

        monkeypatch.setattr(torch.optim, name, noting)
    values = np.zeros((N_CLIPS, 32), dtype=np.float32)
    train_transfer(
        examples(values),
        layer="gru",
        trunk=nn.Identity,
        is_frozen=True,
        dropout=0.5,
        learning_rate=0.001,
        batch_size=16,
        epochs=125,
        stop_accuracy=1.1,
        seed=0,
        on_epoch=lambda record, predict: epochs.append(record.epoch),
    )
    assert [name for name, _, _ in used] == ["Adam", "SGD", "SGD", "SGD"]
    assert [rate for _, rate, _ in used] == pytest.approx([1e-3, 1e-4, 1e-5, 1e-6])
    assert [first for _, _, first in used] == [1, 81, 100, 120]
