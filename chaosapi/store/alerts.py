"""The alerts that Alertmanager delivered: each once, from its first notification to its resolution."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from sys import getsizeof
from typing import ClassVar, Final, Literal, TypeVar

from cachetools import FIFOCache
from pydantic import ConfigDict, computed_field

MAX_ALERTS = 1000
"""Limit for firing alerts, and the same limit for resolved ones."""
MAX_BYTES: Final = 4 * 2**20
"""Memory limit for firing alerts, and the same limit for resolved ones; large alerts make the number smaller."""
_BATCH: Final = 50
"""Deliveries that are processed before other tasks run."""

Status = Literal["firing", "resolved"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One alert in one notification, of which there may be thousands: its values are validated before."""

    received_at: datetime
    fingerprint: str
    status: Status
    starts_at: datetime | None
    """None if the sender did not say: then the alert starts when it is received, as in Alertmanager's own API."""
    ends_at: datetime | None
    labels: dict[str, str]
    annotations: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredAlert:
    """One alert and its notifications; labels, annotations and times are those of the last notification."""

    # Not a Model: the fields of a pydantic object are in a dict and a set, which take three times the memory.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    number: int
    """The number of its last delivery; deliveries are numbered in the order of arrival."""
    fingerprint: str
    status: Status
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None
    """None while the alert fires, if it fired again before its resolution was delivered, or if it is unknown."""
    received_at: datetime | None
    """When its first firing notification came; None if only the resolution was delivered."""
    resolved_received_at: datetime | None
    """When its first resolved notification came."""
    last_received_at: datetime
    notifications: int
    """Number of notifications with this alert: its own changes, repeats, and changes of other alerts in its group."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def delay(self) -> float | None:
        """Seconds from the alert's start to its first firing notification."""
        return _seconds_between(self.starts_at, self.received_at)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def resolved_delay(self) -> float | None:
        """Seconds from the alert's end to its first resolved notification."""
        return _seconds_between(self.ends_at, self.resolved_received_at)


class Inbox:
    """Keeps the last firing and the last resolved alerts, up to `MAX_ALERTS` and `MAX_BYTES` of each.

    A fingerprint identifies an alert. A delivery with a later start is a new alert: the known one counts as resolved,
    although no notification said so. A resolved alert that fires again with the same start continues. A late
    resolution of an earlier alert does not change the current one.
    """

    def __init__(self) -> None:
        self.last_number = 0
        """The number of the last delivery."""
        self.deliveries = 0
        """Count of deliveries that this process received."""
        self._firing: _AlertCache[str] = _AlertCache()
        self._resolved: _AlertCache[tuple[str, datetime]] = _AlertCache()

    @property
    def dropped(self) -> int:
        """Count of alerts that were evicted to make room."""
        return self._firing.dropped + self._resolved.dropped

    async def receive(self, deliveries: Sequence[Delivery]) -> None:
        """Add deliveries; other tasks run between batches."""
        for count, delivery in enumerate(deliveries, 1):
            self._deliver(delivery, self.last_number + 1)
            if count % _BATCH == 0:
                await asyncio.sleep(0)

    async def catch_up(self) -> None:
        """Add what other workers received; a no-op in a single process."""

    def latest(self, limit: int, before: int | None = None) -> list[DeliveredAlert]:
        """Return the alerts with the latest deliveries, newest first; with `before`, only those of lower numbers."""
        known = [*self._firing.values(), *self._resolved.values()]
        selected = [alert for alert in known if before is None or alert.number < before]
        return sorted(selected, key=lambda alert: alert.number, reverse=True)[:limit]

    def firing(self) -> list[DeliveredAlert]:
        return list(self._firing.values())

    def _deliver(self, delivery: Delivery, number: int) -> None:
        self.last_number = number
        self.deliveries += 1
        known = self._firing.pop(delivery.fingerprint, None)
        start = delivery.starts_at or _assumed_start(known, delivery)
        if known and start > known.starts_at:
            self._store(replace(known, status="resolved"))
            known = None
        elif known and delivery.ends_at and start < known.starts_at >= delivery.ends_at:
            self._store(known)
            known = None
        if known is None:
            known = self._resolved.pop((delivery.fingerprint, start), None)
        self._store(_update(known, delivery, number, start))

    def _store(self, alert: DeliveredAlert) -> None:
        if alert.status == "firing":
            self._firing[alert.fingerprint] = alert
        else:
            self._resolved[alert.fingerprint, alert.starts_at] = alert


K = TypeVar("K")


class _AlertCache(FIFOCache[K, DeliveredAlert]):
    """The last alerts that fit into `MAX_BYTES`, and a count of the evicted ones."""

    def __init__(self) -> None:
        super().__init__(MAX_BYTES, _memory_size)
        self.dropped = 0

    def popitem(self) -> tuple[K, DeliveredAlert]:
        """Evict the oldest alert."""
        self.dropped += 1
        return super().popitem()


def _memory_size(alert: DeliveredAlert) -> int:
    """Estimate the bytes that an alert takes; at least an equal share, which bounds the number of alerts."""
    pairs = [*alert.labels.items(), *alert.annotations.items()]
    texts = list(chain.from_iterable(pairs))
    return max(MAX_BYTES // MAX_ALERTS, 1000 + sum(map(getsizeof, texts)) + 100 * len(texts))


def _assumed_start(known: DeliveredAlert | None, delivery: Delivery) -> datetime:
    return known.starts_at if known else delivery.ends_at or delivery.received_at


def _update(known: DeliveredAlert | None, delivery: Delivery, number: int, start: datetime) -> DeliveredAlert:
    fires = delivery.status == "firing"
    received = known.received_at if known else None
    resolved = known.resolved_received_at if known else None
    return DeliveredAlert(
        number=number,
        fingerprint=delivery.fingerprint,
        status=delivery.status,
        labels=delivery.labels,
        annotations=delivery.annotations,
        starts_at=start,
        ends_at=delivery.ends_at,
        received_at=received or (delivery.received_at if fires else None),
        resolved_received_at=None if fires else resolved or delivery.received_at,
        last_received_at=delivery.received_at,
        notifications=(known.notifications if known else 0) + 1,
    )


def _seconds_between(since: datetime | None, until: datetime | None) -> float | None:
    return None if since is None or until is None else round((until - since).total_seconds(), 3)
