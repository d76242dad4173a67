"""Find valid specs and profiles that cannot work, or work badly, before Prometheus evaluates their rules."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from chaosapi import errors
from chaosapi.alert_labels import FIXED, KINDS, SEVERITY
from chaosapi.slo import burn_rate, events, promql
from chaosapi.slo.burn_alerts import enabled_pairs
from chaosapi.slo.document import Loc
from chaosapi.slo.spec import Objective, Spec
from chaosapi.slo.windows import Profile, WindowPair, format_window

Level = Literal["error", "warning"]


@dataclass(frozen=True)
class Conditions:
    """The known conditions under which the rules will run: times in seconds, requests per second of each SLO."""

    scrape_interval: float | None = None
    retention: float | None = None
    requests_per_second: float | None = None
    min_failures: int = 1


class Feasibility(NamedTuple):
    """A problem at a place in a spec, given by field names in snake_case."""

    loc: Loc
    level: Level
    message: str


def check_profile(profile: Profile, where: Conditions) -> Iterator[str]:
    """Yield the reasons why the profile's windows cannot work under these conditions."""
    checks = ((profile.check, where.scrape_interval), (profile.check_retention, where.retention))
    for check, value in checks:
        try:
            if value is not None:
                check(value)
        except errors.Invalid as error:
            yield str(error)


def check_spec(spec: Spec, profile: Profile, where: Conditions) -> Iterator[Feasibility]:
    """Yield what is wrong with each SLO: an error makes rules useless, a warning is about a surprise."""
    yield from _labels(spec.labels, ("labels",))
    for index, slo in enumerate(spec.slos):
        here: Loc = ("slos", index)
        yield from _labels(slo.labels, (*here, "labels"))
        yield from _alerts(slo, (*here, "alerting"))
        yield from (Feasibility((*here, "objective"), "error", message) for message in never_fires(slo, profile))
        if message := events.always_wrong(slo):
            yield Feasibility((*here, "sli", "events"), "error", message)
        if where.min_failures > 1:
            yield from (Feasibility((*here, "sli"), "error", message) for message in _uncountable(slo))
        elif where.requests_per_second is not None:
            rate = where.requests_per_second
            yield from (
                Feasibility((*here, "objective"), "warning", message) for message in single_failures(slo, profile, rate)
            )
        yield from (Feasibility((*here, "sli", *place), "warning", message) for place, message in _queries(slo))


def _labels(labels: Mapping[str, str], where: Loc) -> Iterator[Feasibility]:
    """Yield what is wrong with labels that a file gives to rules or alerts."""
    for name, value in labels.items():
        at = (*where, name)
        if name.startswith("__"):
            yield Feasibility(at, "error", "Prometheus keeps labels that begin with __ for itself: use another name")
        elif name == "alertname":
            yield Feasibility(at, "warning", "not used: Prometheus writes the alert's name there; set alerting.name")
        elif name in FIXED:
            yield Feasibility(
                at, "warning", f"not used: rules, routes and forecasts recognise alerts by {name}; use another name"
            )
        elif not value:
            yield Feasibility(at, "warning", "not used: for Prometheus a label without a value does not exist")


def _alerts(slo: Objective, where: Loc) -> Iterator[Feasibility]:
    settings = slo.alerting
    yield from _labels(settings.labels, (*where, "labels"))
    if settings.page_alert.disable and settings.ticket_alert.disable:
        yield Feasibility(where, "warning", "both its alerts are disabled, so nobody is notified")
    for kind, alert in (("page", settings.page_alert), ("ticket", settings.ticket_alert)):
        at = (*where, f"{kind}_alert", "labels")
        yield from _labels(alert.labels, at)
        named = (settings.labels | alert.labels).get("severity", kind)
        if named != kind and named in KINDS:
            yield Feasibility(
                (*at, "severity") if "severity" in alert.labels else (*where, "labels", "severity"),
                "warning",
                f"the {kind} alert is labelled severity={named}: routes by severity take it for a {named}; "
                f"its kind is in {SEVERITY}",
            )


def never_fires(slo: Objective, profile: Profile) -> Iterator[str]:
    """Yield a reason for each pair that stays silent at 100 % errors: F·B ≥ 1."""
    for pair in enabled_pairs(slo, profile):
        if pair.factor * slo.budget >= 1:
            yield (
                f"the pair {pair} fires above a burn rate of {pair.factor:g}, but with {slo.objective}% even 100% "
                f"errors burn only {1 / slo.budget:g} times too fast: promise more than "
                f"{100 * (1 - 1 / pair.factor):.2f}%, or use other windows"
            )


def single_failures(slo: Objective, profile: Profile, requests_per_second: float) -> Iterator[str]:
    """Yield a reason for each pair that a single bad request fires at this rate of requests."""
    for pair in enabled_pairs(slo, profile):
        fewest = burn_rate.fewest_requests(pair.factor, slo.budget)
        if requests_per_second * pair.long < fewest:
            yield (
                f"one failure {_verb(pair)} below {fewest:.0f} requests in {format_window(pair.long)} "
                f"({fewest / pair.long * 3600:.3g} an hour), and {requests_per_second * 3600:.3g} an hour are "
                f"expected: ask for more failures (--min-failures), or promise less"
            )


def _verb(pair: WindowPair) -> str:
    return {"page": "pages", "ticket": "opens a ticket"}[pair.severity]


def _uncountable(slo: Objective) -> Iterator[str]:
    try:
        slo.sli.failures(60, "1m")
    except ValueError as error:
        yield str(error)


def _queries(slo: Objective) -> Iterator[tuple[Loc, str]]:
    part = "raw" if slo.sli.raw else "events"
    for field, query in slo.sli.queries.items():
        if promql.percentages(query):
            yield (part, field), "multiplies by 100: a ratio is a number from 0 to 1, and two rates need no factor"
        if "irate" in promql.range_functions(query):
            yield (part, field), "irate() reads only the last two samples of a window: use rate()"
        for bound in sorted(promql.exact_values(query, "le")):
            if bound.isdigit():
                either = f'le=~"{bound}(\\\\.0)?"'
                yield (
                    (part, field),
                    f'le="{bound}" matches nothing in Prometheus 3, which writes {bound}.0: ask for {either}',
                )
    if not slo.sli.jobs:
        yield (part,), 'no query names a job ("job=…"), so no alert fires when its targets disappear'
