import numpy as np
import pytest

from mer_mlflow.representations.handcrafted import pitch
from mer_mlflow.representations.handcrafted.sound import MELODY_HZ, SR, Sound


def sound_of(samples: np.ndarray) -> Sound:
    return Sound(samples=samples.astype(np.float32))


@pytest.mark.parametrize("hz", [110.0, 441.3, 1234.5])
def test_peak_of_a_sine(hz):
    sine = 0.5 * np.sin(2 * np.pi * hz * np.arange(SR) / SR)
    peaks = sound_of(sine).peaks
    strongest = peaks.amplitude > 0.4
    assert np.abs(peaks.hz[strongest] - hz).max() < 1.0
    np.testing.assert_allclose(peaks.amplitude[strongest], 0.5, rtol=0.1)


@pytest.mark.parametrize("midi", [45.0, 57.3, 69.0, 81.8])
def test_melody_is_the_fundamental(tone, midi):
    melody = sound_of(tone(midi, 1.0)).melody
    assert melody.voiced.mean() > 0.9
    np.testing.assert_allclose(melody.semitones[melody.voiced], midi, atol=0.25)


def test_a_leap_begins_a_note_and_a_pause_ends_one(tone):
    pause = np.zeros(SR // 2)
    sound = sound_of(np.concatenate([tone(60), tone(67), pause, tone(64)]))
    assert [round(note.pitch) for note in sound.notes] == [60, 67, 64]
    first, second, third = sound.notes
    assert second.start - first.end <= 2 < third.start - second.end


@pytest.mark.parametrize("cents", [-30, 0, 20, 40])
def test_tuning(tone, cents):
    sound = sound_of(tone(57 + cents / 100, 1.5))
    assert pitch.tuning(sound.long_peaks) == pytest.approx(cents / 100, abs=0.05)


def test_chroma_of_a_tone_is_its_pitch_class(tone):
    chroma = sound_of(tone(64, 1.5)).chroma
    assert (chroma.argmax(axis=0) == 64 % 12).all()
    np.testing.assert_allclose(chroma.sum(axis=0), 1.0)


def test_layers_fall_from_the_strongest(tone):
    sound = sound_of(tone(60, 1.0) + 0.5 * tone(67, 1.0))
    layers = sound.layers
    np.testing.assert_array_equal(layers[0], sound.salience.max(axis=0))
    assert (layers[1] > 0.1 * layers[0]).mean() > 0.9 > (layers[2] > 0.1 * layers[0]).mean()


def test_silence_has_no_peaks():
    sound = sound_of(np.zeros(SR))
    assert len(sound.peaks.hz) == 0
    assert sound.salience.max() == 0.0
    assert sound.notes == ()
    assert pitch.midi(MELODY_HZ[0]) == pytest.approx(36, abs=0.2)
