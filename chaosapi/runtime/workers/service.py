"""`chaosapi serve --workers`: start the workers and give each of them what they share."""

import asyncio
import json
import logging
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from chaosapi.logger import get_logger
from chaosapi.runtime import admin_server, kill_flags
from chaosapi.runtime.workers.folder import shared_folder, shared_store
from chaosapi.runtime.workers.supervisor import Launch, NotStartedError, WorkerSupervisor
from chaosapi.settings import Settings
from chaosapi.telemetry import multiprocess

_PACKAGE: Final = __name__.rpartition(".")[0]
"""Its `__main__` is a worker."""

log = get_logger(_PACKAGE)


def run(factory: str, settings: Settings) -> int:
    """Serve the app of the factory, `module:function`, in several processes until a signal; return the exit status.

    The factory is called in each worker, with the settings. Raises OSError where a port is taken.
    """
    bound = [admin_server.bind(settings.host, settings.port, "CHAOSAPI_PORT")]
    if settings.admin_port is not None:
        host = settings.admin_host or settings.host
        bound.append(admin_server.bind(host, settings.admin_port, "CHAOSAPI_ADMIN_PORT"))
    urls = [admin_server.url(each) for each in bound]
    ports = [each.getsockname()[1] for each in bound]
    with shared_folder() as folder, kill_flags.shared_memory() as memory:
        store = shared_store(settings.store, folder)
        if store != settings.store:
            get_logger("chaosapi.store").info(
                "CHAOSAPI_STORE is memory://: the workers share faults in a file until the service ends"
            )
        chosen = {"store": store, **dict(zip(("port", "admin_port"), ports, strict=False))}

        def command(slot: int, parent_pipe: int) -> list[str]:
            # -P: no module is imported from the working directory, unless this process imports from it.
            safe = [] if str(Path.cwd()) in sys.path else ["-P"]
            sockets = [str(each.fileno()) for each in bound]
            arguments = [factory, str(slot), str(folder), str(memory), str(parent_pipe), *sockets]
            return [sys.executable, *safe, "-m", _PACKAGE, *arguments]

        def serving() -> None:
            log.info("workers", count=settings.workers, pid=os.getpid())
            for url in urls[1:]:
                get_logger("chaosapi.runtime.admin_server").info("admin API", url=url)
            logging.getLogger(_PACKAGE).info("Uvicorn running on %s (Press CTRL+C to quit)", urls[0])

        launch = Launch(command, settings_line(settings.model_copy(update=chosen)), bound, [memory])
        mark_dead = partial(multiprocess.mark_process_dead, folder)
        supervisor = WorkerSupervisor(launch, mark_dead, settings.drain_delay)
        try:
            asyncio.run(supervisor.run(settings.workers, serving))
        except NotStartedError as error:
            return error.status
    return 0


def settings_line(settings: Settings) -> bytes:
    """Return all settings as a line of JSON, secrets included; `Settings.model_validate` reads it."""
    return json.dumps(settings.model_dump(), default=_to_json).encode() + b"\n"


def _to_json(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return sorted(value) if isinstance(value, frozenset) else str(value)
