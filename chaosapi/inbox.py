"""The alerts that were delivered here, and those of them that are firing."""

from collections import deque
from datetime import datetime
from itertools import islice
from typing import Literal

from cachetools import FIFOCache

from chaosapi.models import Model

KEPT = 1000
_FIRING = 10_000

Status = Literal["firing", "resolved"]


class Delivery(Model):
    """One alert as it arrived."""

    received_at: datetime
    status: Status
    starts_at: datetime
    ends_at: datetime | None
    """None while it fires."""
    delay: float
    """Seconds from the start of the alert (its end, once resolved) to its arrival here."""
    labels: dict[str, str]
    annotations: dict[str, str]
    fingerprint: str


class Inbox:
    """Keeps the last thousand deliveries; an alert is firing from its delivery as such until it is resolved."""

    def __init__(self) -> None:
        self._deliveries: deque[Delivery] = deque(maxlen=KEPT)
        self._firing: FIFOCache[frozenset[tuple[str, str]], Delivery] = FIFOCache(_FIRING)

    def take(self, delivery: Delivery) -> None:
        """Take one in."""
        self._deliveries.appendleft(delivery)
        alert = frozenset(delivery.labels.items())  # its labels are what tells an alert from others
        if delivery.status == "firing":
            self._firing[alert] = delivery
        else:
            self._firing.pop(alert, None)

    def latest(self, limit: int) -> list[Delivery]:
        """Return the latest deliveries, newest first."""
        return list(islice(self._deliveries, limit))

    def firing(self) -> list[Delivery]:
        """Return the alerts that are firing, each as it was last delivered."""
        return list(self._firing.values())
