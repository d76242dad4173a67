"""Hosts for effects on the process that run in the test itself."""

import threading
import time
from collections.abc import Callable

from chaosapi.effects import Probe
from chaosapi.runtime.burners import Burners


class Host:
    """Lends the real time, until `over` is set."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.power = 1.0
        self.burners = Burners()
        self.acts = 0

    def now(self) -> float:
        return time.monotonic()

    def acting(self) -> bool:
        return not self.over.is_set()

    def strength(self) -> float:
        return self.power

    def sleep(self, seconds: float) -> None:
        self.over.wait(seconds)

    def freeze(self, seconds: float, rest: float) -> None:
        raise NotImplementedError

    def burn(self, cores: float) -> None:
        self.burners.use(self, cores, 60)

    def fail(self, probe: Probe, *, failing: bool) -> None:
        raise NotImplementedError

    def count_act(self) -> None:
        self.acts += 1


class Turned(Host):
    """Lends a clock that only sleeping moves, for `seconds`; `seen` is called with the time before every sleep."""

    def __init__(self, seconds: float, seen: Callable[[float], None]) -> None:
        super().__init__()
        self.time = 0.0
        self._seconds = seconds
        self._seen = seen

    def now(self) -> float:
        return self.time

    def acting(self) -> bool:
        return self.time < self._seconds

    def sleep(self, seconds: float) -> None:
        self._seen(self.time)
        self.time += seconds
