"""The faults compiled for the hot path: which may touch a route or a point, and which request is hit."""

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from starlette.types import Scope

from chaosapi.effects import Effect, ProcessEffect, RequestEffect
from chaosapi.faults.fault import Record
from chaosapi.faults.receipt import Counts
from chaosapi.faults.schedule import Course
from chaosapi.faults.state import Diff, State
from chaosapi.routes import RouteTable

_FUTURE: Final = 60.0
"""Seconds that clocks of replicas may differ by. A fault that was made later than that was made by a wrong clock."""
_JITTER: Final = 1.0
"""Seconds by which the shared clock may go back without a word: it is what replicas take another one's to be."""


class CompiledFault:
    """A record compiled; never changed, so that a request sees all of a change or nothing."""

    def __init__(self, record: Record, templates: Iterable[str], former: "CompiledFault | None" = None) -> None:
        target = record.spec.target
        schedule = record.spec.schedule
        seed = record.dice.hit_seed
        self.record = record
        self.templates = [template for template in templates if target.matches_route(template)]
        """The routes that it means."""
        self.effect: Effect = record.spec.effect
        self.memory: Any = None
        """What the effect remembers; taken over from the former plan while the effect's type stays."""
        if isinstance(self.effect, RequestEffect):
            kept = former.memory if former and type(former.effect) is type(self.effect) else None
            self.memory = self.effect.remember(kept)
        self.starts_at = record.starts_at
        self.ends_at = record.ends_at
        self.over = record.ended_at is not None
        self.steady = schedule.shape.type == "constant"
        self.scales_rate = schedule.shape.scales == "rate"
        self.course: Course = former.course.of(schedule, seed) if former else schedule.course(seed)
        """Kept with the bursts that were drawn, so that no request draws them again."""
        self.methods = frozenset(target.methods) if target.methods else None
        self.headers = [(name.encode(), value.encode()) for name, value in target.headers.items()]
        self.sticky = target.sticky_by.encode() if target.sticky_by else None

    def strength(self, now: float) -> float:
        """Return the strength in [0, 1] at time `now`; 0 once it has ended."""
        return self.course.strength(now - self.record.created_at) if not self.over and now < self.ends_at else 0.0

    def readings(self) -> Mapping[str, float]:
        """Return what the effect shows as metrics."""
        return self.effect.readings(self.memory) if isinstance(self.effect, RequestEffect) else {}

    def matches(self, scope: Scope) -> bool:
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


class Clocks(NamedTuple):
    """The time that replicas share, which may be set, and this machine's, which only ever runs on; in seconds."""

    shared: Callable[[], float]
    """Unix seconds in UTC."""
    steady: Callable[[], float]
    """Since some moment."""


class ActiveFault:
    """One fault as it runs on this replica, which serves these routes: its plan, its counts, and whom it holds.

    Its time is the shared one that never goes back: a clock that is set back does not prolong a fault, nor bring one
    back; a clock that is set forward ends it early. So it is over when its time has passed by the shared clock, or by
    this replica's own since it was first seen here, whichever comes first.
    """

    def __init__(self, record: Record, templates: Sequence[str], clocks: Clocks) -> None:
        self._templates = templates
        self._clocks = clocks
        self._wakers: set[Callable[[], object]] = set()
        self._ended = False
        self._denied: str | None = None
        now = clocks.shared()
        self._ahead = max(now, record.created_at) - clocks.steady()
        """How far its time is ahead of the steady clock."""
        self.from_future = record.created_at > now + _FUTURE
        """Whether it was made in the future, so that nobody can tell how long it has been there; it never acts."""
        self.compiled = CompiledFault(record, templates)
        self.over = self.compiled.over or self.from_future
        """Whether somebody has ended it, or this replica has."""
        self.counts = Counts()
        self.strength()  # of a fault that has run for long: bursts up to now are drawn here, not by a request

    def acts(self) -> bool:
        """Tell whether it has not ended and nothing forbids it here."""
        return self._denied is None and self.remaining() > 0

    def apply_law(self, denied: str | None) -> None:
        """Let it act here, or not, and why; whom it holds is let go."""
        if denied == self._denied:
            return
        if self._denied is None and isinstance(self.compiled.effect, ProcessEffect):
            self.counts.matched += 1
            self.counts.expected += 1
            self.counts.skipped["denied"] += 1
        self._denied = self.counts.denied = denied
        self.notify_end()

    def time(self) -> float:
        """Return its time, Unix seconds."""
        steady = self._clocks.steady()
        self._ahead = max(self._ahead, self._clocks.shared() - steady)
        return steady + self._ahead

    def ends_at(self) -> float:
        """Return when it ends by the steady clock, as far as is known by now."""
        return self.compiled.ends_at - self._ahead

    def update(self, record: Record) -> None:
        """Take over a changed record; counts stay, and whoever waits looks again."""
        plan = CompiledFault(record, self._templates, self.compiled)
        plan.strength(self.time())  # a changed schedule is drawn here too
        self.compiled = plan
        self.over = self.compiled.over or self.from_future or self._ended
        if self._ended:  # by another thread, meanwhile
            self.over = True
        self.notify_end()

    def end(self) -> None:
        """End it for good, whatever its record says or comes to say."""
        self._ended = True
        self.over = True
        self.notify_end()

    def remaining(self) -> float:
        """Return how many seconds the fault still has; 0 or less once it has ended."""
        return 0.0 if self.over else self.compiled.ends_at - self.time()

    def early(self) -> float:
        """Return how many seconds it takes until the fault starts; 0 or less once it has."""
        return self.compiled.starts_at - self.time()

    def active(self) -> bool:
        """Tell whether it acts now."""
        return self.early() <= 0 and self.acts()

    def strength(self) -> float:
        """Return the fault's strength now; 0 once it has ended, or where it is denied."""
        return 0.0 if self.over or self._denied else self.compiled.strength(self.time())

    @contextmanager
    def on_end(self, wake: Callable[[], object]) -> Iterator[None]:
        """Call `wake`, from any thread, when the fault changes or ends before the block does."""
        self._wakers.add(wake)
        try:
            yield
        finally:
            self._wakers.discard(wake)

    def notify_end(self) -> None:
        """Let everybody who waits look again."""
        for wake in tuple(self._wakers):
            wake()

    def roll(self, scope: Scope, request_id: str, steady: float, ahead: float) -> "Hit | None":
        """Decide whether this request, whose route is known to match, is hit; counted either way.

        `steady` is what that clock says, `ahead` how far the shared one is ahead of it.
        """
        plan = self.compiled
        if ahead > self._ahead:  # noqa: PLR1730 - `max` takes three times as long, for every request
            self._ahead = ahead
        now = steady + self._ahead
        if self.over or not plan.starts_at <= now < plan.ends_at or not plan.matches(scope):
            return None
        strength = 1.0 if plan.steady else plan.course.strength(now - plan.record.created_at)
        chance = plan.record.spec.rate * (strength if plan.scales_rate else strength > 0)
        self.counts.matched += 1
        self.counts.expected += chance
        key = plan.key(scope, request_id)
        if plan.record.dice.hit(key) >= chance:
            return None
        if self._denied is not None:
            self.counts.skipped["denied"] += 1
            return None
        assert isinstance(plan.effect, RequestEffect)  # noqa: S101 - the index holds no others
        magnitude = 1.0 if plan.scales_rate else strength
        return Hit(self, plan.effect, plan.memory, plan.record.dice.draw(key), magnitude)


class Hit:
    """One request, hit by one fault."""

    __slots__ = ("draw", "effect", "magnitude", "memory", "run")

    def __init__(self, run: ActiveFault, effect: RequestEffect, memory: Any, draw: float, magnitude: float) -> None:
        self.run = run
        self.effect = effect
        self.memory = memory
        self.draw = draw
        self.magnitude = magnitude


Index = dict[str, list[ActiveFault]]
Law = Callable[[Sequence[Record]], Sequence[str | None]]
"""Says of each live fault, oldest first, why it must not act on this replica; None where it may."""


def _allow_all(records: Sequence[Record]) -> Sequence[str | None]:
    return [None] * len(records)


class Engine:
    """The faults that this replica knows, indexed by route, and by point and route.

    Changes may come from the control plane's thread while requests are served: indices are replaced, never changed.
    """

    def __init__(
        self,
        routes: RouteTable,
        clock: Callable[[], float],
        steady: Callable[[], float] | None = None,
        law: Law = _allow_all,
    ) -> None:
        """`clock` is the shared one; `steady` this machine's, which is the shared one unless given."""
        self.steady = steady or clock
        self._law = law
        self.clock = clock
        self._clocks = Clocks(clock, self.steady)
        self.state = State()
        self.by_route: Index = {}
        """Live faults on requests that may touch a route, oldest first; empty when there is none."""
        self.by_point: dict[str, Index] = {}
        """Live faults on calls to dependencies: by point, then by route."""
        self.routes_with_points: frozenset[str] = frozenset()
        """The routes whose calls to dependencies live faults may touch."""
        self._templates = routes.templates
        self._runs: dict[tuple[str, float], ActiveFault] = {}
        self._live: list[ActiveFault] = []
        self._next_end = float("inf")
        """When the first of them ends, by the steady clock."""
        self._released = False
        self._lock = threading.Lock()

    def load(self, state: State, news: Diff | None = None) -> None:
        """Take over a new state: start, change and end runs, and release whom an ended fault held.

        `news` is what tells it from the present one, where the caller knows.
        """
        came, went = news or Diff.of(self.state, state)
        with self._lock:
            runs = self._runs
            fresh = []
            for record in reversed(came):
                run = runs.get(record.identity)
                if run is None:
                    run = runs[record.identity] = ActiveFault(record, self._templates, self._clocks)
                    if self._released:
                        run.end()
                elif run.compiled.record != record:
                    run.update(record)
                if run not in self._live:
                    fresh.append(run)
            for key in {record.identity for record in went.values()} - {record.identity for record in came}:
                runs.pop(key).end()
            self.state = state
            self._index(fresh)

    def _index(self, fresh: Iterable[ActiveFault] = ()) -> None:
        live = [run for run in (*self._live, *fresh) if run.remaining() > 0]
        for run, denied in zip(live, self._law([run.compiled.record for run in live]), strict=True):
            run.apply_law(denied)
        on_requests: list[ActiveFault] = []
        at_points: dict[str, list[ActiveFault]] = {}
        for run in live:
            if isinstance(run.compiled.effect, RequestEffect):
                points = run.compiled.record.spec.target.points
                for runs in [at_points.setdefault(point, []) for point in points] if points else [on_requests]:
                    runs.append(run)
        self._live = live
        self.by_route = index_by_route(on_requests)
        self.by_point = {point: index_by_route(runs) for point, runs in at_points.items()}
        self.routes_with_points = frozenset(template for index in self.by_point.values() for template in index)
        self._next_end = min((run.ends_at() for run in live), default=float("inf"))

    def roll(self, scope: Scope, template: str, request_id: str) -> list[Hit]:
        """Return the faults that hit this request, oldest first."""
        steady, ahead = self._now()
        return [hit for run in self.by_route.get(template, ()) if (hit := run.roll(scope, request_id, steady, ahead))]

    def roll_point(self, point: str, scope: Scope, template: str, key: str) -> list[Hit]:
        """Return the faults that hit this call to a dependency, oldest first."""
        steady, ahead = self._now()
        runs = self.by_point.get(point, {}).get(template, ())
        return [hit for run in runs if (hit := run.roll(scope, key, steady, ahead))]

    def _now(self) -> tuple[float, float]:
        steady = self.steady()
        if steady >= self._next_end:
            with self._lock:  # a change may be under way in the other thread: whatever is there by now is indexed
                self._index()
        return steady, self.clock() - steady

    def drop_ended(self) -> None:
        """Look again which faults live and which of them may act: one that ends makes room for others."""
        if all(run.acts() for run in self._live):
            return
        with self._lock:
            self._index()

    def active_faults(self) -> Iterable[ActiveFault]:
        """Return every known run, ended ones included, oldest first."""
        return list(self._runs.values())  # in one step: changes may come from the other thread

    def live(self) -> Iterable[ActiveFault]:
        """Return the runs that had not ended when the last change was taken over, oldest first."""
        return self._live

    def release(self, made_by: float = math.inf) -> None:
        """Let go of all whom faults made by that time hold here, and let these hit nobody any more.

        Without a time no later fault acts either: this replica is about to stop.
        """
        self._released = self._released or made_by == math.inf
        for run in self.active_faults():
            if run.compiled.record.created_at <= made_by:
                run.end()

    def time_of(self, record: Record) -> float:
        """Return the time by which this replica runs the fault, Unix seconds: the shared one that never goes back."""
        run = self._runs.get(record.identity)
        return run.time() if run else self.clock()

    def strength_of(self, record: Record) -> float:
        """Return the strength that the record gives the fault now, whether or not it may act here."""
        run = self._runs.get(record.identity)
        plan = run.compiled if run and run.compiled.record == record else CompiledFault(record, ())
        return plan.strength(self.time_of(record))

    def ended_by_clock(self) -> list[tuple[Record, str]]:
        """Return the faults that are over here while their record says otherwise, and why, for the record to be ended.

        The shared clock was set back, or the fault was made by one that was ahead.
        """
        now = self.clock()
        found = []
        for run in self.active_faults():
            record = run.compiled.record
            if record.phase(now) == "ended" or self._released:
                continue
            if run.from_future:
                found.append((record, "it was made in the future of the clock, which was set back"))
            elif run.remaining() <= 0 and record.ends_at - now > _JITTER:
                found.append((record, "its time has passed, though the clock was set back"))
        return found

    def counts_of(self, record: Record) -> Counts:
        """Return the counts of a fault; empty ones for a fault this replica has not seen."""
        run = self._runs.get(record.identity)
        return run.counts if run else Counts()


def index_by_route(runs: Iterable[ActiveFault]) -> Index:
    index: Index = {}
    for run in runs:
        for template in run.compiled.templates:
            index.setdefault(template, []).append(run)
    return index
