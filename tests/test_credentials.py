"""Credentials: no password is shown in any address, and texts without one stay as they are."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mer_mlflow.credentials import ADDRESS_VARIABLES, SECRET_VARIABLES, redacted

HOST = "db.example"
FORMS = (
    "postgresql://ada:{}@db.example:5432/optuna",
    "postgresql+psycopg://ada:{}@db.example/optuna?sslmode=require",
    "mysql://:{}@db.example/x",
    "redis://:{}@db.example",
    "http://ada:{}@db.example:5000",
    "https://ada:{}@db.example/mlflow",
)
PRINTABLE = st.characters(categories=("L", "N", "P", "S", "Zs"))
ASCII = st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs"))
PASSWORDS = st.text(st.one_of(ASCII, st.sampled_from("/?#@: %\"'"), PRINTABLE), min_size=3)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SECRET_VARIABLES, *ADDRESS_VARIABLES):
        monkeypatch.delenv(name, raising=False)


@given(password=PASSWORDS, form=st.sampled_from(FORMS))
def test_no_password_of_an_address_is_shown_and_its_host_is(password: str, form: str) -> None:
    assume(password not in form.replace("ada:{}@", "").replace(":{}@", ""))
    address = redacted(form.format(password))
    assert password not in address
    assert HOST in address


@given(password=PASSWORDS, form=st.sampled_from(FORMS))
def test_quoted_passwords_are_removed_and_all_else_stays(password: str, form: str) -> None:
    expected = form.replace("ada:{}@", "").replace(":{}@", "")
    assert redacted(form.format(quote(password, safe=""))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://ada:sec/ret@host/db", "postgresql://host/db"),
        ("postgresql://ada:12/ret@host/db", "postgresql://host/db"),
        ("postgresql://ada:sec ret@host/db", "postgresql://host/db"),
        ("postgresql://ada:s@c ret@host/db", "postgresql://host/db"),
        ("postgresql://ada:se?c#ret@host/db?options=a@b", "postgresql://host/db?options=a@b"),
        ("http://ada:secret@host:5000/a@b", "http://host:5000/a@b"),
        ("https://ada:12/3@host.example/a", "https://host.example/a"),
        (
            "cannot connect to postgresql://ada:se cret@db.lab/x: refused, mail admin@lab.org",
            "cannot connect to postgresql://db.lab/x: refused, mail admin@lab.org",
        ),
        (
            "one http://a:secret@b/c and two http://d:secret@e/f",
            "one http://b/c and two http://e/f",
        ),
        ("of http://a:x and redis://b:secret@h/1", "of http://a:x and redis://h/1"),
        ("ada:secret@db.example:5432/x", "db.example:5432/x"),
        ("postgresql://host/db?passwd=secret&a=b", "postgresql://host/db?passwd=…&a=b"),
        ("https://host/x?sv=1&sig=sec%2Fret%3D&se=2", "https://host/x?sv=1&sig=…&se=2"),
        ("https://host/x?token=sec ret", "https://host/x?token=…"),
        ("https://host/x?code=secret&auth=secret&key=secret", "https://host/x?code=…&auth=…&key=…"),
        (
            "https://host/x?X-Amz-Credential=secret%2Fs3&X-Amz-Date=1&X-Amz-Signature=secret",
            "https://host/x?X-Amz-Credential=…&X-Amz-Date=1&X-Amz-Signature=…",
        ),
        ("GET 'https://host/x?sig=secret' failed (403)", "GET 'https://host/x?sig=…' failed (403)"),
        ("host=db password='sec\\' ret' user=x", "host=db password=… user=x"),
        ("Driver=x;PWD=sec ret;Server=h", "Driver=x;PWD=…;Server=h"),
        ("PWD={sec;ret};Server=h", "PWD=…;Server=h"),
        ("Password=sec ret;Server=h", "Password=…;Server=h"),
        ("AccountName=a;AccountKey=secret==;Suffix=s", "AccountName=a;AccountKey=…;Suffix=s"),
        ("Authorization: Bearer secret.abc", "Authorization: Bearer …"),
        ("{'Authorization': 'Basic secret=='}", "{'Authorization': 'Basic …'}"),
        ('{"password": "sec\\"ret", "a": 1}', '{"password": …, "a": 1}'),
        ("aws_secret_access_key=secret, region=x", "aws_secret_access_key=…, region=x"),
    ],
)
def test_credentials_are_hidden_in_texts(text: str, expected: str) -> None:
    assert redacted(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a: b@c",
        "write to ada@lab.org: she knows",
        "mailto:ada@lab.org",
        "https://host:443/pkg/@scope/x",
        "http://10.0.0.1:5000/a@b",
        "http://[::1]:5000/a@b",
        "see http://host:5000 for help, or mail ada@lab.org",
        "http://host:5000 does not answer, mail ada@lab.org",
        "see https://host: mail ada@lab.org",
        "sqlite:////home/a@b/mlflow.db",
        "file:///home/a@b/x:y@z",
        "s3://bucket/key@v1",
        "/home/a@b/x:y@z",
        "svm: learning_rate=0.1, key=value, exit code=3",
        "password: none was given",
        "bearer of instruments",
        "10:30@hall",
    ],
)
def test_texts_without_credentials_stay(text: str) -> None:
    assert redacted(text) == text


def test_secrets_of_the_environment_are_hidden_wherever_they_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "p@ss/word 1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    monkeypatch.setenv("MER_OPTUNA_STORAGE", "postgresql://ada:hun%2Fter2@host/optuna")
    assert redacted("refused: p@ss/word 1") == "refused: …"
    assert redacted("refused: p%40ss%2Fword%201, p%40ss%2Fword+1") == "refused: …, …"
    assert redacted("signed by 'wJalrXUtnFEMI'") == "signed by '…'"
    assert redacted("of ada with hun/ter2 or hun%2Fter2") == "of ada with … or …"
    assert redacted("wJalrXUtnFEMIs") == "wJalrXUtnFEMIs"


def test_short_secrets_are_no_reason_to_change_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "run")
    assert redacted("the run of a fold") == "the run of a fold"


@pytest.mark.parametrize(
    "piece", ["a", "a:", "://", "@", "a:b@", "password=", ";pwd=", "?key=", " "]
)
def test_long_texts_are_read_in_little_time(piece: str) -> None:
    start = time.monotonic()
    redacted(piece * (20_000 // len(piece)))
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("password", ["2ca4ee3c", "a/b@/c", "p w#d"])
def test_password_before_a_socket_is_hidden(password: str) -> None:
    address = f"postgresql+psycopg://optuna:{password}@/optuna?host=/tmp/pg"
    assert redacted(address) == "postgresql+psycopg:///optuna?host=/tmp/pg"
    assert password not in redacted(f"study: x (storage {address})")
