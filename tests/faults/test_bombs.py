"""Small files that unpack to large ones: memory is taken for what is needed, and no more."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import shutil
import subprocess
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile

from mer_mlflow.datasets import Clips, bounds, load_dataset
from mer_mlflow.datasets.tables import read_features, read_table
from mer_mlflow.errors import AudioError, DatasetError, ParameterError, WeightsError
from mer_mlflow.representations import Mel, Store, audio
from mer_mlflow.representations.audio import decode
from mer_mlflow.representations.inspection import inspect_audio
from mer_mlflow.representations.pretrained import artist_cnn, find_weights, openl3, won_crnn

MEBI = 1 << 20
SR = 48_000


@contextmanager
def at_most(n_bytes: int) -> Iterator[None]:
    """Memory that may be taken at once."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < n_bytes, f"{peak / MEBI:.0f} MiB"


def hours_of_wav(path: Path, *, n_frames: int, n_channels: int = 1) -> Path:
    """A WAV of silence with a second of sound at its start; the silence takes no room on disk."""
    size = 2 * n_frames * n_channels
    sound = np.random.default_rng(0).integers(-9999, 9999, SR * n_channels, dtype="<i2")
    header = b"RIFF" + (36 + size).to_bytes(4, "little") + b"WAVEfmt \x10\0\0\0\x01\0"
    for number, width in (
        (n_channels, 2),
        (SR, 4),
        (2 * SR * n_channels, 4),
        (2 * n_channels, 2),
        (16, 2),
    ):
        header += number.to_bytes(width, "little")
    with path.open("wb") as file:
        file.write(header + b"data" + size.to_bytes(4, "little") + sound.tobytes())
        file.truncate(44 + size)
    return path


def hours_of_flac(path: Path, *, n_frames: int) -> Path:
    with soundfile.SoundFile(path, "w", SR, 1, subtype="PCM_16") as file:
        for _ in range(n_frames // MEBI):
            file.write(np.zeros(MEBI, dtype=np.int16))
    return path


@pytest.fixture
def clip_of(demo: Clips) -> Callable[[Path], Clips]:
    def clip(path: Path) -> Clips:
        return replace(demo.take(np.array([0])), audio=(path,), audio_hashes=("0" * 32,))

    return clip


@pytest.mark.parametrize("n_channels", [1, 2])
def test_hours_of_audio_take_the_memory_of_the_excerpt(
    tmp_path: Path, clip_of: Callable[[Path], Clips], n_channels: int
) -> None:
    path = hours_of_wav(
        tmp_path / "a.wav", n_frames=2_000_000_000 // n_channels, n_channels=n_channels
    )
    clips, mel = clip_of(path), Mel(duration=10.0)
    mel.compute(decode(path, seconds=1.0))  # imports take memory too
    with at_most(40 * MEBI):
        values = Store(root=tmp_path / "store").fill(clips, mel)[np.array([0])]
    assert values.shape == (1, *mel.shape)
    with at_most(40 * MEBI):
        inspection = inspect_audio(clips, duration=10.0)
    assert inspection.broken == ()
    assert inspection.seconds[clips.ids[0]] == pytest.approx(2e9 / n_channels / SR, rel=1e-3)


def test_flac_of_little_and_much_silence_takes_the_memory_of_the_excerpt(tmp_path: Path) -> None:
    path = hours_of_flac(tmp_path / "a.flac", n_frames=32 * MEBI)
    assert path.stat().st_size < MEBI
    with at_most(20 * MEBI):
        heard = decode(path, seconds=10.0)
    assert (heard.sr, heard.seconds) == (SR, 11.0)
    assert heard.file_seconds == 32 * MEBI / SR


def test_excerpt_of_a_long_file_is_that_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = np.random.default_rng(0).normal(size=(30 * SR, 2)) / 9
    soundfile.write(tmp_path / "a.mp3", sound, SR)
    whole = decode(tmp_path / "a.mp3")
    monkeypatch.setattr(audio, "MOST_VALUES", SR)
    heard = decode(tmp_path / "a.mp3", seconds=4.0)
    np.testing.assert_array_equal(heard.samples, whole.samples[: 5 * SR])
    assert heard.file_seconds == pytest.approx(30.0, abs=0.1)


def test_checksum_is_that_of_the_whole_file_however_much_is_kept(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(size=9 * SR) / 9, SR)
    whole, excerpt = decode(tmp_path / "a.wav"), decode(tmp_path / "a.wav", seconds=1.0)
    assert len(excerpt.samples) == 2 * SR
    assert excerpt.checksum == whole.checksum == replace(whole, file_checksum=None).checksum


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="no ffmpeg program on PATH")
def test_hours_of_m4a_take_the_memory_of_the_excerpt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wav = hours_of_wav(tmp_path / "a.wav", n_frames=SR * 1200)
    subprocess.run(["ffmpeg", "-v", "error", "-i", wav, tmp_path / "a.m4a"], check=True)
    monkeypatch.setattr(audio, "MOST_VALUES", SR)
    with at_most(20 * MEBI):
        assert decode(tmp_path / "a.m4a", seconds=10.0).seconds == 11.0


@pytest.mark.parametrize(("place", "width", "number"), [(24, 4, 2_000_000_000), (22, 2, 1000)])
def test_headers_of_no_sound_are_refused(
    tmp_path: Path, place: int, width: int, number: int
) -> None:
    path = hours_of_wav(tmp_path / "a.wav", n_frames=2 * SR)
    content = bytearray(path.read_bytes())
    content[place : place + width] = number.to_bytes(width, "little")
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"a\.wav: (has \d+ samples per second|not decodable)"):
        decode(path)


def hdf5(*, many: bool = False, **options: object) -> bytes:
    """An HDF5 file whose arrays were never written, of 8 GiB or of many times 160 MiB."""
    sink = io.BytesIO()
    shape = (40 << 20,) if many else (1 << 31,)
    with h5py.File(sink, "w") as file:
        names = [f"conv1d_{i}" for i in range(1, 65 if many else 2)]
        file.attrs["layer_names"] = [name.encode() for name in names]
        for name in names:
            file.create_dataset(
                f"{name}/{name}/kernel:0", shape=shape, chunks=(1 << 20,), dtype="f4", **options
            )
            file[f"{name}/{name}/bias:0"] = file[f"{name}/{name}/kernel:0"]
    return sink.getvalue()


def packed_zeros(n_bytes: int) -> bytes:
    sink = io.BytesIO()
    with gzip.open(sink, "wb", compresslevel=1) as file:
        for _ in range(n_bytes // MEBI):
            file.write(bytes(MEBI))
    return sink.getvalue()


def zipped_zeros(n_bytes: int) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        with archive.open("archive/data/0", "w", force_zip64=True) as file:
            for _ in range(n_bytes // MEBI):
                file.write(bytes(MEBI))
    return sink.getvalue()


@pytest.fixture(scope="module")
def networks() -> None:
    """Import what loads weights: that takes memory too."""
    for name in ("artist_cnn", "openl3", "won_crnn"):
        import_module(f"mer_mlflow.networks.{name}")


@pytest.mark.usefixtures("networks")
@pytest.mark.parametrize(
    ("name", "load", "suffix", "content", "message"),
    [
        ("openl3_mel128", openl3.load, "h5", lambda: hdf5(), "more than 256 MiB"),
        ("openl3_mel128", openl3.load, "h5", lambda: hdf5(many=True), "more than 256 MiB"),
        (
            "openl3_mel128",
            openl3.load,
            "h5",
            lambda: hdf5(compression="gzip"),
            "compressed inside",
        ),
        ("openl3_mel128", openl3.load, "h5.gz", lambda: packed_zeros(1 << 30), "more than 256 MiB"),
        (
            "openl3_mel128",
            openl3.load,
            "h5.gz",
            lambda: gzip.compress(b"") * 9 + packed_zeros(1 << 30),
            "more than 256 MiB",
        ),
        ("artist_basic", artist_cnn.load, "h5", lambda: hdf5(), "more than 256 MiB"),
        ("artist_basic", artist_cnn.load, "h5", lambda: hdf5(many=True), "more than 256 MiB"),
        ("crnn_msd", won_crnn.load, "pth", lambda: zipped_zeros(1 << 30), "more than 256 MiB"),
    ],
)
def test_weights_that_unpack_to_gibibytes_are_refused(
    tmp_path: Path,
    name: str,
    load: Callable[..., object],
    suffix: str,
    content: Callable[[], bytes],
    message: str,
) -> None:
    file = tmp_path / f"weights.{suffix}"
    file.write_bytes(content())
    weights = find_weights(name, file, allow_unverified=True)
    with at_most(900 * MEBI), pytest.raises(WeightsError, match=rf"weights\.{suffix}.*{message}"):
        load(weights)


def refusal_of_table(folder: Path, content: bytes) -> str:
    """What a table is refused with, in one line and with little memory."""
    path = folder / "clips.csv"
    path.write_bytes(content)
    with at_most(len(content) * 6 + 64 * MEBI), pytest.raises(DatasetError) as raised:
        load_dataset("folder", path)
    words = str(raised.value)
    assert words.startswith(str(path)) and len(words.splitlines()) == 1 and len(words) < 1000
    return words


@pytest.mark.parametrize("n_bytes", [10 << 30, 1 << 40])
def test_table_of_gigabytes_is_not_read(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "clips.csv"
    with path.open("wb") as sparse:
        sparse.write(b"path,quadrant\n")
        sparse.truncate(n_bytes)
    with at_most(10 * MEBI), pytest.raises(DatasetError) as raised:
        load_dataset("folder", path)
    assert "clips.csv: more than 256 MiB; " in str(raised.value)
    assert "MER_TABLE_SCALE (2 doubles them)" in str(raised.value)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero")
def test_table_that_never_ends_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "annotations.csv").symlink_to("/dev/zero")
    with at_most(10 * MEBI), pytest.raises(DatasetError, match=r"it is a device or pipe"):
        read_table(tmp_path / "annotations.csv")


WIDE = b",".join([b"1"] * 1_000_000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path,quadrant," + WIDE + b"\n", "line 1: more than 100000 columns"),
        (b"path,quadrant\na.wav,Q1\n" + WIDE + b"\n", "line 3: more than 100000 columns"),
        (b"path,quadrant\r" + WIDE + b"\r", "line 2: more than 100000 columns"),
        (b"path,quadrant\n" + b"a" * 100_000_000 + b",Q1\n", "a cell has more than 131072"),
        (b'path,quadrant\n"' + b"a\n" * 200_000 + b",Q1\n", "a cell has more than 131072"),
        (b"a" * 200_000 + b",quadrant\na.wav,Q1\n", "line 1: a cell has more than 131072"),
        (b"path,quadrant\n" + b"," * 3_000_000, "line 2: more than 100000 columns"),
        (b"path,quadrant\na.wav," + b"Q" * 100_000 + b"\n", "(100000 characters)"),
    ],
    ids=["header", "row", "returns", "cell", "quoted", "name", "commas", "quadrant"],
)
def test_tables_that_would_fill_memory_are_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    assert message in refusal_of_table(tmp_path, content)


def zipped(content: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("clips.csv", content)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("pack", "name"),
    [(gzip.compress, "gzip"), (bz2.compress, "bzip2"), (lzma.compress, "xz"), (zipped, "zip")],
)
def test_packed_tables_are_refused_and_not_unpacked(
    tmp_path: Path, pack: Callable[[bytes], bytes], name: str
) -> None:
    content = pack(b"path,quadrant\n" + b"a.wav,Q1\n" * 1_000_000)
    assert len(content) < MEBI
    assert f"is compressed ({name}); unpack it" in refusal_of_table(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "scale", "message"),
    [
        (b"S\n" + b"A\n" * 30, "1e-5", "more than 20 rows"),
        (b"S,Q,x,y,z\n" + b"1,2,3,4,5\n" * 9, "1e-6", "more than 40 cells"),
        (b"S,Q,x,y,z\n" + b"1,2,3,4,5\n" * 9, "2e-5", "more than 2 columns"),
        (b"Song,Quadrant\n" + b"A,Q1\n" * 600, "1e-5", "more than 0.00255966 MiB"),
    ],
)
def test_bounds_of_tables_are_raised_by_their_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, scale: str, message: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    monkeypatch.setattr(bounds, "MOST_BYTES", bounds.MOST_BYTES * (1 if "MiB" in message else 1000))
    if "cells" in message:
        monkeypatch.setattr(bounds, "MOST_ROWS", 10**9)
        monkeypatch.setattr(bounds, "MOST_COLUMNS", 10**9)
    assert read_table(path).rows
    monkeypatch.setenv("MER_TABLE_SCALE", scale)
    with pytest.raises(DatasetError, match=rf"a\.csv.*: {message}.*MER_TABLE_SCALE"):
        read_table(path)


@pytest.mark.parametrize("scale", ["many", "0", "-1", "nan", "inf"])
def test_scale_that_is_no_number_is_named(scale: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MER_TABLE_SCALE", scale)
    with pytest.raises(ParameterError, match=f"MER_TABLE_SCALE={scale}: must be a number > 0"):
        bounds.table_bounds()


def test_a_million_rows_are_read(tmp_path: Path) -> None:
    path = tmp_path / "annotations.csv"
    path.write_bytes(
        b"Song,Quadrant\n" + b"".join(b"A%07d,Q%d\n" % (i, i % 4 + 1) for i in range(1_000_000))
    )
    table = read_table(path)
    assert len(table.rows) == 1_000_000 and table.rows[-1] == (1_000_001, ("A0999999", "Q4"))


def test_features_of_more_clips_than_a_table_has_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "features.csv"
    names = b",".join(b"f%d" % i for i in range(90_000))
    path.write_bytes(b"Song," + names + b"\nA" + b",1" * 90_000 + b"\n")
    table, ids = read_table(path), [f"C{i}" for i in range(100_000)]
    with at_most(100 * MEBI), pytest.raises(DatasetError, match=r"more than 40000000 cells"):
        read_features(table, clip_ids=ids)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a" * 252 + ".wav", "a file name of 256 bytes (aaa"),
        ("é" * 126 + ".wav", "a file name of 256 bytes (ééé"),
        ("sub/" + "a" * 300 + "/b.wav", "a file name of 300 bytes"),
        ("sub\\" + "a" * 300 + ".wav", "a file name of 304 bytes"),
        ("sub/" * 2000 + "b.wav", "a path of 8005 bytes"),
        ("a" * 100_000, "a path of 100000 bytes"),
    ],
    ids=["name", "accents", "folder", "backslash", "folders", "path"],
)
def test_names_longer_than_any_file_has_are_refused(
    tmp_path: Path, name: str, message: str
) -> None:
    words = refusal_of_table(tmp_path, f"path,quadrant\n{name},Q1\n".encode())
    assert f"line 2: column path has {message}" in words


def test_longest_names_of_files_are_read(tmp_path: Path) -> None:
    name = "a" * 251 + ".wav"
    soundfile.write(tmp_path / name, np.zeros(SR), SR)
    (tmp_path / "clips.csv").write_text(f"path,quadrant\n{name},Q1\n")
    assert load_dataset("folder", tmp_path).ids == ("a" * 251,)


def test_weights_of_a_terabyte_are_not_read(tmp_path: Path) -> None:
    file = tmp_path / "model_basic.h5"
    with file.open("wb") as sparse:
        sparse.truncate(1 << 40)
    with pytest.raises(WeightsError, match=r"model_basic\.h5: has 1048576 MiB"):
        find_weights("artist_basic", tmp_path, allow_unverified=True)
