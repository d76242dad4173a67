"""What Alertmanager tells, and when: groups, their waits, and pages that silence tickets (alerts/alertmanager.yml)."""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from chaosapi.forecast.episodes import Episode

Span = tuple[int, float]
"""From, and up to but not including; milliseconds."""


@dataclass
class Notification:
    """When one episode's firing and its end were told, in milliseconds; None if never."""

    episode: Episode
    fired: int | None = field(default=None, init=False)
    resolved: int | None = field(default=None, init=False)

    @property
    def span(self) -> Span:
        """When it fires."""
        assert self.episode.firing is not None  # noqa: S101 - only those that fire get here; this tells mypy
        return self.episode.firing, math.inf if self.episode.resolved is None else self.episode.resolved


def notifications(
    episodes: Sequence[Episode], wait: int, interval: int, silencers: Sequence[Episode] = ()
) -> list[Notification]:
    """Return what is told of the episodes of one group (an SLO's alerts of one severity), in the given order.

    A group begins with its first alert and is flushed `wait` later, then every `interval` until all of it is resolved
    and told so. A flush tells new alerts that no silencer mutes at that moment, and the end of those told before.
    """
    notices = [Notification(episode) for episode in episodes if episode.firing is not None]
    mute = _Inhibition([Notification(silencer).span for silencer in silencers if silencer.firing is not None])
    coming = deque(sorted(notices, key=lambda notice: notice.span))
    while coming:
        group: list[Notification] = []
        flush = coming[0].span[0] + wait
        while True:
            while coming and coming[0].span[0] <= flush:
                group.append(coming.popleft())
            _flush(group, flush, muted=mute.at(flush))
            group = [notice for notice in group if notice.span[1] > flush]
            if not group:
                break  # the next alert begins a new one
            changes = [mute.after(flush), *(notice.span[1] for notice in group)]
            change = min([*changes, coming[0].span[0]] if coming else changes)
            if change == math.inf:
                break
            flush += interval * math.ceil((change - flush) / interval)
    return notices


class _Inhibition:
    """When silencers fire."""

    def __init__(self, spans: Sequence[Span]) -> None:
        ordered = sorted(spans)
        self._starts = [start for start, _ in ordered]
        self._ends = list(accumulate((end for _, end in ordered), max))
        self._edges = sorted(edge for span in spans for edge in span)

    def at(self, moment: int) -> bool:
        """Return whether any fires at this moment."""
        begun = bisect_right(self._starts, moment)
        return bool(begun) and self._ends[begun - 1] > moment

    def after(self, moment: int) -> float:
        """Return when the next one begins or ends; inf: none does."""
        place = bisect_right(self._edges, moment)
        return self._edges[place] if place < len(self._edges) else math.inf


def _flush(group: Sequence[Notification], now: int, *, muted: bool) -> None:
    for notice in group:
        over = notice.span[1] <= now
        if notice.fired is None and not over and not muted:
            notice.fired = now
        elif notice.fired is not None and over and notice.resolved is None:
            notice.resolved = now
