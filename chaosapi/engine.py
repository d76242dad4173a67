"""The faults compiled for the hot path: which may touch a route or a point, and which request is hit."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from starlette.types import Scope

from chaosapi.effects import Effect, RequestEffect
from chaosapi.fault import Record
from chaosapi.receipt import Tally
from chaosapi.routes import RouteTable
from chaosapi.state import Difference, State


class Plan:
    """A record compiled; never changed, so that a request sees all of a change or nothing."""

    def __init__(self, record: Record, templates: Iterable[str], former: "Plan | None" = None) -> None:
        target, shape = record.spec.target, record.spec.schedule.shape
        self.record = record
        self.templates = [template for template in templates if target.matches_route(template)]
        """The routes that it means."""
        self.effect: Effect = record.spec.effect
        self.memory: Any = None
        """What the effect remembers; taken over from the former plan while the effect's type stays."""
        if isinstance(self.effect, RequestEffect):
            kept = former.memory if former and type(former.effect) is type(self.effect) else None
            self.memory = self.effect.remember(kept)
        self.starts_at, self.ends_at = record.starts_at, record.ends_at
        self.over = record.ended_at is not None
        self.steady = shape.type == "constant"
        self.scales_rate = shape.scales == "rate"
        self.methods = frozenset(target.methods) if target.methods else None
        self.headers = [(name.encode(), value.encode()) for name, value in target.headers.items()]
        self.sticky = target.sticky_by.encode() if target.sticky_by else None

    def readings(self) -> Mapping[str, float]:
        """Return what the effect shows as metrics."""
        return self.effect.readings(self.memory) if isinstance(self.effect, RequestEffect) else {}

    def means(self, scope: Scope) -> bool:
        """Tell whether this request, whose route is known to match, is meant."""
        if self.methods and scope["method"] not in self.methods:
            return False
        present = scope["headers"]
        for pair in self.headers:  # noqa: SIM110 - a third of the time, for every fault that means others
            if pair not in present:
                return False
        return True

    def key(self, scope: Scope, request_id: str) -> str:
        """Return what decides whether the request is hit."""
        if self.sticky:
            for name, value in scope["headers"]:
                if name == self.sticky:
                    return str(value, "latin-1")
        return request_id


class Run:
    """One fault as it runs on this replica, which serves these routes: its plan, its counts, and whom it holds."""

    def __init__(self, record: Record, templates: Sequence[str], clock: Callable[[], float]) -> None:
        self._templates, self._clock = templates, clock
        self._wakers: set[Callable[[], object]] = set()
        self.plan = Plan(record, templates)
        self.tally = Tally()
        self.strength()  # of a fault that has run for long: bursts up to now are drawn here, not by a request

    def update(self, record: Record) -> None:
        """Take over a changed record; counts stay, and whoever waits looks again."""
        self.plan = Plan(record, self._templates, self.plan)
        self.wake()

    def end(self) -> None:
        """End it, whatever its record says: the state no longer knows it."""
        self.plan.over = True
        self.wake()

    def remaining(self) -> float:
        """Return how many seconds the fault still has; 0 or less once it has ended."""
        return 0.0 if self.plan.over else self.plan.ends_at - self._clock()

    def strength(self) -> float:
        """Return the fault's strength now; 0 once it has ended."""
        return 0.0 if self.plan.over else self.plan.record.strength(self._clock())

    @contextmanager
    def waking(self, wake: Callable[[], object]) -> Iterator[None]:
        """Call `wake`, from any thread, when the fault changes or ends before the block does."""
        self._wakers.add(wake)
        try:
            yield
        finally:
            self._wakers.discard(wake)

    def wake(self) -> None:
        """Let everybody who waits look again."""
        for wake in tuple(self._wakers):
            wake()

    def roll(self, scope: Scope, request_id: str, now: float) -> "Hit | None":
        """Decide whether this request, whose route is known to match, is hit; counted either way."""
        plan = self.plan
        if plan.over or not plan.starts_at <= now < plan.ends_at or not plan.means(scope):
            return None
        strength = 1.0 if plan.steady else plan.record.strength(now)
        chance = plan.record.spec.rate * (strength if plan.scales_rate else strength > 0)
        self.tally.matched += 1
        self.tally.expected += chance
        key = plan.key(scope, request_id)
        if plan.record.dice.hit(key) >= chance:
            return None
        assert isinstance(plan.effect, RequestEffect)  # noqa: S101 - the index holds no others
        magnitude = 1.0 if plan.scales_rate else strength
        return Hit(self, plan.effect, plan.memory, plan.record.dice.draw(key), magnitude)


class Hit:
    """One request, hit by one fault."""

    __slots__ = ("draw", "effect", "magnitude", "memory", "run")

    def __init__(self, run: Run, effect: RequestEffect, memory: Any, draw: float, magnitude: float) -> None:
        self.run, self.effect, self.memory = run, effect, memory
        self.draw, self.magnitude = draw, magnitude


Index = dict[str, list[Run]]


class Engine:
    """The faults that this replica knows, indexed by route, and by point and route.

    Changes may come from the control plane's thread while requests are served: indices are replaced, never changed.
    """

    def __init__(self, routes: RouteTable, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.state = State()
        self.by_route: Index = {}
        """Live faults on requests that may touch a route, oldest first; empty when there is none."""
        self.by_point: dict[str, Index] = {}
        """Live faults on calls to dependencies: by point, then by route."""
        self.pointed: frozenset[str] = frozenset()
        """The routes whose calls to dependencies live faults may touch."""
        self._templates = routes.templates
        self._runs: dict[tuple[str, float], Run] = {}
        self._live: list[Run] = []
        self._next_end = float("inf")
        self._lock = threading.Lock()

    def load(self, state: State, news: Difference | None = None) -> None:
        """Take over a new state: start, change and end runs, and release whom an ended fault held.

        `news` is what tells it from the present one, where the caller knows.
        """
        came, went = news or Difference.of(self.state, state)
        with self._lock:
            runs, fresh = self._runs, []
            for record in reversed(came):
                run = runs.get(record.identity)
                if run is None:
                    run = runs[record.identity] = Run(record, self._templates, self.clock)
                elif run.plan.record != record:
                    run.update(record)
                if run not in self._live:
                    fresh.append(run)
            for key in {record.identity for record in went.values()} - {record.identity for record in came}:
                runs.pop(key).end()
            self.state = state
            self._index(fresh)

    def _index(self, fresh: Iterable[Run] = ()) -> None:
        live = [run for run in (*self._live, *fresh) if not run.plan.over and run.remaining() > 0]
        on_requests: list[Run] = []
        at_points: dict[str, list[Run]] = {}
        for run in live:
            if isinstance(run.plan.effect, RequestEffect):
                points = run.plan.record.spec.target.points
                for runs in [at_points.setdefault(point, []) for point in points] if points else [on_requests]:
                    runs.append(run)
        self._live = live
        self.by_route = _routed(on_requests)
        self.by_point = {point: _routed(runs) for point, runs in at_points.items()}
        self.pointed = frozenset(template for index in self.by_point.values() for template in index)
        self._next_end = min((run.plan.ends_at for run in live), default=float("inf"))

    def roll(self, scope: Scope, template: str, request_id: str) -> list[Hit]:
        """Return the faults that hit this request, oldest first."""
        now = self._now()
        return [hit for run in self.by_route.get(template, ()) if (hit := run.roll(scope, request_id, now))]

    def roll_point(self, point: str, scope: Scope, template: str, key: str) -> list[Hit]:
        """Return the faults that hit this call to a dependency, oldest first."""
        now = self._now()
        runs = self.by_point.get(point, {}).get(template, ())
        return [hit for run in runs if (hit := run.roll(scope, key, now))]

    def _now(self) -> float:
        now = self.clock()
        if now >= self._next_end:
            with self._lock:  # a change may be under way in the other thread: whatever is there by now is indexed
                self._index()
        return now

    def runs(self) -> Iterable[Run]:
        """Return every known run, ended ones included, oldest first."""
        return list(self._runs.values())  # in one step: changes may come from the other thread

    def live(self) -> Iterable[Run]:
        """Return the runs that had not ended when the last change was taken over, oldest first."""
        return self._live

    def release(self, made_by: float = float("inf")) -> None:
        """Let go of all whom faults made by that time hold here, and let these hit nobody any more."""
        for run in self.runs():
            if run.plan.record.created_at <= made_by:
                run.end()

    def tally(self, record: Record) -> Tally:
        """Return the counts of a fault; empty ones for a fault this replica has not seen."""
        run = self._runs.get(record.identity)
        return run.tally if run else Tally()


def _routed(runs: Iterable[Run]) -> Index:
    index: Index = {}
    for run in runs:
        for template in run.plan.templates:
            index.setdefault(template, []).append(run)
    return index
