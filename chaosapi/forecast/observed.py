"""Observations of an alert: the episodes that Prometheus recorded and the notifications that Alertmanager sent."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from chaosapi.forecast.episodes import Episode
from chaosapi.models import Model


class DeliveredNotification(Model):
    """One alert as the webhook received it."""

    labels: dict[str, str]
    starts_at: datetime
    """The evaluation at which the alert began to fire, as Prometheus reports it."""
    ends_at: datetime | None = None
    received_at: datetime | None = None
    """When the first firing notification arrived; None: only a resolved notification arrived."""
    resolved_received_at: datetime | None = None
    """When the resolved notification arrived."""


class RecordedEpisode(Model):
    """One episode of an alert, from ALERTS, in Unix seconds; None: not reached, or not yet."""

    labels: dict[str, str]
    pending: float
    firing: float | None
    resolved: float | None


class Observed(Model):
    """All observations; None for a part whose source is not available."""

    delivered: list[DeliveredNotification] | None = None
    recorded: list[RecordedEpisode] | None = None
    scrapes: list[float] | None = None
    """The scrapes of the target, ascending, in Unix seconds."""


class Observation(NamedTuple):
    """One time that an alert fired, and the times of its notifications, in milliseconds."""

    episode: Episode
    notified: int | None
    resolved_notified: int | None


def observations(facts: Observed, labels: Mapping[str, str], origin: float, slack: int) -> list[Observation]:
    """Return each time that the alert with these labels fired, in milliseconds since the origin (Unix seconds).

    A delivery belongs to the episode whose firing differs from the delivery's `starts_at` by at most `slack` ms.
    """

    def since(moment: float | datetime) -> int:
        return round(1000 * ((moment.timestamp() if isinstance(moment, datetime) else moment) - origin))

    delivered = sorted(
        (each for each in facts.delivered or [] if labels.items() <= each.labels.items()),
        key=lambda each: each.starts_at,
    )
    starts = [since(each.starts_at) for each in delivered]

    def received(episode: Episode, which: Literal["received_at", "resolved_received_at"]) -> int | None:
        fired = episode.firing or 0
        same = delivered[bisect_left(starts, fired - slack) : bisect_right(starts, fired + slack)]
        return min((since(moment) for each in same if (moment := getattr(each, which))), default=None)

    if facts.recorded is None:
        ends = {since(each.starts_at): since(each.ends_at) for each in delivered if each.ends_at}
        found = [
            Episode(start, start, ends.get(start)) for start in sorted({since(each.starts_at) for each in delivered})
        ]
    else:
        found = [
            Episode(since(each.pending), since(each.firing), None if each.resolved is None else since(each.resolved))
            for each in facts.recorded
            if labels.items() <= each.labels.items() and each.firing is not None
        ]
    ordered: Sequence[Episode] = sorted(found, key=lambda each: each.pending)
    return [
        Observation(each, received(each, "received_at"), received(each, "resolved_received_at")) for each in ordered
    ]
