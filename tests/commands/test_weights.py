"""The weights entry point: what is needed, what is there."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from mer_mlflow.commands.command import OK
from mer_mlflow.commands.parameters import WEIGHTS
from mer_mlflow.commands.train import train
from mer_mlflow.commands.weights import weights
from mer_mlflow.errors import ParameterError, WeightsError
from mer_mlflow.experiments import Experiment
from mer_mlflow.experiments.text import parse
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.representations.pretrained import PUBLISHED

SR = 16_000


def listed(text: str) -> dict[str, str]:
    """What is said of each weights, by name."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name = line.partition(":")[0]
        if name in PUBLISHED:
            last = name
        if found or name in PUBLISHED:
            found[last] = found.get(last, "") + line + "\n"
    return found


def test_missing_and_unknown_files_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "msd" / "crnn" / "best_model.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"numbers")
    assert weights(weights=str(tmp_path)) == OK
    said = listed(capsys.readouterr().out)
    assert said.keys() == PUBLISHED.keys()
    assert "MISSING" in said["crnn_mtat"]
    assert "needed by crnn_mtat" in said["crnn_mtat"]
    assert "found, not verified" in said["crnn_msd"]
    assert str(file) in said["crnn_msd"]
    for name, published in PUBLISHED.items():
        assert published.licence in said[name]
        assert published.source in said[name]


def test_every_network_that_a_method_reads_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    weights()
    said = listed(capsys.readouterr().out)
    for method in map(get_method, method_names()):
        for item in method.inputs:
            if item.network is not None:
                assert method.name in said[item.network]
    assert "cnn_artist" in said["artist_siamese"]


def test_published_files_are_there(real_weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights(weights=str(real_weights))
    assert "found, as published" in listed(capsys.readouterr().out)["crnn_jamendo"]


def test_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.pth").touch()
    with pytest.raises(ParameterError, match="is a file; give the folder"):
        weights(weights=str(tmp_path / "model.pth"))


def test_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    given = parse(WEIGHTS, [f"--weights={tmp_path / 'nowhere'}"])
    with pytest.raises(ParameterError, match="nowhere: does not exist"):
        weights(**given)


@pytest.mark.parametrize("method", ["crnn_mtat", "cnn_artist", "openl3_rf"])
def test_training_without_weights_opens_no_run(store: Path, method: str) -> None:
    from mlflow import MlflowClient

    with pytest.raises(WeightsError, match=r"no weights; get .* and give its folder"):
        train(Experiment(method=method, dataset="demo", folds=2))
    client = MlflowClient()
    experiments = [item.experiment_id for item in client.search_experiments()]
    assert not client.search_runs(experiments)


def test_run_says_which_weights_it_used_and_that_they_are_not_known(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from mlflow import MlflowClient

    from mer_mlflow.networks.won_crnn import WonCRNN

    monkeypatch.setenv("MER_CACHE_ROOT", str(tmp_path / "cache"))
    audio = tmp_path / "music"
    for quadrant in ("Q1", "Q2", "Q3", "Q4"):
        (audio / quadrant).mkdir(parents=True)
        for i in range(3):
            rng = np.random.default_rng([i, int(quadrant[1])])
            soundfile.write(audio / quadrant / f"{quadrant}{i}.wav", rng.normal(0, 0.1, 48_000), SR)
    torch.manual_seed(0)
    torch.save(WonCRNN().state_dict(), tmp_path / "own.pth")
    given: dict[str, Any] = {
        "method": "crnn_mtat",
        "dataset": "folder",
        "data_root": str(audio),
        "weights": str(tmp_path / "own.pth"),
        "folds": 3,
        "repeats": 1,
        "duration": 3.0,
        "max_epochs": 2,
        "workers": 1,
    }
    with pytest.raises(WeightsError, match="allow_unverified_weights=true"):
        train(Experiment(**given))
    assert train(Experiment(**given, allow_unverified_weights=True)) == OK
    client = MlflowClient()
    experiments = [item.experiment_id for item in client.search_experiments()]
    (run,) = client.search_runs(experiments, "tags.`mer.status` = 'complete'")
    digest = hashlib.sha256((tmp_path / "own.pth").read_bytes()).hexdigest()
    assert run.data.tags["mer.weights"] == f"crnn_mtat:{digest[:12]}"
    assert run.data.tags["mer.unverified_weights"] == "crnn_mtat"
    assert run.data.metrics["folds_done"] == 3
