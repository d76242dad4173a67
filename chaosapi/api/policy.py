"""What a fault must respect beyond its own shape: what the app has, and what the settings allow.

What could never be accepted here is Invalid (422) and names its field; what only finds no room beside the live faults
is LimitReached (429). The settings hold as well for faults that were let in elsewhere: those do not act here.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from chaosapi.effects import EFFECTS, Effect, RequestEffect
from chaosapi.effects.base import Resource
from chaosapi.errors import Invalid, LimitReached
from chaosapi.faults.fault import Fault, Record, Target
from chaosapi.routes import RouteTable, exempt
from chaosapi.settings import Settings, SettingsError

Taken: TypeAlias = defaultdict[Resource, float]
"""How much the live faults take."""


class Ceiling(NamedTuple):
    """How much of a resource all live faults may take, and the setting that says so."""

    most: float
    unit: str
    setting: str

    def __str__(self) -> str:
        return f"{self.most:.12g} {self.unit} ({self.setting})"


class Policy:
    """Checks faults against the app's routes and points, and the CHAOSAPI_ settings."""

    def __init__(self, routes: RouteTable, settings: Settings, points: frozenset[str]) -> None:
        """Raise SettingsError where CHAOSAPI_EFFECTS_DENIED names an effect that there is not."""
        self._templates = routes.templates
        self._points = points
        self._settings = settings
        self._ceilings: dict[Resource, Ceiling] = {
            "cpu": Ceiling(settings.max_cpu, "cores", "CHAOSAPI_MAX_CPU"),
            "memory": Ceiling(settings.max_memory, "bytes", "CHAOSAPI_MAX_MEMORY"),
        }
        names = [kind.model_fields["type"].default for kind in EFFECTS]
        if unknown := sorted(settings.effects_denied - set(names)):
            raise SettingsError(
                f"CHAOSAPI_EFFECTS_DENIED: no effect is called {', '.join(unknown)}; there are {', '.join(names)}"
            )

    def denial(self, effect: type[Effect]) -> str | None:
        """Say why faults of this effect are refused here; None where they are not."""
        name = effect.model_fields["type"].default
        if name in self._settings.effects_denied:
            return f"{name} is switched off here (CHAOSAPI_EFFECTS_DENIED)"
        permission = effect.permission
        if permission and not getattr(self._settings, permission):
            return f"{name} is switched off unless CHAOSAPI_{permission.upper()}=true"
        return None

    def check(self, fault: Fault) -> Fault:
        """Return the fault; raises Invalid where it aims at nothing, or is more than is ever allowed."""
        if (found := self._forbidden(fault)) is not None:
            raise Invalid.field(*found)
        self._check_target(fault.target)
        return fault

    def admit(self, others: Sequence[Record], fault: Fault) -> None:
        """Raise LimitReached where there is no room for the fault beside the `others` that live."""
        taken: Taken = defaultdict(float)
        for other in others:
            _take(taken, other.spec.effect)
        if (found := self._crowded(fault, len(others), taken)) is not None:
            field, message = found
            details = [{"field": field, "message": message}] if field else []
            raise LimitReached(f"{field}: {message}" if field else message, details)

    def denials(self, records: Sequence[Record]) -> list[str | None]:
        """Say of each live fault, oldest first, why it must not act on this replica; None where it may.

        Another replica, or this one with other settings, may have let it in. Those that may act take the room; a fault
        for which none is left may act once there is.
        """
        reasons: list[str | None] = []
        allowed: list[Fault] = []
        taken: Taken = defaultdict(float)
        for record in records:
            found = self._forbidden(record.spec) or self._crowded(record.spec, len(allowed), taken)
            if found is None:
                allowed.append(record.spec)
                _take(taken, record.spec.effect)
            reasons.append(found and ": ".join(filter(None, found)))
        return reasons

    def _forbidden(self, fault: Fault) -> tuple[str, str] | None:
        """Return which field asks for more than is ever allowed, and what is; None where none does."""
        settings = self._settings
        schedule = fault.schedule
        if (why := self.denial(type(fault.effect))) is not None:
            return "effect.type", why
        if isinstance(fault.effect, RequestEffect) and fault.rate > settings.max_rate:
            return "rate", f"at most {settings.max_rate:g} (CHAOSAPI_MAX_RATE)"
        if schedule.start_after + schedule.duration > settings.max_duration:
            return "schedule.duration", f"with start_after at most {settings.max_duration:g} s (CHAOSAPI_MAX_DURATION)"
        for resource, field in fault.effect.demands.items():
            if getattr(fault.effect, field) > self._ceilings[resource].most:
                return f"effect.{field}", f"at most {self._ceilings[resource]}"
        return None

    def _crowded(self, fault: Fault, others: int, taken: Taken) -> tuple[str, str] | None:
        """Return which field asks for more than the others leave, and what is left; None where there is room."""
        most = self._settings.max_faults
        if others >= most:
            return "", f"{most} faults are live, which is the most (CHAOSAPI_MAX_FAULTS): end one first"
        for resource, field in fault.effect.demands.items():
            ceiling = self._ceilings[resource]
            left = ceiling.most - taken[resource]
            if getattr(fault.effect, field) > left + 1e-9:
                return f"effect.{field}", f"only {max(0.0, left):.12g} of {ceiling} is left by the faults that are live"
        return None

    def _check_target(self, target: Target) -> None:
        for place, pattern in enumerate(target.routes or ()):
            if exempt(pattern):
                raise Invalid.field(f"target.routes.{place}", f"{pattern} is exempt from faults")
            if not any(Target(routes=[pattern]).matches_route(template) for template in self._templates):
                raise Invalid.field(
                    f"target.routes.{place}", f"no route matches {pattern}; there are {', '.join(self._templates)}"
                )
        for place, point in enumerate(target.points or ()):
            if point not in self._points:
                known = f"there are {', '.join(sorted(self._points))}" if self._points else "the app has none"
                raise Invalid.field(f"target.points.{place}", f"no point is called {point}; {known}")


def _take(taken: Taken, effect: Effect) -> None:
    for resource, field in effect.demands.items():
        taken[resource] += getattr(effect, field)
