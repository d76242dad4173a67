"""Run the model on recorded counters: when each alert would have fired, compared with when the alert did fire."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import promql_parser as grammar

from chaosapi import errors
from chaosapi.forecast import burn, episodes, identity, indicator, recording
from chaosapi.forecast.burn import BurnRates
from chaosapi.forecast.comparison import Backtest, BacktestedAlert, Comparison, FiringSpan
from chaosapi.forecast.episodes import Episode
from chaosapi.forecast.matching import match_episodes
from chaosapi.forecast.model import expression_holds, lower_burn
from chaosapi.forecast.monitoring import Monitoring
from chaosapi.forecast.promql import Range, Times
from chaosapi.forecast.recording import RecordedSeries
from chaosapi.slo import burn_alerts
from chaosapi.slo.spec import Objective, Spec
from chaosapi.slo.windows import Profile, WindowPair, format_window

_MAX_EVALUATIONS = 3_000_000
"""A month of evaluations every second. More would take minutes."""
_SYMBOLS = (
    (grammar.MatchOp.Equal, "="),
    (grammar.MatchOp.NotEqual, "!="),
    (grammar.MatchOp.Re, "=~"),
    (grammar.MatchOp.NotRe, "!~"),
)


@dataclass(frozen=True)
class Recording:
    """The recorded series of one SLO: counters, with the signs of their terms, and alerts."""

    error: Sequence[tuple[int, RecordedSeries]]
    total: Sequence[tuple[int, RecordedSeries]]
    evaluated: Times
    """The times at which the rules of the SLO were evaluated; empty: never."""
    alerts: Sequence[RecordedSeries]
    """The ALERTS series of the SLO."""
    has_pair_alerts: bool = True
    """Whether each window pair has an alert of its own; Sloth generates one alert for two pairs."""

    @property
    def interval(self) -> float | None:
        """Return the evaluation interval of the SLO's rules in seconds; None for fewer than two evaluations."""
        return float(np.median(np.diff(self.evaluated))) / 1000 if self.evaluated.size > 1 else None


def selectors(slo: Objective) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Return the selectors of the SLO's error and total queries with signs; raises errors.Invalid for other queries."""
    try:
        return _selectors(slo.sli.queries["error_query"]), _selectors(slo.sli.queries["total_query"])
    except (KeyError, indicator.ForeignQueryError):
        raise errors.Invalid.field(slo.name, "its queries are not sums of rates of counters") from None


def backtest(
    spec: Spec, profile: Profile, monitoring: Monitoring, recordings: Mapping[str, Recording], span: tuple[float, float]
) -> Backtest:
    """Run the model over a span (start and end, Unix seconds) on the recordings of SLOs, by SLO name.

    The model evaluates rules at the times of Prometheus' own evaluations, where these are recorded. Raises
    errors.Invalid for more evaluations than fit into memory.
    """
    alerts: list[BacktestedAlert] = []
    intervals = {}
    missing = []
    for slo in spec.slos:
        if slo.name not in recordings:
            continue
        found = recordings[slo.name]
        if not found.total:
            missing.append(f"{slo.name}: none of its requests is recorded")
            continue
        intervals[slo.name] = found.interval or monitoring.evaluation
        evaluations = _grid(span, intervals[slo.name], found.evaluated)
        burns = _burns(slo, profile, monitoring, found, evaluations)
        alerts += [
            _backtest_alert(spec, slo, pair, monitoring, found=found, evaluations=evaluations, burns=burns)
            for pair in burn_alerts.enabled_pairs(slo, profile)
        ]
    start = datetime.fromtimestamp(span[0], UTC)
    end = datetime.fromtimestamp(span[1], UTC)
    return Backtest(start=start, end=end, alerts=alerts, intervals=intervals, missing=missing)


def _grid(span: tuple[float, float], interval: float, evaluated: Times) -> Times:
    start = round(1000 * span[0])
    end = round(1000 * span[1])
    step = round(1000 * interval)
    if (end - start) / step > _MAX_EVALUATIONS:
        raise errors.Invalid.field(
            "from",
            f"more than {_MAX_EVALUATIONS:,} evaluations, one every {format_window(interval)}: choose a shorter time",
        )
    phase = int(evaluated[-1]) if evaluated.size else 0
    return np.arange(start + (phase - start) % step, end + 1, step, dtype=np.int64)


def _burns(
    slo: Objective, profile: Profile, monitoring: Monitoring, found: Recording, evaluations: Times
) -> dict[float, BurnRates]:
    budget = float(f"{slo.budget:.12g}")  # as the rules write it
    burns = {}
    for length in profile.windows:
        window = Range(np.array([], dtype=np.int64), evaluations, round(1000 * length), monitoring.prometheus)
        burns[length] = burn.burn_from_rates(
            burn.rates_of(window, found.error), burn.rates_of(window, found.total), window, budget
        )
    return burns


def _backtest_alert(
    spec: Spec,
    slo: Objective,
    pair: WindowPair,
    monitoring: Monitoring,
    *,
    found: Recording,
    evaluations: Times,
    burns: dict[float, BurnRates],
) -> BacktestedAlert:
    interval = int(evaluations[1] - evaluations[0]) if evaluations.size > 1 else round(1000 * monitoring.evaluation)
    holds = expression_holds(burns, pair, monitoring.min_failures)
    predicted = episodes.find_episodes(holds, evaluations, round(1000 * monitoring.pending_for))
    own = identity.alert_labels(spec, slo, pair)
    recorded: list[Episode] = []
    compared = found.has_pair_alerts and bool(found.evaluated.size)
    if compared:
        series = [each for each in found.alerts if own.items() <= each.labels.items()]
        recorded = recording.episodes(series, interval, int(found.evaluated[-1]))
        predicted = [each for each in predicted if _was_evaluated(each, found.evaluated)]
    return BacktestedAlert(
        alert=slo.alerting.name,
        slo=slo.name,
        severity=pair.severity,
        long_window=format_window(pair.long),
        short_window=format_window(pair.short),
        burn_rate=pair.factor,
        peak=float(np.nanmax(lower_burn(burns, pair), initial=0.0)),
        compared=compared,
        episodes=[_comparison(one, other) for one, other in match_episodes(predicted, recorded, 2 * interval)],
    )


def _was_evaluated(episode: Episode, evaluated: Times) -> bool:
    """Return whether rules were evaluated at any time of the episode."""
    return episode.pending <= evaluated[-1] and (episode.resolved is None or episode.resolved >= evaluated[0])


def _comparison(predicted: Episode | None, recorded: Episode | None) -> Comparison:
    def off(one: int | None, other: int | None) -> float | None:
        return None if one is None or other is None else (other - one) / 1000

    return Comparison(
        predicted=_span(predicted) if predicted else None,
        recorded=_span(recorded) if recorded else None,
        firing_off=off(predicted.firing, recorded.firing) if predicted and recorded else None,
        resolved_off=off(predicted.resolved, recorded.resolved) if predicted and recorded else None,
    )


def _span(episode: Episode) -> FiringSpan:
    return FiringSpan(
        pending=_datetime(episode.pending),
        firing=_datetime(episode.pending if episode.firing is None else episode.firing),
        resolved=None if episode.resolved is None else _datetime(episode.resolved),
    )


def _datetime(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _selectors(query: str) -> list[tuple[int, str]]:
    return [(sign, _selector(selected)) for sign, selected in indicator.summed_ranges(query)]


def _selector(selected: grammar.Expr) -> str:
    if not isinstance(selected, grammar.MatrixSelector):
        raise indicator.ForeignQueryError
    series = selected.vector_selector
    if series.offset or series.at or series.matchers.or_matchers:
        raise indicator.ForeignQueryError
    given = ",".join(map(_matcher, series.matchers.matchers))
    return f"{series.name or ''}{{{given}}}"


def _matcher(matcher: grammar.Matcher) -> str:
    """Return a matcher as text; the parser's own text does not escape the value."""
    symbol = next(text for op, text in _SYMBOLS if op == matcher.op)
    return f"{matcher.name}{symbol}{json.dumps(matcher.value, ensure_ascii=False)}"
