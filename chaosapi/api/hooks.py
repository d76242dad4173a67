"""Where Alertmanager delivers, and where people read what it delivered."""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from chaosapi.inbox import KEPT, Delivery, Inbox, Status
from chaosapi.models import Model


def _timestamp(value: Any) -> Any:
    if not isinstance(value, str) or not re.match("[0-9]{4}-", value):
        raise PydanticCustomError("timestamp", 'a time is RFC 3339 text: "2026-01-01T00:00:00Z"')
    return value


Timestamp = Annotated[AwareDatetime, BeforeValidator(_timestamp)]


class _Payload(BaseModel):
    """Alertmanager adds fields from release to release, so what is not known here is let pass."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class Alert(_Payload):
    """One alert of a notification."""

    status: Status
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    starts_at: Timestamp
    ends_at: Timestamp
    fingerprint: str = ""


class Notification(_Payload):
    """Alertmanager's webhook payload, version 4."""

    version: Literal["4"]
    group_key: str
    status: Status
    receiver: str
    alerts: list[Alert]


class Deliveries(Model):
    """What arrived, newest first."""

    alerts: list[Delivery]


class Accepted(Model):
    """How many alerts were taken in."""

    received: int


def router(inbox: Inbox, arrived: Callable[[], Awaitable[None]], clock: Callable[[], float]) -> APIRouter:
    """Make the webhook receiver and the list of what it received.

    `arrived` is called after each notification; `clock` gives Unix seconds.
    """
    api = APIRouter(tags=["alerts"])

    @api.post("/hooks/alertmanager")
    async def receive(notification: Notification) -> Accepted:
        """Take in a notification of Alertmanager's webhook."""
        now = datetime.fromtimestamp(clock(), UTC)
        for alert in notification.alerts:
            since = alert.starts_at if alert.status == "firing" else alert.ends_at
            inbox.take(
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
        await arrived()
        return Accepted(received=len(notification.alerts))

    @api.get("/admin/alerts")
    async def alerts(limit: Annotated[int, Query(ge=1, le=KEPT)] = 100) -> Deliveries:
        """List the alerts that were delivered, newest first."""
        return Deliveries(alerts=inbox.latest(limit))

    return api
