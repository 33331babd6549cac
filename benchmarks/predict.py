"""Time from an mp3 to its emotion, against the obvious way, and a server under load.

A model of each methodology is fitted to the demo, and predicts a synthesised mp3 of 30 s. The
obvious way is a script of a few lines: ``librosa.load``, features of librosa, and a scikit-learn
pipeline from a joblib file (for ``svm``: mean and deviation of MFCCs, chroma, contrast, RMS,
zero-crossing rate and tempo, far fewer features than those of the study) or a mel spectrogram and a
Keras model (for ``cnn``). Both ways are timed in turn: cold in new processes, warm in one.

    python benchmarks/predict.py --methods svm cnn

prints for each method the seconds of both ways with their ratio, and where the warm time goes. It
then starts ``mlflow models serve`` with the first model, and prints what 8 clients at once get per
second as a ratio of what one gets, and what the server does with malformed requests: how many get
status 400, whether it still answers, and how much its memory grows.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, contextmanager
from pathlib import Path
from statistics import median

import joblib
import librosa
import numpy as np
import psutil
import soundfile
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mer_mlflow import load_dataset, load_model
from mer_mlflow.datasets.demo.music import compose, render
from mer_mlflow.deployment.prediction import predict_song
from mer_mlflow.representations import representation_of
from mer_mlflow.representations.audio import decode

TIMES = 5
N_CLIENTS, N_REQUESTS = 8, 24
SR, MEL = 22_050, {"n_fft": 1024, "hop_length": 512, "n_mels": 96}
OWN = "from mer_mlflow import load_model; print(load_model({model!r}).predict({song!r}).quadrant)"


def main() -> None:
    """Measure each method, then the server."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=["svm", "cnn"], choices=["svm", "cnn"])
    parser.add_argument("--malformed", type=int, default=1000, help="number of requests")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        song = Path(folder) / "song.mp3"
        pieces = compose(seed=1)[:3]
        soundfile.write(song, np.concatenate([render(piece) for piece in pieces]), SR)
        titles = ("method", "cold [s]", "obvious", "ratio", "warm [s]", "obvious", "ratio")
        print("".join(f"{title:>10}" for title in titles), flush=True)
        for method in given.methods:
            compare(method, song)
        serve(f"models:/mer-{given.methods[0]}@candidate", song, n_malformed=given.malformed)


def compare(method: str, song: Path) -> None:
    """Print the times of a method both ways, and the parts of its own warm time."""
    fit = ("mer", "fit", f"--method={method}", "--dataset=demo", "--duration=30", "--register")
    subprocess.run(fit, check=True, capture_output=True)
    model = f"models:/mer-{method}@candidate"
    file = save_obvious(method)
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import predict; "
    obvious = f"{code}print(predict.predict_obvious({method!r}, {str(file)!r}, {str(song)!r}))"
    cold = in_turn(
        lambda: run_python(OWN.format(model=model, song=str(song))),
        lambda: run_python(obvious),
    )
    trained, other = load_model(model), load_obvious(method, file)
    warm = in_turn(lambda: trained.predict(song, hop=30.0), lambda: other(song))
    row = (f"{value:10.3g}" for own, obv in (cold, warm) for value in (own, obv, own / obv))
    print(f"{method:>10}" + "".join(row), flush=True)
    decoding = seconds(lambda: decode(song))
    audio = decode(song)
    inputs = [item for item in map(representation_of, trained.inputs) if item is not None]
    computing = seconds(lambda: [item.compute(audio) for item in inputs])
    whole = seconds(
        lambda: predict_song(trained.fitted, trained.inputs, audio, song="song", hop=30.0)
    )
    parts = {"decoding": decoding, "inputs": computing, "model": max(whole - computing, 0.0)}
    total = sum(parts.values())
    print(" " * 10 + ", ".join(f"{name} {part / total:.0%}" for name, part in parts.items()))


def save_obvious(method: str) -> Path:
    """Train a small model on a part of the demo, and save it in its library's way."""
    clips = load_dataset("demo")
    files, labels = clips.audio_files()[:40], clips.quadrants[:40]
    if method == "svm":
        file = Path("obvious.joblib")
        values = np.stack([handcrafted(path) for path in files])
        classifier = CalibratedClassifierCV(SVC(), ensemble=False)
        joblib.dump(make_pipeline(StandardScaler(), classifier).fit(values, labels), file)
        return file.resolve()
    from mer_mlflow.networks.keras_backend import keras, layers

    file = Path("obvious.keras")
    blocks = [
        layer
        for _ in range(4)
        for layer in (layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D((2, 4)))
    ]
    head = (layers.Flatten(), layers.Dense(300), layers.Dense(4, activation="softmax"))
    keras.Sequential([layers.Input((96, 1292, 1)), *blocks, *head]).save(file)
    return file.resolve()


def load_obvious(method: str, file: Path) -> Callable[[Path], int]:
    """Return the obvious prediction of a saved model."""
    if method == "svm":
        pipeline = joblib.load(file)
        return lambda song: int(pipeline.predict_proba(handcrafted(song)[None]).argmax())
    from mer_mlflow.networks.keras_backend import keras

    network = keras.models.load_model(file)

    def predict(song: Path) -> int:
        samples, _ = librosa.load(song, sr=SR, duration=30.0)
        mel = librosa.power_to_db(librosa.feature.melspectrogram(y=samples, sr=SR, **MEL))
        padded = librosa.util.fix_length(mel, size=1292, axis=1)
        return int(network.predict(padded[None, ..., None], verbose=0).argmax())

    return predict


def predict_obvious(method: str, file: str, song: str) -> int:
    """Load a saved model and predict a song: what a script does."""
    return load_obvious(method, Path(file))(Path(song))


def handcrafted(song: Path) -> NDArray[np.float64]:
    """Mean and deviation of common features of librosa [shape=(n_features,)]."""
    samples, _ = librosa.load(song, sr=SR, duration=30.0)
    frames = (
        librosa.feature.mfcc(y=samples, sr=SR),
        librosa.feature.chroma_stft(y=samples, sr=SR),
        librosa.feature.spectral_contrast(y=samples, sr=SR),
        librosa.feature.rms(y=samples),
        librosa.feature.zero_crossing_rate(samples),
    )
    tempo = librosa.feature.tempo(y=samples, sr=SR)
    parts = [part for each in frames for part in (each.mean(axis=1), each.std(axis=1))]
    return np.concatenate([*parts, tempo])


def in_turn(own: Callable[[], object], obvious: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of both ways, which are timed in turn."""
    own(), obvious()
    pairs = [(timed(own), timed(obvious)) for _ in range(TIMES)]
    first, second = (median(each) for each in zip(*pairs, strict=True))
    return first, second


def seconds(call: Callable[[], object]) -> float:
    """Median seconds of a call."""
    return median(timed(call) for _ in range(TIMES))


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def run_python(code: str) -> None:
    """Run code in a new process."""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def serve(model: str, song: Path, *, n_malformed: int) -> None:
    """Print what a server does under load and with malformed requests."""
    good = body(song.read_bytes())
    with server(model) as (address, process):
        assert post(address, good) == 200
        alone = timed(lambda: [post(address, good) for _ in range(N_REQUESTS)])
        with ThreadPoolExecutor(N_CLIENTS) as pool:
            together = timed(
                lambda: list(pool.map(lambda _: post(address, good), range(N_REQUESTS)))
            )
        print(f"{N_CLIENTS} clients at once: {alone / together:.2f} times the songs of one client")
        requests = list(malformed(song.read_bytes(), n=n_malformed))
        for request in requests[:50]:
            post(address, request)
        before = memory(process)
        statuses = Counter(post(address, request) for request in requests)
        grown = memory(process) - before
        answer = post(address, good)
        print(
            f"{n_malformed} malformed requests: statuses {dict(statuses)}, then {answer} for a song"
        )
        print(f"memory of the server: {before:.0f} MiB, {grown:+.0f} MiB by them")


@contextmanager
def server(model: str) -> Iterator[tuple[str, psutil.Process]]:
    """Start MLflow's server of a model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ("mlflow", "models", "serve", "-m", model, "--env-manager", "local")
    with subprocess.Popen(
        [*command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        process = psutil.Process(running.pid)
        try:
            wait_for(f"http://127.0.0.1:{port}/ping")
            yield f"http://127.0.0.1:{port}/invocations", process
        finally:
            for each in (*process.children(recursive=True), process):
                each.terminate()


def wait_for(address: str) -> None:
    """Wait until a server answers."""
    for _ in range(240):
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise TimeoutError(address)


def post(address: str, content: bytes) -> int:
    """Send a request and return the status of the answer."""
    headers = {"Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(address, content, headers), timeout=300
        ) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def body(audio: bytes) -> bytes:
    """Return the request for a song."""
    row = {"audio": base64.b64encode(audio).decode()}
    return json.dumps({"dataframe_records": [row]}).encode()


def malformed(audio: bytes, *, n: int) -> Iterator[bytes]:
    """Yield requests that no song is in, of several kinds."""
    source = np.random.default_rng(0)
    for i in range(n):
        junk = source.bytes(int(source.integers(1, 20_000)))
        kinds = (
            body(junk),
            body(b"RIFF" + junk),
            body(b"fLaC" + junk),
            body(b"ID3" + junk),
            body(audio[: int(source.integers(1, 200))]),
            body(b""),
            junk,
            json.dumps({"dataframe_records": [{"audio": "no base64 !"}]}).encode(),
            json.dumps({"inputs": int(source.integers(100))}).encode(),
        )
        yield kinds[i % len(kinds)]


def memory(process: psutil.Process) -> float:
    """Memory of a process and its children [MiB]."""
    every = (process, *process.children(recursive=True))
    return sum(each.memory_info().rss for each in every) / 2**20


if __name__ == "__main__":
    main()
