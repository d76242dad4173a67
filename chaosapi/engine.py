"""The faults compiled for the hot path: which may touch a route, and which request is hit."""

import asyncio
from collections.abc import Callable, Iterable

from starlette.types import Scope

from chaosapi.fault import Record
from chaosapi.receipt import Tally
from chaosapi.routes import RouteTable
from chaosapi.state import State


class Run:
    """One fault as it runs on this replica: its compiled record, its tally, and its grip on held requests."""

    def __init__(self, record: Record, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.tally = Tally()
        self.released = asyncio.Event()
        """Set when somebody ends the fault, so that nobody is held any longer."""
        self.update(record)

    def update(self, record: Record) -> None:
        """Take over a changed record; counts and held requests stay."""
        target, shape = record.spec.target, record.spec.schedule.shape
        self.record = record
        self.effect = record.spec.effect
        self.starts_at, self.ends_at = record.starts_at, record.ends_at
        self._steady = shape.type == "constant"
        self._scales_rate = shape.scales == "rate"
        self._methods = frozenset(target.methods) if target.methods else None
        self._headers = [(name.encode(), value.encode()) for name, value in target.headers.items()]
        self._sticky = target.sticky_by.encode() if target.sticky_by else None
        if record.ended_at is not None:
            self.released.set()

    def remaining(self) -> float:
        """Return how many seconds the fault still has; 0 or less once it has ended."""
        return 0.0 if self.released.is_set() else self.ends_at - self._clock()

    def roll(self, scope: Scope, request_id: str, now: float) -> "Hit | None":
        """Decide whether this request, whose route is known to match, is hit; counted either way."""
        if not self.starts_at <= now < self.ends_at:
            return None
        if self._methods and scope["method"] not in self._methods:
            return None
        if self._headers and not all(pair in scope["headers"] for pair in self._headers):
            return None
        strength = 1.0 if self._steady else self.record.strength(now)
        chance = self.record.spec.rate * (strength if self._scales_rate else strength > 0)
        self.tally.matched += 1
        self.tally.expected += chance
        key = self._key(scope, request_id)
        if self.record.dice.hit(key) >= chance:
            return None
        return Hit(self, self.record.dice.draw(key), 1.0 if self._scales_rate else strength)

    def _key(self, scope: Scope, request_id: str) -> str:
        if self._sticky:
            for name, value in scope["headers"]:
                if name == self._sticky:
                    return str(value, "latin-1")
        return request_id


class Hit:
    """One request, hit by one fault."""

    __slots__ = ("draw", "magnitude", "run")

    def __init__(self, run: Run, draw: float, magnitude: float) -> None:
        self.run, self.draw, self.magnitude = run, draw, magnitude


class Engine:
    """The faults that this replica knows, indexed by route."""

    def __init__(self, routes: RouteTable, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.state = State()
        self.by_route: dict[str, list[Run]] = {}
        """Live faults that may touch a route, oldest first; empty when there is none."""
        self._templates = routes.templates
        self._runs: dict[tuple[str, float], Run] = {}
        self._next_end = float("inf")

    def load(self, state: State) -> None:
        """Take over a new state: start, change and end runs, and release whom an ended fault held."""
        runs: dict[tuple[str, float], Run] = {}
        for record in reversed(state.faults):
            key = (record.name, record.created_at)
            run = self._runs.get(key)
            if run is None:
                run = Run(record, self.clock)
            elif run.record != record:
                run.update(record)
            runs[key] = run
        for key in self._runs.keys() - runs.keys():
            self._runs[key].released.set()
        live = [run for run in runs.values() if run.remaining() > 0]
        index = {
            template: [run for run in live if run.record.spec.target.matches_route(template)]
            for template in self._templates
        }
        self.state, self._runs = state, runs
        self.by_route = {template: found for template, found in index.items() if found}
        self._next_end = min((run.ends_at for run in live), default=float("inf"))

    def roll(self, scope: Scope, template: str, request_id: str) -> list[Hit]:
        """Return the faults that hit this request, oldest first."""
        now = self.clock()
        if now >= self._next_end:
            self.load(self.state)
        runs = self.by_route.get(template, ())
        return [hit for run in runs if (hit := run.roll(scope, request_id, now))]

    def runs(self) -> Iterable[Run]:
        """Return every known run, ended ones included, oldest first."""
        return self._runs.values()

    def tally(self, record: Record) -> Tally:
        """Return the counts of a fault; empty ones for a fault this replica has not seen."""
        run = self._runs.get((record.name, record.created_at))
        return run.tally if run else Tally()
