"""Check PromQL queries, and find their label values and range functions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import promql_parser as grammar

_MAX_CHARACTERS: Final = 10_000
_MAX_PARTS: Final = 150
_QUOTED: Final = re.compile(r"""\"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`""", re.DOTALL)
SCRAPE_LABELS: Final = frozenset(
    {"job", "instance", "namespace", "pod", "container", "service", "endpoint", "node", "cluster"}
)
"""Labels that scraping adds."""
_OPERATORS: Final = {
    "=": grammar.MatchOp.Equal,
    "!=": grammar.MatchOp.NotEqual,
    "=~": grammar.MatchOp.Re,
    "!~": grammar.MatchOp.NotRe,
}
_PART: Final = re.compile(r"[-+*/%^(]|[=!<>]+|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)


@dataclass(frozen=True)
class LabelMatcher:
    """One condition of a selector on a label."""

    label: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f'{self.label}{self.operator}"{self.value}"'

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether a series with these labels meets it."""
        actual = labels.get(self.label, "")
        found = bool(re.fullmatch(self.value, actual)) if "~" in self.operator else actual == self.value
        return found != self.operator.startswith("!")


@dataclass(frozen=True)
class SeriesSelector:
    """A selector of series: a metric's name and conditions on labels."""

    metric: str
    matchers: tuple[LabelMatcher, ...]

    def __str__(self) -> str:
        return f"{self.metric}{{{', '.join(map(str, self.matchers))}}}"

    def may_overlap(self, other: "SeriesSelector") -> bool:
        """Return whether an event may increment series of both; False only where conditions on a label exclude it.

        Labels that scraping adds exclude nothing: client and server may count the same event.
        """
        exact = {
            each.label: each.value
            for each in (*self.matchers, *other.matchers)
            if each.operator == "=" and each.label not in SCRAPE_LABELS
        }
        return all(each.matches(exact) for each in (*self.matchers, *other.matchers) if each.label in exact)


def check(query: str) -> None:
    """Raise ValueError for a query that is not PromQL, or that does not return an instant vector.

    The parser's time grows with the square of the depth, and a depth of thousands overflows its stack and ends the
    process: long queries are refused before parsing.
    """
    if len(query) > _MAX_CHARACTERS or len(_PART.findall(_QUOTED.sub('""', query))) > _MAX_PARTS:
        raise ValueError(
            f"refused: more than {_MAX_CHARACTERS:,} characters, or {_MAX_PARTS} operators and parentheses"
        )
    try:
        grammar.parse(query)
    except ValueError as error:
        raise ValueError(f"not PromQL: {error}") from None
    try:
        grammar.parse(f"(\n{query}\n) and vector(1)")  # `and` takes nothing but instant vectors
    except ValueError:
        raise ValueError(
            "a query must return an instant vector: wrap a number in vector(), a range in rate()"
        ) from None


def exact_values(query: str, label: str) -> set[str]:
    """Return the values that the selectors of a valid query require of `label` with `=`."""
    return {
        matcher.value
        for node in _nodes(query)
        if isinstance(node, grammar.VectorSelector)
        for matcher in node.matchers.matchers
        if matcher.name == label and matcher.op == grammar.MatchOp.Equal
    }


def selectors(query: str) -> list[SeriesSelector]:
    """Return the selectors of a valid query that name a metric."""
    return [
        SeriesSelector(
            node.name, tuple(LabelMatcher(each.name, _symbol(each.op), each.value) for each in node.matchers.matchers)
        )
        for node in _nodes(query)
        if isinstance(node, grammar.VectorSelector) and node.name
    ]


def conditions(query: str) -> set[LabelMatcher]:
    """Return the conditions on labels of all selectors of a valid query."""
    return {each for selector in selectors(query) for each in selector.matchers}


def range_functions(query: str) -> set[str]:
    """Return the names of the functions that a valid query applies to ranges: {"rate"}."""
    return {
        node.func.name
        for node in _nodes(query)
        if isinstance(node, grammar.Call)
        and any(isinstance(each, grammar.MatrixSelector | grammar.SubqueryExpr) for each in node.args)
    }


def percentages(query: str) -> bool:
    """Return whether a valid query multiplies by 100."""
    return any(
        isinstance(node, grammar.BinaryExpr)
        and str(node.op) == "*"
        and any(isinstance(side, grammar.NumberLiteral) and side.val == 100 for side in (node.lhs, node.rhs))
        for node in _nodes(query)
    )


def hidden_by_vector(query: str) -> bool:
    """Return whether `vector(0) or sum(…)` in a valid query always returns its left side."""
    return any(
        isinstance(node, grammar.BinaryExpr)
        and str(node.op) == "or"
        and isinstance(node.lhs, grammar.Call)
        and node.lhs.func.name == "vector"
        and not (isinstance(node.rhs, grammar.AggregateExpr) and node.rhs.modifier)
        for node in _nodes(query)
    )


def _symbol(op: grammar.MatchOp) -> str:
    return next(symbol for symbol, each in _OPERATORS.items() if each == op)


def _nodes(query: str) -> list[grammar.Expr]:
    found: list[grammar.Expr] = []
    grammar.walk(grammar.parse(query), found.append)  # append returns None, which continues the walk
    return found
