"""What the images install: locked with hashes, in agreement with the pins, judged by pip-audit."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LOCKS = {
    "requirements.lock": "requirements.txt",
    "server/requirements.lock": "server/requirements.txt",
}
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def read_lock(name: str) -> dict[str, Requirement]:
    lines = (ROOT / name).read_text().splitlines()
    found = [Requirement(line.rstrip("\\ ")) for line in lines if not line.startswith(" ")]
    assert len({item.name for item in found}) == len(found), "a package is locked once"
    return {item.name: item for item in found}


def read_pins(name: str) -> dict[str, Requirement]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return {item.name.lower(): item for item in map(Requirement, filter(None, lines))}


@pytest.mark.parametrize("lock", [*LOCKS, "requirements-cuda.lock"])
def test_every_file_has_a_hash_and_no_address(lock: str) -> None:
    lines = (ROOT / lock).read_text().splitlines()
    assert "://" not in "".join(lines)
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if not line.startswith(" "):
            assert line.endswith(" \\") and HASH.fullmatch(following), line
        else:
            assert HASH.fullmatch(line), line


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_agree_with_the_pins(lock: str) -> None:
    locked = read_lock(lock)
    for name, pin in read_pins(LOCKS[lock]).items():
        assert str(locked[name].specifier) == str(pin.specifier), f"{name}: run make locks"
    own = read_pins("requirements.txt")
    for name, item in locked.items():
        assert name not in own or str(item.specifier) == str(own[name].specifier), name


def test_cuda_adds_only_packages_that_the_first_lock_lacks() -> None:
    more = read_lock("requirements-cuda.lock")
    assert more and not more.keys() & read_lock("requirements.lock").keys()
    assert all(name.startswith("nvidia-") for name in more)


def build(tmp_path: Path, **arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the worker image's installation with a pip that notes what it is given."""
    text = (ROOT / "Dockerfile").read_text()
    (script,) = re.findall(r"^RUN (case \"\$DEVICE\".*?[^\\])\n", text, re.M | re.S)
    programs = tmp_path / "bin"
    programs.mkdir()
    pip = programs / "pip"
    pip.write_text('#!/bin/sh\necho "pip $*"\nfor last; do :; done\ngrep -v "^ .*--hash" "$last"\n')
    pip.chmod(0o755)
    for name in ("requirements.lock", "requirements-cuda.lock"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    environment = {"DEVICE": "cpu", "TORCH_INDEX": "", "TORCH_SHA256": "", **arguments}
    return subprocess.run(
        ["sh", "-c", script],
        cwd=tmp_path,
        env={"PATH": f"{programs}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
    )


def test_worker_installs_the_locks_by_hash(tmp_path: Path) -> None:
    done = build(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "pip install --no-cache-dir --no-deps --require-hashes -r all.lock" in done.stdout
    assert "torch==" in done.stdout and "nvidia-cudnn-cu12==" not in done.stdout


def test_worker_with_cuda_installs_both_locks(tmp_path: Path) -> None:
    done = build(tmp_path, DEVICE="cuda", TORCH_INDEX="https://example.org")
    assert done.returncode == 0, done.stderr
    assert "nvidia-cudnn-cu12==" in done.stdout and "nvidia-cudnn-cu13==" in done.stdout
    assert "example.org" not in done.stdout


def test_pytorch_of_another_index_needs_its_hash(tmp_path: Path) -> None:
    done = build(tmp_path, TORCH_INDEX="https://example.org")
    assert done.returncode == 1 and "TORCH_SHA256" in done.stderr


def test_pytorch_of_another_index_comes_without_cuda(tmp_path: Path) -> None:
    done = build(tmp_path, TORCH_INDEX="https://example.org", TORCH_SHA256="0" * 64)
    assert done.returncode == 0, done.stderr
    first, rest = done.stdout.split("-r all.lock")
    version = str(read_lock("requirements.lock")["torch"].specifier)
    assert f"torch{version} --hash=sha256:{'0' * 64}" in first
    names = set(re.findall(r"^(\S+?)==", rest, re.M))
    gone = read_lock("requirements.lock").keys() - names
    assert "torch" in gone and "triton" in gone and "numpy" in names
    assert all(re.match(r"torch$|triton$|cuda-|nvidia-", name) for name in gone)


def test_server_installs_its_lock_by_hash() -> None:
    text = (ROOT / "server" / "Dockerfile").read_text()
    assert "--no-deps --require-hashes -r /server/requirements.lock" in text


def test_device_that_is_unknown_is_refused(tmp_path: Path) -> None:
    done = build(tmp_path, DEVICE="tpu")
    assert done.returncode == 1 and "DEVICE=tpu" in done.stderr


AUDIT = """\
import json, os, sys
answer = os.environ["ANSWER"]
path = sys.argv[-1].removeprefix("--requirement=")
if answer == "nothing":
    sys.exit("no route to host")
names = [line.split("==")[0] for line in open(path)]
known = json.loads(answer)
print(json.dumps({"dependencies": [
    {"name": name, "version": "1", "vulns": known[name]} if name in known
    else {"name": name, "skip_reason": "not found"} for name in names]}))
"""


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ("nothing", 0, "not judged: no network"),
        ({}, 0, "not judged: no network"),
        ({"pip": [], "a": [], "b": []}, 0, "2 packages judged, 0 vulnerabilities"),
        ({"pip": [], "a": []}, 0, "not judged: b"),
        ({"pip": [], "a": [], "b": [{"id": "X-1", "fix_versions": ["2"]}]}, 1, "b 1: X-1"),
    ],
)
def test_audit_names_what_it_found_and_what_it_could_not_judge(
    tmp_path: Path, answer: object, code: int, words: str
) -> None:
    (tmp_path / "pip_audit.py").write_text(AUDIT)
    (tmp_path / "a.lock").write_text("a==1\nb==1\n")
    given = answer if isinstance(answer, str) else json.dumps(answer)
    done = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "audit.py"), "a.lock"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "ANSWER": given},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, words in done.stdout) == (code, True), done.stdout + done.stderr


def pin(tmp_path: Path, digest: str) -> subprocess.CompletedProcess[str]:
    """Run server/pin with a registry that knows one digest."""
    programs = tmp_path / "bin"
    programs.mkdir(exist_ok=True)
    docker = programs / "docker"
    docker.write_text(f'#!/bin/sh\n[ "$4" = unknown:1 ] || echo "{digest}"\n')
    docker.chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}"}
    script = tmp_path / "server" / "pin"
    return subprocess.run([script], env=environment, capture_output=True, text=True)


def test_pin_writes_digests_and_renews_them(tmp_path: Path) -> None:
    names = ("docker-compose.yml", "Dockerfile", "server/Dockerfile", "server/pin")
    (tmp_path / "server").mkdir()
    for name in names:
        shutil.copy(ROOT / name, tmp_path / name)
    tags = {name: (tmp_path / name).read_text() for name in names}
    for digit in "ab":
        digest = f"sha256:{digit * 64}"
        assert pin(tmp_path, digest).returncode == 0
        for name, text in tags.items():
            pinned = (tmp_path / name).read_text()
            assert re.sub(f"@{digest}", "", pinned) == re.sub("@sha256:[0-9a-f]{64}", "", text)
        assert "  image: mer-mlflow-worker:cpu\n" in (tmp_path / names[0]).read_text()
        assert f"slim-bookworm@{digest}\n" in (tmp_path / "Dockerfile").read_text()
    before = (tmp_path / "Dockerfile").read_text()
    (tmp_path / "server" / "Dockerfile").write_text("FROM unknown:1\n")
    done = pin(tmp_path, f"sha256:{'c' * 64}")
    assert done.returncode == 2 and "error: unknown:1" in done.stderr
    assert (tmp_path / "Dockerfile").read_text() == before
