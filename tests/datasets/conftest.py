import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture(scope="session")
def write_sound():
    def write(path: Path, hz: float = 440.0, *, seconds: float = 0.2, sr: int = 16_000) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        time = np.arange(round(seconds * sr)) / sr
        soundfile.write(path, 0.5 * np.sin(2 * np.pi * hz * time), sr)
        return path

    return write


@pytest.fixture(scope="session")
def write_csv():
    def write(path: Path, *rows: tuple, delimiter=",", encoding="utf-8", newline="\n") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding=encoding) as file:
            csv.writer(file, delimiter=delimiter, lineterminator=newline).writerows(rows)
        return path

    return write
