"""Several processes behind one port, as one service."""

import asyncio
import logging
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from urllib.parse import quote

import structlog

from chaosapi import alarm, listener, totals
from chaosapi.settings import Settings
from chaosapi.workers.crew import Crew, NotStartedError

log = structlog.stdlib.get_logger("chaosapi.workers")


def run(settings: Settings) -> int:
    """Serve until a signal says to stop; return the exit status. Raises OSError where a port is taken."""
    bound = [listener.bind(settings.host, settings.port, "CHAOSAPI_PORT")]
    if settings.admin_port is not None:
        host = settings.admin_host or settings.host
        bound.append(listener.bind(host, settings.admin_port, "CHAOSAPI_ADMIN_PORT"))
    urls = [listener.url(each) for each in bound]
    ports = [str(each.getsockname()[1]) for each in bound]
    with (
        tempfile.TemporaryDirectory(prefix="chaosapi-", ignore_cleanup_errors=True) as name,
        alarm.shared() as memory,
    ):
        folder, store = Path(name), settings.store
        if store.startswith("memory:"):
            store = f"sqlite:///{quote(name)}/faults.sqlite"
            log.info("CHAOSAPI_STORE is memory://: the workers share faults in a file until the service ends")
        environment = {"CHAOSAPI_HOST": settings.host, "CHAOSAPI_STORE": store}
        environment |= zip(("CHAOSAPI_PORT", "CHAOSAPI_ADMIN_PORT"), ports, strict=False)

        def command(slot: int, tether: int) -> list[str]:
            # Never the folder that the service was started in, unless this process was started from there.
            safe = [] if str(Path.cwd()) in sys.path else ["-P"]
            sockets = [str(each.fileno()) for each in bound]
            return [sys.executable, *safe, "-m", __name__, str(slot), name, str(memory), str(tether), *sockets]

        def serving() -> None:
            log.info("workers", count=settings.workers, pid=os.getpid())
            for url in urls[1:]:
                log.info("admin API", url=url)
            logging.getLogger(__name__).info("Uvicorn running on %s (Press CTRL+C to quit)", urls[0])

        crew = Crew(command, bound, environment, partial(totals.bury, folder), [memory])
        try:
            asyncio.run(crew.run(settings.workers, serving))
        except NotStartedError as error:
            return error.status
    return 0
