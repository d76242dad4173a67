"""What Alertmanager tells, and when: groups, their waits, and pages that silence tickets (alerts/alertmanager.yml)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from chaosapi.forecast.episodes import Episode

Span = tuple[int, float]
"""From, and up to but not including; milliseconds."""


@dataclass
class Notice:
    """When one episode's firing and its end were told, in milliseconds; None if never."""

    episode: Episode
    fired: int | None = field(default=None, init=False)
    resolved: int | None = field(default=None, init=False)

    @property
    def span(self) -> Span:
        """When it fires."""
        assert self.episode.firing is not None  # noqa: S101 - only those that fire get here; this tells mypy
        return self.episode.firing, math.inf if self.episode.resolved is None else self.episode.resolved


def told(episodes: Sequence[Episode], wait: int, interval: int, silencers: Sequence[Episode] = ()) -> list[Notice]:
    """Give what is told of the episodes of one group (an SLO's alerts of one severity), in the given order.

    A group begins with its first alert and is flushed `wait` later, then every `interval` until all of it is resolved
    and told so. A flush tells new alerts that no silencer mutes at that moment, and the end of those told before.
    """
    notices = [Notice(episode) for episode in episodes if episode.firing is not None]
    mutes = [Notice(silencer).span for silencer in silencers if silencer.firing is not None]
    waiting = sorted(notices, key=lambda notice: notice.span)
    while waiting:
        flush = waiting[0].span[0] + wait
        while True:
            group = [notice for notice in waiting if notice.span[0] <= flush]
            _flush(group, flush, muted=any(start <= flush < end for start, end in mutes))
            waiting = [notice for notice in waiting if not _over(notice, flush)]
            if not any(notice.span[0] <= flush for notice in waiting):
                break  # the group is empty, and the next alert begins a new one
            moments = [edge for each in (*(notice.span for notice in waiting), *mutes) for edge in each]
            coming = [moment for moment in moments if flush < moment < math.inf]
            if not coming:
                waiting = []
                break
            flush += interval * math.ceil((min(coming) - flush) / interval)
    return notices


def _flush(group: Sequence[Notice], now: int, *, muted: bool) -> None:
    for notice in group:
        over = notice.span[1] <= now
        if notice.fired is None and not over and not muted:
            notice.fired = now
        elif notice.fired is not None and over and notice.resolved is None:
            notice.resolved = now


def _over(notice: Notice, now: int) -> bool:
    """Tell whether nothing more is to be told: resolved and told so, or gone before anybody knew."""
    return notice.span[0] <= now and notice.span[1] <= now
