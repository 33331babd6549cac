"""Clusters of jobs of a queueing system, whose programs start the jobs on this computer."""

from __future__ import annotations

import copy
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import psutil
import pytest
from mlflow import MlflowClient

from mer_mlflow.commands.cluster import main
from mer_mlflow.crossval.executors.queues import use_configuration
from mer_mlflow.datasets import Clips
from mer_mlflow.errors import ParameterError

ROOT = Path(__file__).parents[3]
SUBMIT = """#!/bin/sh
grep '^#SBATCH' "$1" > header
cp "$1" "job-$$.sh"
setsid sh "job-$$.sh" < /dev/null > job.log 2>&1 &
echo "Submitted batch job $!"
echo $! >> jobs
"""
CANCEL = '#!/bin/sh\nkill -TERM -- "-$1"\n'
TRAIN = ("train", "--method=svm", "--dataset=demo", "--duration=2", "--folds=5", "--repeats=1")


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the jobs of programs with the names of SLURM's."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program(programs / "sbatch", SUBMIT)
    program(programs / "scancel", CANCEL)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def configuration() -> Iterator[None]:
    """Dask's configuration is as before afterwards."""
    before = copy.deepcopy(dask.config.config)
    yield
    dask.config.config.clear()
    dask.config.config.update(before)


def start(folder: Path, *arguments: str, **env: str) -> psutil.Popen:
    return psutil.Popen(
        [sys.executable, "-m", "mer_mlflow", *arguments],
        cwd=folder,
        env={**os.environ, "MER_JOURNAL_ROOT": str(folder / "journals"), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def running_jobs(folder: Path) -> list[int]:
    jobs = [int(line) for line in (folder / "jobs").read_text().split()]
    return [job for job in jobs if psutil.pid_exists(job)]


def read_until(process: psutil.Popen, pattern: str) -> str:
    text = ""
    for line in process.stdout:
        text += line
        if re.search(pattern, line):
            return text
    raise AssertionError(text + process.stderr.read())


def predictions(folder: Path, name: str) -> Any:
    import pandas as pd

    client = MlflowClient(f"sqlite:///{folder}/{name}.db")
    (run,) = client.search_runs(["0"], "tags.`mer.status` = 'complete'")
    return pd.read_parquet(client.download_artifacts(run.info.run_id, "predictions.parquet"))


def test_scores_of_slurm_jobs_are_those_of_this_process(slurm: Path, demo: Clips) -> None:
    options = ("--jobs=2", "--cores=1", "--memory=2GB", "--time=0:30:00", "--partition=cpu")
    cluster = start(slurm, "cluster", "slurm", *options)
    address = re.search(r"executor=(dask://\S+)", read_until(cluster, r"Ctrl-C cancels"))
    assert address is not None
    for name, executor in (("jobs", address[1]), ("here", "inline")):
        store = {"MLFLOW_TRACKING_URI": f"sqlite:///{slurm}/{name}.db"}
        trained = start(slurm, *TRAIN, f"--executor={executor}", **store)
        printed, errors = trained.communicate(timeout=300)
        assert trained.returncode == 0, printed + errors
    assert predictions(slurm, "jobs").equals(predictions(slurm, "here"))
    header = (slurm / "header").read_text()
    assert "#SBATCH -p cpu\n" in header and "#SBATCH -t 0:30:00\n" in header
    assert len(running_jobs(slurm)) == 2
    cluster.send_signal(signal.SIGINT)
    printed, errors = cluster.communicate(timeout=60)
    assert cluster.returncode == 0, errors
    assert printed.endswith("2 jobs are cancelled\n") and not errors
    end = time.monotonic() + 20
    while running_jobs(slurm):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_job_that_has_ended_is_submitted_again(
    slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT", "1s")
    cluster = start(slurm, "cluster", "slurm", "--cores=1", "--memory=1GB")
    read_until(cluster, "workers: 1 of 1")
    (job,) = running_jobs(slurm)
    os.killpg(job, signal.SIGKILL)
    read_until(cluster, "workers: 0 of 1")
    read_until(cluster, "workers: 1 of 1")
    cluster.send_signal(signal.SIGTERM)
    printed, errors = cluster.communicate(timeout=60)
    assert cluster.returncode == 0 and not errors, errors
    assert printed.endswith("1 jobs are cancelled\n")
    assert len((slurm / "jobs").read_text().split()) == 2


def test_refused_job_is_one_line(slurm: Path) -> None:
    program(slurm / "bin" / "sbatch", "#!/bin/sh\necho 'invalid partition' >&2\nexit 1\n")
    cluster = start(slurm, "cluster", "slurm", "--jobs=2", "--cores=1", "--memory=1GB")
    _, errors = cluster.communicate(timeout=60)
    assert errors == "error: the jobs are not accepted: invalid partition\n"
    assert cluster.returncode == 3


def test_script_is_printed_where_there_is_no_queueing_system(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    options = ["--cores=8", "--memory=16GB", "--time=4:00:00", "--partition=p", "--account=a"]
    for system, words in {
        "slurm": ("#SBATCH -p p", "#SBATCH -A a", "#SBATCH -t 4:00:00", "--cpus-per-task=8"),
        "pbs": ("#PBS -q p", "#PBS -A a", "walltime=4:00:00", "ncpus=8"),
        "lsf": ("#BSUB -q p", '#BSUB -P "a"', "#BSUB -W 4:00:00", "#BSUB -n 8"),
        "sge": ("#$ -q p", "#$ -P a", "h_rt=4:00:00"),
    }.items():
        assert main([system, *options, "--dry_run"]) == 0
        printed = capsys.readouterr().out
        assert all(word in printed for word in (*words, "--nthreads 8 ", "dask_worker tcp://"))
        with pytest.raises(ParameterError, match=f"^cluster {system}: there is no program "):
            main([system, *options])


def test_configuration_of_dask_jobqueue_is_used(
    tmp_path: Path, configuration: None, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "jobqueue.yaml"
    file.write_text(
        "jobqueue:\n  slurm:\n    cores: 4\n    memory: 8GB\n    processes: 2\n"
        "    job-extra-directives: ['--gres=gpu:1']\n    worker-extra-args: [--resources, GPU=1]\n"
    )
    assert main(["slurm", f"--config={file}", "--memory=10GB", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    for word in ("#SBATCH --gres=gpu:1", "--nthreads 2 ", "--nworkers 2", "--mem=10G", "GPU=1"):
        assert word in printed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jobqueue: [", "config=.*: while parsing"),
        ("other: 1", "config=.*: has no section jobqueue: slurm:"),
        ("jobqueue: {pbs: {}}", "config=.*: has no section jobqueue: slurm:"),
    ],
)
def test_unusable_configuration_is_refused(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "jobqueue.yaml"
    file.write_text(text)
    with pytest.raises(ParameterError, match=message):
        use_configuration(file, "slurm")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "^system: is required"),
        (["torque"], "^system=torque: must be one of slurm, pbs, lsf, sge"),
        (["slurm"], "^cores: is required, here or in a configuration"),
        (["slurm", "--cores=1"], "^memory: is required"),
        (["slurm", "--cores=1", "--memory=1XB"], "^cluster slurm: Could not interpret"),
        (["slurm", "--config=/nowhere.yaml"], "^config=/nowhere.yaml: .*No such file"),
    ],
)
def test_unusable_parameters_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        main(arguments)


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mer_mlflow.packages.find_spec", lambda name: None)
    with pytest.raises(ParameterError, match=r"needs the package dask_jobqueue.*\[cluster\]"):
        main(["slurm", "--cores=1", "--memory=1GB"])


def test_certificates_of_the_configuration_are_used(slurm: Path) -> None:
    words = "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=mer"
    subprocess.run(["openssl", *words.split()], check=True, capture_output=True)
    tls = {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(slurm / "cert.pem")}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        tls[f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT"] = str(slurm / "cert.pem")
        tls[f"DASK_DISTRIBUTED__COMM__TLS__{role}__KEY"] = str(slurm / "key.pem")
    cluster = start(slurm, "cluster", "slurm", "--cores=1", "--memory=1GB", **tls)
    printed = read_until(cluster, "workers: 1 of 1")
    assert "scheduler: executor=dask+tls://" in printed and "warning" not in printed
    cluster.send_signal(signal.SIGINT)
    _, errors = cluster.communicate(timeout=60)
    assert cluster.returncode == 0 and not errors, errors
