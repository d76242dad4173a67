"""Locust's scenarios as traffic."""

from itertools import pairwise
from typing import Any

from chaosapi import errors
from chaosapi.forecast import locust_scenarios
from chaosapi.forecast.traffic import Stage

_MOST_STAGES = 5000


def traffic_fields(
    name: str,
    *,
    rate: float | None = None,
    peak: float | None = None,
    duration: float | None = None,
    scale: float | None = None,
) -> dict[str, Any]:
    """Return the fields of Traffic for a scenario: before it the initial rate of the scenario, after it no requests.

    Rate and peak are requests/s, which the scale multiplies, the duration is in seconds; None is the default of the
    scenario. Raises errors.Invalid, with a remedy, for a name or number that the scenario refuses.
    """
    known = locust_scenarios.load_scenarios().SCENARIOS
    if name not in known:
        raise errors.Invalid.field("scenario", f"there is no scenario {name!r}: choose one of {', '.join(known)}")
    try:
        load = known[name].load(rate=rate, peak=peak, duration=duration, scale=1.0 if scale is None else scale)
    except ValueError as error:
        raise errors.Invalid.field("scenario", str(error)) from None
    return {
        "rps": load.rate_at(0.0),
        "stages": _stages(load),
        "shares": dict(known[name].mix),
        "client_timeout": known[name].patience,
    }


def _stages(load: Any) -> list[Stage]:
    """Return stages of one second (more for a long load), each with the mean rate of the load in that time."""
    step = max(1.0, load.duration / _MOST_STAGES)
    cuts = sorted(
        {step * number for number in range(int(load.duration / step) + 1)} | {time for time, _ in load.corners}
    )
    made: list[Stage] = []
    for start, end in pairwise(cuts):
        if end - start < 1e-6:
            continue
        rps = round((load.arrived(end) - load.arrived(start)) / (end - start), 6)
        if not made or made[-1].rps != rps:
            made.append(Stage(after=start, rps=rps))
    return [*made, Stage(after=load.duration, rps=0.0)]
