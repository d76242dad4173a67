"""What really happened to an alert, as Prometheus recorded it and Alertmanager told it."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from chaosapi.forecast.episodes import Episode
from chaosapi.models import Model


class DeliveredNotification(Model):
    """One alert as the webhook was told of it."""

    labels: dict[str, str]
    starts_at: datetime
    """The evaluation at which it began to fire, in Prometheus' words."""
    ends_at: datetime | None = None
    received_at: datetime | None = None
    """When it was first told to fire; None: only its end was told."""
    resolved_received_at: datetime | None = None
    """When its end was told."""


class RecordedEpisode(Model):
    """One time that an alert went off, from ALERTS; Unix seconds, None: did not come, or not yet."""

    labels: dict[str, str]
    pending: float
    firing: float | None
    resolved: float | None


class Observed(Model):
    """All that is known; a part that nobody could be asked for is None."""

    delivered: list[DeliveredNotification] | None = None
    recorded: list[RecordedEpisode] | None = None
    scrapes: list[float] | None = None
    """When the target was scraped, ascending; Unix seconds."""


class Observation(NamedTuple):
    """One time that an alert fired, and when that was told; milliseconds."""

    episode: Episode
    notified: int | None
    resolved_notified: int | None


def observations(facts: Observed, labels: Mapping[str, str], origin: float, slack: int) -> list[Observation]:
    """Return each time that the alert with these labels fired, in milliseconds since the origin (Unix seconds).

    A delivery belongs to the episode that began to fire when it says so, give or take the slack in milliseconds.
    """

    def since(moment: float | datetime) -> int:
        return round(1000 * ((moment.timestamp() if isinstance(moment, datetime) else moment) - origin))

    told = sorted(
        (each for each in facts.delivered or [] if labels.items() <= each.labels.items()),
        key=lambda each: each.starts_at,
    )
    starts = [since(each.starts_at) for each in told]

    def received(episode: Episode, which: Literal["received_at", "resolved_received_at"]) -> int | None:
        fired = episode.firing or 0
        same = told[bisect_left(starts, fired - slack) : bisect_right(starts, fired + slack)]
        return min((since(moment) for each in same if (moment := getattr(each, which))), default=None)

    if facts.recorded is None:
        ends = {since(each.starts_at): since(each.ends_at) for each in told if each.ends_at}
        found = [Episode(start, start, ends.get(start)) for start in sorted({since(each.starts_at) for each in told})]
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
