"""One worker: `python -m chaosapi.runtime.workers FACTORY SLOT FOLDER ALARM TETHER MAIN [ADMIN]`.

FACTORY makes the app: `module:function`, as uvicorn takes it. The last four are file descriptors: memory that all
workers share; a socket to the parent, which brings the settings as a line of JSON and is closed when the parent dies;
the listening sockets.
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
from chaosapi.runtime.workers.place import Place
from chaosapi.settings import Settings, SettingsError
from chaosapi.telemetry import logs

READY: Final = b"+"
"""What a worker tells its parent once it serves."""
_ORPHAN_TIMEOUT_S: Final = 30.0
"""Seconds for an orderly end once the parent has died; a pause or a store that is away must not make an orphan."""


class _Server(Server):
    """Tells the parent when it serves."""

    def __init__(self, app: LifespanMiddleware, settings: Settings, tether: socket.socket) -> None:
        super().__init__(app, settings)
        self._tether = tether

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._tether.send(READY)


class _ParentDeathWatcher(threading.Thread):
    """Waits until the parent has died, which nobody but its children can clean up after."""

    def __init__(self, tether: socket.socket, folder: Path) -> None:
        super().__init__(name="chaosapi-tether", daemon=True)
        self._tether, self._folder = tether, folder
        self.orphaned = False

    def run(self) -> None:
        """End in order, or by force."""
        self._tether.recv(1)
        self.orphaned = True
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_ORPHAN_TIMEOUT_S)
        self.clean()
        os._exit(1)

    def clean(self) -> None:
        """Remove what the parent would have removed."""
        if self.orphaned:
            shutil.rmtree(self._folder, ignore_errors=True)


def _exit(*_: object) -> None:
    sys.exit()


def _read_settings(tether: socket.socket) -> Any:
    """Read what the parent has sent."""
    line = b""
    while not line.endswith(b"\n"):
        part = tether.recv(2**16)
        if not part:
            sys.exit()  # it has died
        line += part
    return json.loads(line)


def main() -> None:
    """Serve until told to stop, or until the parent has died."""
    create_app = import_from_string(sys.argv[1])
    slot = int(sys.argv[2])
    folder = Path(sys.argv[3])
    alarm = KillFlags.attach(int(sys.argv[4]), slot)
    tether, bound, *admin = (socket.socket(fileno=int(number)) for number in sys.argv[5:])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit)
    settings = Settings.model_validate(_read_settings(tether))
    dropped = logs.configure(settings)
    try:
        app = create_app(settings, place=Place(slot, folder, admin[0] if admin else None, alarm), dropped=dropped)
    except SettingsError as error:
        sys.stderr.write(f"chaosapi: {error}\n")
        sys.exit(2)
    orphanage = _ParentDeathWatcher(tether, folder)
    orphanage.start()
    try:
        _Server(app, settings, tether).run(sockets=[bound])
    finally:
        orphanage.clean()
