"""The webhook that Alertmanager calls, and the list of the alerts that it delivered."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    TypeAdapter,
    ValidationInfo,
    field_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError
from xxhash import xxh3_64_hexdigest

from chaosapi import json_limits
from chaosapi.api import pages
from chaosapi.api.bodies import route_class
from chaosapi.api.descriptions import refusals
from chaosapi.errors import Busy
from chaosapi.models import Model, at_most_entries
from chaosapi.runtime.pool import Pools
from chaosapi.store.alerts import MAX_ALERTS, DeliveredAlert, Delivery, Inbox, Status


def _timestamp(value: Any) -> Any:
    if not isinstance(value, str) or not re.match("[0-9]{4}-", value):
        raise PydanticCustomError("timestamp", 'a time is RFC 3339 text: "2026-01-01T00:00:00Z"')
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("timestamp", "a time lies in the years 1 to 9999 of UTC") from None


_MAX_ENTRIES: Final = 1000
"""Labels, or annotations, of an alert; more are refused."""
_MAX_STORED: Final = 64
"""Labels, or annotations, that are stored; the rest are dropped, so that a long alert is not refused."""
_MAX_NAME: Final = 200
"""Characters of a name; longer ones are truncated."""
_MAX_TEXT: Final = 2000
"""Characters of a value; longer ones are truncated."""
_MAX_IN_LOOP: Final = 50
"""Alerts per notification that are converted in the event loop; larger notifications go to the pool."""

_ALERT: Final = TypeAdapter(DeliveredAlert)


def _none_if_zero(value: datetime) -> datetime | None:
    return value if value > _ZERO else None


def _empty_if_null(value: Any) -> Any:
    return {} if value is None else value


_ZERO: Final = datetime(1, 1, 2, tzinfo=UTC)
"""Go's zero time, 0001-01-01T00:00:00Z, is before it: Alertmanager sends it for a time that is not set."""

Timestamp = Annotated[
    AwareDatetime, BeforeValidator(_timestamp), AfterValidator(_in_utc), AfterValidator(_none_if_zero)
]


Texts = Annotated[dict[str, str], BeforeValidator(_empty_if_null), at_most_entries(_MAX_ENTRIES)]
"""Go writes an empty map as null."""


class _Payload(BaseModel):
    """Unknown fields are ignored: Alertmanager adds fields from release to release."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class WebhookAlert(_Payload):
    """One alert of a notification."""

    status: Status
    labels: Texts
    annotations: Texts = {}
    starts_at: Timestamp | None
    ends_at: Timestamp | None
    fingerprint: str = ""
    """Alertmanager's hash of the labels; a hash is computed here for senders that leave it out."""

    @field_validator("ends_at")
    @classmethod
    def _check_order(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        start = info.data.get("starts_at")
        if info.data.get("status") == "resolved" and start and value and value < start:
            raise PydanticCustomError(
                "order", "an alert cannot end before it starts, at {start}", {"start": str(start)}
            )
        return value


class WebhookNotification(_Payload):
    """Alertmanager's webhook payload, version 4."""

    version: Literal["4"]
    group_key: str
    status: Status
    receiver: str
    alerts: Annotated[list[WebhookAlert], FailFast()]


class DeliveredAlerts(Model):
    """The delivered alerts: each once, the most recently delivered first."""

    alerts: list[DeliveredAlert]
    dropped: int = 0
    """Alerts that were evicted to make room."""
    next: str | None = None
    """URL of the next page, relative to this request's; null on the last page."""


class Accepted(Model):
    """The number of alerts received."""

    received: int


@dataclass(frozen=True)
class WebhookEndpoints:
    """The webhook receiver, and the list of the alerts that it received.

    `arrived` is called after each notification; `clock` returns Unix seconds. Thread pools serialize lists and parse
    large notifications.
    """

    inbox: Inbox
    arrived: Callable[[], Awaitable[None]]
    clock: Callable[[], float]
    pools: Pools

    def router(self) -> APIRouter:
        """Return the routes."""
        api = APIRouter(tags=["alerts"], route_class=route_class(json_limits.WEBHOOK, self.pools.bodies))
        api.post("/hooks/alertmanager", responses=refusals(Busy))(self.receive)
        api.get("/admin/alerts", response_model=DeliveredAlerts, responses=refusals(Busy))(self.alerts)
        return api

    async def receive(self, notification: WebhookNotification) -> Accepted:
        """Receive a notification of Alertmanager's webhook."""
        now = datetime.fromtimestamp(self.clock(), UTC)

        def work() -> list[Delivery]:
            return [_delivery(alert, now) for alert in notification.alerts]

        # The pool that validated the body: one busy thread delays the event loops less than two.
        await self.inbox.receive(
            work() if len(notification.alerts) <= _MAX_IN_LOOP else await self.pools.bodies.run(work)
        )
        await self.arrived()
        return Accepted(received=len(notification.alerts))

    async def alerts(
        self,
        limit: Annotated[int, Query(ge=1, le=MAX_ALERTS)] = 100,
        before: Annotated[
            int | None, Query(ge=0, le=2**53, description="Return only alerts with a lower number.")
        ] = None,
    ) -> Response:
        """List the alerts that were delivered, each once with its first, last and final notification; newest first.

        A page ends at a megabyte; `next` is the URL of the next page.
        """
        await self.inbox.catch_up()
        known = self.inbox.latest(limit + 1, before)
        dropped = self.inbox.dropped

        def work() -> Response:
            page = pages.Page(limit)
            page.fill(known, _write_alert)
            more = len(known) > len(page.texts)
            onwards = pages.next_page(limit=limit, before=known[len(page.texts) - 1].number) if more else None
            return pages.list_response(DeliveredAlerts(alerts=[], dropped=dropped, next=onwards), "alerts", page.texts)

        return await self.pools.lists.run(work)


def _write_alert(alert: DeliveredAlert) -> str:
    return _ALERT.dump_json(alert).decode()


def _delivery(alert: WebhookAlert, now: datetime) -> Delivery:
    return Delivery(
        received_at=now,
        fingerprint=_truncate(alert.fingerprint) or _fingerprint(alert.labels),
        status=alert.status,
        starts_at=alert.starts_at,
        ends_at=alert.ends_at if alert.status == "resolved" else None,
        labels=_truncate_all(alert.labels),
        annotations=_truncate_all(alert.annotations),
    )


def _truncate_all(texts: dict[str, str]) -> dict[str, str]:
    """Return labels or annotations short enough to store; truncated texts end with an ellipsis."""
    return {_truncate(name): _truncate(text, _MAX_TEXT) for name, text in islice(texts.items(), _MAX_STORED)}


def _truncate(text: str, most: int = _MAX_NAME) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _fingerprint(labels: dict[str, str]) -> str:
    return xxh3_64_hexdigest(repr(sorted(labels.items())).encode())
