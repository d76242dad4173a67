"""Solve the inverse questions: the rate that pages in time, spends a budget, or burns it at a given rate."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from chaosapi import errors
from chaosapi.durations import Duration
from chaosapi.faults.fault import Fault
from chaosapi.faults.schedule import Ramp, Schedule
from chaosapi.forecast import coverage, indicator, outcome, timetable
from chaosapi.forecast.counters import Counters
from chaosapi.forecast.model import ForecastModel
from chaosapi.forecast.result import Assumptions, ForecastAlert
from chaosapi.forecast.traffic import Traffic
from chaosapi.models import Model as Answer
from chaosapi.slo.spec import Objective, Spec

_MIN_RATE = 1e-6
_PRECISION = 1e-4
_BUDGET_CELLS = 2000
"""Cells over which a spent budget is added up; scrape times do not matter for a budget."""
_MAX_MIXTURE_PARTS = 100
"""Inverting a mixture of more delays would take seconds."""


class RateThatPages(Answer):
    """The smallest rate that pages in time."""

    assumptions: Assumptions
    rate: float
    alert: ForecastAlert
    """The first page at that rate."""


class RateThatSpends(Answer):
    """The rate, and the duration, that spends a share of an SLO's error budget."""

    assumptions: Assumptions
    slo: str
    spent: float
    rate: float | None
    """The rate that spends the share within the fault's duration; None: even a rate of 1 spends less."""
    duration: Duration | None
    """The duration that spends the share at the fault's rate; None: longer than the SLO's period."""


class RateThatBurns(Answer):
    """The rate that causes a given burn rate."""

    rate: float
    sum: str
    """The calculation, in a sentence."""


def page_within(model: ForecastModel, within: float) -> RateThatPages:
    """Return the smallest rate at which the model's one fault pages at most `within` seconds after its start.

    Exact to a ten-thousandth, if a higher rate never pages later. Raises errors.Invalid where no rate pages in time.
    """
    fault = _single_fault(model)
    model.check()
    if firing := [each for each in timetable.predict(model).alerts if each.already and each.severity == "page"]:
        pages = ", ".join(f"{each.slo} {each.long_window}" for each in firing)
        raise errors.Invalid.field("page_within", f"pages fire already: {pages}")
    deadline = fault.schedule.start_after + within
    near = replace(model, monitoring=model.monitoring.model_copy(update={"horizon": deadline}))

    def page(rate: float) -> ForecastAlert | None:
        found = timetable.predict(replace(near, faults=[_with_rate(fault, rate)]))
        pages = [alert for alert in found.alerts if alert.severity == "page"]
        notified = [(moment.notified, alert) for alert in pages for moment in alert.moments]
        in_time = [(when, alert) for when, alert in notified if when is not None and when <= deadline]
        return min(in_time, key=lambda pair: pair[0])[1] if in_time else None

    if page(1.0) is None:
        raise errors.Invalid.field("page_within", f"even a rate of 1 does not page within {within:g} s")
    rate = _round_up(_smallest(lambda each: page(each) is not None, _MIN_RATE, 1.0))
    alert = page(rate)
    assert alert is not None  # noqa: S101 - _smallest returns a rate that pages, which mypy cannot know
    return RateThatPages(assumptions=timetable.assumptions(model), rate=rate, alert=alert)


def spend(model: ForecastModel, share: float, slo: str | None = None) -> RateThatSpends:
    """Return the rate, and the duration, at which the model's one fault spends the share of an SLO's budget.

    `slo` is the SLO's name, by default that of the SLO that the fault affects most. Exact to a ten-thousandth. Raises
    errors.Invalid where the fault affects no SLO.
    """
    fault = _single_fault(model)
    model.check()
    objective = model.spec.find(slo) if slo else max(model.slos, key=lambda each: _spent(model, fault, each))
    if objective.name in model.refused:
        raise errors.Invalid.field("slo", f"{objective.name}: {model.refused[objective.name]}")
    if not _spent(model, fault, objective):
        raise errors.Invalid.field("budget", f"the fault spends nothing of the budget of {objective.name}")

    def by_rate(rate: float) -> bool:
        return _spent(model, _with_rate(fault, rate), objective) >= share

    def by_duration(duration: float) -> bool:
        return _spent(model, _with_duration(fault, duration), objective) >= share

    shape = fault.schedule.shape
    period = model.profile.period
    shortest = max(0.1, shape.up + shape.down if isinstance(shape, Ramp) else 0.0)
    return RateThatSpends(
        assumptions=timetable.assumptions(model),
        slo=objective.name,
        spent=share,
        rate=_round_up(_smallest(by_rate, _MIN_RATE, 1.0)) if by_rate(1.0) else None,
        duration=_smallest(by_duration, shortest, period) if by_duration(period) else None,
    )


def rate_for(fault: Fault, burn_rate: float, slo: str, spec: Spec, traffic: Traffic) -> RateThatBurns:
    """Return the rate at which the fault, at full strength, burns the SLO's budget `burn_rate` times too fast.

    `slo` is a name as in the spec, with or without the service (`shop-availability`). Raises errors.Invalid, by field,
    where no rate causes that burn rate.
    """
    objective = spec.find(slo)
    if reason := outcome.unmodelled(fault):
        raise errors.Invalid.field("rate.burn_rate", f"{reason}: give a ratio")
    if (
        parts := outcome.count_delay_evaluations(fault.model_copy(update={"schedule": Schedule()}))
    ) > _MAX_MIXTURE_PARTS:
        raise errors.Invalid.field(
            "rate.burn_rate", f"the delays are mixed of {parts} parts, over {_MAX_MIXTURE_PARTS}: give a ratio"
        )
    if reason := coverage.refusal(objective, traffic):
        raise errors.Invalid.field("rate.slo", f"{objective.name}: {reason}")
    ratio = burn_rate * objective.budget

    read = indicator.parse_indicator(objective)

    def flows(rate: float) -> tuple[float, float]:
        now = fault.model_copy(update={"rate": rate, "schedule": Schedule(duration=1.0)})
        counters = Counters([now], traffic.model_copy(update={"stages": []}), np.array([0.0, 1.0]))
        return float(counters.flow(read.error)[0]), float(counters.flow(read.total)[0])

    error_at_0, total_at_0 = flows(0.0)
    error_at_1, total_at_1 = flows(1.0)

    def reached(rate: float) -> float:
        # Under one fault all flows are linear in its rate: two points determine them.
        total = (1 - rate) * total_at_0 + rate * total_at_1
        return ((1 - rate) * error_at_0 + rate * error_at_1) / total if total else 0.0

    most = reached(1.0)
    if most < ratio:
        raise errors.Invalid.field(
            "rate.burn_rate",
            f"at a rate of 1 the fault makes {most:.4g} of the requests of {objective.name} bad, a burn rate of "
            f"{most / objective.budget:.4g}: ask for at most that, or hit more routes",
        )
    if (least := reached(_MIN_RATE)) > ratio:
        raise errors.Invalid.field(
            "rate.burn_rate",
            f"even at a rate of {_MIN_RATE:g}, the smallest looked at, the fault burns the budget of {objective.name} "
            f"{least / objective.budget:.4g} times too fast: ask for at least that",
        )
    rate = _smallest(lambda each: reached(each) >= ratio, _MIN_RATE, 1.0, 1e-9)
    sum_ = (
        f"a burn rate of {burn_rate:g} × a budget of {objective.budget:.4g} = {ratio:.4g} of the requests of "
        f"{objective.name}; a rate of 1 would make {most:.4g} of them bad, so the rate is {rate:.4g}"
    )
    return RateThatBurns(rate=float(f"{rate:.6g}"), sum=sum_)


def _single_fault(model: ForecastModel) -> Fault:
    if len(model.faults) != 1:
        raise errors.Invalid.field("faults", "this question is about one fault: give exactly one")
    if reason := outcome.unmodelled(model.faults[0]):
        raise errors.Invalid.field("faults", reason)
    return model.faults[0]


def _with_rate(fault: Fault, rate: float) -> Fault:
    return fault.model_copy(update={"rate": rate})


def _with_duration(fault: Fault, duration: float) -> Fault:
    return fault.model_copy(update={"schedule": fault.schedule.model_copy(update={"duration": duration})})


def _spent(model: ForecastModel, fault: Fault, slo: Objective) -> float:
    end = fault.schedule.start_after + fault.schedule.duration + model.traffic.client_timeout
    scrape = max(model.monitoring.scrape, math.ceil(end / _BUDGET_CELLS))
    coarse = model.monitoring.model_copy(update={"horizon": end, "scrape": scrape})
    return float(replace(model, faults=[fault], monitoring=coarse).budget_spent(slo)[-1])


def _smallest(enough: Callable[[float], bool], low: float, high: float, precision: float = _PRECISION) -> float:
    """Return the smallest number for which the monotonic `enough` holds, by bisection of its logarithm."""
    if enough(low):
        return low
    while high / low > 1 + precision:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _round_up(rate: float) -> float:
    """Round up to four digits."""
    unit = 10.0 ** (math.floor(math.log10(rate)) - 3)
    return min(1.0, float(f"{math.ceil(rate / unit - 1e-9) * unit:.6g}"))
