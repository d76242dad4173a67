"""Where Alertmanager delivers, and where people read what it delivered."""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from chaosapi.inbox import KEPT, DeliveredAlert, Delivery, Inbox, Status
from chaosapi.models import Model


def _timestamp(value: Any) -> Any:
    if not isinstance(value, str) or not re.match("[0-9]{4}-", value):
        raise PydanticCustomError("timestamp", 'a time is RFC 3339 text: "2026-01-01T00:00:00Z"')
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("timestamp", "a time lies in the years 1 to 9999 of UTC") from None


Timestamp = Annotated[AwareDatetime, BeforeValidator(_timestamp), AfterValidator(_in_utc)]


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
    """What Alertmanager makes of the labels; they themselves stand in for it where a sender has none."""


class Notification(_Payload):
    """Alertmanager's webhook payload, version 4."""

    version: Literal["4"]
    group_key: str
    status: Status
    receiver: str
    alerts: list[Alert]


class DeliveredAlerts(Model):
    """What was delivered: each alert once, the one that was told last comes first."""

    alerts: list[DeliveredAlert]


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
            inbox.take(
                Delivery(
                    received_at=now,
                    fingerprint=alert.fingerprint or repr(sorted(alert.labels.items())),
                    status=alert.status,
                    starts_at=alert.starts_at,
                    ends_at=alert.ends_at if alert.status == "resolved" else None,
                    labels=alert.labels,
                    annotations=alert.annotations,
                )
            )
        await arrived()
        return Accepted(received=len(notification.alerts))

    @api.get("/admin/alerts")
    async def alerts(limit: Annotated[int, Query(ge=1, le=KEPT)] = 100) -> DeliveredAlerts:
        """List the alerts that were delivered, each once with its first, last and final notification; newest first."""
        return DeliveredAlerts(alerts=inbox.latest(limit))

    return api
