"""Put recorded faults, with their real start and end, on the clock of a forecast."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from chaosapi.faults.fault import Fault, Record
from chaosapi.faults.schedule import Ramp
from chaosapi.forecast.model import ForecastModel


@dataclass(frozen=True)
class Replay:
    """A fault, earlier faults that windows still contain, and later faults; times but `origin` are the model's."""

    model: ForecastModel
    origin: float
    """Unix seconds of the model's time 0."""
    start: float
    end: float
    until: float
    """The start of the next fault, to which later alerts belong; inf without a next fault."""


def replay_fault(record: Record, records: Sequence[Record], model: ForecastModel) -> Replay:
    """Return a replay of the fault of `record` among `records`; one scrape coincides with the start of the fault.

    A model with a past was recorded until the fault's start: then earlier faults matter only as far as they go on.

    Each fault lasts from its real start to its real end; shapes that scale with the duration, such as steps, are scaled
    to the real duration. All other settings are the model's.
    """
    known = {each.name: each for each in [*records, record]}.values()
    reach = 0.0 if model.past else model.profile.windows[-1]
    acted = [each for each in known if _acted(each) and (each is record or each.ends_at > record.starts_at - reach)]
    beat = max(model.monitoring.scrape, model.monitoring.evaluation)
    first = record.starts_at if model.past else min(each.starts_at for each in [*acted, record])
    origin = record.starts_at - math.ceil((record.starts_at - first) / beat) * beat
    faults = [_recorded_fault(each, origin) for each in sorted(acted, key=lambda each: each.created_at)]
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


def _recorded_fault(record: Record, origin: float) -> Fault:
    schedule = record.spec.schedule
    shape = record.spec.schedule.shape
    start = max(origin, record.starts_at)
    lasted = record.ends_at - start
    if isinstance(shape, Ramp) and lasted < schedule.duration:
        shape = shape.model_copy(update={"down": 0.0})  # the fault was ended before or during the fall
    times = {"start_after": start - origin, "duration": lasted, "shape": shape}
    return record.spec.model_copy(
        update={"name": record.name, "guard": None, "schedule": schedule.model_copy(update=times)}
    )
