import numpy as np
import pytest
import scipy.stats

from mer_mlflow.representations.handcrafted.statistics import FULL, MODULATIONS, summarise

RATE = 43.0


def of(row: np.ndarray, statistic: str) -> float:
    return float(summarise(row[np.newaxis], (statistic,), rate=RATE)[0, 0])


def test_equal_to_numpy_and_scipy():
    row = np.random.default_rng(0).gamma(2.0, size=500)
    expected = {
        "mean": row.mean(),
        "std": row.std(),
        "skewness": scipy.stats.skew(row),
        "kurtosis": np.log(scipy.stats.kurtosis(row, fisher=False)),
        "p05": np.percentile(row, 5),
        "p95": np.percentile(row, 95),
        "delta_std": np.diff(row).std(),
        "trend": np.corrcoef(row, np.arange(500))[0, 1],
    }
    for statistic, value in expected.items():
        assert of(row, statistic) == pytest.approx(value), statistic


@pytest.mark.parametrize(("rate", "name"), [(0.7, "slow"), (2.5, "medium"), (6.0, "fast")])
def test_modulation_is_where_it_is_made(rate, name):
    row = 5.0 + np.sin(2 * np.pi * rate * np.arange(1000) / RATE)
    shares = {band: of(row, band) for band in MODULATIONS}
    assert shares[name] > 0.99
    assert all(share < 0.1 for band, share in shares.items() if band != name)


@pytest.mark.parametrize("n_frames", [1, 2, 100])
def test_constant_descriptors_have_no_shape(n_frames):
    values = dict(
        zip(FULL, summarise(np.full((1, n_frames), 0.1), FULL, rate=RATE)[0], strict=True)
    )
    for name in ("mean", "p05", "p95"):
        assert values[name] == pytest.approx(0.1), name
    for name in ("std", "skewness", "kurtosis", "delta_std", "trend", *MODULATIONS):
        assert values[name] == pytest.approx(0.0, abs=1e-12), name


def test_shape_is_descriptors_by_statistics():
    assert summarise(np.zeros((5, 20)), FULL, rate=RATE).shape == (5, len(FULL))
