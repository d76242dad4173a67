"""What Alertmanager has: alerts, and silences."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx2

from chaosapi.console.http import asked

Json = dict[str, Any]


@dataclass(frozen=True)
class Alerting:
    """One look at Alertmanager."""

    alerts: tuple[Json, ...]
    silences: tuple[Json, ...]


class AlertmanagerClient:
    """Alertmanager's API, version 2; every method raises SourceError."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def look(self) -> Alerting:
        """Ask for alerts and silences."""
        alerts, silences = await asyncio.gather(
            asked(self._http, "GET", "/api/v2/alerts"), asked(self._http, "GET", "/api/v2/silences")
        )
        return Alerting(tuple(alerts), tuple(silences))

    async def silence(
        self, labels: Mapping[str, str], comment: str, author: str, now: datetime, lasting: timedelta
    ) -> str:
        """Silence whatever has these labels from now on; returns the silence's id."""
        matchers = [{"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in labels.items()]
        times = {"startsAt": now.isoformat(), "endsAt": (now + lasting).isoformat()}
        body = {"matchers": matchers, **times, "createdBy": author, "comment": comment}
        made = await asked(self._http, "POST", "/api/v2/silences", json=body)
        return str(made["silenceID"])

    async def unsilence(self, number: str) -> None:
        """End a silence now."""
        await asked(self._http, "DELETE", f"/api/v2/silence/{number}")


def matches(silence: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether a silence means an alert with these labels.

    Alertmanager writes patterns as RE2 does; one that Python cannot read, matches nothing here.
    """

    def one(matcher: Mapping[str, Any]) -> bool:
        value = labels.get(matcher["name"], "")
        try:
            same = bool(re.fullmatch(matcher["value"], value)) if matcher["isRegex"] else value == matcher["value"]
        except re.error:
            return False
        return same is bool(matcher.get("isEqual", True))

    return all(one(matcher) for matcher in silence["matchers"])
