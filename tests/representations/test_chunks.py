import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_mlflow.representations import Chunks, Mel, Waveform

WAVEFORM = Waveform(sr=8000, duration=0.5)
MEL = Mel(sr=8000, duration=0.5, n_fft=256, hop_length=64, n_mels=16)


@settings(deadline=None, max_examples=40)
@given(of=st.sampled_from([WAVEFORM, MEL]), data=st.data())
def test_chunks_side_by_side_are_the_head_of_what_was_cut(make_audio, of, data):
    audio = make_audio(seconds=0.6, sr=8000)
    length = data.draw(st.integers(1, of.shape[-1]), label="length")
    chunks = Chunks(of=of, length=length)
    pieces = chunks.compute(audio)
    assert pieces.shape == chunks.shape
    assert len(pieces) == of.shape[-1] // length
    whole = of.compute(audio)
    np.testing.assert_array_equal(
        np.concatenate(list(pieces), axis=-1), whole[..., : len(pieces) * length]
    )


@settings(deadline=None, max_examples=40)
@given(
    of=st.sampled_from([WAVEFORM, MEL]),
    n_chunks=st.integers(1, 6),
    seconds=st.floats(0.02, 0.5),
)
def test_chunks_of_a_short_clip_lie_in_what_was_recorded(make_audio, of, n_chunks, seconds):
    audio = make_audio(seconds=seconds, sr=8000)
    chunks = Chunks(of=of, length=of.shape[-1] // n_chunks)
    whole, recorded = of.compute(audio), of.recorded(audio)
    windows = np.lib.stride_tricks.sliding_window_view(whole, chunks.length, axis=-1)
    starts = []
    for piece in chunks.compute(audio):
        same = np.all(
            windows == (piece if of is WAVEFORM else piece[:, np.newaxis]),
            axis=-1 if of is WAVEFORM else (0, 2),
        )
        starts.append(int(np.flatnonzero(same)[0]))
    last = max(0, recorded - chunks.length)
    assert starts[0] == 0
    assert starts == sorted(starts)
    assert starts[-1] <= last
    if len(starts) * chunks.length > recorded:
        assert starts == [round(i) for i in np.linspace(0, last, len(starts))]


@pytest.mark.parametrize("of", [WAVEFORM, MEL])
def test_excerpt_shorter_than_a_chunk_is_padded_with_silence(make_audio, of):
    audio, missing = make_audio(sr=8000), 7
    (piece,) = Chunks(of=of, length=of.shape[-1] + missing).compute(audio)
    whole = of.compute(audio)
    np.testing.assert_array_equal(piece[..., :-missing], whole)
    assert np.unique(piece[..., -missing:]) == (0 if of is WAVEFORM else whole.min())


def test_thirty_seconds_are_eight_chunks_of_the_literature():
    assert Chunks(of=Waveform(), length=59_049).shape == (8, 59_049)
    assert Chunks(of=Mel(n_fft=512, hop_length=256), length=231).shape == (8, 128, 231)


def test_key_depends_on_what_is_cut_and_how():
    chunks = [
        Chunks(of=WAVEFORM, length=100),
        Chunks(of=WAVEFORM, length=101),
        Chunks(of=WAVEFORM.with_duration(0.6), length=100),
        Chunks(of=MEL, length=100),
    ]
    assert len({item.key for item in chunks}) == len(chunks)


def test_dtype_is_that_of_what_is_cut(make_audio):
    half = Chunks(of=Waveform(sr=8000, duration=0.5, dtype="float16"), length=100)
    assert half.compute(make_audio()).dtype == half.dtype == "float16"
