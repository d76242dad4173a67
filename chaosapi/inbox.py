"""The alerts that Alertmanager told: each once, from its first notification to its end."""

from datetime import datetime
from typing import Literal

from cachetools import FIFOCache
from pydantic import computed_field

from chaosapi.models import Model

KEPT = 1000
"""How many alerts that fire are kept, and as many that are over."""

Status = Literal["firing", "resolved"]


class Delivery(Model):
    """One alert in one notification."""

    received_at: datetime
    fingerprint: str
    status: Status
    starts_at: datetime
    ends_at: datetime | None
    labels: dict[str, str]
    annotations: dict[str, str]


class DeliveredAlert(Model):
    """One alert, and what was told of it; labels, annotations and times as they were told last."""

    fingerprint: str
    status: Status
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None
    """None while it fires; also if it began anew before anybody told that it had ended."""
    received_at: datetime | None
    """When it was first told to fire; None: only its end was told."""
    resolved_received_at: datetime | None
    """When its end was first told."""
    last_received_at: datetime
    notifications: int
    """How many notifications it was in: its news, repetitions, and news of others in its group."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def delay(self) -> float | None:
        """Seconds from its start until it was told."""
        return _seconds(self.starts_at, self.received_at)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def resolved_delay(self) -> float | None:
        """Seconds from its end until that was told."""
        return _seconds(self.ends_at, self.resolved_received_at)


class Inbox:
    """Keeps the alerts that fire and those that are over, of each the last thousand.

    An alert is known by its fingerprint. It is a new one if it starts later than the one that is known: then that one
    is over, though nobody told. One that has ended and fires again with the same start goes on. The end of an earlier
    one, told late, leaves the one that is known alone.
    """

    def __init__(self) -> None:
        self._firing: FIFOCache[str, DeliveredAlert] = FIFOCache(KEPT)
        self._over: FIFOCache[tuple[str, datetime], DeliveredAlert] = FIFOCache(KEPT)

    def take(self, news: Delivery) -> None:
        """Take one delivery in."""
        before = self._firing.pop(news.fingerprint, None)
        if before and news.starts_at > before.starts_at:
            self._keep(before.model_copy(update={"status": "resolved"}))
            before = None
        elif before and news.ends_at and news.starts_at < before.starts_at >= news.ends_at:
            self._keep(before)
            before = None
        self._keep(_after(before or self._over.pop((news.fingerprint, news.starts_at), None), news))

    def latest(self, limit: int) -> list[DeliveredAlert]:
        """Return the alerts that were told last, newest first."""
        known = [*self._firing.values(), *self._over.values()]
        return sorted(known, key=lambda alert: alert.last_received_at, reverse=True)[:limit]

    def firing(self) -> list[DeliveredAlert]:
        """Return the alerts that are firing."""
        return list(self._firing.values())

    def _keep(self, alert: DeliveredAlert) -> None:
        if alert.status == "firing":
            self._firing[alert.fingerprint] = alert
        else:
            self._over[alert.fingerprint, alert.starts_at] = alert


def _after(before: DeliveredAlert | None, news: Delivery) -> DeliveredAlert:
    """Give the alert as it is known after the news, its first or not."""
    fires = news.status == "firing"
    received, resolved = (before.received_at, before.resolved_received_at) if before else (None, None)
    return DeliveredAlert(
        **news.model_dump(exclude={"received_at"}),
        received_at=received or (news.received_at if fires else None),
        resolved_received_at=None if fires else resolved or news.received_at,
        last_received_at=news.received_at,
        notifications=(before.notifications if before else 0) + 1,
    )


def _seconds(since: datetime | None, until: datetime | None) -> float | None:
    return None if since is None or until is None else round((until - since).total_seconds(), 3)
