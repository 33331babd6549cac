"""Server of the page, until it is interrupted."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from mer_mlflow.errors import ParameterError
from mer_mlflow.scratch import scratch_folder

VARIABLES = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""Variables of Gradio and a library of it: no statistics, no requests to other computers."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address.

    Parameters
    ----------
    host : name or address of this computer
    port : port, 0 for a free one

    Raises
    ------
    ParameterError
        If the address cannot be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ParameterError(f"host={host}: not an address of this computer ({error})") from error
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        bound.listen()  # so that requests wait for the page instead of being refused
    except OSError as error:
        bound.close()
        raise ParameterError(
            f"host={host}, port={port}: cannot be used ({error.strerror}); give another port"
        ) from error
    return bound


def serve(make_app: Callable[[Path], Any], listening: socket.socket) -> None:
    """Serve a page until this process is interrupted.

    Parameters
    ----------
    make_app : function of a folder, whose files the page serves, that returns the ASGI application
    listening : socket of :func:`bind`
    """
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    with scratch_folder() as folder, listening, contextlib.suppress(KeyboardInterrupt):
        os.environ.update(VARIABLES | {"GRADIO_TEMP_DIR": str(folder)})
        server = uvicorn.Server(uvicorn.Config(make_app(folder), log_level="warning"))
        print(f"page: http://{shown}:{port} (Ctrl-C to stop)", flush=True)
        server.run(sockets=[listening])
