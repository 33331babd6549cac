"""Kernels on embeddings: what is computed in closed form is what refits give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mer_mlflow.errors import DatasetError, ParameterError
from mer_mlflow.methods import get_method
from mer_mlflow.methods.embedding_kernels import PENALTIES, WIDTHS
from mer_mlflow.representations import Embedding, Examples, Features
from mer_mlflow.representations.pretrained import musicnn, won_crnn, yamnet
from mer_mlflow.training.kernel_ridge import (
    Ridge,
    RidgeMachines,
    distances,
    fit_kernels,
    inverted,
    kernels,
    leave_out,
    mean_kernel,
    one_against_others,
)
from mer_mlflow.training.source_kernels import Layout, WeighedBlocks, load_blocks

METHOD = get_method("embedding_kernels")
LAYOUT = Layout(sources=("crnn_msd", "top100"), blocks=("layer3_mean", "layer4_mean"))
ONE = [Ridge(width=1.0, penalty=0.1)]


def make_examples(n_clips: int = 24, *, copies: int = 1) -> Examples:
    """Statistics of a tagging network, and a table; one value of each separates a half."""
    rng = np.random.default_rng(1)
    labels = np.arange(n_clips) % 4
    statistics = rng.normal(size=(n_clips, sum(won_crnn.BLOCKS.values())))
    statistics[:, 128:256] += 3.0 * (labels // 2)[:, np.newaxis]
    table = rng.normal(size=(n_clips, 5)) + 3.0 * (labels % 2)[:, np.newaxis]
    rows = np.tile(np.arange(n_clips), copies)
    return Examples(
        inputs=(statistics.astype(np.float32)[rows], table[rows]),
        positions=np.arange(len(rows)),
        quadrants=labels[rows],
        sources=rows if copies > 1 else None,
    )


def make_kernel(n_clips: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n_clips) % 4
    rows = WeighedBlocks((6,), (1.0,)).fit_transform(rng.normal(size=(n_clips, 6)))
    return kernels(distances(rows, rows, sizes=(6,)), width=1.0)[0], labels


def test_distances_are_one_on_average_in_each_source() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(2, rng.uniform(0.1, 9, size=12), size=(30, 12))
    rows = WeighedBlocks((4, 3, 5), (0.5, 0.5, 1.0)).fit_transform(values)
    between = distances(rows, rows, sizes=(7, 5))
    assert between.mean(axis=(1, 2)) == pytest.approx([1, 1])
    standardised = (values - values.mean(axis=0)) / values.std(axis=0)
    squares = (standardised[3] - standardised[8]) ** 2
    of_first = (squares[:4].mean() + squares[4:7].mean()) / 2
    assert between[:, 3, 8] == pytest.approx([of_first / 2, squares[7:].mean() / 2])
    kernel = mean_kernel(kernels(between, width=2.0), weights=(3.0, 1.0))
    assert kernel[3, 8] == pytest.approx(np.exp(-between[:, 3, 8] / 8) @ [0.75, 0.25])


def test_machines_solve_the_equations_of_ridge_regression() -> None:
    labels = np.arange(20) % 4
    rows = WeighedBlocks((4, 2), (1, 1)).fit_transform(
        np.random.default_rng(0).normal(size=(20, 6))
    )
    means = ((1.0, 1.0), (0.0, 1.0))
    fitted = RidgeMachines((4, 2), means, 0.8, 0.3).fit(rows, labels)
    of_sources = kernels(distances(rows, rows, sizes=(4, 2)), width=0.8)
    decisions = np.split(fitted.transform(rows), 2, axis=1)
    for which, kernel in enumerate((of_sources.mean(axis=0), of_sources[1])):
        coefficients = fitted.coefficients_[which]
        assert coefficients.sum(axis=0) == pytest.approx(0, abs=1e-9)
        left = (kernel + 0.3 * np.eye(20)) @ coefficients + fitted.biases_[which]
        assert left == pytest.approx(one_against_others(labels))
        assert decisions[which] == pytest.approx(one_against_others(labels) - 0.3 * coefficients)


@settings(deadline=None, max_examples=25)
@given(st.integers(9, 20), st.sampled_from(PENALTIES), st.integers(1, 3), st.integers(0, 99))
def test_left_out_decisions_are_those_of_refits(
    n_clips: int, penalty: float, n_copies: int, seed: int
) -> None:
    kernel, labels = make_kernel(n_clips, seed)
    recordings = np.arange(n_clips) // n_copies
    targets = one_against_others(labels)
    found = leave_out(inverted(kernel, penalty=penalty), targets, recordings)
    for recording in np.unique(recordings):
        out = recordings == recording
        inverse = inverted(kernel[~out][:, ~out], penalty=penalty)
        coefficients = inverse @ targets[~out]
        bias = (targets[~out] - kernel[~out][:, ~out] @ coefficients).mean(axis=0)
        assert found[out] == pytest.approx(kernel[out][:, ~out] @ coefficients + bias, abs=1e-6)


def test_sources_together_predict_what_each_separates_half_of() -> None:
    examples = make_examples(80)
    train, test = examples.take(np.arange(40)), examples.take(np.arange(40, 80))
    fitted = fit_kernels(train, layout=LAYOUT, ridges=ONE, stacks=False)
    prediction = fitted.predict(test.without_labels())
    assert np.mean(prediction.quadrants == test.labels) > 0.9
    assert np.array_equal(prediction.quadrants, prediction.probabilities.argmax(axis=1))


def test_chosen_setting_has_the_lowest_error_on_left_out_clips() -> None:
    ridges = [Ridge(width=width, penalty=penalty) for width in (0.05, 1.0) for penalty in (0.1, 9)]
    chosen = fit_kernels(make_examples(), layout=LAYOUT, ridges=ridges, stacks=False)
    given = fit_kernels(make_examples(), layout=LAYOUT, ridges=[ridges[2]], stacks=False)
    examples = make_examples(40).without_labels()
    assert np.array_equal(
        chosen.predict(examples).probabilities, given.predict(examples).probabilities
    )


def test_exact_copies_do_not_make_probabilities_overconfident() -> None:
    """A copy counts with its recording: left-out decisions would be perfect otherwise."""
    rng = np.random.default_rng(3)
    examples = make_examples(24, copies=2)
    noise = rng.permutation(examples.labels[:24])
    shuffled = Examples(
        inputs=examples.inputs,
        positions=examples.positions,
        quadrants=np.tile(noise, 2),
        sources=examples.sources,
    )
    fitted = fit_kernels(shuffled, layout=LAYOUT, ridges=ONE, stacks=False)
    assert fitted.predict(shuffled).probabilities.max() < 0.6


def accuracy(*, stacks: bool, seed: int) -> float:
    """Accuracy on other clips if one of four sources has all the information."""
    rng, labels = np.random.default_rng(seed), np.arange(200) % 4
    clear = rng.normal(size=(200, 3)) + 1.5 * np.eye(4)[labels][:, :3]
    inputs = (clear, *(rng.normal(size=(200, 3)) for _ in range(3)))
    examples = Examples(inputs=inputs, positions=np.arange(200), quadrants=labels)
    train, test = examples.take(np.arange(100)), examples.take(np.arange(100, 200))
    layout = Layout(sources=("top100", "all", "artist_basic", "artist_siamese"), blocks=())
    fitted = fit_kernels(train, layout=layout, ridges=ONE, stacks=stacks)
    return float(np.mean(fitted.predict(test).quadrants == test.labels))


def test_stacking_learns_which_source_has_the_information() -> None:
    mean, stacked = ([accuracy(stacks=each, seed=s) for s in range(3)] for each in (False, True))
    assert np.mean(stacked) > np.mean(mean) + 0.01
    assert min(mean) > 0.4


def test_one_source_is_not_stacked() -> None:
    examples = make_examples().only(1)
    layout = Layout(sources=("top100",), blocks=())
    mean, stacked = (
        fit_kernels(examples, layout=layout, ridges=ONE, stacks=stacks).predict(examples)
        for stacks in (False, True)
    )
    assert np.array_equal(mean.probabilities, stacked.probabilities)


@pytest.mark.parametrize("stacks", [False, True])
def test_saved_model_predicts_the_same(stacks: bool, tmp_path: Path) -> None:
    fitted = fit_kernels(make_examples(), layout=LAYOUT, ridges=ONE, stacks=stacks)
    fitted.save(tmp_path)
    examples = make_examples(12).without_labels()
    again = load_blocks(tmp_path).predict(examples)
    assert np.array_equal(again.probabilities, fitted.predict(examples).probabilities)


def test_default_inputs_are_the_five_networks() -> None:
    names = ("yamnet", "crnn_mtat", "crnn_jamendo", "crnn_msd", "musicnn_msd")
    assert METHOD.inputs == tuple(Embedding(network=name, layer="statistics") for name in names)
    chosen = METHOD.resolve({"inputs": "yamnet,top100"})
    assert METHOD.inputs_for(chosen)[1] == Features(table="top100")


def test_all_blocks_of_a_network_are_used_if_none_of_its_blocks_is_named() -> None:
    rng = np.random.default_rng(4)
    modules = (yamnet, musicnn, won_crnn)
    examples = Examples(
        inputs=tuple(rng.normal(size=(4, sum(module.BLOCKS.values()))) for module in modules),
        positions=np.arange(4),
        quadrants=None,
    )
    sources = ("yamnet", "musicnn_msd", "crnn_msd")
    found = Layout(sources=sources, blocks=("layer3_mean", "c2")).arrays(examples)
    assert [[block.shape[1] for block in source] for source in found] == [[1024, 512], [64], [128]]


def test_given_width_and_penalty_are_used_if_they_are_not_chosen() -> None:
    given: dict[str, Any] = {
        "inputs": "crnn_msd,top100",
        "choose": "given",
        "combine": "mean",
        "width": 0.7,
        "penalty": 2,
    }
    examples = make_examples()
    fitted = METHOD.fit(examples, METHOD.resolve(given), 0, lambda record, predict: None)
    expected = fit_kernels(
        examples,
        layout=Layout(sources=LAYOUT.sources, blocks=("layer2_mean", *LAYOUT.blocks)),
        ridges=[Ridge(width=0.7, penalty=2.0)],
        stacks=False,
    )
    assert np.array_equal(
        fitted.predict(examples).probabilities, expected.predict(examples).probabilities
    )


def test_bad_names_are_refused_before_anything_is_read() -> None:
    for name, word in (("inputs", "yamnett"), ("blocks", "layer9")):
        with pytest.raises(ParameterError, match=f"{name}={word}: unknown"):
            METHOD.inputs_for(METHOD.resolve({name: word}))
    assert METHOD.spaces["width"].grid == WIDTHS


def test_too_few_clips_are_named() -> None:
    with pytest.raises(DatasetError, match="has 1 training clips: embedding_kernels needs 2"):
        fit_kernels(make_examples(4), layout=LAYOUT, ridges=ONE, stacks=False)
