"""Make the workers of another server, such as uvicorn or gunicorn, one service."""

import re
import socket
from importlib.metadata import version
from typing import Final

from chaosapi.extras import needed
from chaosapi.logger import get_logger
from chaosapi.runtime.workers.context import WorkerContext
from chaosapi.runtime.workers.folder import shared_store
from chaosapi.runtime.workers.membership import Membership, join
from chaosapi.runtime.workers.servers import find_server
from chaosapi.settings import Settings, SettingsError

_LEAST_CLIENT: Final = (0, 22)

log = get_logger("chaosapi.runtime.workers")


def join_workers(settings: Settings) -> tuple[Settings, WorkerContext | None]:
    """Join the other workers of this server; return settings with which they share faults, and this worker's context.

    Where the process serves alone, return the settings as they are, and None. Raises OSError, RuntimeError or
    SettingsError where the workers cannot be one service.
    """
    server = find_server()
    if server is None:
        return settings, None
    _check_client()
    membership = join(server)
    try:
        admin = _admin_socket(settings, membership)
    except (OSError, SettingsError):
        membership.leave()
        raise
    folder = membership.folder
    settings = settings.model_copy(update={"store": shared_store(settings.store, folder)})
    log.info("one of several workers", slot=membership.slot, folder=str(folder))
    return settings, WorkerContext(membership.slot, folder, admin, membership.kill_flags, membership)


def _check_client() -> None:
    found = version("prometheus-client")
    if tuple(map(int, re.findall(r"\d+", found)[:2])) < _LEAST_CLIENT:
        least = ".".join(map(str, _LEAST_CLIENT))
        raise RuntimeError(f"several workers need prometheus-client {least} or newer, but {found} is installed")


def _admin_socket(settings: Settings, membership: Membership) -> socket.socket | None:
    """Listen on the admin port together with the other workers, from one queue of connections."""
    port = settings.admin_port
    if port is None:
        return None
    with needed("CHAOSAPI_ADMIN_PORT", "serve", SettingsError):
        from chaosapi.runtime.admin_server import bind, url
    if port == 0:
        raise SettingsError("CHAOSAPI_ADMIN_PORT: 0 gives each of several workers another port: choose one")
    host = settings.admin_host or settings.host

    def listen() -> socket.socket:
        if membership.first:
            bind(host, port, "CHAOSAPI_ADMIN_PORT").close()  # fails where another service has the port
        # Shared with workers that are frozen and do not pass theirs on.
        return bind(host, port, "CHAOSAPI_ADMIN_PORT", shared=True)

    bound = membership.share(host, port, listen)
    if membership.first:
        get_logger("chaosapi.runtime.admin_server").info("admin API", url=url(bound))
    return bound
