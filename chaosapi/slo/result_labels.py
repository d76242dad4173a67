"""Which labels the result of a PromQL query has: two vectors match only where their labels are equal.

Rules of https://prometheus.io/docs/prometheus/latest/querying/operators/ (aggregation, vector matching).
"""

from dataclasses import dataclass
from typing import Any, Final

import promql_parser as grammar

_KEEPS_ALL: Final = {"topk", "bottomk", "limitk", "limit_ratio"}
_PRESERVING: Final = {"abs", "ceil", "clamp", "clamp_max", "clamp_min", "floor", "round", "sgn", "sort", "sort_desc"}
_OF_RANGES: Final = {"changes", "delta", "deriv", "idelta", "increase", "irate", "rate", "resets"}


@dataclass(frozen=True)
class ResultLabels:
    """The labels of a vector: exactly `names`, or with `others` all labels of its series but `names`."""

    names: frozenset[str] = frozenset()
    others: bool = False

    def __str__(self) -> str:
        listed = ", ".join(sorted(self.names))
        if self.others:
            return f"all labels but {listed}" if listed else "all labels of the series"
        return f"the labels {listed}" if listed else "no labels"

    def keeps(self, label: str) -> bool:
        """Return whether the label is among them."""
        return (label in self.names) != self.others

    def minus(self, names: frozenset[str]) -> "ResultLabels":
        """Return the labels without some."""
        return ResultLabels(self.names | names if self.others else self.names - names, self.others)

    def plus(self, names: frozenset[str]) -> "ResultLabels":
        """Return the labels and some more."""
        return ResultLabels(self.names - names if self.others else self.names | names, self.others)

    def differs(self, other: "ResultLabels") -> bool:
        """Return whether no series of the two can have the same labels.

        A series that Prometheus scraped has at least the labels `job` and `instance`.
        """
        if self.others == other.others:
            return self.names != other.names
        exact, open_ = (other, self) if self.others else (self, other)
        return not exact.names or bool(exact.names & open_.names)


def result_labels(query: str) -> ResultLabels | None:
    """Return the labels of a valid query's result; None if they depend on its series."""
    return _labels(grammar.parse(query))


def mismatch(query: str) -> tuple[ResultLabels, ResultLabels] | None:
    """Return the labels of the two sides of the first binary operator in a valid query that matches nothing."""
    found: list[tuple[ResultLabels, ResultLabels]] = []

    def look(node: grammar.Expr) -> None:
        if isinstance(node, grammar.BinaryExpr) and str(node.op) != "or" and not _matching(node):
            left = _labels(node.lhs)
            right = _labels(node.rhs)
            if left and right and left.differs(right):
                found.append((left, right))

    grammar.walk(grammar.parse(query), look)
    return found[0] if found else None


def _labels(node: grammar.Expr) -> ResultLabels | None:
    if isinstance(node, grammar.VectorSelector | grammar.MatrixSelector):
        return ResultLabels(others=True)
    if isinstance(node, grammar.ParenExpr | grammar.UnaryExpr | grammar.SubqueryExpr):
        return _labels(node.expr)
    if isinstance(node, grammar.AggregateExpr):
        return _of_aggregate(node)
    if isinstance(node, grammar.BinaryExpr):
        return _of_operator(node)
    if isinstance(node, grammar.Call):
        return _of_function(node)
    return None


def _of_aggregate(node: grammar.AggregateExpr) -> ResultLabels | None:
    function = str(node.op)
    if function in _KEEPS_ALL:
        return _labels(node.expr)
    if function == "count_values":
        return None
    if node.modifier is None:
        return ResultLabels()
    names = frozenset(node.modifier.labels)
    if node.modifier.type == grammar.AggModifierType.By:
        return ResultLabels(names)
    inner = _labels(node.expr)
    return inner and inner.minus(names)


def _of_operator(node: grammar.BinaryExpr) -> ResultLabels | None:
    if _is_scalar(node.lhs):
        return _labels(node.rhs)
    if _is_scalar(node.rhs):
        return _labels(node.lhs)
    if str(node.op) in {"and", "unless"}:
        return _labels(node.lhs)
    if str(node.op) == "or" and not _has_series(node.rhs):
        return _labels(node.lhs)  # vector(0) stands in for missing series, of which a ratio has none to count
    left = _labels(node.lhs)
    right = _labels(node.rhs)
    if _matching(node):
        return _of_matching(node.modifier, left, right) if left and right else None
    return left if left == right else None


def _of_matching(modifier: Any, left: ResultLabels, right: ResultLabels) -> ResultLabels | None:
    """Return the labels of the result of an operator with on() or ignoring()."""
    many = right if modifier.card == grammar.VectorMatchCardinality.OneToMany else left
    if modifier.card != grammar.VectorMatchCardinality.OneToOne:
        return many.plus(frozenset(modifier.group_labels or ()))
    names = frozenset(modifier.matching.labels)
    if modifier.matching.type == grammar.LabelModifierType.Include:
        return ResultLabels(frozenset(name for name in names if left.keeps(name)))
    one = left.minus(names)
    return None if one.differs(right.minus(names)) else one


def _has_series(node: grammar.Expr) -> bool:
    found: list[grammar.Expr] = []
    grammar.walk(node, found.append)
    return any(isinstance(each, grammar.VectorSelector) for each in found)


def _of_function(node: grammar.Call) -> ResultLabels | None:
    name = node.func.name
    if name == "vector":
        return ResultLabels()
    if name in _PRESERVING | _OF_RANGES or name.endswith("_over_time"):
        return next((labels for each in node.args if (labels := _labels(each))), None)
    return None


def _is_scalar(node: grammar.Expr) -> bool:
    if isinstance(node, grammar.ParenExpr | grammar.UnaryExpr):
        return _is_scalar(node.expr)
    if isinstance(node, grammar.BinaryExpr):
        return _is_scalar(node.lhs) and _is_scalar(node.rhs)
    if isinstance(node, grammar.Call):
        return node.func.name in {"scalar", "time", "pi"}
    return isinstance(node, grammar.NumberLiteral)


def _matching(node: grammar.BinaryExpr) -> bool:
    """Return whether the operator says itself which labels must be equal, with on() or ignoring()."""
    return node.modifier is not None and node.modifier.matching is not None
