"""The service's counters that an SLI reads: its two queries as sums of rates over selected series."""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import promql_parser as grammar

from chaosapi.routes import LATENCY_BOUNDS
from chaosapi.slo.promql import SCRAPE_LABELS
from chaosapi.slo.spec import Objective

TOTAL = "http_requests_total"
COUNT = "http_request_duration_seconds_count"
BUCKET = "http_request_duration_seconds_bucket"
_METRICS = {TOTAL, COUNT, BUCKET}
_SERVICE_LABELS = {"method", "handler", "status", "le"}
_BOUNDS = (*map(str, LATENCY_BOUNDS), "+Inf")
_FORM = (
    "the forecast reads sums of rates of this service's counters, such as sum(rate(http_requests_total[{{.window}}]))"
)


class ForeignQueryError(Exception):
    """The query is not a sum of rates of the service's own counters; the text says why."""


@dataclass(frozen=True)
class Matcher:
    """One condition on a label: `negative` inverts it, `pattern` makes the value a regular expression."""

    label: str
    value: str
    negative: bool = False
    pattern: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether a series matches; labels that scraping adds are assumed to match."""
        if self.label not in _SERVICE_LABELS:
            return True
        actual = labels.get(self.label, "")
        found = bool(re.fullmatch(self.value, actual)) if self.pattern else actual == self.value
        return found != self.negative

    def __str__(self) -> str:
        symbol = {(False, False): "=", (True, False): "!=", (False, True): "=~", (True, True): "!~"}
        return f"{self.label}{symbol[self.negative, self.pattern]}{json.dumps(self.value, ensure_ascii=False)}"


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
        le = _bucket(self.matchers)
        return None if le == "+Inf" else float(le)

    def any_status(self) -> "Term":
        """Return the term without its matchers on the status."""
        return replace(self, matchers=tuple(each for each in self.matchers if each.label != "status"))

    def __str__(self) -> str:
        return f"{self.metric}{{{','.join(map(str, self.matchers))}}}"


@dataclass(frozen=True)
class Indicator:
    """An SLI as terms for bad and for all events."""

    error: tuple[Term, ...]
    total: tuple[Term, ...]

    @property
    def scrape_matchers(self) -> set[Matcher]:
        """Return the matchers on labels that scraping adds, such as job."""
        matchers = (each for term in (*self.error, *self.total) for each in term.matchers)
        return {each for each in matchers if each.label not in _SERVICE_LABELS}


def parse_indicator(slo: Objective, known: Collection[str] = ()) -> Indicator:
    """Parse the SLO's queries; raises ForeignQueryError for queries on anything but the service's counters.

    `known` are labels that the recorded series have besides those of the service and of scraping.
    """
    queries = slo.sli.queries
    if slo.sli.events is None:
        raise ForeignQueryError(f"a raw ratio does not say which counters it reads: {_FORM}")
    return Indicator(_terms(queries["error_query"], known), _terms(queries["total_query"], known))


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
        case grammar.BinaryExpr(rhs=grammar.Call() as fallback) if (
            str(node.op) == "or" and fallback.func.name == "vector"
        ):
            yield from _sums(node.lhs, sign)  # what stands in for missing series adds nothing
        case grammar.AggregateExpr(expr=grammar.Call() as call, modifier=None) if (
            str(node.op) == "sum" and call.func.name == "rate"
        ):
            yield sign, call.args[0]
        case _:
            raise ForeignQueryError(f"{node} is something else: {_FORM}")


def _terms(query: str, known: Collection[str]) -> tuple[Term, ...]:
    terms = tuple(_term(selected, sign, known) for sign, selected in summed_ranges(query))
    _check_same_series(terms)
    return terms


def _check_same_series(terms: tuple[Term, ...]) -> None:
    """Refuse terms whose series may appear at different times: in PromQL a + b is absent while a or b is."""
    if len({frozenset(each for each in term.matchers if each.label != "le") for term in terms}) > 1:
        raise ForeignQueryError("a query adds series that may appear at different times, and is absent until all do")


def _term(selected: grammar.Expr, sign: int, known: Collection[str]) -> Term:
    if not isinstance(selected, grammar.MatrixSelector):
        raise ForeignQueryError(f"{selected} is something else: {_FORM}")
    series = selected.vector_selector
    if series.name not in _METRICS:
        raise ForeignQueryError(f"{series.name} is none of this service's counters, {', '.join(sorted(_METRICS))}")
    if series.offset or series.at or series.matchers.or_matchers:
        raise ForeignQueryError(f"offset, @ and `or` are not read: {_FORM}")
    matchers = tuple(_matcher(each, known) for each in series.matchers.matchers)
    bounds = [each for each in matchers if each.label == "le"]
    if bool(bounds) != (series.name == BUCKET):
        raise ForeignQueryError(f"{series.name}: buckets are cumulative, so a query selects one of them by `le`")
    if bounds:
        _bucket(matchers)
    return Term(sign, series.name, matchers)


def _matcher(given: grammar.Matcher, known: Collection[str]) -> Matcher:
    op = grammar.MatchOp
    matcher = Matcher(given.name, given.value, given.op in (op.NotEqual, op.NotRe), given.op in (op.Re, op.NotRe))
    if matcher.label not in _SERVICE_LABELS | SCRAPE_LABELS and matcher.label not in known:
        own = ", ".join(sorted(_SERVICE_LABELS))
        raise ForeignQueryError(
            f"the series have no label {matcher.label}: the service gives {own}, scraping job and so on"
        )
    if not matcher.pattern:
        return matcher
    if "[[:" in matcher.value:
        raise ForeignQueryError(f"the forecast cannot read the pattern {matcher}: write its class of characters out")
    try:
        re.compile(matcher.value)
    except re.error as error:
        raise ForeignQueryError(f"the forecast cannot read the pattern {matcher}: {error}") from None
    return matcher


def _bucket(matchers: Iterable[Matcher]) -> str:
    """Return the one bucket that the matchers on `le` select, of all buckets without any."""
    bounds = [each for each in matchers if each.label == "le"]
    found = [bound for bound in _BOUNDS if all(each.matches({"le": bound}) for each in bounds)]
    if len(found) == 1 or not bounds:
        return found[-1]
    chosen = " and ".join(map(str, bounds))
    raise ForeignQueryError(
        f"{chosen} selects {' and '.join(found) or 'no bucket'}: a query selects one of the service's buckets, "
        f"le={', '.join(_BOUNDS)}"
    )
