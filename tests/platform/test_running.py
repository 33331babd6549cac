"""The platform, running: training, search and report through it, users, backups, no secrets."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psycopg
import pytest

pytestmark = pytest.mark.platform

ROOT = Path(__file__).parents[2]
TRAIN = ("train", "--method=svm", "--dataset=demo", "--folds=3", "--repeats=1")
SEARCH = (
    "search",
    "--method=svm",
    "--dataset=demo",
    "--folds=3",
    "--repeats=1",
    "--strategy=grid",
    "--space=C=4,8;gamma=0.002",
)

Query = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def query(platform: Any) -> Query:
    def run(database: str, words: str, *values: Any) -> list[Any]:
        given = platform.superuser("optuna-postgres" if database == "optuna" else "postgres")
        with psycopg.connect(
            host=given["PGHOST"],
            user="postgres",
            password=given["PGPASSWORD"],
            dbname=database,
        ) as connection:
            return connection.execute(words, values).fetchall()

    return run


@pytest.fixture(scope="module")
def trained(platform: Any) -> Any:
    return platform.work(*TRAIN)


@pytest.fixture(scope="module")
def searched(platform: Any, trained: Any) -> Any:
    return platform.work(*SEARCH)


@pytest.fixture(scope="module")
def reported(platform: Any, searched: Any) -> Any:
    return platform.work("report")


def as_user(platform: Any, name: str) -> dict[str, str]:
    password = platform.secrets[f"mlflow_{name}_password"]
    return {"MLFLOW_TRACKING_USERNAME": name, "MLFLOW_TRACKING_PASSWORD": password}


def ask(platform: Any, path: str, *, user: str = "", password: str = "", host: str = "") -> Any:
    """What MLflow answers to a request for experiments."""
    headers = {"Content-Type": "application/json"}
    if user:
        headers["Authorization"] = f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
    if host:
        headers["Host"] = host
    address = platform.here("http://mlflow:5000")
    with urlopen(
        Request(f"{address}{path}", data=b'{"max_results": 9}', headers=headers)
    ) as response:
        return json.load(response)


def assert_one_line(done: Any, *words: str) -> None:
    assert done.returncode == 2, done.stderr[-3000:]
    assert len(done.stderr.splitlines()) == 1, done.stderr[-3000:]
    assert done.stderr.startswith("error: ")
    for each in words:
        assert each in done.stderr


def test_training_is_in_postgresql_and_its_files_are_in_s3(
    trained: Any, query: Query, s3: Any
) -> None:
    assert trained.returncode == 0, trained.stderr
    rows = query(
        "mlflow",
        "SELECT runs.run_uuid, status, artifact_uri FROM runs JOIN tags USING (run_uuid)"
        " WHERE key = 'mer.status' AND value = 'complete'",
    )
    assert len(rows) == 1
    run_id, status, uri = rows[0]
    assert status == "FINISHED" and uri.startswith("mlflow-artifacts:")
    children = query(
        "mlflow", "SELECT 1 FROM tags WHERE key = 'mlflow.parentRunId' AND value = %s", run_id
    )
    assert len(children) == 3
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket="mlflow")["Contents"]]
    for name in ("folds.parquet", "predictions.parquet", "split_plan.parquet"):
        assert any(run_id in key and key.endswith(name) for key in keys), name


def test_search_is_in_postgresql_and_on_the_dashboard(
    platform: Any, searched: Any, query: Query
) -> None:
    assert searched.returncode == 0, searched.stderr
    rows = query("optuna", "SELECT count(*) FROM trials WHERE state = 'COMPLETE'")
    assert rows == [(2,)]
    address = platform.here("http://127.0.0.1:8080")
    with urlopen(f"{address}/api/studies") as response:
        (study,) = json.load(response)["study_summaries"]
    assert study["study_name"].startswith("svm")


def test_artifacts_come_through_the_server_alone(platform: Any, trained: Any) -> None:
    """Neither browsers nor clients are sent to the object store, which has no port."""
    with urlopen(platform.here("http://mlflow:5000/api/3.0/mlflow/server-info")) as response:
        features = json.load(response)
    assert features["multipart_downloads_enabled"] is False
    assert features["multipart_uploads_enabled"] is False


def test_report_is_in_s3(platform: Any, reported: Any, s3: Any) -> None:
    assert reported.returncode == 0, reported.stderr
    content = (platform.folder / "reports" / "report.html").read_bytes()
    items = s3.list_objects_v2(Bucket="mlflow")["Contents"]
    (key,) = [item["Key"] for item in items if item["Key"].endswith("/report.html")]
    assert s3.get_object(Bucket="mlflow", Key=key)["Body"].read() == content


def test_reader_sees_everything(platform: Any, trained: Any) -> None:
    password = platform.secrets["mlflow_reader_password"]
    found = ask(platform, "/api/2.0/mlflow/experiments/search", user="reader", password=password)
    assert [each["name"] for each in found["experiments"]] == ["Default"]


@pytest.mark.parametrize(
    "changes", [{}, {"MLFLOW_EXPERIMENT_NAME": "of-the-reader"}], ids=["runs", "experiments"]
)
def test_reader_writes_nothing(
    platform: Any, trained: Any, query: Query, changes: dict[str, str]
) -> None:
    words = "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM experiments)"
    before = query("mlflow", words)
    done = platform.work(*TRAIN, "--seed=1", **as_user(platform, "reader"), **changes)
    assert query("mlflow", words) == before
    assert_one_line(done, "reader", "has no permission")


@pytest.mark.parametrize("command", [TRAIN, SEARCH, ("report",)], ids=lambda each: each[0])
def test_wrong_password_is_one_line(platform: Any, command: tuple[str, ...]) -> None:
    done = platform.work(*command, MLFLOW_TRACKING_PASSWORD="not-the-password")
    assert_one_line(done, "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


def test_missing_password_is_one_line(platform: Any) -> None:
    done = platform.work(*TRAIN, MLFLOW_TRACKING_USERNAME="", MLFLOW_TRACKING_PASSWORD="")
    assert_one_line(done, "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


def test_wrong_password_of_the_studies_is_one_line(platform: Any) -> None:
    done = platform.work(*SEARCH, PGPASSWORD="not-the-password")
    assert_one_line(done, "storage", "password")


def test_strangers_and_other_hosts_get_nothing(platform: Any) -> None:
    path = "/api/2.0/mlflow/experiments/search"
    with pytest.raises(HTTPError, match="401"):
        ask(platform, path)
    with pytest.raises(HTTPError, match="403"):
        ask(platform, path, host="rebound.example.org")
    password = platform.secrets["mlflow_reader_password"]
    assert ask(platform, path, user="reader", password=password, host="mlflow:5000")


def test_databases_are_apart(platform: Any) -> None:
    mlflow, optuna = platform.environment("mlflow"), platform.environment("worker")
    assert mlflow["PGHOST"] != optuna["PGHOST"]
    for user, given, host in (("mlflow", mlflow, optuna), ("optuna", optuna, mlflow)):
        for database in ("mlflow", "optuna", "postgres"):
            with pytest.raises(psycopg.OperationalError, match="authentication failed"):
                psycopg.connect(
                    host=host["PGHOST"], user=user, password=given["PGPASSWORD"], dbname=database
                )
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(
            host=optuna["PGHOST"],
            user="optuna",
            password=optuna["PGPASSWORD"],
            dbname="postgres",
        )


def test_users_come_change_and_go(platform: Any, query: Query) -> None:
    def users(*arguments: str, password: str = "") -> Any:
        script = [*platform.command("users"), *arguments]
        return platform.run(*script, service="users", stdin=f"{password}\n")

    def may_make_an_experiment(name: str) -> bool:
        try:
            path = "/api/2.0/mlflow/experiments/create"
            address = platform.here("http://mlflow:5000")
            token = b64encode(b"ada:long-enough-a-password").decode()
            headers = {"Content-Type": "application/json", "Authorization": f"Basic {token}"}
            data = json.dumps({"name": name}).encode()
            with urlopen(Request(address + path, data=data, headers=headers)):
                return True
        except HTTPError as error:
            assert error.code in (401, 403)
            return False

    assert users("ada", "writer", password="long-enough-a-password").returncode == 0
    assert may_make_an_experiment("first")
    assert users("ada", "reader", password="long-enough-a-password").returncode == 0
    assert not may_make_an_experiment("second")
    assert users("ada", "remove").returncode == 0
    assert query("mlflow", "SELECT 1 FROM users WHERE username = 'ada'") == []
    for done, words in (
        (users("ada", "writer", password="short"), "12 characters"),
        (users("ada"), "give NAME"),
        (users("ada", "remove"), "ada"),
    ):
        assert_one_line(done, words)


def test_backup_brings_everything_back(
    platform: Any, reported: Any, query: Query, s3: Any, tmp_path: Path
) -> None:
    environment = platform.docker(tmp_path)
    folder = tmp_path / "backup"

    def script(name: str, *arguments: str) -> None:
        command = [ROOT / "server" / name, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def state() -> tuple[Any, ...]:
        objects = s3.list_objects_v2(Bucket="mlflow")["Contents"]
        return (
            query("mlflow", "SELECT run_uuid, status FROM runs ORDER BY 1"),
            query("mlflow", "SELECT username, password_hash FROM users ORDER BY 1"),
            query("optuna", "SELECT trial_id, state FROM trials ORDER BY 1"),
            [(item["Key"], item["Size"], item["ETag"]) for item in objects],
        )

    before = state()
    script("backup", str(folder))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    key = before[3][0][0]
    s3.put_object(Bucket="mlflow", Key=key, Body=b"overwritten")
    platform.run(*platform.command("users"), "eve", "reader", service="users", stdin="x" * 20)
    assert state() != before
    script("restore", str(folder), "--replace")
    script("restore", "--forget")
    assert state() == before
    password = platform.secrets["mlflow_reader_password"]
    path = "/api/2.0/mlflow/experiments/search"
    assert ask(platform, path, user="reader", password=password)


def test_password_in_an_address_is_not_repeated(platform: Any, reported: Any) -> None:
    """Whoever puts passwords into URLs, against the advice, finds them in no output either."""
    environment = platform.environment("worker")
    optuna = environment["PGPASSWORD"]
    storage = f"postgresql://optuna:{optuna}@/optuna?host={environment['PGHOST']}"
    done = platform.work(*SEARCH, MER_OPTUNA_STORAGE=storage, PGPASSWORD="", PGUSER="")
    assert done.returncode == 0, done.stderr
    password = platform.secrets["mlflow_writer_password"]
    address = platform.here("http://mlflow:5000").replace("//", f"//writer:{password}@")
    changes = {"MLFLOW_TRACKING_USERNAME": "", "MLFLOW_TRACKING_PASSWORD": ""}
    shown = platform.work("report", MLFLOW_TRACKING_URI=address, **changes)
    assert shown.returncode == 0, shown.stderr
    for output in (done.stdout, done.stderr, shown.stdout, shown.stderr):
        assert optuna not in output and password not in output
    html = (platform.folder / "reports" / "report.html").read_text()
    assert password not in html


def test_secrets_are_nowhere(platform: Any, reported: Any, s3: Any, tmp_path: Path) -> None:
    """In no log, no file of a report or a run, and no table; last, so that it sees everything."""
    places = dict(texts(platform, s3, tmp_path))
    assert len(places) > 20
    for name, value in platform.secrets.items():
        found = [place for place, content in places.items() if value.encode() in content]
        assert not found, f"{name} is in {found}"


def texts(platform: Any, s3: Any, folder: Path) -> Any:
    for path in (*platform.logs.iterdir(), *platform.folder.rglob("*")):
        if path.is_file():
            yield str(path), path.read_bytes()
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket="mlflow"):
        for item in page["Contents"]:
            content = s3.get_object(Bucket="mlflow", Key=item["Key"])["Body"].read()
            yield f"s3:{item['Key']}", content
    for database, service in (("mlflow", "postgres"), ("optuna", "optuna-postgres")):
        environment = platform.superuser(service)
        program = shutil.which("pg_dump", path=environment["PATH"])
        command = [str(program), "--username=postgres", database]
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        yield f"database {database}", done.stdout
