"""Explain the alerts of an SLO in numbers: detection time, reset time and budget spent; formulas from `burn_rate`."""

from typing import Any

from chaosapi.slo import burn_rate
from chaosapi.slo.burn_alerts import enabled_pairs
from chaosapi.slo.document import FileModel
from chaosapi.slo.severity import Severity
from chaosapi.slo.spec import Objective, Spec
from chaosapi.slo.windows import Profile, WindowPair, format_window

ERROR_RATIOS = (1.0, 0.1, 0.01, 0.001)


class PairExplanation(FileModel):
    """One window pair: times in seconds from the first or last bad request, ratios from 0 to 1.

    A real alert is later than `detection` and `reset` by at most one scrape, one evaluation and group_wait.
    """

    severity: Severity
    long: float
    short: float
    burn_rate: float
    fires_above: float
    """The error ratio F·B; the pair fires only above this ratio."""
    budget_spent: float
    """The share of the budget that is spent when the pair fires."""
    exhaustion: float
    """How long a full budget lasts at the burn rate that just fires the pair."""
    detection: dict[float, float | None]
    """By error ratio; None: the pair never fires."""
    reset: dict[float, float | None]
    """By error ratio."""
    fewest_requests: float
    """With fewer requests in the long window, one failure fires the pair."""


class SloExplanation(FileModel):
    """One SLO under one profile; times in seconds."""

    service: str
    slo: str
    objective: float
    period: float
    budget: float
    outage: float
    """How long a total outage may last in one period: P·B."""
    pairs: list[PairExplanation]


def explain(spec: Spec, slo: Objective, profile: Profile) -> SloExplanation:
    """Return the numbers of an SLO and of its enabled pairs."""
    return SloExplanation(
        service=spec.service,
        slo=slo.name,
        objective=slo.ratio,
        period=profile.period,
        budget=slo.budget,
        outage=profile.period * slo.budget,
        pairs=[_pair(slo, pair, profile.period) for pair in enabled_pairs(slo, profile)],
    )


def sentences(facts: SloExplanation) -> list[str]:
    """Return the most important numbers as sentences."""
    period = format_window(facts.period)
    lines = [
        (
            f"{_percent(facts.objective)} over {period}: {_percent(facts.budget)} of all events may go "
            f"wrong, or everything for {human_duration(facts.outage)}."
        )
    ]
    if not facts.pairs:
        return [*lines, "All its alerts are disabled: no page and no ticket will be sent."]
    for severity, verb in (("page", "pages"), ("ticket", "opens a ticket")):
        of_kind = [pair for pair in facts.pairs if pair.severity == severity]
        if of_kind:
            detections = [after for pair in of_kind if (after := pair.detection[1.0]) is not None]
            if not detections:
                lines.append(f"A total outage never {verb}.")
                continue
            quickest_detection = min(detections)
            lowest = min(pair.fires_above for pair in of_kind)
            spent = _percent(quickest_detection / facts.outage)
            lines.append(
                f"A total outage {verb} after {human_duration(quickest_detection)}, with {spent} of the budget spent. "
                f"Up to {_percent(lowest)} errors, nothing {verb}."
            )
    silent = min(pair.fires_above for pair in facts.pairs)
    lines.append(
        f"{_percent(silent)} errors indefinitely fire no alert at all, and spend the budget in "
        f"{human_duration(burn_rate.exhaustion(burn_rate.burn(silent, facts.budget), facts.period))}."
    )
    quickest = facts.pairs[0]
    long = format_window(quickest.long)
    lines.append(
        f"Below {quickest.fewest_requests:.0f} requests in {long}, one failure is enough for "
        f"{long}/{format_window(quickest.short)}."
    )
    return lines


def rows(facts: SloExplanation) -> list[tuple[str, list[str]]]:
    """Return the rows of a table: each a title, and a cell for each pair.

    `budget lasts, then`: how long a full budget lasts at the burn rate that just fires the pair. `fewest requests`:
    with fewer requests in the long window, one failure fires the pair.
    """
    pairs = facts.pairs

    def per_ratio(field: str, ratio: float) -> list[str]:
        return [human_duration(getattr(pair, field)[ratio]) for pair in pairs]

    return [
        ("severity", [pair.severity for pair in pairs]),
        ("burn rate", [f"{pair.burn_rate:g}" for pair in pairs]),
        ("fires above", [_percent(pair.fires_above) for pair in pairs]),
        *((f"fires at {_percent(ratio)} after", per_ratio("detection", ratio)) for ratio in ERROR_RATIOS),
        ("budget spent by then", [_percent(pair.budget_spent) for pair in pairs]),
        *((f"resets at {_percent(ratio)} after", per_ratio("reset", ratio)) for ratio in ERROR_RATIOS[:2]),
        ("budget lasts, then", [human_duration(pair.exhaustion) for pair in pairs]),
        ("fewest requests", [f"{pair.fewest_requests:.0f}" for pair in pairs]),
        ("  in an hour", [f"{pair.fewest_requests / pair.long * 3600:.0f}" for pair in pairs]),
    ]


def as_json(facts: SloExplanation) -> dict[str, Any]:
    """Return the numbers as JSON data: durations as text, `null` for never."""
    data = facts.model_dump()
    for field in ("period", "outage"):
        data[field] = format_window(data[field])
    for pair in data["pairs"]:
        for field in ("long", "short", "exhaustion"):
            pair[field] = format_window(pair[field])
        for field in ("detection", "reset"):
            pair[field] = {f"{ratio:g}": None if t is None else format_window(t) for ratio, t in pair[field].items()}
    return data


def human_duration(seconds: float | None) -> str:
    """Format a time for people: to the second, or below ten seconds to three digits; None is `never`."""
    if seconds is None:
        return "never"
    return format_window(round(seconds)) if seconds >= 10 else f"{seconds:.3g}s"


def _pair(slo: Objective, pair: WindowPair, period: float) -> PairExplanation:
    threshold = pair.factor * slo.budget
    fault = {"budget": slo.budget, "factor": pair.factor}
    firing = {ratio: ratio > threshold for ratio in ERROR_RATIOS}
    return PairExplanation(
        severity=pair.severity,
        long=pair.long,
        short=pair.short,
        burn_rate=pair.factor,
        fires_above=round(threshold, 12),
        budget_spent=burn_rate.spent(pair.factor, pair.long, period),
        exhaustion=burn_rate.exhaustion(pair.factor, period),
        detection={
            ratio: burn_rate.detection(error_ratio=ratio, long=pair.long, **fault) if fires else None
            for ratio, fires in firing.items()
        },
        reset={
            ratio: burn_rate.reset(error_ratio=ratio, short=pair.short, **fault) if fires else None
            for ratio, fires in firing.items()
        },
        fewest_requests=burn_rate.fewest_requests(pair.factor, slo.budget),
    )


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.6g}%"
