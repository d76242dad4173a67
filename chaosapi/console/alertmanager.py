"""The alerts and silences of Alertmanager."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chaosapi.clients.alertmanager import AsyncAlertmanagerClient

Json = dict[str, Any]


@dataclass(frozen=True)
class AlertmanagerState:
    """One snapshot of Alertmanager."""

    alerts: tuple[Json, ...]
    silences: tuple[Json, ...]


async def fetch_state(alertmanager: AsyncAlertmanagerClient) -> AlertmanagerState:
    """Fetch alerts and silences; raises ClientError."""
    alerts, silences = await asyncio.gather(alertmanager.alerts(), alertmanager.silences())
    return AlertmanagerState(tuple(alerts), tuple(silences))


def is_silenced_by(silence: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Return whether a silence matches an alert with these labels.

    Alertmanager's patterns are RE2; a pattern that Python cannot compile matches nothing here.
    """

    def one(matcher: Mapping[str, Any]) -> bool:
        value = labels.get(matcher["name"], "")
        try:
            same = bool(re.fullmatch(matcher["value"], value)) if matcher["isRegex"] else value == matcher["value"]
        except re.error:
            return False
        return same is bool(matcher.get("isEqual", True))

    return all(one(matcher) for matcher in silence["matchers"])
