"""What Alertmanager has: alerts, and silences."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chaosapi.clients.alertmanager import AsyncAlertmanagerClient

Json = dict[str, Any]


@dataclass(frozen=True)
class AlertmanagerState:
    """One look at Alertmanager."""

    alerts: tuple[Json, ...]
    silences: tuple[Json, ...]


async def fetch_state(alertmanager: AsyncAlertmanagerClient) -> AlertmanagerState:
    """Ask for alerts and silences; raises ClientError."""
    alerts, silences = await asyncio.gather(alertmanager.alerts(), alertmanager.silences())
    return AlertmanagerState(tuple(alerts), tuple(silences))


def is_silenced_by(silence: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Return whether a silence means an alert with these labels.

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
