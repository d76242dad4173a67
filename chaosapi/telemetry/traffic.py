"""The request rates of the last minute, by route and status, and the latencies without a fault, on this replica."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping

Key = tuple[str, str, str]
Counts = Mapping[Key, float]
"""Requests so far, by method, handler, and status or bucket."""

_INTERVAL_S = 5.0
_SAMPLES = 12
SPAN_S = _INTERVAL_S * (_SAMPLES + 1)
"""The longest time that the rates are about."""


class RateMeter:
    """Samples the request counters every few seconds, and keeps the samples of a minute."""

    def __init__(self, counts: Callable[[], Counts], clock: Callable[[], float] = time.monotonic) -> None:
        self._counts = counts
        self._clock = clock
        self._samples = self._first_sample()

    def _first_sample(self) -> deque[tuple[float, Counts]]:
        return deque([(self._clock(), self._counts())], maxlen=_SAMPLES + 1)

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

    def rates(self) -> dict[Key, float]:
        """Return requests per second by method, handler and status; those without requests are left out."""
        return _rates(self._samples[0], (self._clock(), self._counts()))


class FaultFreeMeter(RateMeter):
    """Keeps the rates of the latest minute in which no fault acted; `acted` is asked about a time in seconds."""

    def __init__(
        self,
        counts: Callable[[], Counts],
        acted: Callable[[float], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(counts, clock)
        self._acted = acted
        self._kept: dict[Key, float] = {}

    def sample(self) -> None:
        """Add a sample; while a fault acts, keep what was measured before it and begin anew."""
        if self._acted(_INTERVAL_S):
            self._kept = _rates(self._samples[0], self._samples[-1]) or self._kept
            self._samples = self._first_sample()  # replaced and never empty: other threads ask for rates
        else:
            super().sample()

    def rates(self) -> dict[Key, float]:
        """Return the rates of the time without a fault."""
        samples = self._samples
        since, _ = samples[0]
        if not self._acted(self._clock() - since):
            self._kept = super().rates() or self._kept
        elif len(samples) > 1:
            self._kept = _rates(samples[0], samples[-1]) or self._kept
        return self._kept


def _rates(start: tuple[float, Counts], end: tuple[float, Counts]) -> dict[Key, float]:
    since, before = start
    until, after = end
    grown = {key: count - before.get(key, 0.0) for key, count in after.items()}
    return {key: more / (until - since) for key, more in grown.items() if more > 0 and until > since}
