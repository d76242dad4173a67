"""What a query says: whether it is PromQL, which labels it asks for, how it counts."""

import re
from typing import Final

import promql_parser as grammar

_LONGEST: Final = 10_000
_PARTS: Final = 150
_QUOTED: Final = re.compile(r"""\"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`""", re.DOTALL)
_PART: Final = re.compile(r"[-+*/%^(]|[=!<>]+|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)


def check(query: str) -> None:
    """Raise ValueError when the query is not PromQL, or gives no vector that a ratio can be made of.

    The parser takes the square of the depth and ends the process where that is thousands, so it sees no such query.
    """
    if len(query) > _LONGEST or len(_PART.findall(_QUOTED.sub('""', query))) > _PARTS:
        raise ValueError(f"not read here: more than {_LONGEST:,} characters, or {_PARTS} operators and parentheses")
    try:
        grammar.parse(query)
    except ValueError as error:
        raise ValueError(f"not PromQL: {error}") from None
    try:
        grammar.parse(f"(\n{query}\n) and vector(1)")  # `and` takes nothing but instant vectors
    except ValueError:
        raise ValueError("a query must give an instant vector: wrap a number in vector(), a range in rate()") from None


def exact_values(query: str, label: str) -> set[str]:
    """Return the values that the selectors of a valid query ask of `label` with `=`."""
    return {
        matcher.value
        for node in _nodes(query)
        if isinstance(node, grammar.VectorSelector)
        for matcher in node.matchers.matchers
        if matcher.name == label and matcher.op == grammar.MatchOp.Equal
    }


def range_functions(query: str) -> set[str]:
    """Return the names of the functions that a valid query applies to ranges: {"rate"}."""
    return {
        node.func.name
        for node in _nodes(query)
        if isinstance(node, grammar.Call)
        and any(isinstance(each, grammar.MatrixSelector | grammar.SubqueryExpr) for each in node.args)
    }


def _nodes(query: str) -> list[grammar.Expr]:
    found: list[grammar.Expr] = []
    grammar.walk(grammar.parse(query), found.append)  # append returns None: go on
    return found
