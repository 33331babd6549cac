"""SVM on embeddings: sources weigh the same, whatever the number and the size of their values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_mlflow.crossval import split_plan
from mer_mlflow.crossval.setting import resolve_setting
from mer_mlflow.datasets import Clips
from mer_mlflow.errors import DatasetError, ParameterError
from mer_mlflow.methods import get_method
from mer_mlflow.representations import Embedding, Examples, Features
from mer_mlflow.representations.pretrained import won_crnn
from mer_mlflow.training.source_kernels import Layout, WeighedBlocks, fit_blocks

METHOD = get_method("embedding_svm")


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(3, 20), st.integers(0, 99))
def test_squared_distances_are_two_on_average_and_blocks_share_them(
    sizes: list[int], n_clips: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(3, rng.uniform(0.1, 50, size=sum(sizes)), size=(n_clips, sum(sizes)))
    weights = rng.dirichlet(np.ones(len(sizes)))
    scaled = WeighedBlocks(tuple(sizes), tuple(weights)).fit(values).transform(values)
    squares = 2 * scaled.var(axis=0)
    assert squares.sum() == pytest.approx(2)
    starts = np.cumsum([0, *sizes[:-1]])
    assert np.add.reduceat(squares, starts) == pytest.approx(2 * weights)


def test_values_that_never_change_are_left_out() -> None:
    values = np.random.default_rng(0).normal(size=(10, 6))
    values[:, [1, 4, 5]] = (0.0, 7.0, 1e-30)
    step = WeighedBlocks((3, 3), (0.5, 0.5)).fit(values)
    moved = values + np.array([0, 1e6, 0, 0, 1e6, 1e6])
    assert np.array_equal(step.transform(moved), step.transform(values))
    assert 2 * step.transform(values).var(axis=0).sum() == pytest.approx(2)


def make_examples(n_clips: int = 24) -> Examples:
    """Statistics of a tagging network, and a table; one value of each separates a half."""
    rng = np.random.default_rng(1)
    labels = np.arange(n_clips) % 4
    statistics = rng.normal(size=(n_clips, sum(won_crnn.BLOCKS.values())))
    statistics[:, 128:256] += 3.0 * (labels // 2)[:, np.newaxis]
    table = rng.normal(size=(n_clips, 5)) + 3.0 * (labels % 2)[:, np.newaxis]
    return Examples(
        inputs=(statistics.astype(np.float32), table),
        positions=np.arange(n_clips),
        quadrants=labels,
    )


def test_blocks_are_those_that_were_named() -> None:
    examples = make_examples()
    layout = Layout(sources=("crnn_msd", "top100"), blocks=("layer3_mean", "tags"))
    (layer, tags), (table,) = layout.arrays(examples)
    assert np.array_equal(layer, examples.read(0)[:, 128:256])
    assert np.array_equal(tags, examples.read(0)[:, -50:])
    assert np.array_equal(table, examples.read(1))


def test_windows_are_summarised_by_mean_and_deviation() -> None:
    windows = np.random.default_rng(2).normal(size=(5, 7, 3)).astype(np.float32)
    examples = Examples(inputs=(windows,), positions=np.arange(5), quadrants=None)
    ((mean, deviation),) = Layout(sources=("openl3_mel256",), blocks=()).arrays(examples)
    assert mean == pytest.approx(windows.mean(axis=1))
    assert deviation == pytest.approx(windows.std(axis=1))


def test_sources_together_tell_what_each_tells_half_of() -> None:
    examples = make_examples(80)
    train, test = examples.take(np.arange(40)), examples.take(np.arange(40, 80))
    layout = Layout(sources=("crnn_msd", "top100"), blocks=("layer3_mean",))
    fitted = fit_blocks(train, layout=layout, C=1.5, gamma=0.5)
    prediction = fitted.predict(test.without_labels())
    assert np.mean(prediction.quadrants == test.labels) > 0.9
    assert np.array_equal(prediction.quadrants, prediction.probabilities.argmax(axis=1))


def test_inputs_are_read_by_their_names() -> None:
    chosen = METHOD.resolve({"inputs": "crnn_msd, top100,artist_siamese"})
    assert METHOD.inputs_for(chosen) == (
        Embedding(network="crnn_msd", layer="statistics"),
        Features(table="top100"),
        Embedding(network="artist_siamese", layer="artist"),
    )


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ("crnn_mtatt", "inputs=crnn_mtatt: unknown; inputs are artist_siamese, artist_basic"),
        ("top100,top100", "inputs: top100 is given twice"),
        (" , ", "inputs: none is given"),
    ],
)
def test_bad_inputs_are_named(inputs: str, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        METHOD.inputs_for(METHOD.resolve({"inputs": inputs}))


def test_bad_blocks_are_named_before_anything_is_read() -> None:
    chosen = METHOD.resolve({"inputs": "crnn_msd,top100", "blocks": "layer9"})
    with pytest.raises(ParameterError, match="blocks=layer9: unknown; blocks are penultimate"):
        METHOD.inputs_for(chosen)


def test_commas_too_many_change_nothing() -> None:
    given = {"inputs": " crnn_msd,,top100, ", "blocks": "layer3_mean,"}
    fitted = METHOD.fit(make_examples(), METHOD.resolve(given), 0, lambda record, predict: None)
    assert fitted.predict(make_examples().without_labels()).quadrants.shape == (24,)


def test_tables_that_are_extracted_alike_are_not_read_twice(demo: Clips) -> None:
    with pytest.raises(ParameterError, match="would read the same features twice"):
        resolve_setting(METHOD, demo, split_plan(demo), hyperparameters={"inputs": "top100,all"})


def test_too_few_clips_are_named() -> None:
    layout = Layout(sources=("crnn_msd", "top100"), blocks=("tags",))
    with pytest.raises(DatasetError, match="has 1 training clips: embedding_svm needs 2"):
        fit_blocks(make_examples(4), layout=layout, C=1.0, gamma=0.5)
