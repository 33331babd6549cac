"""Environment of a run: versions, hardware, commit, process."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import psutil
from mlflow.utils.mlflow_tags import MLFLOW_SOURCE_NAME, MLFLOW_SOURCE_TYPE

from mer_mlflow.arithmetic import processor_name
from mer_mlflow.networks import backend_name
from mer_mlflow.terminal import printable
from mer_mlflow.tracking import schema

PACKAGES = (
    "mlflow",
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "librosa",
    "soundfile",
    "soxr",
    "audiomentations",
    "python-stretch",
    "keras",
    "tensorflow",
    "torch",
    "smote-variants",
)
PROCESS = {
    schema.HOST: schema.EARLIER_HOST,
    schema.PID: schema.EARLIER_PID,
    schema.PROCESS_STARTED: schema.EARLIER_STARTED,
    schema.ANNOUNCED: schema.EARLIER_ANNOUNCED,
    schema.HEARTBEAT: schema.EARLIER_HEARTBEAT,
}
"""Tags of a process, with their names in earlier versions."""
SOURCE_TAGS = {MLFLOW_SOURCE_NAME: "mer_mlflow", MLFLOW_SOURCE_TYPE: "LOCAL"}
"""Source of runs that ``mlflow run`` has not created, as MLflow's pages show it."""
HEARTBEAT_SECONDS = 30.0
SILENCE_SECONDS = 120.0
"""Age of the heartbeat of a process on another machine that counts as ended."""


def software_tags() -> dict[str, str]:
    """Return commit, package versions and backend as tags, because they may change scores."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        schema.GIT_COMMIT: _git_commit(),
        schema.PACKAGES: json.dumps(versions),
        schema.BACKEND: backend_name(),
    }


def hardware_tags() -> dict[str, str]:
    """Return the hardware as tags."""
    hardware = {
        "machine": platform.machine(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
    }
    return {schema.HARDWARE: json.dumps(hardware)}


def process_tags() -> dict[str, str]:
    """Return this process, its start and its heartbeat as tags."""
    return {
        schema.HOST: socket.gethostname(),
        schema.PID: str(os.getpid()),
        schema.PROCESS_STARTED: str(psutil.Process().create_time()),
        schema.ANNOUNCED: str(time.time()),
        schema.HEARTBEAT: str(time.time()),
    }


def is_alive(tags: Mapping[str, str]) -> bool:
    """Return whether the process that wrote these tags is still running.

    A process of this machine is checked directly; one of another machine needs a recent heartbeat.
    The result for damaged tags is False.
    """
    tags = with_current_names(tags)
    if schema.PID not in tags:
        return False
    try:
        if tags.get(schema.HOST) != socket.gethostname():
            return time.time() - float(tags.get(schema.HEARTBEAT, 0)) < SILENCE_SECONDS
        process = psutil.Process(int(tags[schema.PID]))
        is_same = abs(process.create_time() - float(tags[schema.PROCESS_STARTED])) < 1.0
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, KeyError, ValueError, OverflowError):
        return False


def with_current_names(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a process by their names in this version."""
    earlier = {name: tags[old] for name, old in PROCESS.items() if old in tags}
    return earlier | dict(tags)


def without_process_id(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags without the id of the process."""
    names = (schema.PID, schema.EARLIER_PID)
    return {key: value for key, value in tags.items() if key not in names}


def has_ended_here(tags: Mapping[str, str]) -> bool:
    """Return whether the process of these tags was on this machine and has ended."""
    return with_current_names(tags).get(schema.HOST) == socket.gethostname() and not is_alive(tags)


def started_at(tags: Mapping[str, str]) -> float:
    """Return the Unix time of a process's start [s], 0 if unknown."""
    try:
        return float(with_current_names(tags)[schema.ANNOUNCED])
    except (KeyError, ValueError):
        return 0.0


def describe_process(tags: Mapping[str, str]) -> str:
    """Describe the process of tags: ``host a, process 1``."""
    known = with_current_names(tags)
    host, process = (printable(known.get(key, "unknown")) for key in (schema.HOST, schema.PID))
    return f"host {host}, process {process}"


def _git_commit() -> str:
    root = Path(__file__).parents[2]

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = "-changed" if git("status", "--porcelain", "--untracked-files=no") else ""
        return git("rev-parse", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        # an image contains no repository, but a variable with the commit
        return os.environ.get("MER_GIT_COMMIT") or "unknown"
