"""The service's counters that an SLI reads: its two queries as sums of rates over selected series."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import promql_parser as grammar

from chaosapi.slo.spec import Objective

TOTAL = "http_requests_total"
COUNT = "http_request_duration_seconds_count"
BUCKET = "http_request_duration_seconds_bucket"
_METRICS = {TOTAL, COUNT, BUCKET}
_SERVICE_LABELS = {"method", "handler", "status", "le"}
_SCRAPE_LABELS = {"job", "instance", "namespace", "pod", "container", "service", "endpoint", "node", "cluster"}
"""Labels that scraping adds; matchers on these labels are assumed to match."""
_BOUND = re.compile(r"[0-9.]+|\+Inf")


class ForeignQueryError(Exception):
    """The query is not a sum of rates of the service's own counters."""


@dataclass(frozen=True)
class Matcher:
    """One condition on a label: `negative` inverts it, `pattern` makes the value a regular expression."""

    label: str
    value: str
    negative: bool = False
    pattern: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether a series matches; labels that scraping adds are assumed to match."""
        if self.label in _SCRAPE_LABELS:
            return True
        actual = labels.get(self.label, "")
        found = bool(re.fullmatch(self.value, actual)) if self.pattern else actual == self.value
        return found != self.negative


@dataclass(frozen=True)
class Term:
    """A sum of rates over selected series, added or subtracted."""

    sign: int
    metric: str
    matchers: tuple[Matcher, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the series with these labels is selected; matchers on `le` are ignored."""
        return all(matcher.matches(labels) for matcher in self.matchers if matcher.label != "le")

    @property
    def limit(self) -> float | None:
        """Return the bucket's bound in seconds; None for all requests."""
        le = next((matcher.value for matcher in self.matchers if matcher.label == "le"), "+Inf")
        return None if le == "+Inf" else float(le)


@dataclass(frozen=True)
class Indicator:
    """An SLI as terms for bad and for all events."""

    error: tuple[Term, ...]
    total: tuple[Term, ...]
    foreign: bool = False
    """The queries do not read the service's own counters; failed requests stand in for bad events."""


def parse_indicator(slo: Objective) -> Indicator:
    """Parse the SLO's queries; queries on other series become availability over all routes."""
    queries = slo.sli.queries
    try:
        return Indicator(_terms(queries["error_query"]), _terms(queries["total_query"]))
    except (KeyError, ForeignQueryError):  # a raw ratio has neither of the two
        failed = Term(1, TOTAL, (Matcher("status", "5..|000", pattern=True),))
        return Indicator((failed,), (Term(1, TOTAL, ()),), foreign=True)


def summed_ranges(query: str) -> list[tuple[int, grammar.Expr]]:
    """Return the ranges, with signs, whose summed rates a query adds up; raises ForeignQueryError for other queries."""
    return list(_sums(grammar.parse(query)))


def _sums(node: grammar.Expr, sign: int = 1) -> Iterator[tuple[int, grammar.Expr]]:
    match node:
        case grammar.ParenExpr():
            yield from _sums(node.expr, sign)
        case grammar.BinaryExpr(modifier=None) if str(node.op) in {"+", "-"}:
            yield from _sums(node.lhs, sign)
            yield from _sums(node.rhs, -sign if str(node.op) == "-" else sign)
        case grammar.AggregateExpr(expr=grammar.Call() as call, modifier=None) if (
            str(node.op) == "sum" and call.func.name == "rate"
        ):
            yield sign, call.args[0]
        case _:
            raise ForeignQueryError


def _terms(query: str) -> tuple[Term, ...]:
    terms = tuple(_term(selected, sign) for sign, selected in summed_ranges(query))
    _check_same_series(terms)
    return terms


def _check_same_series(terms: tuple[Term, ...]) -> None:
    """Refuse terms whose series may appear at different times: in PromQL a + b is absent while a or b is."""
    if len({frozenset(each for each in term.matchers if each.label != "le") for term in terms}) > 1:
        raise ForeignQueryError


def _term(selected: grammar.Expr, sign: int) -> Term:
    if not isinstance(selected, grammar.MatrixSelector):
        raise ForeignQueryError
    series = selected.vector_selector
    op = grammar.MatchOp
    if series.name is None or series.name not in _METRICS or series.offset or series.at or series.matchers.or_matchers:
        raise ForeignQueryError
    matchers = tuple(
        Matcher(each.name, each.value, each.op in (op.NotEqual, op.NotRe), each.op in (op.Re, op.NotRe))
        for each in series.matchers.matchers
    )
    bounds = [each for each in matchers if each.label == "le"]
    if any(each.label not in _SERVICE_LABELS | _SCRAPE_LABELS for each in matchers):
        raise ForeignQueryError
    plain = all(not each.negative and not each.pattern and _BOUND.fullmatch(each.value) for each in bounds)
    # Buckets are cumulative: a query on buckets must select exactly one.
    if len(bounds) != (series.name == BUCKET) or not plain:
        raise ForeignQueryError
    return Term(sign, series.name, matchers)
