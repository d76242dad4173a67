"""The forecast: the timetable of each alert, each budget, and the assumptions."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from chaosapi import durations, errors
from chaosapi.faults.fault import Fault
from chaosapi.forecast import episodes, notifications, outcome
from chaosapi.forecast.burn import BurnRates
from chaosapi.forecast.chance import Outlook
from chaosapi.forecast.episodes import Episode
from chaosapi.forecast.model import DEFAULT_EFFORT, Effort, ForecastModel, expression_holds, lower_burn
from chaosapi.forecast.monitoring import Monitoring
from chaosapi.forecast.notifications import Notification
from chaosapi.forecast.presence import Place
from chaosapi.forecast.result import (
    AlertTimes,
    Assumptions,
    ClosedFormula,
    FiringRange,
    Forecast,
    ForecastAlert,
    ForecastBudget,
    RefusedSlo,
    ResolutionRange,
)
from chaosapi.forecast.traffic import Traffic
from chaosapi.slo import burn_alerts, burn_rate, windows
from chaosapi.slo.spec import Objective, Spec
from chaosapi.slo.windows import Profile, WindowPair, format_window

LIKELY_DEVIATIONS = 2.0
"""Chance stays within two standard deviations in 19 of 20 cases."""


def forecast(
    faults: Sequence[Fault],
    traffic: Traffic,
    spec: Spec,
    profile: Profile,
    monitoring: Monitoring,
    effort: Effort = DEFAULT_EFFORT,
    place: Place | None = None,
) -> Forecast:
    """Forecast what the faults, oldest first and all created at time 0, do to the SLOs of the spec.

    The forecast computes expected counts, so the same question has the same answer. Raises errors.Invalid where the
    windows are too short for the scrape interval, or the forecast would need more work than the effort allows.
    `place` decides where faults with conditions and named replicas act; it does not change.
    """
    profile.check(monitoring.scrape)
    model = ForecastModel.of(faults, place, traffic, spec, profile, monitoring, effort)
    model.check()
    return predict(model)


def predict(model: ForecastModel) -> Forecast:
    """Return the forecast of a model, for the SLOs that can be forecast."""
    alerts: list[ForecastAlert] = []
    for slo in model.slos:
        alerts += _alerts(model, slo)
    return Forecast(
        assumptions=assumptions(model),
        horizon=model.horizon,
        alerts=alerts,
        budgets=[_budget(model, slo) for slo in model.slos],
        refused=[RefusedSlo(slo=name, reason=reason) for name, reason in model.refused.items()],
        not_modelled=[*model.idle, *model.not_modelled],
    )


def _alerts(model: ForecastModel, slo: Objective) -> list[ForecastAlert]:
    burns = model.burns(slo)
    pairs = [pair for pair in model.profile.pairs if not burn_alerts.is_disabled(slo, pair)]
    found = {pair: _episodes(model, burns, pair) for pair in pairs}
    notices = _notices(model, found)
    outlooks = model.outlooks(slo)
    spent = model.budget_spent(slo)

    def at(episode: Episode) -> float | None:
        return None if episode.firing is None else float(np.interp(episode.firing / 1000, model.edges, spent))

    return [
        ForecastAlert(
            alert=slo.alerting.name,
            slo=slo.name,
            severity=pair.severity,
            long_window=format_window(pair.long),
            short_window=format_window(pair.short),
            burn_rate=pair.factor,
            fires=any(episode.firing is not None for episode in found[pair]),
            already=any(episode.firing is not None and episode.firing <= 0 for episode in found[pair]),
            moments=[_alert_times(episode, notices.get(id(episode)), at(episode)) for episode in found[pair]],
            firings=outlooks[pair].firings if outlooks else None,
            chance=_firing_range(model, burns, pair, outlooks.get(pair)),
            resolution=_resolution_range(model, outlooks.get(pair)),
            formula=_formula(model, slo, pair),
            **_peak(model, burns, pair),
        )
        for pair in pairs
    ]


def _episodes(
    model: ForecastModel, burns: dict[float, BurnRates], pair: WindowPair, deviations: float = 0.0
) -> list[Episode]:
    wait = round(model.monitoring.pending_for * 1000)
    holds = expression_holds(burns, pair, model.monitoring.min_failures, deviations)
    if (count := episodes.count_episodes(holds)) > model.effort.episodes:
        raise errors.Invalid.field(
            "horizon", f"an alert has {count:,} episodes, more than {model.effort.episodes:,}: choose a shorter horizon"
        )
    found = episodes.find_episodes(holds, model.evaluations, wait)
    return [episode for episode in found if episode.resolved is None or episode.resolved > 0]


def _notices(model: ForecastModel, found: dict[WindowPair, list[Episode]]) -> dict[int, Notification]:
    """Return Alertmanager's notifications by the id() of their episode: one group for each severity."""
    wait = round(1000 * model.monitoring.group_wait)
    interval = round(1000 * model.monitoring.group_interval)
    pages = [episode for pair, each in found.items() if pair.severity == "page" for episode in each]
    notices: dict[int, Notification] = {}
    for severity, pairs in groupby(found, key=lambda pair: pair.severity):
        group = [episode for pair in pairs for episode in found[pair]]
        sent = notifications.notifications(group, wait, interval, pages if severity == "ticket" else ())
        notices |= {id(notice.episode): notice for notice in sent}
    return notices


def _alert_times(episode: Episode, notice: Notification | None, spent: float | None) -> AlertTimes:
    return AlertTimes(
        pending=max(0.0, episode.pending / 1000),
        firing=_seconds(episode.firing),
        notified=_seconds(notice.fired if notice else None),
        resolved=_seconds(episode.resolved),
        resolved_notified=_seconds(notice.resolved if notice else None),
        spent=spent,
    )


def _seconds(milliseconds: int | None) -> float | None:
    """Return seconds after the creation of the faults; what was before is at 0."""
    return None if milliseconds is None else max(0.0, milliseconds / 1000)


def _firing_range(
    model: ForecastModel, burns: dict[float, BurnRates], pair: WindowPair, outlook: Outlook | None
) -> FiringRange:
    """Return the wider of two ranges: of deviations from the expectation, and of random runs.

    The deviations leave out the short window, which decides where the long one is full of earlier failures.
    """
    early = _first_firing(_episodes(model, burns, pair, LIKELY_DEVIATIONS))
    late = _first_firing(_episodes(model, burns, pair, -LIKELY_DEVIATIONS))
    if outlook:
        times = model.evaluations[model.evaluations >= 0] / 1000
        if outlook.earliest is not None:
            early = min(times[outlook.earliest], np.inf if early is None else early)
        late = None if late is None or outlook.latest is None else max(late, times[outlook.latest])
    return FiringRange(
        earliest=None if early is None else max(0.0, early - model.monitoring.evaluation),
        latest=None if late is None else late + model.monitoring.scrape,
    )


def _resolution_range(model: ForecastModel, outlook: Outlook | None) -> ResolutionRange | None:
    if outlook is None or outlook.resolved is None:
        return None
    times = model.evaluations[model.evaluations >= 0] / 1000
    earliest, latest = (float(times[each]) for each in outlook.resolved)
    return ResolutionRange(earliest=earliest, latest=latest)


def _first_firing(found: Sequence[Episode]) -> float | None:
    return next((max(0.0, episode.firing / 1000) for episode in found if episode.firing is not None), None)


def _formula(model: ForecastModel, slo: Objective, pair: WindowPair) -> ClosedFormula | None:
    error_ratio = model.worst_error_ratio(slo)
    if error_ratio <= 0:
        return None
    budget = slo.budget
    factor = pair.factor
    history = np.inf if model.monitoring.history is None else model.monitoring.history
    detection = burn_rate.detection(
        error_ratio=error_ratio, budget=budget, factor=factor, long=pair.long, history=history
    )
    if not np.isfinite(detection):
        return ClosedFormula(error_ratio=error_ratio, detection=None, reset=None)
    reset = burn_rate.reset(error_ratio=error_ratio, budget=budget, factor=factor, short=pair.short)
    return ClosedFormula(error_ratio=error_ratio, detection=detection, reset=reset)


def _peak(model: ForecastModel, burns: dict[float, BurnRates], pair: WindowPair) -> dict[str, float]:
    peak = float(np.nanmax(lower_burn(burns, pair)[model.evaluations >= 0], initial=0.0))
    return {"peak": peak, "reach": peak / pair.factor}


def _budget(model: ForecastModel, slo: Objective) -> ForecastBudget:
    read = model.indicators[slo.name]
    spent = float(model.budget_spent(slo)[-1])
    requests = float(model.events(read.total)[-1])
    bad = float(model.events(read.error)[-1])
    return ForecastBudget(slo=slo.name, requests=requests, bad=bad, spent=spent, left=1 - spent)


def _patience(model: ForecastModel) -> list[str]:
    if not any(outcome.holds(fault) for fault in model.modelled):
        return []
    return [
        f"clients give up after {format_window(model.traffic.client_timeout)}: without an answer requests fail (000)"
    ]


def _latency(model: ForecastModel) -> list[str]:
    """Say how fast healthy answers are taken to be, where an SLO asks for it."""
    limits = {term.limit for read in model.indicators.values() for term in (*read.error, *read.total)} - {None}
    if not limits:
        return []
    unknown = {
        str(route) for route in model.traffic.mix if f"{route.method} {route.handler}" not in model.traffic.latencies
    }
    if not unknown:
        return ["without a fault, answers take as long as measured"]
    of_which = f" of {', '.join(sorted(unknown))}" if model.traffic.latencies else ""
    return [f"without a fault, every answer{of_which} takes {durations.format(model.traffic.baseline)}"]


def assumptions(model: ForecastModel) -> Assumptions:
    """Return what the forecast takes for granted."""
    profile = model.profile
    history = model.monitoring.history
    lasted = "longer than every window" if history is None else format_window(history)
    scraped = sorted({str(each) for read in model.indicators.values() for each in read.scrape_matchers})
    return Assumptions(
        requests_per_second=model.traffic.rps,
        mix={str(route): share for route, share in model.traffic.mix.items()},
        traffic=model.traffic.source,
        profile=windows.name_of(profile),
        windows=[f"{pair.severity} {pair}" for pair in profile.pairs],
        period=profile.period,
        scrape=model.monitoring.scrape,
        evaluation=model.monitoring.evaluation,
        past=model.past.source if model.past else f"the same traffic without a fault, scraped for {lasted}",
        others=[
            *(
                f"the series that the SLOs select by {each} are those of this service"
                for each in scraped
                if not model.past
            ),
            *_patience(model),
            *_latency(model),
            *model.notes,
            *(each for fault in model.modelled for each in outcome.assumptions(fault)),
        ],
    )
