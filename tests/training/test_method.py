"""Hyperparameters: completed, converted, checked."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mer_mlflow import get_method
from mer_mlflow.errors import ParameterError
from mer_mlflow.experiments.profiles import get_profile, limited
from mer_mlflow.methods import method_names


def test_defaults_are_the_studys() -> None:
    svm = get_method("svm").resolve()
    assert (svm.C, svm.gamma) == (8, 2**-9)
    cnn = get_method("cnn").resolve()
    assert (cnn.optimizer, cnn.learning_rate, cnn.batch_size) == ("sgd", 0.01, 150)
    assert (cnn.epochs, cnn.stop_accuracy) == (200, 0.9)


def test_text_is_converted_to_the_type_of_the_default() -> None:
    resolved = get_method("cnn").resolve({"learning_rate": "5e-3", "batch_size": "20"})
    assert resolved.learning_rate == 0.005
    assert resolved.batch_size == 20
    assert isinstance(resolved.batch_size, int)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("learning_rate", "-0.1", "learning_rate=-0.1: must be > 0"),
        ("learning_rate", "0", "must be > 0"),
        ("learning_rate", "nan", "must be > 0"),
        ("learning_rate", "inf", "must be > 0"),
        ("learning_rate", "fast", "not a number"),
        ("batch_size", "0", "must be >= 1"),
        ("batch_size", "1.5", "not a whole number"),
        ("stop_accuracy", "1.5", "must be >= 0 and <= 1"),
        ("optimizer", "sgdd", "must be one of sgd, adam"),
        ("colour", "red", "no hyperparameter 'colour'"),
    ],
)
def test_bad_values_are_named(name: str, value: str, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        get_method("cnn").resolve({name: value})


def test_unknown_method_is_named_with_the_known_ones() -> None:
    with pytest.raises(ParameterError, match=r"method=svn: unknown; methods are .*svm"):
        get_method("svn")


def test_quick_profile_caps_what_the_user_left_open() -> None:
    cnn = get_method("cnn")
    quick = get_profile("quick")
    values = limited(cnn, {}, profile=quick, max_epochs=None)
    assert values["epochs"] == cnn.quick_epochs
    assert values["batch_size"] == quick.max_batch_size
    assert limited(cnn, {"epochs": 2}, profile=quick, max_epochs=None)["epochs"] == 2
    assert limited(cnn, {"epochs": 50}, profile=quick, max_epochs=None)["epochs"] == 50
    assert limited(cnn, {"batch_size": 16}, profile=quick, max_epochs=None)["batch_size"] == 16
    assert limited(cnn, {"epochs": 50}, profile=quick, max_epochs=11)["epochs"] == 11
    assert limited(cnn, {}, profile=get_profile("paper"), max_epochs=None) == {}
    assert limited(get_method("svm"), {}, profile=quick, max_epochs=3) == {}


def test_epochs_of_networks_beside_the_main_one_are_capped_too() -> None:
    gan, quick = get_method("cnn_gan"), get_profile("quick")
    names = ("epochs", "autoencoder_epochs", "gan_epochs")
    values = limited(gan, {"gan_epochs": 9}, profile=quick, max_epochs=None)
    assert [values[name] for name in names] == [6, 6, 9]
    values = limited(gan, {"gan_epochs": 9}, profile=quick, max_epochs=2)
    assert [values[name] for name in names] == [2, 2, 2]


def test_looking_methods_up_imports_no_framework() -> None:
    code = (
        "import sys\n"
        "from mer_mlflow.methods import get_method, method_names\n"
        "[get_method(name) for name in method_names()]\n"
        "heavy = {'tensorflow', 'torch', 'keras', 'sklearn', 'librosa'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert {"svm", "cnn", "crnn"} <= set(method_names())
