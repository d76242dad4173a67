"""Where Alertmanager delivers, and where people read what it delivered."""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from chaosapi.models import Model

_KEPT = 1000

Status = Literal["firing", "resolved"]


class _Payload(BaseModel):
    """Alertmanager adds fields from release to release, so what is not known here is let pass."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class Alert(_Payload):
    """One alert of a notification."""

    status: Status
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    starts_at: datetime
    ends_at: datetime
    fingerprint: str = ""


class Notification(_Payload):
    """Alertmanager's webhook payload, version 4."""

    version: Literal["4"]
    group_key: str
    status: Status
    receiver: str
    alerts: Annotated[list[Alert], Field(max_length=10_000)]


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


class Deliveries(Model):
    """What arrived, newest first."""

    alerts: list[Delivery]


class Accepted(Model):
    """How many alerts were taken in."""

    received: int


def router(clock: Callable[[], float]) -> APIRouter:
    """Make the webhook receiver and the list of what it received; `clock` gives Unix seconds."""
    api = APIRouter(tags=["alerts"])
    inbox: deque[Delivery] = deque(maxlen=_KEPT)

    @api.post("/hooks/alertmanager")
    async def receive(notification: Notification) -> Accepted:
        """Take in a notification of Alertmanager's webhook."""
        now = datetime.fromtimestamp(clock(), UTC)
        for alert in notification.alerts:
            since = alert.starts_at if alert.status == "firing" else alert.ends_at
            inbox.appendleft(
                Delivery(
                    received_at=now,
                    status=alert.status,
                    starts_at=alert.starts_at,
                    ends_at=alert.ends_at if alert.status == "resolved" else None,
                    delay=round((now - since).total_seconds(), 3),
                    labels=alert.labels,
                    annotations=alert.annotations,
                    fingerprint=alert.fingerprint,
                )
            )
        return Accepted(received=len(notification.alerts))

    @api.get("/admin/alerts")
    async def alerts(limit: Annotated[int, Query(ge=1, le=_KEPT)] = 100) -> Deliveries:
        """List the alerts that were delivered, newest first."""
        return Deliveries(alerts=list(inbox)[:limit])

    return api
