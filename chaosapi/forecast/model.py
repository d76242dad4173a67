"""Combine faults, traffic and monitoring: every burn rate of every SLO on the evaluation grid."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chaosapi import errors
from chaosapi.faults.fault import Fault
from chaosapi.forecast import burn, chance, coverage, exposure, indicator, outcome
from chaosapi.forecast import counters as service_counters
from chaosapi.forecast.arrays import Array
from chaosapi.forecast.burn import BurnRates
from chaosapi.forecast.chance import Outlook
from chaosapi.forecast.counters import ZERO_INITIALISED, Counters
from chaosapi.forecast.indicator import Indicator, Term
from chaosapi.forecast.monitoring import Monitoring
from chaosapi.forecast.past import Past
from chaosapi.forecast.presence import Place, presence
from chaosapi.forecast.promql import Range, Times
from chaosapi.forecast.recording import RecordedSeries
from chaosapi.forecast.traffic import Traffic
from chaosapi.slo.spec import Objective, Spec
from chaosapi.slo.windows import Profile, WindowPair


@dataclass(frozen=True)
class Effort:
    """Limits on the work of a forecast, whose time and memory grow with these numbers."""

    steps: int = 3_000_000
    """Scrapes plus evaluations: a month every second. More would take minutes."""
    cells: int = 100_000_000
    """Cells of time, times the faults."""
    episodes: int = 1_000_000
    """Episodes of one alert."""
    samples: int = 1_000_000_000
    """Steps, times the series that are computed one by one."""
    delays: int = 1_000_000_000
    """Parts of a mixture of delays, times the strengths at which the parts are evaluated."""
    check: Callable[[], None] = lambda: None
    """Called between steps of the work; may raise to stop it."""


DEFAULT_EFFORT = Effort()


@dataclass(frozen=True)
class ForecastModel:
    """Faults, oldest first, their traffic and the monitoring; time 0 is the creation of the faults."""

    faults: Sequence[Fault]
    traffic: Traffic
    spec: Spec
    profile: Profile
    monitoring: Monitoring
    effort: Effort = DEFAULT_EFFORT
    past: Past | None = None
    """What was recorded before time 0; None: the same traffic, without a fault."""
    notes: Sequence[str] = ()
    """More assumptions, about where the faults act."""
    idle: Sequence[str] = ()
    """Why faults act on no request."""

    @classmethod
    def of(cls, faults: Sequence[Fault], place: Place | None, *others: Any, **named: Any) -> "ForecastModel":
        """Return the model of faults that act where their targets and conditions let them, if nobody acts."""
        met = [presence(fault, place) for fault in faults]
        notes = [each for one in met for each in one.assumptions]
        idle = [one.idle for one in met if one.idle]
        return replace(cls([one.fault for one in met], *others, **named), notes=notes, idle=idle)

    def __post_init__(self) -> None:
        if not self.faults:
            raise errors.Invalid.field("faults", "a forecast needs at least one fault")
        most = self.effort
        steps = self.lookback / self.monitoring.scrape + self.horizon * (
            1 / self.monitoring.scrape + 1 / self.monitoring.evaluation
        )
        _check("horizon", steps, most.steps, "scrapes and evaluations", "choose a shorter horizon or longer intervals")
        series = 1 + len({status for fault in self.modelled for status in fault.statuses} - ZERO_INITIALISED)
        _check(
            "effect.status", series * steps, most.samples, "samples", "mix fewer statuses, or choose a shorter horizon"
        )
        for fault in self.modelled:
            much = outcome.count_delay_evaluations(fault) * self.traffic.most_answer_times
            _check("effect.distribution", much, most.delays, "evaluations of a mixture of delays", "mix fewer delays")

    @cached_property
    def modelled(self) -> list[Fault]:
        """Return the faults whose outcome can be predicted."""
        return [fault for fault in self.faults if not outcome.unmodelled(fault)]

    @cached_property
    def not_modelled(self) -> list[str]:
        """Return why the outcome of the other faults cannot be predicted."""
        return [reason for fault in self.faults if fault.rate and (reason := outcome.unmodelled(fault))]

    @cached_property
    def horizon(self) -> float:
        """Return the end of the forecast in seconds: by default, when the last pair has reset."""
        if self.monitoring.horizon:
            return self.monitoring.horizon
        ends = max(fault.schedule.start_after + fault.schedule.duration for fault in self.faults)
        slack = 2 * (self.monitoring.scrape + self.monitoring.evaluation) + self.traffic.client_timeout
        return ends + max(pair.short for pair in self.profile.pairs) + slack

    @property
    def lookback(self) -> float:
        """Return for how many seconds before time 0 scrapes affect the forecast."""
        longest = self.profile.windows[-1] + 2 * self.monitoring.scrape
        return longest if self.monitoring.history is None else min(self.monitoring.history, longest)

    @property
    def before(self) -> float:
        """Return for how many seconds before time 0 alerts are evaluated, so that those that fire already are known."""
        return self.profile.pairs[0].long if self.past else 0.0

    @cached_property
    def scrapes(self) -> Times:
        """Return the times of the scrapes; one scrape coincides with the creation of the faults.

        After a recorded past they go on in its rhythm.
        """
        if self.past:
            step = round(1000 * self.monitoring.scrape)
            return np.arange(self.past.last_scrape + step, round(1000 * self.horizon) + 1, step, dtype=np.int64)
        return _grid(-self.lookback, self.horizon, self.monitoring.scrape)

    @cached_property
    def evaluations(self) -> Times:
        """Return the times of the evaluations since the creation of the faults; with a past also some before it."""
        if self.past:
            step = round(1000 * self.monitoring.evaluation)
            last = self.past.last_scrape if self.past.last_evaluation is None else self.past.last_evaluation
            first = last - round(1000 * self.before) // step * step
            return np.arange(first, round(1000 * self.horizon) + 1, step, dtype=np.int64)
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
        _check(
            "faults", much, self.effort.cells, "cells of time and fault", "choose a shorter horizon, or fewer faults"
        )
        return edges

    @cached_property
    def counters(self) -> Counters:
        """Return the service's counters."""
        return Counters(self.modelled, self.traffic, self.edges, self.effort.check)

    @cached_property
    def refused(self) -> dict[str, str]:
        """Return why SLOs cannot be forecast, by their names."""
        reasons = {slo.name: coverage.refusal(slo, self.traffic, self.past) for slo in self.spec.slos}
        return {name: reason for name, reason in reasons.items() if reason}

    @cached_property
    def slos(self) -> list[Objective]:
        """Return the SLOs that can be forecast."""
        return [slo for slo in self.spec.slos if slo.name not in self.refused]

    @cached_property
    def indicators(self) -> dict[str, Indicator]:
        """Return the indicator of each SLO that can be forecast, by the SLO's name."""
        known = self.past.labels if self.past else frozenset()
        return {slo.name: indicator.parse_indicator(slo, known) for slo in self.slos}

    def check(self) -> None:
        """Raise errors.Invalid where no SLO can be forecast, or a fault hits no request."""
        coverage.check_faults(self.modelled, self.traffic)
        if not self.slos:
            raise errors.Invalid.field("slo", "; ".join(f"{name}: {reason}" for name, reason in self.refused.items()))

    def burns(self, slo: Objective) -> dict[float, BurnRates]:
        """Return the burn rate over each window (seconds), at each evaluation."""
        read = self.indicators[slo.name]
        budget = _written(slo.budget)
        burns = {}
        for length in self.profile.windows:
            self.effort.check()
            window = self._range(length)
            if self.past:
                error = burn.rates_of(window, self._continued(read.error, self.past))
                total = burn.rates_of(window, self._continued(read.total, self.past))
                burns[length] = burn.burn_from_rates(error, total, window, budget)
            else:
                burns[length] = burn.burn_over(window, self._select(read.error), self._select(read.total), budget)
        return burns

    def outlooks(self, slo: Objective) -> dict[WindowPair, Outlook]:
        """Return what chance makes of the alert of each pair; empty where that would take too much work."""
        read = self.indicators[slo.name]
        times = self._all_scrapes()
        started = int(np.searchsorted(times, 0, side="right"))
        runs = chance.simulate(
            self._expected(read.error, times), self._expected(read.total, times), started if self.past else 0
        )
        if runs is None or self.monitoring.min_failures > 1:
            return {}
        budget = _written(slo.budget)
        waits = math.ceil(self.monitoring.pending_for / self.monitoring.evaluation - 1e-9)
        found = {}
        for pair in self.profile.pairs:
            self.effort.check()
            short, long = (
                chance.burn_holds(runs, replace(self._range(length), scrapes=times), budget, float(f"{pair.factor:g}"))
                for length in (pair.short, pair.long)
            )
            found[pair] = chance.outlook((short & long)[self.evaluations >= 0], waits)
        return found

    def events(self, terms: Sequence[Term]) -> Array:
        """Return the expected events of a query since the faults were created, at the edges."""
        flow = np.where(self.edges[:-1] >= 0, self.counters.flow(terms), 0.0)
        return np.concatenate([[0.0], np.cumsum(flow)])

    def budget_spent(self, slo: Objective) -> Array:
        """Return the share of the SLO's budget for one period that the faults have spent, at the edges.

        The period consists of the forecast's requests and, for the rest, of the traffic before the faults. Without any
        requests the share is 0.
        """
        read = self.indicators[slo.name]
        period = self.profile.period
        idle = Counters([], self.traffic.model_copy(update={"stages": []}), np.array([-1.0, 0.0]))
        before = float(idle.flow(read.total)[0]) * max(0.0, period - self.horizon)
        requests = (float(self.events(read.total)[-1]) + before) * period / max(period, self.horizon)
        bad = self.events(read.error)
        return bad / (slo.budget * requests) if requests else np.zeros_like(bad)

    def worst_error_ratio(self, slo: Objective) -> float:
        """Return the highest share of bad requests among the SLO's requests at any time; 0 without requests."""
        read = self.indicators[slo.name]
        bad = self.counters.flow(read.error)
        total = self.counters.flow(read.total)
        return float(np.max(np.divide(bad, total, out=np.zeros_like(bad), where=total > 0), initial=0.0))

    def _select(self, terms: Sequence[Term]) -> list[tuple[int, service_counters.Counter]]:
        times = self.scrapes / 1000
        return [(term.sign, counter) for term in terms for counter in self.counters.select(term, times)]

    def _all_scrapes(self) -> Times:
        """Return the scrapes of the past that windows may contain, and those to come."""
        if self.past is None:
            return self.scrapes
        step = round(1000 * self.monitoring.scrape)
        last = self.past.last_scrape
        return np.concatenate([last - step * np.arange(round(1000 * self.lookback) // step, -1, -1), self.scrapes])

    def _expected(self, terms: Sequence[Term], times: Times) -> Array:
        """Return the expected events of a query so far, as Prometheus sees them, at these times."""
        if self.past is None:
            counted = [
                sign * (counter.values - counter.values[min(counter.first_sample, times.size - 1)]).clip(min=0.0)
                for sign, counter in self._select(terms)
            ]
        else:
            counted = [
                sign * np.interp(times, series.times, series.increase)
                for sign, series in self._continued(terms, self.past)
            ]
        summed: Array = np.sum([np.zeros(times.size), *counted], axis=0)
        return summed

    def _continued(self, terms: Sequence[Term], past: Past) -> list[tuple[int, RecordedSeries]]:
        """Return the recorded series of a query, continued by what the traffic adds to them, and those yet to come."""
        return [(term.sign, series) for term in terms for series in self._series(term, past)]

    def _series(self, term: Term, past: Past) -> list[RecordedSeries]:
        if str(term) not in self._known:
            self._known[str(term)] = list(self._continue(term, past))
        return self._known[str(term)]

    def _continue(self, term: Term, past: Past) -> Iterator[RecordedSeries]:
        seconds = self.scrapes / 1000
        last = past.last_scrape / 1000
        recorded = past.series.get(str(term), ())
        alive = Counter(_answer(each.labels) for each in recorded if past.goes_on(each))
        joined: dict[
            int, Times
        ] = {}  # one array for all series with the same scrapes: windows are computed once for each
        for each in recorded:
            if not past.goes_on(each):
                yield each
                continue
            grown = (
                self.counters.growth(each.labels, term.limit, each.times[-1] / 1000, seconds)
                / alive[_answer(each.labels)]
            )
            times = joined.setdefault(id(each.times), np.concatenate([each.times, self.scrapes]))
            yield RecordedSeries(each.labels, times, np.concatenate([each.values, each.values[-1] + grown]))
        for labels in self.counters.answers():
            if _answer(labels) not in alive and term.matches(labels):
                alive[_answer(labels)] = 1
                grown = self.counters.growth(labels, term.limit, last, seconds)
                yield RecordedSeries(labels, self.scrapes, grown)

    @cached_property
    def _known(self) -> dict[str, list[RecordedSeries]]:
        return {}

    def _range(self, window: float) -> Range:
        return Range(self.scrapes, self.evaluations, round(window * 1000), self.monitoring.prometheus)


def _answer(labels: Mapping[str, str]) -> tuple[str | None, ...]:
    return tuple(labels.get(name) for name in ("method", "handler", "status"))


def _written(number: float) -> float:
    """Return a number as the rules write it."""
    return float(f"{number:.12g}")


def lower_burn(burns: dict[float, BurnRates], pair: WindowPair, deviations: float = 0.0) -> Array:
    """Return the lower burn rate of a pair's two windows; NaN where one is absent.

    `deviations` shifts the burn rates by that many standard deviations. Negative deviations apply to the long window
    only: the short window is renewed within a few evaluations, so chance delays its alert by little, while a deviation
    of the long window persists.
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
    """Return whether the pair's alert expression holds at each evaluation; `min_failures` is that of the rules."""
    holds: NDArray[np.bool_] = lower_burn(burns, pair, deviations) > float(f"{pair.factor:g}")  # as the alert writes it
    return holds & (burns[pair.long].failures > min_failures - 0.5) if min_failures > 1 else holds


def _check(field: str, much: float, most: int, of_what: str, remedy: str) -> None:
    if much > most:
        raise errors.Invalid.field(field, f"{much:.3g} {of_what} are more than {most:,}: {remedy}")


def _grid(start: float, end: float, step: float) -> Times:
    every = round(step * 1000)
    return np.arange(-(round(-start * 1000) // every), round(end * 1000) // every + 1, dtype=np.int64) * every
