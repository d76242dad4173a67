"""Which of the service's counters an SLI reads: its two queries as sums of rates over selected series."""

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
"""Labels that scraping adds; taken to match."""
_EVERY = re.compile(r"[0-9.]+|\+Inf")


class ForeignQueryError(Exception):
    """The query is anything but a sum of rates of the service's own counters."""


@dataclass(frozen=True)
class Matcher:
    """One condition on a label: `negative` turns it round, `pattern` makes the value a regular expression."""

    label: str
    value: str
    negative: bool = False
    pattern: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether a series matches; labels that scraping adds are taken to."""
        if self.label in _SCRAPE_LABELS:
            return True
        actual = labels.get(self.label, "")
        found = bool(re.fullmatch(self.value, actual)) if self.pattern else actual == self.value
        return found != self.negative


@dataclass(frozen=True)
class Term:
    """A sum of rates over selected series, added or taken away."""

    sign: int
    metric: str
    matchers: tuple[Matcher, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the series with these labels is selected; `le` is not among them."""
        return all(matcher.matches(labels) for matcher in self.matchers if matcher.label != "le")

    @property
    def limit(self) -> float | None:
        """Return the bucket's bound in seconds; None where every request counts."""
        le = next((matcher.value for matcher in self.matchers if matcher.label == "le"), "+Inf")
        return None if le == "+Inf" else float(le)


@dataclass(frozen=True)
class Indicator:
    """An SLI as terms for bad and for all events."""

    error: tuple[Term, ...]
    total: tuple[Term, ...]
    foreign: bool = False
    """Its queries are not about this service; failed requests stand in for its bad events."""


def parse_indicator(slo: Objective) -> Indicator:
    """Read the SLO's queries; what is not about the service's own counters becomes availability over all routes."""
    queries = slo.sli.queries
    try:
        error, total = (
            tuple(_term(selected, sign) for sign, selected in summed_ranges(queries[name]))
            for name in ("error_query", "total_query")
        )
        for terms in (error, total):
            _check_same_series(terms)
        return Indicator(error, total)
    except (KeyError, ForeignQueryError):  # a raw ratio has neither of the two
        failed = Term(1, TOTAL, (Matcher("status", "5..|000", pattern=True),))
        return Indicator((failed,), (Term(1, TOTAL, ()),), foreign=True)


def summed_ranges(query: str) -> list[tuple[int, grammar.Expr]]:
    """Return the ranges whose summed rates a query adds or subtracts, with signs; raises Foreign for other queries."""
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


def _check_same_series(terms: tuple[Term, ...]) -> None:
    """Refuse terms that are not there at the same times: in PromQL a + b is absent while one of them is."""
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
    plain = all(not each.negative and not each.pattern and _EVERY.fullmatch(each.value) for each in bounds)
    if len(bounds) != (series.name == BUCKET) or not plain:  # buckets overlap: a query about them names exactly one
        raise ForeignQueryError
    return Term(sign, series.name, matchers)
