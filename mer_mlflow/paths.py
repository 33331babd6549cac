"""Paths given by users."""

from __future__ import annotations

import errno
import os
import sys
import uuid
from pathlib import Path

from mer_mlflow.errors import ParameterError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk."""


def given_path(text: Path | str, *, name: str) -> Path:
    """Return the path of a file or folder given by a user; it need not exist.

    Parameters
    ----------
    text : text given by the user; ``~`` stands for the home folder
    name : name of the parameter, for the error message

    Raises
    ------
    ParameterError
        If the path is invalid, or exists and cannot be read.
    """
    path = Path(os.path.expanduser(text))  # noqa: PTH111, Path.expanduser can raise an error
    if (fault := name_fault(str(path))) is not None:
        raise ParameterError(f"{name}={text}: {fault}")
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ParameterError(f"{name}={text}: cannot be used as a path ({reason})") from error
    return path


def whence(path: Path) -> str:
    """Return the folder from which a relative path starts, for an error message.

    Commands of ``mlflow run DIR`` run in DIR, not where the user gave the command.
    """
    return "" if path.is_absolute() else f" in {Path.cwd()}, from where relative paths start"


def name_fault(name: str) -> str | None:
    """Return why a file name cannot be stored as text in tables and runs; None if it can.

    The text has to be the same on every machine. If file names are not decoded as UTF-8, a name
    that is not ASCII would be a different text on another machine.
    """
    encoding = sys.getfilesystemencoding()
    if encoding.lower() not in ("utf-8", "utf8") and not name.isascii():
        return (
            f"has characters that cannot be read where file names are {encoding}; set PYTHONUTF8=1 "
            "and give the same command again"
        )
    try:
        name.encode()
    except UnicodeEncodeError:
        return "the name is not UTF-8; rename it"
    return None


def own_folder(variable: str, default: str, *, purpose: str) -> Path:
    """Return a folder for the project's own files, created if needed.

    Parameters
    ----------
    variable : environment variable that names the folder
    default : folder if the variable is not set
    purpose : purpose of the folder, for the error message

    Raises
    ------
    ParameterError
        If it cannot be created.
    """
    root = Path(os.environ.get(variable) or default)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ParameterError(
            f"{root}: cannot be used as {purpose} ({error.strerror}); set {variable}"
        ) from error
    return root


def remedy(error: OSError) -> str:
    """Return advice for a failed write."""
    return "free disk space" if error.errno in FULL else "get write permission"


def draft_name(prefix: str) -> str:
    """Return a unique temporary name, for a file or folder that is renamed when it is finished.

    Such a file or folder gets permissions according to the user's umask. Those created by
    ``tempfile`` would be accessible to the user alone, even in a shared folder.
    """
    return f"{prefix}{uuid.uuid4().hex}"
