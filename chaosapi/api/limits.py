"""What a fault must respect beyond its own shape: what the app has, and what the settings allow.

What could never be accepted here is Invalid (422) and names its field; what only finds no room beside the live faults
is LimitReached (429).
"""

import math
from collections.abc import Sequence

from chaosapi.effects import EFFECTS, Effect, RequestEffect
from chaosapi.errors import Invalid, LimitReached
from chaosapi.fault import Fault, Record, Target
from chaosapi.routes import RouteTable, exempt
from chaosapi.settings import Settings, SettingsError

_FIELDS = {"cpu": "effect.cores", "memory": "effect.limit"}
"""Which field says how much of it an effect takes."""


class Limits:
    """Checks faults against the app's routes and points, and the CHAOSAPI_ settings."""

    def __init__(self, routes: RouteTable, settings: Settings, points: frozenset[str]) -> None:
        """Raise SettingsError where CHAOSAPI_EFFECTS_DENIED names an effect that there is not."""
        self._templates, self._points, self._settings = routes.templates, points, settings
        self._ceilings: dict[str, float] = {"cpu": settings.max_cpu, "memory": settings.max_memory}
        names = [kind.model_fields["type"].default for kind in EFFECTS]
        if unknown := sorted(settings.effects_denied - set(names)):
            raise SettingsError(
                f"CHAOSAPI_EFFECTS_DENIED: no effect is called {', '.join(unknown)}; there are {', '.join(names)}"
            )

    def denied(self, effect: type[Effect]) -> str | None:
        """Say why faults of this effect are refused here; None where they are not."""
        name = effect.model_fields["type"].default
        if name in self._settings.effects_denied:
            return f"{name} is switched off here (CHAOSAPI_EFFECTS_DENIED)"
        if name == "crash" and not self._settings.allow_crash:
            return "crash is switched off unless CHAOSAPI_ALLOW_CRASH=true"
        return None

    def check(self, fault: Fault) -> Fault:
        """Return the fault; raises Invalid where it aims at nothing, or is more than is ever allowed."""
        settings, schedule = self._settings, fault.schedule
        if (why := self.denied(type(fault.effect))) is not None:
            raise Invalid.field("effect.type", why)
        if isinstance(fault.effect, RequestEffect) and fault.rate > settings.max_rate:
            raise Invalid.field("rate", f"at most {settings.max_rate:g} (CHAOSAPI_MAX_RATE)")
        if schedule.start_after + schedule.duration > settings.max_duration:
            raise Invalid.field(
                "schedule.duration", f"with start_after at most {settings.max_duration:g} s (CHAOSAPI_MAX_DURATION)"
            )
        for what, much in fault.effect.demands().items():
            if much > self._ceilings[what]:
                raise Invalid.field(_FIELDS[what], f"at most {self._ceiling(what)}")
        self._check_target(fault.target)
        return fault

    def admit(self, others: Sequence[Record], fault: Fault) -> None:
        """Raise LimitReached where there is no room for the fault beside the `others` that live."""
        most = self._settings.max_faults
        if len(others) >= most:
            raise LimitReached(f"{most} faults are live, which is the most (CHAOSAPI_MAX_FAULTS): end one first")
        for what, much in fault.effect.demands().items():
            left = self._ceilings[what] - math.fsum(other.spec.effect.demands().get(what, 0) for other in others)
            if much > left + 1e-9:
                message = f"only {max(0.0, left):.12g} of {self._ceiling(what)} is left by the faults that are live"
                raise LimitReached(f"{_FIELDS[what]}: {message}", [{"field": _FIELDS[what], "message": message}])

    def _ceiling(self, what: str) -> str:
        unit = {"cpu": "cores", "memory": "bytes"}[what]
        return f"{self._ceilings[what]:.12g} {unit} (CHAOSAPI_MAX_{what.upper()})"

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
