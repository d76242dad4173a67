"""The request rates of the last minute, by route and status, on this replica."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping

Counts = Mapping[tuple[str, str, str], float]
"""Requests so far, by method, handler and status."""

_INTERVAL_S = 5.0
_SAMPLES = 12
SPAN_S = _INTERVAL_S * (_SAMPLES + 1)
"""The longest time that the rates are about."""


class RateMeter:
    """Samples the request counters every few seconds, and keeps the samples of a minute."""

    def __init__(self, counts: Callable[[], Counts], clock: Callable[[], float] = time.monotonic) -> None:
        self._counts = counts
        self._clock = clock
        self._samples: deque[tuple[float, Counts]] = deque([(clock(), counts())], maxlen=_SAMPLES + 1)

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL_S)
            self.sample()

    def sample(self) -> None:
        self._samples.append((self._clock(), self._counts()))

    def requests_per_second(self) -> float:
        """Return the rate of all requests."""
        return sum(self.rates().values())

    def rates(self) -> dict[tuple[str, str, str], float]:
        """Return requests per second by method, handler and status; those without requests are left out."""
        since, before = self._samples[0]
        now = self._clock()
        after = self._counts()
        grown = {route: count - before.get(route, 0.0) for route, count in after.items()}
        return {route: more / (now - since) for route, more in grown.items() if more > 0 and now > since}
