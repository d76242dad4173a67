"""Check faults against the app's routes and points, and against the limits of the settings.

A fault that this replica could never accept is Invalid (422), with the field; a fault that exceeds a limit only
together with the live faults is LimitReached (429). A fault that another replica accepted against this replica's
settings does not act here.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple, TypeAlias

from chaosapi.effects import EFFECTS, Effect, RequestEffect
from chaosapi.effects.base import Resource
from chaosapi.errors import Invalid, LimitReached
from chaosapi.faults.fault import Fault, Record, Target
from chaosapi.routes import exempt
from chaosapi.routing import RouteTable
from chaosapi.settings import Settings, SettingsError
from chaosapi.world.condition import Condition

Usage: TypeAlias = defaultdict[Resource, float]
"""How much of each resource the live faults use."""


class Limit(NamedTuple):
    """The most that all live faults together may use of a resource, and the setting with that limit."""

    most: float
    unit: str
    setting: str

    def __str__(self) -> str:
        return f"{self.most:.12g} {self.unit} ({self.setting})"


class Policy:
    """Checks faults against the app's routes and points, and the CHAOSAPI_ settings."""

    def __init__(
        self, routes: RouteTable, settings: Settings, points: frozenset[str], absent: Collection[str] = ()
    ) -> None:
        """Raise SettingsError if CHAOSAPI_EFFECTS_DENIED names an unknown effect.

        `absent` are the parts of the world that nothing here acts on.
        """
        self._absent = absent
        self._routes = routes
        self._points = points
        self._settings = settings
        self._limits: dict[Resource, Limit] = {
            "cpu": Limit(settings.max_cpu, "cores", "CHAOSAPI_MAX_CPU"),
            "memory": Limit(settings.max_memory, "bytes", "CHAOSAPI_MAX_MEMORY"),
        }
        names = [kind.model_fields["type"].default for kind in EFFECTS]
        if unknown := sorted(settings.effects_denied - set(names)):
            raise SettingsError(
                f"CHAOSAPI_EFFECTS_DENIED: no effect is called {', '.join(unknown)}; there are {', '.join(names)}"
            )

    def denial(self, effect: type[Effect]) -> str | None:
        """Return why faults with this effect are refused here; None if they are not."""
        name = effect.model_fields["type"].default
        if name in self._settings.effects_denied:
            return f"{name} is switched off here (CHAOSAPI_EFFECTS_DENIED)"
        permission = effect.permission
        if permission and not getattr(self._settings, permission):
            return f"{name} is switched off unless CHAOSAPI_{permission.upper()}=true"
        return None

    def check(self, fault: Fault) -> Fault:
        """Return the fault; raises Invalid if it can never act here, or exceeds a limit on its own."""
        violation = self._violation(fault)
        if violation is not None:
            raise Invalid.field(*violation)
        self._check_target(fault.target)
        for part in fault.while_.parts() if fault.while_ else ():
            if part in self._absent:
                known = ", ".join(name for name in Condition.model_fields if name not in self._absent)
                message = f"this belongs to the shop of `chaosapi serve`, which does not run here; there are {known}"
                raise Invalid.field(f"while.{part}", message)
        return fault

    def admit(self, others: Sequence[Record], fault: Fault) -> None:
        """Raise LimitReached if the fault together with the `others`, which are live, exceeds a limit."""
        usage: Usage = defaultdict(float)
        for other in others:
            _add_usage(usage, other.spec.effect)
        excess = self._excess(fault, len(others), usage)
        if excess is not None:
            field, message = excess
            details = [{"field": field, "message": message}] if field else []
            raise LimitReached(f"{field}: {message}" if field else message, details)

    def denials(self, records: Sequence[Record]) -> list[str | None]:
        """Return for each live fault, oldest first, why it must not act on this replica; None if it may.

        Another replica, or this replica under earlier settings, may have accepted the fault. Older faults take
        precedence; a fault that exceeds a limit together with them may act once they have ended.
        """
        reasons: list[str | None] = []
        allowed = 0
        usage: Usage = defaultdict(float)
        for record in records:
            problem = self._violation(record.spec) or self._excess(record.spec, allowed, usage)
            if problem is None:
                allowed += 1
                _add_usage(usage, record.spec.effect)
            reasons.append(problem and ": ".join(filter(None, problem)))
        return reasons

    def _violation(self, fault: Fault) -> tuple[str, str] | None:
        """Return the field that exceeds a limit on its own, and the limit; None if no field does."""
        settings = self._settings
        schedule = fault.schedule
        if (why := self.denial(type(fault.effect))) is not None:
            return "effect.type", why
        if isinstance(fault.effect, RequestEffect) and fault.rate > settings.max_rate:
            return "rate", f"at most {settings.max_rate:g} (CHAOSAPI_MAX_RATE)"
        if schedule.start_after + schedule.duration > settings.max_duration:
            return "schedule.duration", f"with start_after at most {settings.max_duration:g} s (CHAOSAPI_MAX_DURATION)"
        if (found := fault.effect.obstacle()) is not None:
            field, why = found
            return f"effect.{field}", why
        for resource, field in fault.effect.demands.items():
            if getattr(fault.effect, field) > self._limits[resource].most:
                return f"effect.{field}", f"at most {self._limits[resource]}"
        return None

    def _excess(self, fault: Fault, others: int, usage: Usage) -> tuple[str, str] | None:
        """Return the field that exceeds what the other faults leave, and the rest; None if no field does."""
        most = self._settings.max_faults
        if others >= most:
            return "", f"{most} faults are live, which is the most (CHAOSAPI_MAX_FAULTS): end one first"
        for resource, field in fault.effect.demands.items():
            limit = self._limits[resource]
            left = limit.most - usage[resource]
            if getattr(fault.effect, field) > left + 1e-9:
                return f"effect.{field}", f"only {max(0.0, left):.12g} of {limit} is left by the faults that are live"
        return None

    def _check_target(self, target: Target) -> None:
        templates = self._routes.templates
        for place, pattern in enumerate(target.routes or ()):
            if pattern in self._routes.own or (exempt(pattern) and pattern not in templates):
                raise Invalid.field(f"target.routes.{place}", f"{pattern} is exempt from faults")
            if not any(Target(routes=[pattern]).matches_route(template) for template in templates):
                known = ", ".join(templates)
                raise Invalid.field(
                    f"target.routes.{place}",
                    f"no HTTP route matches {pattern} (WebSockets are never hit); there are {known}",
                )
        for place, point in enumerate(target.points or ()):
            if point not in self._points:
                known = f"there are {', '.join(sorted(self._points))}" if self._points else "the app has none"
                raise Invalid.field(f"target.points.{place}", f"no point is called {point}; {known}")


def _add_usage(usage: Usage, effect: Effect) -> None:
    for resource, field in effect.demands.items():
        usage[resource] += getattr(effect, field)
