"""librosa's functions are compiled once, however many processes start at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

N_PROCESSES = int(os.environ.get("MER_FAULT_IMPORTS", "2"))
IMPORT = "from mer_mlflow.librosa_import import import_librosa; import_librosa()"
USE = """
import numpy as np
from mer_mlflow.librosa_import import import_librosa

librosa = import_librosa()
envelope = np.tile(np.arange(10.0), 5)
for kind in (np.float32, np.float64):
    found = librosa.util.peak_pick(
        envelope.astype(kind), pre_max=3, post_max=3, pre_avg=3, post_avg=5, delta=0.5, wait=5
    )
    print(*found)
"""


def test_processes_that_start_together_leave_functions_that_work(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    processes = []
    for _ in range(N_PROCESSES):
        processes.append(subprocess.Popen([sys.executable, "-c", IMPORT], env=environment))
        time.sleep(0.3)
    assert [process.wait(timeout=300) for process in processes] == [0] * N_PROCESSES
    assert list(tmp_path.rglob("*.nbi"))
    done = subprocess.run(
        [sys.executable, "-c", USE], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["9 19 29 39 49"] * 2
