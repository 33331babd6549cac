from dataclasses import dataclass, replace

import pytest

from mer_mlflow.representations import Chunks, Features, Mel, Waveform
from mer_mlflow.representations.representation import parameter_key


@dataclass(frozen=True)
class Spectrum:
    bands: int = 8


def test_key_tells_name_version_and_parameters_apart():
    keys = {
        parameter_key("a", 1, Spectrum()),
        parameter_key("b", 1, Spectrum()),
        parameter_key("a", 2, Spectrum()),
        parameter_key("a", 1, Spectrum(bands=9)),
    }
    assert len(keys) == 4
    assert parameter_key("a", 1, Spectrum()) == parameter_key("a", 1, Spectrum(bands=8))


def test_keys_are_the_same_in_every_session():
    assert Waveform().key == "waveform-b678309ac586"
    assert Mel().key == "mel-2450684ba5c7"
    assert Features(table="top100").key == "features-top100"


@pytest.mark.parametrize(
    "change",
    [
        {"sr": 22_050},
        {"duration": 29.0},
        {"n_fft": 1024},
        {"hop_length": 256},
        {"n_mels": 96},
        {"top_db": 60.0},
        {"dtype": "float16"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_parameter_of_the_mel_is_in_its_key(change):
    assert replace(Mel(), **change).key != Mel().key


@pytest.mark.parametrize("item", [Waveform(), Mel(), Chunks(of=Mel(), length=100)])
def test_another_duration_is_another_representation(item):
    shorter = item.with_duration(5.0)
    assert type(shorter) is type(item)
    assert shorter.key != item.key
    assert shorter.with_duration(30.0) == item
