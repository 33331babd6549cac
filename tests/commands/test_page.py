"""mer page: the page in a process of its own, and messages of one line."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path

import numpy as np
import pytest
import soundfile
from mlflow import MlflowClient

from mer_mlflow import packages
from mer_mlflow.commands.command import run_command
from mer_mlflow.commands.page import main as page
from mer_mlflow.datasets import Clips
from mer_mlflow.page.models import default_models

SHORT = ("--method=svm", "--dataset=demo", "--duration=2", "--workers=0", "--folds=3")
OUTSIDE = re.compile(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["']?(?:https?:)?//[^>]+>""")
needs_gradio = pytest.mark.skipif(not util.find_spec("gradio"), reason="Gradio is not installed")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mer_mlflow", *arguments]


@pytest.fixture(scope="module")
def store_with_a_model(
    empty_store: Path, demo: Clips, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Folder with a cross-validation and a registered model of the demo."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copy(empty_store, folder / "mlflow.db")
    for words in (("train", *SHORT), ("fit", *SHORT, "--register")):
        subprocess.run(command(*words), cwd=folder, env=environment(folder), check=True)
    return folder


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return {**kept, "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[str]:
    """Run the page until the end of the context; yields its address."""
    process = subprocess.Popen(
        command("page", "--port=0", *arguments),
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        lines = iter(process.stdout.readline, "")
        line = next(line for line in lines if line.startswith("page: "))
        yield line.split()[1]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def opened(address: str, **given: object) -> str:
    data = None if not given else json.dumps(given).encode()
    request = urllib.request.Request(
        address, data=data, headers={"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        content: bytes = response.read()
    return content.decode()


def called(address: str, name: str, *values: object) -> list[object]:
    """Call a function of the page by its HTTP API, and return its values."""
    started = json.loads(opened(f"{address}/gradio_api/call/{name}", data=values))
    events = opened(f"{address}/gradio_api/call/{name}/{started['event_id']}")
    match = re.search(r"event: complete\ndata: (.+)", events)
    assert match is not None, events
    found: list[object] = json.loads(match[1])
    return found


def uploaded(address: str, file: Path) -> dict[str, object]:
    boundary = "b" * 16
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{file.name}"'
    body = f"{head}\r\n\r\n".encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    request = urllib.request.Request(
        f"{address}/gradio_api/upload",
        data=body,
        headers={"content-type": f"multipart/form-data; boundary={boundary}"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        (path,) = json.load(response)
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


@needs_gradio
def test_page_predicts_a_song_and_shows_errors(
    store_with_a_model: Path, demo: Clips, tmp_path: Path
) -> None:
    song = demo.audio_files()[0]
    text = tmp_path / "notes.mp3"
    text.write_text("no sound" * 100)
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(16_000), 16_000)
    model = ["models:/mer-svm@candidate"]
    with running(store_with_a_model) as address:
        with urllib.request.urlopen(address, timeout=60) as response:
            html = response.read().decode()
            policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'") and "http" not in policy
        assert OUTSIDE.findall(html) == []
        (result, *_) = called(address, "predict", uploaded(address, song), model)
        assert song.name in str(result) and "mer-timeline" in str(result)
        assert str(result).count("<audio") == 5
        shown = re.findall(r'title="(Q.): ([0-9.]+)"', str(result))
        expected = predicted(store_with_a_model, song)
        assert {name: float(value) for name, value in shown} == pytest.approx(expected, abs=1e-8)
        source = re.findall(r'<audio[^>]+src="([^"]+)"', str(result))[0]
        assert opened_bytes(f"{address}/{source}").startswith(b"fLaC")
        for file, words in ((text, "not decodable"), (silent, "is silent")):
            (message, *_) = called(address, "predict", uploaded(address, file), model)
            assert f"{file.name}: " in str(message) and words in str(message)
            assert "Traceback" not in str(message) and str(tmp_path) not in str(message)
        parent = run_id(store_with_a_model)
        scores, table = called(address, "errors", parent, "Hardest clips first")
        assert "macro F1" in str(scores)
        assert isinstance(table, dict)
        assert len(table["data"]) == len(demo)
        shares = [float(row[table["headers"].index("p(true)")]) for row in table["data"]]
        assert shares == sorted(shares)
    assert not (store_with_a_model / "heard.csv").exists()


def predicted(folder: Path, song: Path) -> dict[str, float]:
    """Probabilities of a song by the command line."""
    done = subprocess.run(
        command("predict", str(song), "--format=json", "--model=models:/mer-svm@candidate"),
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        check=True,
    )
    (found,) = json.loads(done.stdout)
    return {name: found[name] for name in ("Q1", "Q2", "Q3", "Q4")}


def opened_bytes(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=60) as response:
        content: bytes = response.read()
    return content


def run_id(folder: Path) -> str:
    code = (
        "from mlflow import MlflowClient; (run,) = MlflowClient().search_runs(['0'], "
        "\"tags.`mer.kind` = 'cross-validation'\"); print(run.info.run_id)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(folder), capture_output=True, check=True
    )
    return done.stdout.decode().split()[-1]


def test_default_model_is_the_last_candidate_or_the_demos(
    store_with_a_model: Path, store: Path
) -> None:
    def found(folder: Path) -> list[str]:
        return default_models(MlflowClient(f"sqlite:///{folder / 'mlflow.db'}"))

    assert found(store_with_a_model) == ["models:/mer-svm@candidate"]
    assert found(store) == ["demo"]


def test_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    said = refused(capsys)
    assert "page needs the package gradio" in said and "pip install 'mer_mlflow[page]'" in said


@needs_gradio
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--models=nowhere",), "nowhere: no model of mer_mlflow"),
        (("--models=models:/nothing@here",), "nothing@here: cannot be loaded"),
        (("--experiment=nothing",), "experiment=nothing"),
        (("--port=70000",), "port=70000"),
        (("--host=256.0.0.1",), "host=256.0.0.1"),
        (("--heard=nowhere/heard.csv",), "heard=nowhere/heard.csv"),
        (("--dataset=nothing",), "dataset=nothing"),
    ],
)
def test_bad_input_is_one_line(
    arguments: tuple[str, ...],
    words: str,
    store: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert words in refused(capsys, "--port=0", *arguments)


@needs_gradio
def test_port_that_is_in_use_is_named(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"port={port}: cannot be used" in refused(capsys, f"--port={port}")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: page(arguments))
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    return said
