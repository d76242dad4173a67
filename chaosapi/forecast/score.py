"""Score the forecast of a fault: compare predicted with observed alerts."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Literal

from chaosapi.forecast import identity, timetable
from chaosapi.forecast.bounds import Bounds
from chaosapi.forecast.episodes import Episode
from chaosapi.forecast.matching import match_episodes
from chaosapi.forecast.observed import Observation, Observed, observations
from chaosapi.forecast.replay import Replay
from chaosapi.forecast.result import AlertTimes, ForecastAlert, ResolutionRange
from chaosapi.forecast.scorecard import (
    DetectionSplit,
    Difference,
    ForecastAndFact,
    Score,
    ScoredAlert,
    ScoredTimes,
    Verdict,
)

ChanceRange = tuple[float | None, float | None]
"""The earliest and the latest time that chance allows for."""


def score(fault: str, replay: Replay, facts: Observed, now: float) -> Score:
    """Compare the forecast of a fault with the observations known at the time `now` (Unix seconds)."""
    firings = [each for alert in timetable.predict(replay.model).alerts for each in _alert(alert, replay, facts, now)]
    alerts = [each for each, _ in firings]
    judged = [each for each in alerts if each.verdict not in {"already firing", "not forecast"}]
    both = sum(each.forecast is not None and each.fact is not None for each in judged)
    again = sum(repeats for _, repeats in firings)
    fired = sum(each.fact is not None for each in judged)
    due = sum(each.forecast is not None and each.verdict != "to come" for each in judged)
    pages = [each for each in alerts if each.severity == "page"]
    expected = [each.forecast for each in pages if each.forecast]
    real = [each.fact for each in pages if each.fact]
    lasted = replay.end - replay.start
    return Score(
        fault=fault,
        precision=(both + again) / fired if fired else None,
        recall=both / due if due else None,
        detection=ForecastAndFact(forecast=_detection(expected), fact=_detection(real)),
        reset=ForecastAndFact(forecast=_reset(expected, lasted), fact=_reset(real, lasted)),
        alerts=alerts,
        missing=[*replay.model.not_modelled, *_missing(facts)],
    )


def _alert(alert: ForecastAlert, replay: Replay, facts: Observed, now: float) -> Iterator[tuple[ScoredAlert, bool]]:
    """Yield the score of each firing of the alert that began in the time of the fault.

    With it comes whether the firing is one of the repetitions by chance that the forecast allows an alert that flaps.
    Without records of Prometheus, predicted firings without a notification are left out: they cannot be observed.
    """
    slack = round(1000 * (replay.model.monitoring.scrape + replay.model.monitoring.evaluation))
    predicted = {_episode(each): each for each in alert.moments if each.firing is not None}
    slo = next(each for each in replay.model.spec.slos if each.name == alert.slo)
    labels = identity.alert_labels(
        replay.model.spec, slo, replay.model.profile.pair(f"{alert.long_window}/{alert.short_window}")
    )
    observed = {each.episode: each for each in observations(facts, labels, replay.origin, slack)}
    bounds = Bounds(replay.model, alert)
    most = alert.firings.high if alert.firings else 0
    flaps = most > len(predicted) and most >= len(observed)
    for forecasted, found in match_episodes(list(predicted), list(observed), slack):
        begun = _started_at(forecasted or found)
        silent = forecasted is not None and predicted[forecasted].notified is None
        unobservable = silent and found is None and facts.recorded is None
        if unobservable or not replay.start <= begun < replay.until:
            continue
        earliest, latest = bounds.firing_range(begun)
        if forecasted and predicted[forecasted] is alert.moments[0]:
            earliest, latest = _wider((earliest, latest), (alert.chance.earliest, alert.chance.latest))
        already = found is not None and _started_at(found) < replay.start - slack / 1000
        other = None if already else found
        expected = _forecast(predicted[forecasted], replay.start) if forecasted else None
        real = _fact(observed[other], replay.start) if other else None
        off = _difference(expected, real)
        ends = alert.resolution if forecasted and predicted[forecasted] is alert.moments[-1] else None
        scored = ScoredAlert(
            alert=alert.alert,
            slo=alert.slo,
            severity=alert.severity,
            long_window=alert.long_window,
            short_window=alert.short_window,
            verdict="as forecast",
            forecast=expected,
            earliest=None if earliest is None else max(0.0, earliest - replay.start),
            latest=None if latest is None else latest - replay.start,
            fact=real,
            off=off,
            split=_detection_split(observed[other], bounds.ideal_detection(begun), replay, facts)
            if other and facts.scrapes
            else None,
        )
        verdict: Verdict = "already firing" if already else _verdict(scored, replay, facts, now, flaps=flaps, ends=ends)
        repeats = forecasted is None and bool(predicted) and flaps and verdict == "by chance"
        yield scored.model_copy(update={"verdict": verdict}), repeats


def _wider(one: ChanceRange, other: ChanceRange) -> ChanceRange:
    """Return the range from the earlier start to the later end; None: from never, or to never."""
    starts = [each[0] for each in (one, other) if each[0] is not None]
    ends = [each[1] for each in (one, other) if each[1] is not None]
    never_late = len(ends) == len((one, other))
    return min(starts, default=None), max(ends) if never_late else None


def _verdict(
    scored: ScoredAlert, replay: Replay, facts: Observed, now: float, *, flaps: bool, ends: ResolutionRange | None
) -> Verdict:
    """Return the verdict; an alert that flaps may resolve, and fire again, at any time."""
    expected = scored.forecast
    fact = scored.fact
    off = scored.off
    monitoring = replay.model.monitoring
    tolerance = monitoring.scrape + monitoring.evaluation + monitoring.group_wait + 0.001
    since = now - replay.origin - replay.start
    if expected is None:
        if scored.earliest is not None:
            return "by chance"
        return "not forecast" if replay.model.not_modelled else "unexpected"
    if fact is None:
        due = expected.firing if scored.latest is None else scored.latest
        # Without Prometheus an alert is known only by its notification.
        if facts.recorded is None and expected.notified is not None:
            due += expected.notified - expected.firing
        if since < due + tolerance:
            return "to come"
        return "by chance" if scored.latest is None else "missed"
    unresolved = fact.resolved is None and expected.resolved is not None and since > expected.resolved + tolerance
    distances = [abs(each) for each in (off.firing, off.notified, off.resolved) if each is not None]
    if max(distances, default=0.0) <= tolerance and not unresolved:
        return "as forecast"
    within_chance = (scored.earliest or 0.0) <= fact.firing <= (fact.firing if scored.latest is None else scored.latest)
    ended = None if fact.resolved is None or ends is None else fact.resolved + replay.start
    resolved_in_time = abs(off.resolved or 0.0) <= tolerance or (
        ends is not None and ended is not None and ends.earliest - tolerance <= ended <= ends.latest + tolerance
    )
    waited = (fact.notified or fact.firing) - fact.firing
    notified_in_time = waited <= tolerance or abs(waited if off.notified is None else off.notified) <= tolerance
    rest_in_time = resolved_in_time and notified_in_time
    return "by chance" if within_chance and (flaps or (rest_in_time and not unresolved)) else "off"


def _episode(moments: AlertTimes) -> Episode:
    return Episode(
        round(1000 * moments.pending),
        None if moments.firing is None else round(1000 * moments.firing),
        None if moments.resolved is None else round(1000 * moments.resolved),
    )


def _started_at(episode: Episode | None) -> float:
    return (episode.firing or 0) / 1000 if episode else 0.0


def _forecast(moments: AlertTimes, start: float) -> ScoredTimes:
    return ScoredTimes(
        firing=_since(start, moments.firing) or 0.0,
        notified=_since(start, moments.notified),
        resolved=_since(start, moments.resolved),
        resolved_notified=_since(start, moments.resolved_notified),
    )


def _fact(found: Observation, start: float) -> ScoredTimes:
    return ScoredTimes(
        firing=_since(start, _seconds(found.episode.firing)) or 0.0,
        notified=_since(start, _seconds(found.notified)),
        resolved=_since(start, _seconds(found.episode.resolved)),
        resolved_notified=_since(start, _seconds(found.resolved_notified)),
    )


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _since(start: float, moment: float | None) -> float | None:
    return None if moment is None else round(moment - start, 3)


def _difference(expected: ScoredTimes | None, fact: ScoredTimes | None) -> Difference:
    def between(name: Literal["firing", "notified", "resolved"]) -> float | None:
        one = getattr(expected, name, None)
        other = getattr(fact, name, None)
        return None if one is None or other is None else round(other - one, 3)

    return Difference(firing=between("firing"), notified=between("notified"), resolved=between("resolved"))


def _detection_split(found: Observation, ideal: float | None, replay: Replay, facts: Observed) -> DetectionSplit | None:
    """Return the parts of the detection time, with the last scrape before the evaluation that set the alert pending.

    After the ideal time the alert waits for a scrape and an evaluation, of which each takes at most its interval. What
    is earlier or later than that is chance: more or fewer requests were hit than expected.
    """
    pending = found.episode.pending / 1000
    firing = _started_at(found.episode)
    scrapes = [each - replay.origin for each in facts.scrapes or []]
    place = bisect_right(scrapes, pending)
    if not place or ideal is None:
        return None
    scrape = max(scrapes[place - 1], replay.start)
    window = max(ideal, replay.start)
    monitoring = replay.model.monitoring
    late = max(0.0, pending - window - monitoring.scrape - monitoring.evaluation)
    early = min(0.0, scrape - window)
    return DetectionSplit(
        window=round(window - replay.start, 3),
        chance=round(late + early, 3),
        scrape=round(max(0.0, scrape - window - late), 3),
        evaluation=round(pending - scrape, 3),
        pending=round(firing - pending, 3),
        group_wait=None if found.notified is None else round(found.notified / 1000 - firing, 3),
    )


def _detection(pages: Sequence[ScoredTimes]) -> float | None:
    return min((each.firing if each.notified is None else each.notified for each in pages), default=None)


def _reset(pages: Sequence[ScoredTimes], lasted: float) -> float | None:
    ends = [each.resolved for each in pages]
    known = [each for each in ends if each is not None]
    return round(max(known) - lasted, 3) if known and len(known) == len(ends) else None


def _missing(facts: Observed) -> list[str]:
    missing = []
    if facts.recorded is None:
        missing.append("Prometheus was not queried: alerts without a notification are not known")
    if facts.delivered is None:
        missing.append("the deliveries of the webhook are not known: notifications are not scored")
    if facts.scrapes is None:
        missing.append("the times of the scrapes are not known: the detection time is not split")
    return missing
