"""augment: write a synthesised copy of one clip, with audio and spectrograms."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from mer_mlflow.augmentation import (
    Synthesised,
    TimeFrequencyMask,
    Transform,
    draw_noise_from,
    get_transforms,
)
from mer_mlflow.augmentation.synthesis import SPARE
from mer_mlflow.commands.command import OK, print_where
from mer_mlflow.commands.parameters import AUGMENT
from mer_mlflow.crossval.splits import check_seed
from mer_mlflow.errors import ParameterError
from mer_mlflow.experiments.text import parse
from mer_mlflow.output import add_files, check_output
from mer_mlflow.paths import given_path
from mer_mlflow.representations import Mel, Waveform
from mer_mlflow.representations.audio import Audio, decode
from mer_mlflow.tracking.items import File

LISTEN_SR = 44_100
MOST_SECONDS = 60.0


def augment(
    *,
    transform: str,
    clip: str,
    seed: int = 0,
    noise_root: str | None = None,
    output: str = "augmented",
) -> int:
    """Transform one clip like a training clip, and write it together with the original.

    Parameters
    ----------
    transform : name of a transform
    clip : audio file
    seed : seed of the random factor
    noise_root : folder of recordings for background noise, by default noise is synthesised
    output : folder for audio files and figure

    Returns
    -------
    exit code

    Raises
    ------
    MerError
        If a parameter or the file cannot be used.
    """
    (change,) = get_transforms([transform])
    if noise_root:
        (change,) = draw_noise_from([change], noise_root)
    check_seed(seed)
    audio = decode(given_path(clip, name="clip"), seconds=SPARE * MOST_SECONDS)
    duration = min(audio.seconds, MOST_SECONDS)
    folder = given_path(output, name="output")
    name = f"{Path(clip).stem}_{transform}_{seed}"
    files = list(_files(change, audio, name=name, duration=duration, seed=seed))
    from mlflow import MlflowClient

    from mer_mlflow.tracking import Kind, active_run, check_store, close_abandoned, open_run, write
    from mer_mlflow.tracking.items import Param

    check_store()
    check_output(folder, [file.name for file in files])
    add_files(folder, {file.name: file.content for file in files})
    client = MlflowClient()
    run = open_run(client, name=f"augment {name}")
    run_id, experiment = str(run.info.run_id), str(run.info.experiment_id)
    with active_run(client, run_id, kind=Kind.AUGMENT):
        close_abandoned(client, experiment, kind=Kind.AUGMENT, but=run_id)
        write(client, run_id, [Param(key="augment.key", value=change.key), *files])
        client.set_terminated(run_id, "FINISHED")
    for file in files:
        print(f"written: {folder / file.name}")
    if isinstance(change, TimeFrequencyMask):
        print("a mask changes only the spectrogram: there is no audio file")
    print_where(run_id, experiment)
    return OK


def _files(change: Transform, audio: Audio, *, name: str, duration: float, seed: int) -> list[File]:
    from mer_mlflow.augmentation.figures import before_and_after

    mel = Mel(duration=duration)
    synthesised = Synthesised(of=mel, by=change, seed=seed).compute(audio)
    figure = before_and_after(mel.compute(audio), synthesised, mel)
    files = [File(name=f"{name}.png", content=figure)]
    if not isinstance(change, TimeFrequencyMask):
        waveform = Waveform(sr=LISTEN_SR, duration=duration)
        copy = Synthesised(of=waveform, by=change, seed=seed)
        before, after = waveform.compute(audio), copy.compute(audio)
        loudest = max(1.0, float(np.abs(before).max()), float(np.abs(after).max()))
        for suffix, samples in (("before", before), ("after", after)):
            buffer = io.BytesIO()
            soundfile.write(buffer, samples / loudest, LISTEN_SR, format="WAV", subtype="PCM_16")
            files.append(File(name=f"{name}_{suffix}.wav", content=buffer.getvalue()))
    return files


def main(arguments: Sequence[str]) -> int:
    """Run ``augment``."""
    given = parse(AUGMENT, arguments)
    for name in ("transform", "clip"):
        if given[name] is None:
            raise ParameterError(f"{name}: is required; `mer augment --help` lists the parameters")
    return augment(**given)
