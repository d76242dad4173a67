"""The alerts that Alertmanager told: each once, from its first notification to its end."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from sys import getsizeof
from typing import Final, Literal, TypeVar

from cachetools import FIFOCache
from pydantic import computed_field

from chaosapi.models import Model

MAX_ALERTS = 1000
"""How many alerts that fire are kept, and as many that are over."""
MAX_BYTES: Final = 8 * 2**20
"""Bytes that those which fire may take, and as many those that are over; then fewer are kept."""
_BATCH: Final = 50
"""Deliveries that are taken in without a pause."""

Status = Literal["firing", "resolved"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One alert in one notification, of which there may be thousands: its values are validated before."""

    received_at: datetime
    fingerprint: str
    status: Status
    starts_at: datetime
    ends_at: datetime | None
    labels: dict[str, str]
    annotations: dict[str, str]


class DeliveredAlert(Model):
    """One alert, and what was told of it; labels, annotations and times as they were told last."""

    number: int
    """Its place in the order in which alerts were told: that of its last notification."""
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
        return _seconds_between(self.starts_at, self.received_at)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def resolved_delay(self) -> float | None:
        """Seconds from its end until that was told."""
        return _seconds_between(self.ends_at, self.resolved_received_at)


class Inbox:
    """Keeps the alerts that fire and those that are over, of each the last thousand, or what fits into its memory.

    An alert is known by its fingerprint. It is a new one if it starts later than the one that is known: then that one
    is over, though nobody told. One that has ended and fires again with the same start goes on. The end of an earlier
    one, told late, leaves the one that is known alone.
    """

    def __init__(self) -> None:
        self.last_number = 0
        """That of the last delivery."""
        self.deliveries = 0
        """How many deliveries were taken in here."""
        self._firing: _AlertCache[str] = _AlertCache()
        self._resolved: _AlertCache[tuple[str, datetime]] = _AlertCache()

    @property
    def dropped(self) -> int:
        """How many alerts were told and had to make room."""
        return self._firing.dropped + self._resolved.dropped

    async def receive(self, news: Sequence[Delivery]) -> None:
        """Take deliveries in; others have their turn in between."""
        for place, each in enumerate(news, 1):
            self._deliver(each, self.last_number + 1)
            if place % _BATCH == 0:
                await asyncio.sleep(0)

    async def catch_up(self) -> None:
        """Take in what came by other ways: for one that is alone, there are none."""

    def latest(self, limit: int, before: int | None = None) -> list[DeliveredAlert]:
        """Return the alerts that were told last, newest first; those before a number, where one is given."""
        known = [*self._firing.values(), *self._resolved.values()]
        meant = [alert for alert in known if before is None or alert.number < before]
        return sorted(meant, key=lambda alert: alert.number, reverse=True)[:limit]

    def firing(self) -> list[DeliveredAlert]:
        """Return the alerts that are firing."""
        return list(self._firing.values())

    def _deliver(self, news: Delivery, number: int) -> None:
        self.last_number = number
        self.deliveries += 1
        before = self._firing.pop(news.fingerprint, None)
        if before and news.starts_at > before.starts_at:
            self._store(before.model_copy(update={"status": "resolved"}))
            before = None
        elif before and news.ends_at and news.starts_at < before.starts_at >= news.ends_at:
            self._store(before)
            before = None
        self._store(_update(before or self._resolved.pop((news.fingerprint, news.starts_at), None), news, number))

    def _store(self, alert: DeliveredAlert) -> None:
        if alert.status == "firing":
            self._firing[alert.fingerprint] = alert
        else:
            self._resolved[alert.fingerprint, alert.starts_at] = alert


K = TypeVar("K")


class _AlertCache(FIFOCache[K, DeliveredAlert]):
    """The last alerts that fit, and how many did not."""

    def __init__(self) -> None:
        super().__init__(MAX_BYTES, _memory_size)
        self.dropped = 0

    def popitem(self) -> tuple[K, DeliveredAlert]:
        """Make room."""
        self.dropped += 1
        return super().popitem()


def _memory_size(alert: DeliveredAlert) -> int:
    """Return about how many bytes of memory an alert takes, at least its part of all."""
    texts = [text for pairs in (alert.labels, alert.annotations) for pair in pairs.items() for text in pair]
    return max(MAX_BYTES // MAX_ALERTS, 1000 + sum(map(getsizeof, texts)) + 100 * len(texts))


def _update(before: DeliveredAlert | None, news: Delivery, number: int) -> DeliveredAlert:
    """Give the alert as it is known after the news, its first or not."""
    fires = news.status == "firing"
    received, resolved = (before.received_at, before.resolved_received_at) if before else (None, None)
    return DeliveredAlert(
        number=number,
        fingerprint=news.fingerprint,
        status=news.status,
        labels=news.labels,
        annotations=news.annotations,
        starts_at=news.starts_at,
        ends_at=news.ends_at,
        received_at=received or (news.received_at if fires else None),
        resolved_received_at=None if fires else resolved or news.received_at,
        last_received_at=news.received_at,
        notifications=(before.notifications if before else 0) + 1,
    )


def _seconds_between(since: datetime | None, until: datetime | None) -> float | None:
    return None if since is None or until is None else round((until - since).total_seconds(), 3)
