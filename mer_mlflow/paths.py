"""Paths as users give them."""

from __future__ import annotations

import errno
import os
import sys
import uuid
from pathlib import Path

from mer_mlflow.errors import ParameterError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the errors of a full disk."""


def given_path(text: Path | str, *, name: str) -> Path:
    """Path of a file or folder that a user names; nothing need be there.

    Parameters
    ----------
    text : as given, ``~`` for a home folder
    name : of the parameter, for the error

    Raises
    ------
    ParameterError
        If nothing can be there, or what is there cannot be read.
    """
    path = Path(os.path.expanduser(text))  # noqa: PTH111, it takes an unknown user as a name
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


def name_fault(name: str) -> str | None:
    """What makes a file's name unfit for tables and runs, which hold text; None where nothing does.

    Text has to be the same on every machine: where names are not read as UTF-8, anything but ASCII
    would be another text elsewhere.
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
    """Folder that the project keeps something in, made if needed.

    Parameters
    ----------
    variable : of the environment, which names another folder
    default : folder where it is not set
    purpose : of the folder, for the error

    Raises
    ------
    ParameterError
        If it cannot be made.
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
    """What to do where something could not be written."""
    return "make room" if error.errno in FULL else "get the right to write"


def draft_name(prefix: str) -> str:
    """Name that nothing has yet, for what gets its own name when it is finished.

    Made by it, a file or folder has the rights that the user's umask leaves; those of ``tempfile``
    are the user's alone, even where a folder is shared.
    """
    return f"{prefix}{uuid.uuid4().hex}"
