"""Alertmanager's notifications over time: groups, group_wait, group_interval, and pages that inhibit tickets.

The inhibition rule is the one in alerts/alertmanager.yml.
"""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from chaosapi.forecast.episodes import Episode

Span = tuple[int, float]
"""Start, and end (exclusive), in milliseconds."""


@dataclass
class Notification:
    """The times of the firing and the resolved notification of one episode, in milliseconds; None: not sent."""

    episode: Episode
    fired: int | None = field(default=None, init=False)
    resolved: int | None = field(default=None, init=False)

    @property
    def span(self) -> Span:
        """Return when the episode fires; raises ValueError for an episode that does not."""
        if self.episode.firing is None:
            raise ValueError("the episode does not fire")
        return self.episode.firing, math.inf if self.episode.resolved is None else self.episode.resolved


def notifications(
    episodes: Sequence[Episode], wait: int, interval: int, inhibitors: Sequence[Episode] = ()
) -> list[Notification]:
    """Return the notifications of the episodes of one group (an SLO's alerts of one severity), in the given order.

    A group starts with its first alert, is flushed `wait` later and then every `interval` until all its alerts are
    resolved and notified as such. A flush notifies new alerts that are not inhibited at that time, and the resolution
    of alerts notified before.
    """
    notices = [Notification(episode) for episode in episodes if episode.firing is not None]
    inhibition = _Inhibition([Notification(inhibitor).span for inhibitor in inhibitors if inhibitor.firing is not None])
    coming = deque(sorted(notices, key=lambda notice: notice.span))
    while coming:
        group: list[Notification] = []
        flush = coming[0].span[0] + wait
        while True:
            while coming and coming[0].span[0] <= flush:
                group.append(coming.popleft())
            _flush(group, flush, inhibited=inhibition.is_active(flush))
            group = [notice for notice in group if notice.span[1] > flush]
            if not group:
                break  # the next alert starts a new group
            changes = [inhibition.next_change(flush), *(notice.span[1] for notice in group)]
            change = min([*changes, coming[0].span[0]] if coming else changes)
            if change == math.inf:
                break
            flush += interval * math.ceil((change - flush) / interval)
    return notices


class _Inhibition:
    """The times at which inhibiting alerts fire."""

    def __init__(self, spans: Sequence[Span]) -> None:
        ordered = sorted(spans)
        self._starts = [start for start, _ in ordered]
        self._ends = list(accumulate((end for _, end in ordered), max))
        self._edges = sorted(edge for span in spans for edge in span)

    def is_active(self, moment: int) -> bool:
        """Return whether any inhibiting alert fires at this moment."""
        begun = bisect_right(self._starts, moment)
        return bool(begun) and self._ends[begun - 1] > moment

    def next_change(self, moment: int) -> float:
        """Return when an inhibiting alert next starts or stops firing; inf for never."""
        place = bisect_right(self._edges, moment)
        return self._edges[place] if place < len(self._edges) else math.inf


def _flush(group: Sequence[Notification], now: int, *, inhibited: bool) -> None:
    for notice in group:
        over = notice.span[1] <= now
        if notice.fired is None and not over and not inhibited:
            notice.fired = now
        elif notice.fired is not None and over and notice.resolved is None:
            notice.resolved = now
