"""A client of Locust's own web API; it returns Locust's own JSON."""

import json
import re
from collections.abc import Mapping
from typing import Any

from typing_extensions import TypedDict

from chaosapi.clients.errors import RefusedError
from chaosapi.clients.exchange import AsyncClient, Client, Exchange, Json, Request, asked, awaitable, blocking


class _Started(TypedDict):
    success: bool
    message: str


def stats() -> Exchange[Json]:
    """Return the statistics of the run; Locust caches them for two seconds."""
    return asked("GET", "/stats/requests", Json)


def arguments() -> Exchange[Json]:
    """Return the template arguments of Locust's page: the present state, not cached, and the options of a run."""
    page = yield Request("GET", "/")
    return arguments_of(page.text)


def start(form: Mapping[str, str]) -> Exchange[None]:
    """Start a run while none is under way; raises RefusedError with Locust's message if it refuses the form."""
    answer = yield from asked("POST", "/swarm", _Started, data=dict(form))
    if not answer["success"]:
        raise RefusedError(answer["message"])


def stop() -> Exchange[None]:
    yield from asked("POST", "/stop", object)


def arguments_of(page: str) -> Json:
    """Return the template arguments of a page of Locust, which no call of its API returns."""
    found = re.search(r"window\.templateArgs\s*=\s*(\{.*\})\s*$", page, re.MULTILINE)
    try:
        read: dict[str, Any] = json.loads(found[1]) if found else {}
    except ValueError:
        return {}
    return read


class LocustClient(Client):
    """A client of Locust; every method raises ClientError."""

    stats = blocking(stats)
    arguments = blocking(arguments)
    start = blocking(start)
    stop = blocking(stop)


class AsyncLocustClient(AsyncClient):
    """LocustClient with `await`."""

    stats = awaitable(stats)
    arguments = awaitable(arguments)
    start = awaitable(start)
    stop = awaitable(stop)
