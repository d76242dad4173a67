"""Where Alertmanager delivers, and where people read what it delivered."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, FailFast
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError
from xxhash import xxh3_64_hexdigest

from chaosapi import budget
from chaosapi.api import pages
from chaosapi.api.bodies import reading
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


_MOST: Final = 1000
"""Labels, or annotations, that an alert is read with."""
_KEPT: Final = 64
"""How many of them are kept: no alert is refused for what it says at length."""
_NAME: Final = 200
"""Characters of a name."""
_TEXT: Final = 2000
"""Characters of a value."""
_FEW: Final = 50
"""Alerts that are read in the event loop; more are in the pool."""

Timestamp = Annotated[AwareDatetime, BeforeValidator(_timestamp), AfterValidator(_in_utc)]


Texts = Annotated[dict[str, str], at_most_entries(_MOST)]


class _Payload(BaseModel):
    """Alertmanager adds fields from release to release, so what is not known here is let pass."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class WebhookAlert(_Payload):
    """One alert of a notification."""

    status: Status
    labels: Texts
    annotations: Texts = {}
    starts_at: Timestamp
    ends_at: Timestamp
    fingerprint: str = ""
    """What Alertmanager makes of the labels; they themselves stand in for it where a sender has none."""


class WebhookNotification(_Payload):
    """Alertmanager's webhook payload, version 4."""

    version: Literal["4"]
    group_key: str
    status: Status
    receiver: str
    alerts: Annotated[list[WebhookAlert], FailFast()]


class DeliveredAlerts(Model):
    """What was delivered: each alert once, the one that was told last comes first."""

    alerts: list[DeliveredAlert]
    dropped: int = 0
    """How many more were told, and had to make room."""
    next: str | None = None
    """Where the list goes on, relative to this request's URL; null at its end."""


class Accepted(Model):
    """How many alerts were taken in."""

    received: int


@dataclass(frozen=True)
class WebhookEndpoints:
    """The webhook receiver, and the list of the alerts that it received.

    `arrived` is called after each notification; `clock` gives Unix seconds. Lists are written, and large notifications
    read, in pools.
    """

    inbox: Inbox
    arrived: Callable[[], Awaitable[None]]
    clock: Callable[[], float]
    pools: Pools

    def router(self) -> APIRouter:
        """Return the routes."""
        api = APIRouter(tags=["alerts"], route_class=reading(budget.WEBHOOK, self.pools.bodies))
        api.post("/hooks/alertmanager", responses=refusals(Busy))(self.receive)
        api.get("/admin/alerts", response_model=DeliveredAlerts, responses=refusals(Busy))(self.alerts)
        return api

    async def receive(self, notification: WebhookNotification) -> Accepted:
        """Take in a notification of Alertmanager's webhook."""
        now = datetime.fromtimestamp(self.clock(), UTC)

        def work() -> list[Delivery]:
            return [_delivery(alert, now) for alert in notification.alerts]

        # In the pool that has validated it: one busy thread holds up both event loops less than two do.
        await self.inbox.receive(work() if len(notification.alerts) <= _FEW else await self.pools.bodies.run(work))
        await self.arrived()
        return Accepted(received=len(notification.alerts))

    async def alerts(
        self,
        limit: Annotated[int, Query(ge=1, le=MAX_ALERTS)] = 100,
        before: Annotated[int | None, Query(ge=0, le=2**53, description="Only with a lower number.")] = None,
    ) -> Response:
        """List the alerts that were delivered, each once with its first, last and final notification; newest first.

        A page ends at a megabyte; `next` is where the list goes on.
        """
        await self.inbox.catch_up()
        known = self.inbox.latest(limit + 1, before)
        dropped = self.inbox.dropped

        def work() -> Response:
            page = pages.Page(limit)
            page.fill(known, DeliveredAlert.model_dump_json)
            more = len(known) > len(page.texts)
            onwards = pages.next_page(limit=limit, before=known[len(page.texts) - 1].number) if more else None
            return pages.list_response(DeliveredAlerts(alerts=[], dropped=dropped, next=onwards), "alerts", page.texts)

        return await self.pools.lists.run(work)


def _delivery(alert: WebhookAlert, now: datetime) -> Delivery:
    return Delivery(
        received_at=now,
        fingerprint=_cut(alert.fingerprint) or _fingerprint(alert.labels),
        status=alert.status,
        starts_at=alert.starts_at,
        ends_at=alert.ends_at if alert.status == "resolved" else None,
        labels=_shortened(alert.labels),
        annotations=_shortened(alert.annotations),
    )


def _shortened(texts: dict[str, str]) -> dict[str, str]:
    """Return labels or annotations short enough to be kept; what was cut ends with an ellipsis."""
    return {_cut(name): _cut(text, _TEXT) for name, text in islice(texts.items(), _KEPT)}


def _cut(text: str, most: int = _NAME) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _fingerprint(labels: dict[str, str]) -> str:
    return xxh3_64_hexdigest(repr(sorted(labels.items())).encode())
