"""Check that a service has the series of its SLOs: an alert on a selector without series never fires."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from chaosapi.slo import promql
from chaosapi.slo.promql import LabelMatcher, SeriesSelector
from chaosapi.slo.spec import Spec

_BY_TRAFFIC: Final = {"status"}
"""Labels whose values appear with traffic: a selector on them cannot be checked before."""
_MAX_NAMES: Final = 10

Series = Mapping[str, list[dict[str, str]]]
"""The labels of every series of a metric, by the metric's name."""


def series(exposition: str, target: Mapping[str, str]) -> Series:
    """Return the series of an exposition as Prometheus stores them, with the labels of the target."""
    found: dict[str, list[dict[str, str]]] = {"up": [dict(target)]}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            found.setdefault(sample.name, []).append({**sample.labels, **target})
    return found


def uncovered(spec: Spec, known: Series) -> list[str]:
    """Return a sentence for each selector of an SLO that no series of the service matches."""
    return list(dict.fromkeys(_uncovered(spec, known)))


def _uncovered(spec: Spec, known: Series) -> Iterator[str]:
    for slo in spec.slos:
        for query in slo.sli.queries.values():
            for selector in promql.selectors(query):
                if trouble := _trouble(selector, known.get(selector.metric, [])):
                    yield f"SLO {slo.name}: {trouble}"


def _trouble(selector: SeriesSelector, candidates: list[dict[str, str]]) -> str:
    matchers = [matcher for matcher in selector.matchers if matcher.label not in _BY_TRAFFIC]
    if any(all(matcher.matches(labels) for matcher in matchers) for labels in candidates):
        return ""
    if not candidates:
        return f"the service has no metric {selector.metric}"
    for matcher in matchers:
        if not any(matcher.matches(labels) for labels in candidates):
            return f"no {selector.metric} of the service has {matcher}{_alternatives(matcher, candidates)}"
    return f"no {selector.metric} of the service has all of {', '.join(map(str, matchers))}"


def _alternatives(matcher: LabelMatcher, candidates: Iterable[Mapping[str, str]]) -> str:
    values = sorted({labels[matcher.label] for labels in candidates if matcher.label in labels})
    if not values:
        return ", nor that label"
    more = ", …" if len(values) > _MAX_NAMES else ""
    return f"; there are {', '.join(values[:_MAX_NAMES])}{more}"
