"""Faults, traffic and Prometheus put together: every burn rate of every SLO on the evaluation grid."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from chaosapi import errors
from chaosapi.faults.fault import Fault
from chaosapi.forecast import burn, exposure, indicator, outcome
from chaosapi.forecast.arrays import Array
from chaosapi.forecast.burn import BurnRates
from chaosapi.forecast.counters import ZERO_INITIALISED, Counters
from chaosapi.forecast.indicator import Indicator, Term
from chaosapi.forecast.monitoring import Monitoring
from chaosapi.forecast.promql import Range, Times
from chaosapi.forecast.traffic import Traffic
from chaosapi.slo.spec import Objective, Spec
from chaosapi.slo.windows import Profile, WindowPair


@dataclass(frozen=True)
class Effort:
    """How much work a forecast may be: its time and its memory grow with these."""

    steps: int = 3_000_000
    """Scrapes plus evaluations: a month every second. More would take minutes."""
    cells: int = 100_000_000
    """Cells of time, times the faults over them."""
    episodes: int = 1_000_000
    """How often one alert goes off."""
    samples: int = 1_000_000_000
    """Steps, times the series whose growth is followed one by one."""
    delays: int = 1_000_000_000
    """Parts of a mixture of delays, times the strengths at which they are looked at."""
    check: Callable[[], None] = lambda: None
    """Called between steps of the work, which stops where it raises."""


@dataclass(frozen=True)
class ForecastModel:
    """What is known of faults, oldest first, and of what watches them; time 0 is when the faults are created."""

    faults: Sequence[Fault]
    traffic: Traffic
    spec: Spec
    profile: Profile
    monitoring: Monitoring
    effort: Effort = Effort()

    def __post_init__(self) -> None:
        if not self.faults:
            raise errors.Invalid.field("faults", "a forecast needs at least one fault")
        most = self.effort
        steps = self.lookback / self.monitoring.scrape + self.horizon * (
            1 / self.monitoring.scrape + 1 / self.monitoring.evaluation
        )
        _check("horizon", steps, most.steps, "scrapes and evaluations", "look less far, or less often")
        lone = {status for fault in self.modelled for status in outcome.statuses(fault)} - ZERO_INITIALISED
        series = 1 + len(lone) * len(self.traffic.mix)
        _check("traffic.shares", series * steps, most.samples, "samples", "name fewer routes, or look less far")
        for fault in self.modelled:
            much = outcome.delays_looked_at(fault)
            _check("effect.distribution", much, most.delays, "looks at a mixture of delays", "mix fewer of them")

    @cached_property
    def modelled(self) -> list[Fault]:
        """Return the faults whose outcome can be told."""
        return [fault for fault in self.faults if not outcome.unmodelled(fault)]

    @cached_property
    def horizon(self) -> float:
        """How far to look, in seconds: until the last pair must have let go."""
        if self.monitoring.horizon:
            return self.monitoring.horizon
        ends = max(fault.schedule.start_after + fault.schedule.duration for fault in self.faults)
        slack = 2 * (self.monitoring.scrape + self.monitoring.evaluation) + self.traffic.client_timeout
        return ends + max(pair.short for pair in self.profile.pairs) + slack

    @property
    def lookback(self) -> float:
        """How far back scrapes matter, in seconds."""
        longest = self.profile.windows[-1] + 2 * self.monitoring.scrape
        return longest if self.monitoring.history is None else min(self.monitoring.history, longest)

    @cached_property
    def scrapes(self) -> Times:
        """Return the scrapes; one coincides with the faults' creation."""
        return _grid(-self.lookback, self.horizon, self.monitoring.scrape)

    @cached_property
    def evaluations(self) -> Times:
        """Return the evaluations since the faults were created."""
        return _grid(0.0, self.horizon, self.monitoring.evaluation)

    @cached_property
    def edges(self) -> Array:
        """Return the borders of the cells in which expected counts are added up, in seconds."""
        history = self.monitoring.history
        born = -10 * self.profile.windows[-1] if history is None else -history
        times = self.scrapes[self.scrapes >= 0] / 1000
        edges = exposure.edges(
            np.concatenate([[born], times, [self.horizon]]),
            [stage.after for stage in self.traffic.stages if stage.after < self.horizon],
            self.modelled,
        )
        much = edges.size * len(self.modelled)
        _check("faults", much, self.effort.cells, "cells of time and fault", "look less far, or at fewer faults")
        return edges

    @cached_property
    def counters(self) -> Counters:
        """Return the service's counters."""
        return Counters(self.modelled, self.traffic, self.edges, self.effort.check)

    @cached_property
    def indicators(self) -> dict[str, Indicator]:
        """Return the counters behind each SLO, by its name."""
        return {slo.name: indicator.parse_indicator(slo) for slo in self.spec.slos}

    def burns(self, slo: Objective) -> dict[float, BurnRates]:
        """Return the burn rate over each window (seconds), at each evaluation."""
        read = self.indicators[slo.name]
        error, total = (
            [(term.sign, counter) for term in terms for counter in self.counters.select(term, self.scrapes / 1000)]
            for terms in (read.error, read.total)
        )
        budget = float(f"{slo.budget:.12g}")  # as the rules write it
        burns = {}
        for window in self.profile.windows:
            self.effort.check()
            burns[window] = burn.burn_over(self._range(window), error, total, budget)
        return burns

    def events(self, terms: Sequence[Term]) -> Array:
        """Return the expected events of a query since the faults were created, at the edges."""
        flow = np.where(self.edges[:-1] >= 0, self.counters.flow(terms), 0.0)
        return np.concatenate([[0.0], np.cumsum(flow)])

    def budget_spent(self, slo: Objective) -> Array:
        """Return the share of the SLO's budget for one period that the faults have spent, at the edges.

        The period's requests are those forecast, filled up with the traffic before; without any nothing is spent.
        """
        read = self.indicators[slo.name]
        period = self.profile.period
        idle = Counters([], self.traffic.model_copy(update={"stages": []}), np.array([-1.0, 0.0]))
        before = float(idle.flow(read.total)[0]) * max(0.0, period - self.horizon)
        requests = (float(self.events(read.total)[-1]) + before) * period / max(period, self.horizon)
        bad = self.events(read.error)
        return bad / (slo.budget * requests) if requests else np.zeros_like(bad)

    def worst_error_ratio(self, slo: Objective) -> float:
        """Return the highest share of bad among the SLO's requests at any time; 0 without any."""
        read = self.indicators[slo.name]
        bad = self.counters.flow(read.error)
        total = self.counters.flow(read.total)
        return float(np.max(np.divide(bad, total, out=np.zeros_like(bad), where=total > 0), initial=0.0))

    def _range(self, window: float) -> Range:
        return Range(self.scrapes, self.evaluations, round(window * 1000), self.monitoring.prometheus)


def lower_burn(burns: dict[float, BurnRates], pair: WindowPair, deviations: float = 0.0) -> Array:
    """Return the lower burn rate of a pair's two windows; NaN where one is absent.

    With `deviations` it is that many standard deviations off. Bad luck (below 0) is looked for in the long window only:
    the short one draws anew every few evaluations and so delays by little, while the long one keeps its luck.
    """
    short = burns[pair.short]
    long = burns[pair.long]
    lower: Array = np.minimum(
        short.rate + max(0.0, deviations) * short.deviation, long.rate + deviations * long.deviation
    )
    return lower


def expression_holds(
    burns: dict[float, BurnRates], pair: WindowPair, min_failures: int = 1, deviations: float = 0.0
) -> NDArray[np.bool_]:
    """Return at which evaluations the pair's alert expression holds; `min_failures` as the rules were made with."""
    holds: NDArray[np.bool_] = lower_burn(burns, pair, deviations) > float(f"{pair.factor:g}")  # as the alert writes it
    return holds & (burns[pair.long].failures > min_failures - 0.5) if min_failures > 1 else holds


def _check(field: str, much: float, most: int, of_what: str, remedy: str) -> None:
    if much > most:
        raise errors.Invalid.field(field, f"{much:.3g} {of_what} are more than {most:,}: {remedy}")


def _grid(start: float, end: float, step: float) -> Times:
    every = round(step * 1000)
    return np.arange(-(round(-start * 1000) // every), round(end * 1000) // every + 1, dtype=np.int64) * every
