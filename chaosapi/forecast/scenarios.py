"""Locust's scenarios as traffic: loadtests/_scenarios.py tells the rates and imports no Locust."""

import importlib.util
from functools import cache
from types import ModuleType

from chaosapi import assets, errors
from chaosapi.forecast.traffic import Stage

_STEP = 1.0  # Locust asks a shape about once a second


def stages(name: str, *, rate: int, peak: int, duration: float) -> list[Stage]:
    """Give the stages of the scenario called `name`, in requests/s and seconds; no traffic once it is over.

    Raises errors.Invalid for a name or number that the scenario refuses, with what would be right.
    """
    known = _module().SCENARIOS
    if name not in known:
        raise errors.Invalid.field("scenario", f"there is no scenario {name!r}: choose one of {', '.join(known)}")
    try:
        scenario = known[name](rate=rate, peak=peak, duration=duration)
    except ValueError as error:
        raise errors.Invalid.field("scenario", str(error)) from None
    made: list[Stage] = []
    elapsed = 0.0
    while elapsed < duration:
        rps = float(scenario.rate_at(elapsed))
        if not made or made[-1].rps != rps:
            made.append(Stage(after=elapsed, rps=rps))
        elapsed += _STEP
    return [*made, Stage(after=duration, rps=0.0)]


@cache
def _module() -> ModuleType:
    """Load it by its path: the folder belongs to Locust and is no package."""
    spec = importlib.util.spec_from_file_location("_chaosapi_scenarios", assets.path("loadtests") / "_scenarios.py")
    assert spec is not None  # noqa: S101 - a path that ends in .py always has a spec; this tells mypy
    assert spec.loader is not None  # noqa: S101 - the same
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
