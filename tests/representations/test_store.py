import os
import pickle
import subprocess
import sys
import time
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from mer_mlflow.arithmetic import PORTABLE, NotInEffectError, check_arithmetic
from mer_mlflow.augmentation import PowerShift, Synthesised
from mer_mlflow.datasets import Clips
from mer_mlflow.errors import AudioError, DatasetError, ParameterError, StoreError, WeightsError
from mer_mlflow.representations import Chunks, Handcrafted, Mel, Waveform, open_store
from mer_mlflow.representations.audio import decode
from mer_mlflow.representations.store import StoredArray, _fault, write_entry

WAVEFORM = Waveform(sr=8000, duration=0.25)


@dataclass(frozen=True)
class Peak:
    """A representation that notes how often it is computed."""

    calls: list[float] = field(default_factory=list)
    key = "peak"
    shape = (2,)
    dtype = "float32"
    required_seconds = 1.0

    def compute(self, audio):
        peak = float(np.abs(audio.samples).max())
        self.calls.append(peak)
        return np.array([peak, audio.seconds], dtype=np.float32)


def like(array):
    """A representation whose arrays have this one's shape and type."""
    return SimpleNamespace(shape=array.shape, dtype=str(array.dtype))


def python(code: str, *arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def output(process: subprocess.Popen) -> str:
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return printed.strip()


@pytest.fixture
def clips(tmp_path, write_audio, clips_of) -> Clips:
    return clips_of(*(write_audio(tmp_path / f"{i}.wav", seconds=0.3, seed=i) for i in range(6)))


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "store")


def entries(store, clips, representation):
    return [store.path(representation, content) for content in clips.audio_hashes]


def test_fill_gives_every_clip_its_array(store, clips):
    array = store.fill(clips, Peak())
    assert array.shape == (6, 2)
    assert len(array) == 6
    peaks = array[np.arange(6)][:, 0]
    assert len(set(peaks)) == 6
    np.testing.assert_array_equal(array[np.array([4, 0, 4])][:, 0], peaks[[4, 0, 4]])


def test_fill_computes_only_what_is_missing(store, clips):
    peak, progress = Peak(), []
    store.fill(clips.take(np.array([1, 3])), peak)
    assert len(peak.calls) == 2
    assert store.missing(clips, peak) == (0, 2, 4, 5)
    array = store.fill(clips, peak, on_progress=lambda *counts: progress.append(counts))
    assert len(peak.calls) == 6
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert store.missing(clips, peak) == ()
    np.testing.assert_array_equal(store.fill(clips, peak)[np.arange(6)], array[np.arange(6)])
    assert len(peak.calls) == 6


def test_files_are_decoded_once_for_all_representations(store, clips, monkeypatch):
    decoded, progress = [], []
    monkeypatch.setattr(
        "mer_mlflow.representations.store.decode",
        lambda path, *, seconds: decoded.append(path) or decode(path, seconds=seconds),
    )
    kinds = [Mel(duration=0.2), WAVEFORM, Synthesised(of=WAVEFORM, by=PowerShift(), seed=0)]
    store.fill(clips.take(np.array([0, 1])), WAVEFORM)
    decoded.clear()
    filled = store.fill_all(clips, kinds, on_progress=lambda *counts: progress.append(counts))
    assert sorted(decoded) == sorted(clips.audio_files())
    assert progress == [(done, 16) for done in range(1, 17)]
    assert list(filled) == [kind.key for kind in kinds]


def test_entries_do_not_depend_on_what_else_is_computed(clips, tmp_path):
    kinds = [
        Mel(duration=0.2),
        Waveform(sr=8000, duration=0.05),
        Handcrafted(duration=0.1),
        Peak(),
        Synthesised(of=WAVEFORM.with_duration(0.1), by=PowerShift(), seed=0),
    ]
    together, alone = open_store(tmp_path / "together"), open_store(tmp_path / "alone")
    together.fill_all(clips, kinds)
    for kind in kinds:
        alone.fill(clips, kind)
        for one, other in zip(
            entries(together, clips, kind), entries(alone, clips, kind), strict=True
        ):
            assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("seconds", [0.1, 1.0, 2.5])
def test_beginning_is_what_is_decoded_for_an_excerpt(tmp_path, write_audio, monkeypatch, seconds):
    path = write_audio(tmp_path / "a.wav", seconds=3.0)
    for most in (1 << 29, 100):  # the checksum of a long file is that of what is decoded
        monkeypatch.setattr("mer_mlflow.representations.audio.MOST_VALUES", most)
        expected, found = decode(path, seconds=seconds), decode(path, seconds=3.0)
        found = found.beginning(seconds)
        np.testing.assert_array_equal(found.samples, expected.samples)
        assert found.checksum == expected.checksum
        assert found.file_seconds == expected.file_seconds


@dataclass(frozen=True)
class Failing(Peak):
    """A representation that cannot be computed."""

    key = "failing"

    def compute(self, audio):
        super().compute(audio)
        raise WeightsError("no such network")


def test_failure_of_a_representation_leaves_the_others(store, clips):
    failing, peak = Failing(), Peak()
    with pytest.raises(WeightsError, match="no such network"):
        store.fill_all(clips, [failing, peak])
    assert store.missing(clips, peak) == ()
    assert len(store.missing(clips, failing)) == 6
    assert len(failing.calls) <= os.cpu_count()


def test_broken_file_is_counted_once(store, clips, clips_of, tmp_path):
    (tmp_path / "torn.wav").write_bytes(b"no audio")
    mixed = clips_of(*clips.audio_files(), tmp_path / "torn.wav")
    with pytest.raises(AudioError, match="1 of 7 audio files"):
        store.fill_all(mixed, [Peak(), WAVEFORM])
    assert store.missing(clips, WAVEFORM) == store.missing(clips, Peak()) == ()


def test_entries_follow_the_content_not_the_path(store, clips, clips_of, tmp_path):
    peak = Peak()
    store.fill(clips, peak)
    renamed = clips.audio_files()[2].rename(tmp_path / "renamed.wav")
    assert store.missing(clips_of(renamed), peak) == ()


def test_representations_do_not_share_entries(store, clips):
    store.fill(clips, WAVEFORM)
    assert len(store.missing(clips, WAVEFORM.with_duration(0.2))) == 6


def test_stored_arrays_are_indexed_as_arrays_are(store, clips):
    pieces = Chunks(of=WAVEFORM, length=100)
    array = store.fill(clips, pieces)
    whole = array[np.arange(6)]
    positions, parts = np.array([4, 0, 4]), np.array([1, 2, 0])
    assert whole.shape == array.shape
    np.testing.assert_array_equal(array[positions, parts], whole[positions, parts])


def test_many_clips_take_few_open_files(store, clips):
    resource = pytest.importorskip("resource")
    array = store.fill(clips, WAVEFORM)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    n_open = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (n_open + 3, hard))
    try:
        assert array[np.arange(6)].shape == array.shape
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_clips_without_audio_are_refused(store, clips):
    silent = Clips(
        name="test",
        ids=clips.ids,
        quadrants=clips.quadrants,
        audio=(None,) * 6,
        audio_hashes=(None,) * 6,
        artists=clips.artists,
    )
    with pytest.raises(DatasetError, match="6 of 6 clips have no audio file"):
        store.fill(silent, WAVEFORM)


def test_default_store_lies_in_the_cache(cache):
    assert open_store().root == cache / "store"


def test_corrupted_entry_is_computed_again(store, clips):
    peak = Peak()
    expected = store.fill(clips, peak)[np.arange(6)]
    damaged = entries(store, clips, peak)[3]
    content = bytearray(damaged.read_bytes())
    content[-8] ^= 1
    damaged.write_bytes(content)
    assert store.missing(clips, peak) == (3,)
    np.testing.assert_array_equal(store.fill(clips, peak)[np.arange(6)], expected)
    assert len(peak.calls) == 7
    assert store.missing(clips, peak) == ()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda array: array[:-1], r"float32 (1999,) instead of float32 (2000,)"),
        (lambda array: array[np.newaxis], r"float32 (1, 2000) instead of float32 (2000,)"),
        (lambda array: array.astype(np.float64), "float64 (2000,) instead of float32 (2000,)"),
        (lambda array: array.astype(">f4"), ">f4 (2000,) instead of float32 (2000,)"),
        (lambda array: np.append(array[:-1], np.float32(np.nan)), "numbers that are not finite"),
        (lambda array: np.append(np.float32(-np.inf), array[1:]), "numbers that are not finite"),
        (np.zeros_like, "nothing but zeros"),
        (lambda array: -np.zeros_like(array), "nothing but zeros"),
    ],
)
@pytest.mark.parametrize("copies", [False, True])
def test_entry_that_is_no_result_is_named_and_computed_again(
    store, clips, capsys, change, fault, copies
):
    kind = Synthesised(of=WAVEFORM, by=PowerShift(), seed=0) if copies else WAVEFORM
    expected = store.fill(clips, kind)[np.arange(6)]
    path = entries(store, clips, kind)[3]
    write_entry(path, change(expected[3]))
    assert store.missing(clips, kind) == (3,)
    assert capsys.readouterr().out == ""
    np.testing.assert_array_equal(store.fill(clips, kind)[np.arange(6)], expected)
    said = capsys.readouterr().out
    assert said == f"damaged in the store, computed again: {path} ({fault})\n"
    store.fill(clips, kind)
    assert capsys.readouterr().out == ""


def test_entries_of_no_array_are_computed_again(store, clips, capsys):
    expected = store.fill(clips, WAVEFORM)[np.arange(6)]
    contents = (b"", b"no array", b"\x93NUMPY\x01\0\xff\xff{", b"\x93NUMPY\x02\0" + bytes(200))
    for path, content in zip(entries(store, clips, WAVEFORM), contents, strict=False):
        checksum = zlib.crc32(content).to_bytes(4, "little")
        path.write_bytes(content + checksum)
    assert store.missing(clips, WAVEFORM) == (0, 1, 2, 3)
    np.testing.assert_array_equal(store.fill(clips, WAVEFORM)[np.arange(6)], expected)
    assert "and 1 more" in capsys.readouterr().out


def test_headers_are_parsed_by_one_thread_at_a_time(store, clips, monkeypatch):
    parsing, parse = [0, 0], np.lib.format.read_array_header_1_0

    def watched(header):
        parsing[0] += 1
        parsing[1] = max(parsing)
        time.sleep(0.005)
        parsing[0] -= 1
        return parse(header)

    store.fill(clips, WAVEFORM)
    monkeypatch.setattr(np.lib.format, "read_array_header_1_0", watched)
    store.fill(clips, WAVEFORM)
    assert parsing == [0, 1]


def test_silent_clip_keeps_its_zeros(store, tmp_path, clips_of, capsys):
    soundfile.write(tmp_path / "silent.wav", np.zeros(8000), 16_000)
    clip = clips_of(tmp_path / "silent.wav")
    assert not store.fill(clip, WAVEFORM)[np.array([0])].any()
    (path,) = entries(store, clip, WAVEFORM)
    before = path.stat()
    assert not store.fill(clip, WAVEFORM)[np.array([0])].any()
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert capsys.readouterr().out == ""


def test_entry_that_changes_under_a_run_is_named(store, clips):
    array = store.fill(clips, WAVEFORM)
    path = entries(store, clips, WAVEFORM)[2]
    write_entry(path, np.ones(7, dtype=np.float32))
    with pytest.raises(StoreError, match=rf"{path.name}: changed to an array of shape \(7,\)"):
        array[np.arange(6)]
    path.unlink()
    with pytest.raises(StoreError, match=rf"{path.name}: the store cannot be read \(No such file"):
        array[np.arange(6)]


def test_representation_that_is_not_as_declared_is_not_kept(store, clips):
    class Other(Peak):
        key = "other"
        shape = (3,)

    with pytest.raises(ValueError, match="not as declared"):
        store.fill(clips, Other())


@pytest.mark.parametrize(("umask", "rights"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_entries_have_the_rights_that_the_umask_leaves(store, clips, umask, rights):
    before = os.umask(umask)
    try:
        store.fill(clips, WAVEFORM)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in entries(store, clips, WAVEFORM)} == {rights}


def test_broken_files_are_named_and_the_others_kept(store, clips):
    for i in (1, 4):
        clips.audio_files()[i].write_bytes(b"no audio")
    with pytest.raises(AudioError, match=r"2 of 6 audio files cannot be used: .*1\.wav.*4\.wav"):
        store.fill(clips, WAVEFORM)
    assert store.missing(clips, WAVEFORM) == (1, 4)


DTYPES = npst.floating_dtypes(sizes=(16, 32, 64), endianness="=") | npst.integer_dtypes(
    endianness="="
)
SHAPES = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
ARRAYS = npst.arrays(DTYPES, SHAPES)


@pytest.fixture(scope="module")
def one_entry(tmp_path_factory, write_audio, clips_of):
    folder = tmp_path_factory.mktemp("one entry")
    clip = clips_of(write_audio(folder / "a.wav"))
    store = open_store(folder / "store")
    return store, clip, store.path(WAVEFORM, clip.audio_hashes[0])


@settings(deadline=None, max_examples=60)
@given(array=ARRAYS)
@example(array=np.zeros((0, 3), dtype=np.float32))
@example(array=np.asfortranarray(np.arange(6.0).reshape(2, 3)))
@example(array=np.arange(24.0)[::2])
def test_any_array_comes_back(one_entry, array):
    *_, path = one_entry
    write_entry(path, array)
    assert (_fault(path, like(array)) is None) == (np.isfinite(array).all() and array.any())
    (back,) = StoredArray(paths=(path,), item_shape=array.shape)[np.array([0])]
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@settings(deadline=None, max_examples=60)
@given(array=ARRAYS, data=st.data())
def test_any_damage_is_detected(one_entry, array, data):
    *_, path = one_entry
    write_entry(path, array)
    content = path.read_bytes()
    position = data.draw(st.integers(0, len(content) - 1), label="position")
    flipped = bytearray(content)
    flipped[position] ^= data.draw(st.integers(1, 255), label="flipped bits")
    for damaged in (flipped, content[:position], content + b"\0"):
        path.write_bytes(damaged)
        assert _fault(path, like(array)) == "its checksum is wrong"


WRITE_FOREVER = """
import sys
from itertools import count
from pathlib import Path
import numpy as np
from mer_mlflow.representations.store import write_entry
for i in count():
    write_entry(Path(sys.argv[1 + i % (len(sys.argv) - 1)]), np.full(500_000, i + 1.0))
"""


def test_killed_writer_leaves_entries_whole_or_absent(store, clips):
    paths = entries(store, clips, WAVEFORM)
    for delay in (0.1, 0.25):
        writer = python(WRITE_FOREVER, *paths)
        deadline = time.monotonic() + 30
        while not paths[0].exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(delay)
        writer.kill()
        writer.communicate()
        absent = tuple(i for i, path in enumerate(paths) if not path.exists())
        assert 0 not in absent
        written = like(np.ones(500_000))
        assert [_fault(path, written) for i, path in enumerate(paths) if i not in absent] == [
            None
        ] * (len(paths) - len(absent))
        paths[0].unlink()


def test_abandoned_drafts_are_swept_and_young_ones_kept(store, clips):
    folder = entries(store, clips, WAVEFORM)[0].parent
    folder.mkdir(parents=True)
    old, young = folder / ".writing-old", folder / ".writing-young"
    for path in (old, young):
        path.touch()
    os.utime(old, (time.time() - 7200,) * 2)
    store.fill(clips, WAVEFORM)
    assert not old.exists()
    assert young.exists()


FILL = """
import sys
from pathlib import Path
import numpy as np
from mer_mlflow.datasets import load_dataset
from mer_mlflow.representations import Chunks, Waveform, open_store
clips = load_dataset("folder", Path(sys.argv[1]))
array = open_store(Path(sys.argv[2])).fill(clips, Waveform(sr=8000, duration=0.25))
print(array[np.arange(len(clips))].sum(axis=1).tolist())
"""


def test_two_processes_fill_one_store(tmp_path, write_audio):
    (tmp_path / "Q1").mkdir()
    for i in range(40):
        write_audio(tmp_path / "Q1" / f"{i:02}.flac", seconds=0.3, seed=i)
    both = [python(FILL, tmp_path, tmp_path / "store") for _ in range(2)]
    first, second = map(output, both)
    assert first == second
    assert first.count(",") == 39
    assert not list((tmp_path / "store").rglob(".writing-*"))


READ_PICKLE = """
import pickle, sys
import numpy as np
with open(sys.argv[1], "rb") as file:
    array = pickle.load(file)
print(array.shape, array[np.array([5, 2])].tolist())
"""


def test_pickled_array_is_read_in_another_process(store, clips, tmp_path):
    array = store.fill(clips, Peak())
    expected = array[np.array([5, 2])].tolist()
    pickled = pickle.dumps(array)
    assert len(pickled) < 2000, "the arrays travel by path, not by value"
    (tmp_path / "array.pickle").write_bytes(pickled)
    assert output(python(READ_PICKLE, tmp_path / "array.pickle")) == f"(6, 2) {expected}"


def test_numbers_that_are_not_finite_are_not_kept(store, clips):
    class Loud(Peak):
        key = "loud"

        def compute(self, audio):
            return np.array([np.inf, 0.0])

    with pytest.raises(AudioError, match="is not finite"):
        store.fill(clips, Loud())
    assert not list(store.root.glob("loud/*/*.npy"))


def test_arithmetics_do_not_share_entries(store, clips):
    portable = replace(store, arithmetic=PORTABLE)
    store.fill(clips, Peak())
    assert portable.missing(clips, Peak()) == tuple(range(6))
    assert {path.parts[-4] for path in entries(portable, clips, Peak())} == {"portable"}
    assert open_store(store.root, arithmetic=PORTABLE) == portable


def test_entries_of_portable_arithmetic_are_computed_where_it_is_in_effect(store, clips):
    try:
        check_arithmetic(PORTABLE)
    except ParameterError as error:
        pytest.skip(str(error))
    portable, peak = replace(store, arithmetic=PORTABLE), Peak()
    with pytest.raises(NotInEffectError, match="arithmetic=portable: this process was started"):
        portable.fill(clips, peak)
    assert peak.calls == []
    for path, found in zip(
        entries(portable, clips, peak), store.fill(clips, peak)[np.arange(6)], strict=True
    ):
        write_entry(path, found)
    assert len(portable.fill(clips, peak)) == 6  # what is there needs no arithmetic
