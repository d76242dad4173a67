"""Workers of one service accept from one listening socket: each gets it from another one, over a Unix socket.

Sockets of their own on one port would be queues of their own: connections in that of a frozen worker wait for ever.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

_PREFIX: Final = "listening-"
_TIMEOUT_S: Final = 1.0
"""A worker that does not answer for so long is frozen."""


def ask(folder: Path, host: str, port: int) -> socket.socket | None:
    """Return the socket that another worker listens with on this address; None where no worker answers."""
    for path in sorted(folder.glob(f"{_name(host, port)}*")):
        with suppress(OSError), socket.socket(socket.AF_UNIX) as client, _short(path) as address:
            client.settimeout(_TIMEOUT_S)
            client.connect(address)
            _, found, *_ = socket.recv_fds(client, 1, 1)
            for fd in found:
                os.set_inheritable(fd, False)
                return socket.socket(fileno=fd)
    return None


class Offer:
    """Gives a listening socket to each worker that asks, until closed. Where that is impossible, nobody gets it."""

    def __init__(self, bound: socket.socket, folder: Path, host: str, port: int, slot: int) -> None:
        self._bound = bound
        self._path = folder / f"{_name(host, port)}{slot}"
        self._server: socket.socket | None = None
        self._path.unlink(missing_ok=True)  # of a worker that was killed
        with suppress(OSError), _short(self._path) as address:
            server = socket.socket(socket.AF_UNIX)
            try:
                server.bind(address)
                server.listen()
            except OSError:
                server.close()
                raise
            self._server = server
            threading.Thread(target=self._serve, args=[server], name="chaosapi-handover", daemon=True).start()

    def close(self) -> None:
        """Stop giving the socket away."""
        if self._server:
            with suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)  # wakes the thread
            self._server.close()
            self._server = None
            self._path.unlink(missing_ok=True)

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:  # closed
                return
            with client, suppress(OSError, ValueError):  # the worker does not listen any more
                socket.send_fds(client, [b"+"], [self._bound.fileno()])


def _name(host: str, port: int) -> str:
    return f"{_PREFIX}{quote(host, safe='')}-{port}-"


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Yield a path of a Unix socket that is short enough for the system wherever the folder is (on Linux)."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
