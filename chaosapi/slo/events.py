"""Derive from an SLO's queries which series one good and one bad event increment, so that tests can play them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, islice, product
from typing import Final

import promql_parser as grammar

from chaosapi.slo import promql
from chaosapi.slo.document import FileModel
from chaosapi.slo.promql import LabelMatcher, SeriesSelector
from chaosapi.slo.spec import Objective

_MAX_SERIES: Final = 10_000
_MAX_SERIES_OF_AN_EVENT: Final = 3
_USUAL: Final = ("200", "201", "404", "429", "500", "503", "000", "2xx", "5xx", "OK", "ok", "error", "GET", "POST", "/")
_UNLIKE: Final = ("other", "200", "1")
"""Values for conditions that exclude some: one of them is not excluded."""
_PARTS: Final = (
    (r"\\d", "0"),
    (r"\.\*", ""),
    (r"\.\+", "x"),
    (r"\\(.)", r"\1"),
    (r"\[([^\]^])[^\]]*\]", r"\1"),
    (r"\.", "0"),
    (r"[\^$()?*+]", ""),
)
"""From parts of a regular expression to text that they usually match; what comes of it is checked."""


class EventSeries(FileModel):
    """The series that one good and one bad event increment."""

    good: list[str]
    bad: list[str]


@dataclass(frozen=True)
class _Series:
    metric: str
    labels: Mapping[str, str]
    error: int
    """By how much the sum of the error query's selectors grows when the series grows by 1."""
    total: int

    def __str__(self) -> str:
        return self.metric + "{" + ", ".join(f'{name}="{value}"' for name, value in self.labels.items()) + "}"


def derive(slo: Objective) -> EventSeries:
    """Return the series of an SLO's events; raises ValueError for queries that do not say it."""
    if slo.sli.events is None:
        raise ValueError("a raw ratio does not say which series an event increments")
    queries = slo.sli.queries
    error, total = (list(_sums(grammar.parse(queries[field]))) for field in ("error_query", "total_query"))
    kinds: dict[tuple[str, int, int], _Series] = {}
    for each in islice(_candidates(error, total), _MAX_SERIES):
        if each.error or each.total:
            kinds.setdefault((each.metric, each.error, each.total), each)
    good = _event(kinds.values(), error=0)
    bad = _event(kinds.values(), error=1)
    if good is None or bad is None:
        raise ValueError(f"no {'good' if good is None else 'bad'} event was found that the queries tell apart")
    return EventSeries(good=[str(each) for each in good], bad=[str(each) for each in bad])


def always_wrong(slo: Objective) -> str | None:
    """Return why the ratio of an SLO's queries is wrong whatever is counted; None if that is not known."""
    if slo.sli.events is None:
        return None
    queries = slo.sli.queries
    one, other = (promql.range_functions(queries[field]) for field in ("error_query", "total_query"))
    if {"rate", "increase"} == one | other and one != other and len(one) == len(other) == 1:
        return (
            f"error_query uses {min(one)}() and total_query {min(other)}(): one counts events of the whole window, the "
            "other those of a second; use rate() in both"
        )
    try:
        error, total = (list(_sums(grammar.parse(queries[field]))) for field in ("error_query", "total_query"))
    except ValueError:
        return None
    if len(error) == len(total) == 1:
        bad = error[0][1]
        every = total[0][1]
        if bad.metric == every.metric and set(bad.matchers) <= set(every.matchers):
            return "error_query selects all events that total_query counts, so all of them would be bad"
    return None


def _event(series: Iterable[_Series], error: int) -> tuple[_Series, ...] | None:
    """Return the fewest series that together add 1 to the total, and `error` to the errors."""
    known = list(series)
    for size in range(1, _MAX_SERIES_OF_AN_EVENT + 1):
        for chosen in combinations(known, size):
            if (sum(each.error for each in chosen), sum(each.total for each in chosen)) == (error, 1):
                return chosen
    return None


def _sums(node: grammar.Expr, sign: int = 1) -> Iterator[tuple[int, SeriesSelector]]:
    """Yield the selectors whose summed rates a query adds up, with their signs."""
    match node:
        case grammar.ParenExpr():
            yield from _sums(node.expr, sign)
        case grammar.BinaryExpr() if str(node.op) in {"+", "-"}:
            yield from _sums(node.lhs, sign)
            yield from _sums(node.rhs, -sign if str(node.op) == "-" else sign)
        case grammar.BinaryExpr() if str(node.op) == "or" and not promql.selectors(str(node.rhs)):
            yield from _sums(node.lhs, sign)
        case grammar.AggregateExpr() if str(node.op) == "sum":
            yield from _sums(node.expr, sign)
        case grammar.Call() if node.func.name in {"rate", "increase", "irate"}:
            selected = promql.selectors(str(node))
            if len(selected) != 1 or not isinstance(node.args[0], grammar.MatrixSelector):
                raise ValueError(f"{node} does not name its series")
            yield sign, selected[0]
        case _:
            raise ValueError(f"{node} is no sum of rates")


def _candidates(error: list[tuple[int, SeriesSelector]], total: list[tuple[int, SeriesSelector]]) -> Iterator[_Series]:
    """Yield series with all combinations of the label values that decide whether selectors select them."""
    for metric in dict.fromkeys(selector.metric for _, selector in (*error, *total)):
        matchers = [each for _, selector in (*error, *total) if selector.metric == metric for each in selector.matchers]
        values = {
            label: list(dict.fromkeys(value for each in matchers if each.label == label for value in _values(each)))
            for label in dict.fromkeys(each.label for each in matchers)
        }
        for chosen in product(*values.values()):
            labels = dict(zip(values, chosen, strict=True))
            yield _Series(metric, labels, _growth(error, metric, labels), _growth(total, metric, labels))


def _growth(terms: list[tuple[int, SeriesSelector]], metric: str, labels: Mapping[str, str]) -> int:
    return sum(
        sign
        for sign, selector in terms
        if selector.metric == metric and all(each.matches(labels) for each in selector.matchers)
    )


def _values(matcher: LabelMatcher) -> list[str]:
    """Return values that meet the condition, and some that do not."""
    if "~" not in matcher.operator:
        return [matcher.value, *_UNLIKE] if matcher.operator == "=" else [*_UNLIKE, matcher.value]
    guesses = [*map(_example, matcher.value.strip("^$()").split("|")), *_USUAL, *_UNLIKE]
    met = [guess for guess in guesses if matcher.matches({matcher.label: guess})]
    unmet = [guess for guess in guesses if not matcher.matches({matcher.label: guess})]
    if not met:
        raise ValueError(f"no value is known for which {matcher} holds")
    return [*met[:2], *unmet[:2]]


def _example(pattern: str) -> str:
    for part, text in _PARTS:
        pattern = re.sub(part, text, pattern)
    return pattern
