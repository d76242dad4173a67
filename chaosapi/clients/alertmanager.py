"""A client of Alertmanager's HTTP API, version 2; it returns Alertmanager's own JSON."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from typing_extensions import TypedDict

from chaosapi.clients.exchange import AsyncClient, Client, Exchange, Json, asked, awaitable, blocking, ready


class _State(TypedDict):
    state: str


class _Alert(TypedDict):
    labels: dict[str, str]
    startsAt: str
    status: _State


class _Silence(TypedDict):
    id: str
    matchers: list[Json]
    status: _State


class _Created(TypedDict):
    silenceID: str


def is_ready() -> Exchange[bool]:
    """Return whether Alertmanager is ready to accept alerts."""
    return ready("/-/ready")


def alerts() -> Exchange[list[Json]]:
    found: Any = yield from asked("GET", "/api/v2/alerts", list[_Alert])
    return found  # type: ignore[no-any-return]  # Alertmanager's own JSON, whose shape was checked


def silences() -> Exchange[list[Json]]:
    """Return all silences, including expired ones."""
    found: Any = yield from asked("GET", "/api/v2/silences", list[_Silence])
    return found  # type: ignore[no-any-return]  # as above


def silence(labels: Mapping[str, str], comment: str, author: str, now: datetime, lasting: timedelta) -> Exchange[str]:
    """Silence alerts with these labels for a time from now; return the silence's id."""
    matchers = [{"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in labels.items()]
    times = {"startsAt": now.isoformat(), "endsAt": (now + lasting).isoformat()}
    body = {"matchers": matchers, **times, "createdBy": author, "comment": comment}
    made = yield from asked("POST", "/api/v2/silences", _Created, json=body)
    return made["silenceID"]


def end_silence(silence_id: str) -> Exchange[None]:
    """End a silence now."""
    yield from asked("DELETE", f"/api/v2/silence/{silence_id}", object)


class AlertmanagerClient(Client):
    """A client of Alertmanager; every method raises ClientError."""

    is_ready = blocking(is_ready)
    alerts = blocking(alerts)
    silences = blocking(silences)
    silence = blocking(silence)
    end_silence = blocking(end_silence)


class AsyncAlertmanagerClient(AsyncClient):
    """AlertmanagerClient with `await`."""

    is_ready = awaitable(is_ready)
    alerts = awaitable(alerts)
    silences = awaitable(silences)
    silence = awaitable(silence)
    end_silence = awaitable(end_silence)
