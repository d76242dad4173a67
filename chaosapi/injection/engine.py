"""The faults compiled for the hot path: an index by route and point, and the decision which requests are hit."""

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from starlette.types import Scope

from chaosapi.effects import Effect, ProcessEffect, RequestEffect
from chaosapi.faults.fault import Record
from chaosapi.faults.receipt import SPARED, Counts
from chaosapi.faults.schedule import Course
from chaosapi.faults.state import Diff, State
from chaosapi.routing import RouteTable
from chaosapi.world.world import World

_MAX_CLOCK_SKEW_S: Final = 60.0
"""The largest clock skew between replicas. A fault created further in the future was created by a wrong clock."""
_CLOCK_JITTER_S: Final = 1.0
"""A step back of the shared clock that is ignored: replicas estimate that clock, so it jitters."""


class CompiledFault:
    """A compiled record; immutable, so that a request sees a whole change or none of it."""

    def __init__(self, record: Record, templates: Iterable[str], former: "CompiledFault | None" = None) -> None:
        target = record.spec.target
        schedule = record.spec.schedule
        seed = record.dice.hit_seed
        self.record = record
        self.match_routes(templates)
        self.effect: Effect = record.spec.effect
        self.memory: Any = None
        """The effect's state between requests; kept across a patch that keeps the effect's type."""
        if isinstance(self.effect, RequestEffect):
            kept = former.memory if former and type(former.effect) is type(self.effect) else None
            self.memory = self.effect.remember(kept)
        self.starts_at = record.starts_at
        self.ends_at = record.ends_at
        self.over = record.ended_at is not None
        self.constant = schedule.shape.type == "constant"
        self.scales_rate = schedule.shape.scales == "rate"
        self.course: Course = former.course.of(schedule, seed) if former else schedule.course(seed)
        """Kept across a patch with the bursts that were drawn, so that no request draws them again."""
        self.methods = frozenset(target.methods) if target.methods else None
        self.headers = [(name.encode(), value.encode()) for name, value in target.headers.items()]
        self.sticky = target.sticky_by.encode() if target.sticky_by else None

    def match_routes(self, templates: Iterable[str]) -> None:
        """Find the routes that the target matches."""
        target = self.record.spec.target
        self.templates = [template for template in templates if target.matches_route(template)]

    def strength(self, now: float) -> float:
        """Return the strength in [0, 1] at time `now`; 0 after the end."""
        return self.course.strength(now - self.record.created_at) if not self.over and now < self.ends_at else 0.0

    def readings(self) -> Mapping[str, float]:
        """Return the values of the effect's metrics."""
        return self.effect.readings(self.memory) if isinstance(self.effect, RequestEffect) else {}

    def matches(self, scope: Scope) -> bool:
        """Return whether the target matches this request; the route has matched already."""
        method = scope["method"]
        if self.methods and method not in self.methods:
            return False
        if method == "OPTIONS" and not self.methods and _is_preflight(scope):
            return False
        present = scope["headers"]
        for pair in self.headers:  # noqa: SIM110 - takes a third of the time of `all` when a header differs
            if pair not in present:
                return False
        return True

    def key(self, scope: Scope, request_id: str) -> str:
        """Return the key of the dice: the value of the `sticky_by` header, or the request id."""
        if self.sticky:
            for name, value in scope["headers"]:
                if name == self.sticky:
                    return str(value, "latin-1")
        return request_id


def _is_preflight(scope: Scope) -> bool:
    """Return whether a browser asks whether it may send a request; that request is to be hit, and once."""
    return any(name == b"access-control-request-method" for name, _ in scope["headers"])


class Clocks(NamedTuple):
    """The clock that replicas share, which may be set, and this machine's monotonic clock; both in seconds."""

    shared: Callable[[], float]
    """Unix seconds in UTC."""
    steady: Callable[[], float]
    """Seconds since an arbitrary moment; monotonic."""


class ActiveFault:
    """One fault on this replica: the compiled record, the counts, and the wake-up calls of the requests that it holds.

    A fault's time is the shared clock made monotonic: setting the clock back neither prolongs nor revives a fault;
    setting it forward ends the fault early. So a fault ends when its duration has passed by the shared clock, or by
    this replica's monotonic clock since the replica first saw the fault, whichever is first.
    """

    def __init__(self, record: Record, templates: Sequence[str], clocks: Clocks, replica: str = "") -> None:
        """`replica` is the name of this replica."""
        self._templates = templates
        self._clocks = clocks
        self._replica = replica
        self.elsewhere = not record.spec.target.includes(replica)
        """Whether the target names other replicas only."""
        self._wakers: set[Callable[[], object]] = set()
        self._ended = False
        self._denied: str | None = None
        self._unmet: str | None = None
        """Why the condition does not hold on this replica; None where it does."""
        now = clocks.shared()
        self._ahead = max(now, record.created_at) - clocks.steady()
        """The fault's time minus the monotonic clock."""
        self.from_future = record.created_at > now + _MAX_CLOCK_SKEW_S
        """Whether the fault was created in the future, so that its age is unknown; such a fault never acts."""
        self.compiled = CompiledFault(record, templates)
        self.over = self.compiled.over or self.from_future
        """Whether the API or this replica has ended the fault."""
        self.counts = Counts()
        self.strength()  # draw the bursts up to now here, not in a request

    def match_routes(self, templates: Sequence[str]) -> None:
        """Find the routes that the target matches, after those of the app have changed."""
        self._templates = templates
        self.compiled.match_routes(templates)

    def acts(self) -> bool:
        """Return whether the fault is allowed to act here, has not ended, and its condition holds."""
        return self.allowed() and self._unmet is None and not self.elsewhere

    def allowed(self) -> bool:
        """Return whether the fault has not ended and this replica's policy allows it."""
        return self._denied is None and self.remaining() > 0

    def check_condition(self, world: World) -> None:
        """Find out whether the condition holds here; wake the requests that the fault holds if that has changed."""
        unmet = self.compiled.record.spec.unmet(world, self._replica)
        if unmet == self._unmet:
            return
        self._unmet = unmet
        self.notify_end()

    def set_denied(self, denied: str | None) -> None:
        """Set the reason why the fault must not act here, None where it may; wake the requests that it holds."""
        if denied == self._denied:
            return
        if self._denied is None and isinstance(self.compiled.effect, ProcessEffect):
            self.counts.matched += 1
            self.counts.expected += 1
            self.counts.skipped["denied"] += 1
        self._denied = self.counts.denied = denied
        self.notify_end()

    def time(self) -> float:
        """Return the fault's time, in Unix seconds."""
        steady = self._clocks.steady()
        self._ahead = max(self._ahead, self._clocks.shared() - steady)
        return steady + self._ahead

    def ends_at(self) -> float:
        """Return when the fault ends on the monotonic clock, if the shared clock is not set forward."""
        return self.compiled.ends_at - self._ahead

    def update(self, record: Record) -> None:
        """Compile a changed record, keep the counts, and wake the requests that the fault holds."""
        compiled = CompiledFault(record, self._templates, self.compiled)
        compiled.strength(self.time())  # draw a changed schedule's bursts here, not in a request
        self.compiled = compiled
        self.elsewhere = not record.spec.target.includes(self._replica)
        self.over = self.compiled.over or self.from_future or self._ended
        if self._ended:  # another thread may have ended it meanwhile
            self.over = True
        self.notify_end()

    def end(self) -> None:
        """End the fault for good, regardless of its record and later changes."""
        self._ended = True
        self.over = True
        self.notify_end()

    def remaining(self) -> float:
        """Return the seconds until the fault ends; 0 or less after the end."""
        return 0.0 if self.over else self.compiled.ends_at - self.time()

    def early(self) -> float:
        """Return the seconds until the fault starts; 0 or less after the start."""
        return self.compiled.starts_at - self.time()

    def active(self) -> bool:
        """Return whether the fault has started and acts."""
        return self.early() <= 0 and self.acts()

    def strength(self) -> float:
        """Return the fault's strength now; 0 after the end, while denied, and while its condition does not hold."""
        idle = self.over or self._denied or self._unmet or self.elsewhere
        return 0.0 if idle else self.compiled.strength(self.time())

    @contextmanager
    def on_end(self, wake: Callable[[], object]) -> Iterator[None]:
        """Call `wake`, from any thread, if the fault changes or ends before the block ends."""
        self._wakers.add(wake)
        try:
            yield
        finally:
            self._wakers.discard(wake)

    def notify_end(self) -> None:
        """Wake all requests and threads that wait for the fault."""
        for wake in tuple(self._wakers):
            wake()

    def roll(self, scope: Scope, request_id: str, steady: float, ahead: float) -> "Hit | None":
        """Return the hit if the dice hit this request, else None; count it. The route has matched already.

        `steady` is the time on the monotonic clock, `ahead` the shared clock minus the monotonic clock.
        """
        compiled = self.compiled
        if ahead > self._ahead:  # noqa: PLR1730 - `max` takes three times as long, in every request
            self._ahead = ahead
        now = steady + self._ahead
        if self.over or not compiled.starts_at <= now < compiled.ends_at or not compiled.matches(scope):
            return None
        strength = 1.0 if compiled.constant else compiled.course.strength(now - compiled.record.created_at)
        chance = compiled.record.spec.rate * (strength if compiled.scales_rate else strength > 0)
        self.counts.matched += 1
        if self._unmet is None:
            self.counts.expected += chance
        key = compiled.key(scope, request_id)
        if compiled.record.dice.hit(key) >= chance:
            return None
        if self._unmet is not None:
            self.counts.skipped[SPARED] += 1
            return None
        if self._denied is not None:
            self.counts.skipped["denied"] += 1
            return None
        assert isinstance(compiled.effect, RequestEffect)  # noqa: S101 - the index holds request effects only
        magnitude = 1.0 if compiled.scales_rate else strength
        return Hit(self, compiled.effect, compiled.memory, compiled.record.dice.draw(key), magnitude)


class Hit:
    """One request that one fault hits."""

    __slots__ = ("draw", "effect", "fault", "magnitude", "memory")

    def __init__(self, fault: ActiveFault, effect: RequestEffect, memory: Any, draw: float, magnitude: float) -> None:
        self.fault = fault
        self.effect = effect
        self.memory = memory
        self.draw = draw
        self.magnitude = magnitude


Index = dict[str, list[ActiveFault]]
Denials = Callable[[Sequence[Record]], Sequence[str | None]]
"""Returns for each live fault, oldest first, the reason why it must not act on this replica; None where it may."""


def _deny_none(records: Sequence[Record]) -> Sequence[str | None]:
    return [None] * len(records)


class Engine:
    """The faults that this replica knows, indexed by route, and by point and route.

    The control plane's thread may change faults while requests are served: indices are replaced, never mutated.
    """

    def __init__(
        self,
        routes: RouteTable,
        clock: Callable[[], float],
        steady: Callable[[], float] | None = None,
        denials: Denials = _deny_none,
        world: World | None = None,
        replica: str = "",
    ) -> None:
        """`clock` is the shared clock; `steady` is this machine's monotonic clock, `clock` unless given.

        `world` is that of this replica as long as nobody changes it; `replica` is its name.
        """
        self.steady = steady or clock
        self._denials = denials
        self.clock = clock
        self._clocks = Clocks(clock, self.steady)
        self._replica = replica
        self.base_world = world or World()
        """The world of this replica as long as nobody changes it."""
        self.state = State(world=self.base_world)
        """The state, with the whole world of this replica."""
        self.by_route: Index = {}
        """Live faults that target requests, by route, oldest first; empty where there are none."""
        self.by_point: dict[str, Index] = {}
        """Live faults that target calls to dependencies, by point, then by route."""
        self.routes_with_points: frozenset[str] = frozenset()
        """The routes whose calls to dependencies live faults target."""
        self.touched: frozenset[str] = frozenset()
        """The routes at which live faults may act, on requests or on calls to dependencies."""
        self.routes = routes
        self._faults: dict[tuple[str, float], ActiveFault] = {}
        self._live: list[ActiveFault] = []
        self._next_end = float("inf")
        """When the first live fault ends, on the monotonic clock."""
        self._released = False
        self._lock = threading.Lock()

    def load(self, state: State, diff: Diff | None = None) -> None:
        """Load a new state: start, change and end faults, and release the requests that ended faults held.

        `diff` is the difference to the present state, if the caller has computed it already.
        """
        added, removed = diff or Diff.of(self.state, state)
        with self._lock:
            faults = self._faults
            added_faults = []
            for record in reversed(added):
                fault = faults.get(record.identity)
                if fault is None:
                    fault = faults[record.identity] = ActiveFault(
                        record, self.routes.templates, self._clocks, self._replica
                    )
                    if self._released:
                        fault.end()
                elif fault.compiled.record != record:
                    fault.update(record)
                if fault not in self._live:
                    added_faults.append(fault)
            for key in {record.identity for record in removed.values()} - {record.identity for record in added}:
                faults.pop(key).end()
            self.state = state.model_copy(update={"world": state.world.over(self.base_world)})
            self._index(added_faults)

    def _index(self, added_faults: Iterable[ActiveFault] = ()) -> None:
        live = [fault for fault in (*self._live, *added_faults) if fault.remaining() > 0]
        for fault, denied in zip(live, self._denials([fault.compiled.record for fault in live]), strict=True):
            fault.set_denied(denied)
            fault.check_condition(self.state.world)
        on_requests: list[ActiveFault] = []
        at_points: dict[str, list[ActiveFault]] = {}
        for fault in live:
            if isinstance(fault.compiled.effect, RequestEffect) and not fault.elsewhere:
                points = fault.compiled.record.spec.target.points
                for faults in [at_points.setdefault(point, []) for point in points] if points else [on_requests]:
                    faults.append(fault)
        self._live = live
        self.by_route = index_by_route(on_requests)
        self.by_point = {point: index_by_route(faults) for point, faults in at_points.items()}
        self.routes_with_points = frozenset(template for index in self.by_point.values() for template in index)
        self.touched = self.routes_with_points.union(self.by_route)
        self._next_end = min((fault.ends_at() for fault in live), default=float("inf"))

    def match_routes(self) -> None:
        """Find the routes of all faults again, after those of the app have changed."""
        with self._lock:
            for fault in self._faults.values():
                fault.match_routes(self.routes.templates)
            self._index()

    def roll(self, scope: Scope, template: str, request_id: str) -> list[Hit]:
        """Return the faults that hit this request, oldest first."""
        steady, ahead = self._now()
        return [
            hit for fault in self.by_route.get(template, ()) if (hit := fault.roll(scope, request_id, steady, ahead))
        ]

    def roll_point(self, point: str, scope: Scope, template: str, key: str) -> list[Hit]:
        """Return the faults that hit this call to a dependency, oldest first."""
        steady, ahead = self._now()
        faults = self.by_point.get(point, {}).get(template, ())
        return [hit for fault in faults if (hit := fault.roll(scope, key, steady, ahead))]

    def _now(self) -> tuple[float, float]:
        steady = self.steady()
        if steady >= self._next_end:
            with self._lock:  # the control plane's thread may be changing faults
                self._index()
        return steady, self.clock() - steady

    def drop_ended(self) -> None:
        """Index the live faults anew unless all of them may act: the end of one may make room for others."""
        if all(fault.allowed() for fault in self._live):
            return
        with self._lock:
            self._index()

    def active_faults(self) -> Iterable[ActiveFault]:
        """Return every known fault, ended ones included, oldest first."""
        return list(self._faults.values())  # atomic: the control plane's thread may change the dict

    def live(self) -> Iterable[ActiveFault]:
        """Return the faults that had not ended when the last change was loaded, oldest first."""
        return self._live

    def release(self, created_until: float = math.inf) -> None:
        """End the faults created until `created_until` on this replica, and release the requests that they hold.

        Without a time later faults end too: this replica is shutting down.
        """
        self._released = self._released or created_until == math.inf
        for fault in self.active_faults():
            if fault.compiled.record.created_at <= created_until:
                fault.end()

    def time_of(self, record: Record) -> float:
        """Return the fault's time on this replica, in Unix seconds: the shared clock made monotonic."""
        fault = self._faults.get(record.identity)
        return fault.time() if fault else self.clock()

    def strength_of(self, record: Record) -> float:
        """Return the fault's strength now by its record, whether or not it may act here."""
        fault = self._faults.get(record.identity)
        compiled = fault.compiled if fault and fault.compiled.record == record else CompiledFault(record, ())
        return compiled.strength(self.time_of(record))

    def ended_by_clock(self) -> list[tuple[Record, str]]:
        """Return the faults that have ended here but not by their record, each with the reason.

        Either the shared clock was set back, or a clock that was ahead created the fault. The caller ends the records.
        """
        now = self.clock()
        found = []
        for fault in self.active_faults():
            record = fault.compiled.record
            if record.phase(now) == "ended" or self._released:
                continue
            if fault.from_future:
                found.append((record, "it was made in the future of the clock, which was set back"))
            elif fault.remaining() <= 0 and record.ends_at - now > _CLOCK_JITTER_S:
                found.append((record, "its time has passed, though the clock was set back"))
        return found

    def counts_of(self, record: Record) -> Counts:
        """Return the counts of a fault; empty ones for a fault this replica has not seen."""
        fault = self._faults.get(record.identity)
        return fault.counts if fault else Counts()


def index_by_route(faults: Iterable[ActiveFault]) -> Index:
    index: Index = {}
    for fault in faults:
        for template in fault.compiled.templates:
            index.setdefault(template, []).append(fault)
    return index
