"""Faults as they really were, on the clock of a forecast."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from chaosapi.faults.fault import Fault, Record
from chaosapi.faults.schedule import Ramp
from chaosapi.forecast.model import ForecastModel


@dataclass(frozen=True)
class Replay:
    """A fault among those that windows still remember, or that came after; times but `origin` are the model's."""

    model: ForecastModel
    origin: float
    """Unix seconds of the model's time 0."""
    start: float
    end: float
    until: float
    """When the next fault began, to which alerts belong from then on; inf: there is none."""


def replay_fault(record: Record, records: Sequence[Record], model: ForecastModel) -> Replay:
    """Put a fault, and the others that were there, on one clock on which a scrape coincides with its start.

    Each lasts as long as it really did; a shape that is made to measure, such as steps, is that of the shorter fault.
    All else is the model's.
    """
    known = {each.name: each for each in [*records, record]}.values()
    acted = [each for each in known if _acted(each) and each.ends_at > record.starts_at - model.profile.windows[-1]]
    beat = max(model.monitoring.scrape, model.monitoring.evaluation)
    first = min((each.starts_at for each in acted), default=record.starts_at)
    origin = record.starts_at - math.ceil((record.starts_at - first) / beat) * beat
    faults = [_as_it_was(each, origin) for each in sorted(acted, key=lambda each: each.created_at)]
    following = [each.starts_at for each in acted if each.starts_at >= record.ends_at]
    return Replay(
        replace(model, faults=faults),
        origin,
        record.starts_at - origin,
        record.ends_at - origin,
        min(following, default=math.inf) - origin,
    )


def _acted(record: Record) -> bool:
    return record.ends_at > record.starts_at


def _as_it_was(record: Record, origin: float) -> Fault:
    schedule = record.spec.schedule
    shape = record.spec.schedule.shape
    lasted = record.ends_at - record.starts_at
    if isinstance(shape, Ramp) and lasted < schedule.duration:
        shape = shape.model_copy(update={"down": 0.0})  # it was ended before, or while, it fell
    times = {"start_after": record.starts_at - origin, "duration": lasted, "shape": shape}
    return record.spec.model_copy(
        update={"name": record.name, "guard": None, "schedule": schedule.model_copy(update=times)}
    )
