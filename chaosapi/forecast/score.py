"""Forecast and fact side by side: what a fault was to do to the alerts, and what it did."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Literal

from chaosapi.forecast import identity, timetable
from chaosapi.forecast.bounds import Bounds
from chaosapi.forecast.episodes import Episode
from chaosapi.forecast.matching import match_episodes
from chaosapi.forecast.observed import Observation, Observed, observations
from chaosapi.forecast.replay import Replay
from chaosapi.forecast.result import AlertTimes, ForecastAlert
from chaosapi.forecast.scorecard import (
    DetectionSplit,
    Difference,
    ForecastAndFact,
    Score,
    ScoredAlert,
    ScoredTimes,
    Verdict,
)


def score(fault: str, replay: Replay, facts: Observed, now: float) -> Score:
    """Compare what was to happen with the facts as they were known at a time (Unix seconds)."""
    alerts = [each for alert in timetable.predict(replay.model).alerts for each in _alert(alert, replay, facts, now)]
    told = [each for each in alerts if each.verdict != "already firing"]
    both = sum(each.forecast is not None and each.fact is not None for each in told)
    came = sum(each.fact is not None for each in told)
    said = sum(each.forecast is not None and each.verdict != "to come" for each in told)
    pages = [each for each in alerts if each.severity == "page"]
    expected = [each.forecast for each in pages if each.forecast]
    real = [each.fact for each in pages if each.fact]
    lasted = replay.end - replay.start
    return Score(
        fault=fault,
        precision=both / came if came else None,
        recall=both / said if said else None,
        detection=ForecastAndFact(forecast=_detection(expected), fact=_detection(real)),
        reset=ForecastAndFact(forecast=_reset(expected, lasted), fact=_reset(real, lasted)),
        alerts=alerts,
        missing=_missing(facts),
    )


def _alert(alert: ForecastAlert, replay: Replay, facts: Observed, now: float) -> Iterator[ScoredAlert]:
    """Yield each time that the alert began to fire in the fault's time; without Prometheus, each that is to be told."""
    slack = round(1000 * (replay.model.monitoring.scrape + replay.model.monitoring.evaluation))
    said = {_episode(each): each for each in alert.moments if each.firing is not None}
    slo = next(each for each in replay.model.spec.slos if each.name == alert.slo)
    labels = identity.alert_labels(
        replay.model.spec, slo, replay.model.profile.pair(f"{alert.long_window}/{alert.short_window}")
    )
    fact = {each.episode: each for each in observations(facts, labels, replay.origin, slack)}
    bounds = Bounds(replay.model, alert)
    for one, found in match_episodes(list(said), list(fact), slack):
        begun = _started_at(one or found)
        unheard = one is not None and found is None and facts.recorded is None and said[one].notified is None
        if unheard or not replay.start <= begun < replay.until:
            continue
        earliest, latest = bounds.firing_range(begun)
        already = found is not None and _started_at(found) < replay.start - slack / 1000
        other = None if already else found
        expected = _forecast(said[one], replay.start) if one else None
        real = _fact(fact[other], replay.start) if other else None
        off = _difference(expected, real)
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
            split=_detection_split(fact[other], bounds.ideal_detection(begun), replay, facts)
            if other and facts.scrapes
            else None,
        )
        verdict: Verdict = "already firing" if already else _verdict(scored, replay, facts, now)
        yield scored.model_copy(update={"verdict": verdict})


def _verdict(scored: ScoredAlert, replay: Replay, facts: Observed, now: float) -> Verdict:
    said = scored.forecast
    fact = scored.fact
    off = scored.off
    watching = replay.model.monitoring
    tolerance = watching.scrape + watching.evaluation + watching.group_wait + 0.001
    since = now - replay.origin - replay.start
    if said is None:
        return "by chance" if scored.earliest is not None else "unexpected"
    if fact is None:
        due = said.firing if scored.latest is None else scored.latest
        if facts.recorded is None and said.notified is not None:  # nobody knows of it before it is told
            due += said.notified - said.firing
        if since < due + tolerance:
            return "to come"
        return "by chance" if scored.latest is None else "missed"
    hangs = fact.resolved is None and said.resolved is not None and since > said.resolved + tolerance
    distances = [abs(each) for each in (off.firing, off.notified, off.resolved) if each is not None]
    if max(distances, default=0.0) <= tolerance and not hangs:
        return "as forecast"
    lucky = (scored.earliest or 0.0) <= fact.firing <= (fact.firing if scored.latest is None else scored.latest)
    later = abs(off.resolved or 0.0) <= tolerance and (fact.notified or fact.firing) - fact.firing <= tolerance
    return "by chance" if lucky and later and not hangs else "off"


def _episode(moments: AlertTimes) -> Episode:
    pending, firing, resolved = (
        None if each is None else round(1000 * each) for each in (moments.pending, moments.firing, moments.resolved)
    )
    return Episode(pending or 0, firing, resolved)


def _started_at(episode: Episode | None) -> float:
    return (episode.firing or 0) / 1000 if episode else 0.0


def _forecast(moments: AlertTimes, start: float) -> ScoredTimes:
    told = (moments.notified, moments.resolved, moments.resolved_notified)
    return _times([moments.firing or 0.0, *told], start)


def _fact(found: Observation, start: float) -> ScoredTimes:
    moments = (found.episode.firing, found.notified, found.episode.resolved, found.resolved_notified)
    return _times([None if each is None else each / 1000 for each in moments], start)


def _times(moments: Sequence[float | None], start: float) -> ScoredTimes:
    firing, *told = (None if each is None else round(each - start, 3) for each in moments)
    notified, resolved, resolved_notified = told
    return ScoredTimes(firing=firing or 0.0, notified=notified, resolved=resolved, resolved_notified=resolved_notified)


def _difference(said: ScoredTimes | None, fact: ScoredTimes | None) -> Difference:
    def between(name: Literal["firing", "notified", "resolved"]) -> float | None:
        one = getattr(said, name, None)
        other = getattr(fact, name, None)
        return None if one is None or other is None else round(other - one, 3)

    return Difference(firing=between("firing"), notified=between("notified"), resolved=between("resolved"))


def _detection_split(found: Observation, ideal: float | None, replay: Replay, facts: Observed) -> DetectionSplit | None:
    """Return where the time went: the scrape that counts is the last one before the evaluation that found the alert."""
    pending = found.episode.pending / 1000
    firing = _started_at(found.episode)
    scrapes = [each - replay.origin for each in facts.scrapes or []]
    place = bisect_right(scrapes, pending)
    if not place or ideal is None:
        return None
    scrape = max(scrapes[place - 1], replay.start)
    window = min(max(ideal, replay.start), scrape)
    return DetectionSplit(
        window=round(window - replay.start, 3),
        scrape=round(scrape - window, 3),
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
    said = []
    if facts.recorded is None:
        said.append("Prometheus was not asked: alerts that were silenced, or not told, are not known")
    if facts.delivered is None:
        said.append("the webhook's deliveries are not known: nothing can be said of notifications")
    if facts.scrapes is None:
        said.append("the times of the scrapes are not known: detection is not split")
    return said
