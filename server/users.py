"""Make MLflow's users, or change their passwords and roles.

python users.py                       the users writer and reader, with the environment's passwords
python users.py NAME writer|reader    one user more; its password is read from standard input
python users.py NAME remove

A reader sees everything, a writer makes experiments, runs and models besides. Only admin, whose
name and password are in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, may do this.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

WORKSPACE = "default"
WRITER, READER = "writer", "reader"
WRITER_MAY = {"workspace": "USE", "experiment": "EDIT", "registered_model": "EDIT"}
"""Permissions of the role of writers; who may USE the workspace may make new things in it."""
USERS, ROLES = "/api/2.0/mlflow/users", "/api/3.0/mlflow/roles"
USER_ROLES = "/api/3.0/mlflow/users/roles/list"
SECONDS = 30


class UserError(Exception):
    """The command line, the environment or MLflow's answer says what is wrong."""

    def __init__(self, words: str, code: str = "") -> None:
        super().__init__(words)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Server:
    """MLflow's server, asked by its REST API: importing MLflow's client would take seconds."""

    uri: str
    user: str
    password: str

    def ask(self, method: str, path: str, **values: Any) -> dict[str, Any]:
        """Send a request and read the answer."""
        query = f"?{urlencode(values)}" if method == "GET" else ""
        token = b64encode(f"{self.user}:{self.password}".encode()).decode()
        request = Request(
            f"{self.uri}{path}{query}",
            method=method,
            data=None if query else json.dumps(values).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Basic {token}"},
        )
        try:
            with urlopen(request, timeout=SECONDS) as response:
                return dict(json.loads(response.read() or b"{}"))
        except HTTPError as error:
            raise refusal(error) from error
        except URLError as error:
            raise UserError(f"{self.uri} does not answer ({error.reason})") from error


def refusal(error: HTTPError) -> UserError:
    """What MLflow says of a request that it refuses."""
    if error.code in (401, 403):
        return UserError("MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD are no admin's")
    text = error.read().decode(errors="replace")
    try:
        answer = json.loads(text)
    except ValueError:
        return UserError(f"{error.code}: {text[:200]}")
    return UserError(str(answer.get("message", text)), str(answer.get("error_code", "")))


def writer_role(server: Server) -> int:
    """Id of the role of writers, with its permissions; made where it is missing."""
    roles = server.ask("GET", f"{ROLES}/list", workspace=WORKSPACE)["roles"]
    found = next((role for role in roles if role["name"] == WRITER), None)
    if found is None:
        found = server.ask("POST", f"{ROLES}/create", workspace=WORKSPACE, name=WRITER)["role"]
    number = int(found["id"])
    listed = server.ask("GET", f"{ROLES}/permissions/list", role_id=number)["role_permissions"]
    for kind in sorted(WRITER_MAY.keys() - {item["resource_type"] for item in listed}):
        server.ask(
            "POST",
            f"{ROLES}/permissions/add",
            role_id=number,
            resource_type=kind,
            resource_pattern="*",
            permission=WRITER_MAY[kind],
        )
    return number


def put_user(server: Server, name: str, password: str, role: str) -> None:
    """Make a user, or give an existing one this password and role."""
    writers = writer_role(server)
    try:
        server.ask("POST", f"{USERS}/create", username=name, password=password)
    except UserError as error:
        if error.code != "RESOURCE_ALREADY_EXISTS":
            raise
        server.ask("PATCH", f"{USERS}/update-password", username=name, password=password)
    roles = server.ask("GET", USER_ROLES, username=name)["roles"]
    writes = any(int(each["id"]) == writers for each in roles)
    if role == WRITER and not writes:
        server.ask("POST", f"{ROLES}/assign", username=name, role_id=writers)
    if role == READER and writes:
        server.ask("DELETE", f"{ROLES}/unassign", username=name, role_id=writers)


def read_password(name: str) -> str:
    """Password from a terminal, asked for twice, or the first line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass(f"password of {name}: ")
    if getpass.getpass("once more: ") != password:
        raise UserError("the passwords differ")
    return password


def run(server: Server, arguments: Sequence[str], env: Mapping[str, str]) -> None:
    """Do what the command line asks for."""
    match arguments:
        case []:
            for role in (WRITER, READER):
                variable = f"MLFLOW_{role.upper()}_PASSWORD"
                if not env.get(variable):
                    raise UserError(f"{variable} is not set")
                put_user(server, role, env[variable], role)
                print(f"user {role}: {role}")
        case [name, "remove"]:
            server.ask("DELETE", f"{USERS}/delete", username=name)
            print(f"user {name}: removed")
        case [name, "writer" | "reader" as role]:
            put_user(server, name, read_password(name), role)
            print(f"user {name}: {role}")
        case _:
            raise UserError(f"give NAME and {WRITER}, {READER} or remove")


def main() -> None:
    """Run the command, with one line for what is wrong."""
    server = Server(
        uri=os.environ.get("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000"),
        user=os.environ.get("MLFLOW_TRACKING_USERNAME", ""),
        password=os.environ.get("MLFLOW_TRACKING_PASSWORD", ""),
    )
    try:
        run(server, sys.argv[1:], os.environ)
    except UserError as error:
        print(f"error: {str(error).splitlines()[0]}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
