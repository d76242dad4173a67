"""The access log: one line a request, with all that is known about it in one place."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from chaosapi.calls import Calls
from chaosapi.logger import get_logger

USER_HEADER: Final = b"x-user-id"
TENANT_HEADER: Final = b"x-tenant"
"""Load tests, gateways and faults' targets use the same names."""

_MAX_VALUE: Final = 128
_SERVER_ERROR: Final = "5"

log = get_logger("chaosapi.access")


class AccessLog:
    """Writes the line of each request; `release` returns the release that this replica runs, empty if unknown.

    Answers of 5xx are warnings. An error is the line of an exception, which has a traceback.
    """

    def __init__(self, replica: str, release: Callable[[], str]) -> None:
        self._replica = replica
        self._release = release

    def write(
        self,
        method: str,
        route: str,
        path: str,
        headers: Mapping[bytes, bytes],
        calls: Calls,
        status: str,
        seconds: float,
    ) -> None:
        """Write the line of a request; fields without a value are left out."""
        failed = status[0] == _SERVER_ERROR
        if not log.is_enabled_for(logging.WARNING if failed else logging.INFO):  # in most apps of others
            return
        fields: dict[str, Any] = {
            "method": method,
            "route": route,
            "path": path,
            "status": status,
            "seconds": round(seconds, 6),
        }
        if USER_HEADER in headers:
            fields["user"] = _text(headers[USER_HEADER])
        if TENANT_HEADER in headers:
            fields["tenant"] = _text(headers[TENANT_HEADER])
        if release := self._release():
            fields["release"] = release
        fields["replica"] = self._replica
        if calls.waited_s:
            fields["queue_seconds"] = round(calls.waited_s, 6)
        if calls:
            fields["calls"] = summaries(calls)
        (log.warning if failed else log.info)("request", **fields)


def summaries(calls: Calls) -> list[dict[str, Any]]:
    """Return each call to a dependency with its tries, the outcome of the last one, and the time of all of them."""
    found: list[dict[str, Any]] = []
    latest: dict[str, tuple[dict[str, Any], float]] = {}
    for done in calls:
        name = done.dependency
        if done.number == 1 or name not in latest:
            call = {"name": name, "tries": done.number}
            latest[name] = call, done.started
            found.append(call)
        call, started = latest[name]
        call["tries"] = done.number
        call["seconds"] = round(done.started + done.seconds - started, 6)
        call["outcome"] = done.outcome
    return found


def _text(value: bytes) -> str:
    return value[:_MAX_VALUE].decode("latin-1")
