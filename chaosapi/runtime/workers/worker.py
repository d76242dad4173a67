"""One worker: `python -m chaosapi.runtime.workers FACTORY SLOT FOLDER KILL_FLAGS PARENT_PIPE MAIN [ADMIN]`.

FACTORY makes the app: `module:function`, as uvicorn takes it. The last four are file descriptors: shared memory of all
workers; a socket to the parent, which sends the settings as a line of JSON and is closed when the parent dies; the
listening sockets.
"""

import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from uvicorn.importer import import_from_string

from chaosapi.runtime.kill_flags import KillFlags
from chaosapi.runtime.lifespan import LifespanMiddleware
from chaosapi.runtime.server import Server
from chaosapi.runtime.workers.context import WorkerContext
from chaosapi.settings import Settings, SettingsError
from chaosapi.telemetry import logs

READY: Final = b"+"
"""A worker sends this to its parent once it is ready."""
_ORPHAN_TIMEOUT_S: Final = 30.0
"""How long a worker may take to shut down after the death of its parent; a pause or a store may block it."""


class _Server(Server):
    """Notifies the parent when it is ready."""

    def __init__(self, app: LifespanMiddleware, settings: Settings, parent_pipe: socket.socket) -> None:
        super().__init__(app, settings)
        self._parent_pipe = parent_pipe

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._parent_pipe.send(READY)


class _ParentDeathWatcher(threading.Thread):
    """Waits for the death of the parent, then stops this worker and removes the folder of the service."""

    def __init__(self, parent_pipe: socket.socket, folder: Path) -> None:
        super().__init__(name="chaosapi-parent-death", daemon=True)
        self._parent_pipe = parent_pipe
        self._folder = folder
        self.orphaned = False

    def run(self) -> None:
        """Stop the worker with SIGTERM; after the time-out, exit."""
        self._parent_pipe.recv(1)
        self.orphaned = True
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_ORPHAN_TIMEOUT_S)
        self.clean()
        os._exit(1)

    def clean(self) -> None:
        """Remove the folder where the parent has died: it cannot do so any more."""
        if self.orphaned:
            shutil.rmtree(self._folder, ignore_errors=True)


def _exit(*_: object) -> None:
    sys.exit()


def _read_settings(parent_pipe: socket.socket) -> Any:
    line = b""
    while not line.endswith(b"\n"):
        part = parent_pipe.recv(2**16)
        if not part:
            sys.exit()  # the parent has died
        line += part
    return json.loads(line)


def main() -> None:
    """Serve until a signal, or until the parent has died."""
    create_app = import_from_string(sys.argv[1])
    slot = int(sys.argv[2])
    folder = Path(sys.argv[3])
    flags = KillFlags.attach(int(sys.argv[4]), slot)
    parent_pipe, bound, *admin = (socket.socket(fileno=int(number)) for number in sys.argv[5:])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit)
    settings = Settings.model_validate(_read_settings(parent_pipe))
    try:
        dropped = logs.configure(settings)
        context = WorkerContext(slot, folder, admin[0] if admin else None, flags)
        app = create_app(settings, worker=context, dropped=dropped)
    except SettingsError as error:
        sys.stderr.write(f"chaosapi: {error}\n")
        sys.exit(2)
    watcher = _ParentDeathWatcher(parent_pipe, folder)
    watcher.start()
    try:
        _Server(app, settings, parent_pipe).run(sockets=[bound])
    finally:
        watcher.clean()
