import pytest

from chaosapi.slo.result_labels import ResultLabels, mismatch, result_labels

ALL = ResultLabels(others=True)


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ("sum(rate(x[5m]))", ResultLabels()),
        ("sum by (a, b) (rate(x[5m]))", ResultLabels(frozenset({"a", "b"}))),
        ("sum without (a) (x)", ResultLabels(frozenset({"a"}), others=True)),
        ("sum without (a) (sum by (a, b) (x))", ResultLabels(frozenset({"b"}))),
        ("sum without (a) (sum without (b) (x))", ResultLabels(frozenset({"a", "b"}), others=True)),
        ("rate(x[5m])", ALL),
        ("topk(3, x)", ALL),
        ("-(sum(x) > 0)", ResultLabels()),
        ("2 * sum by (a) (x)", ResultLabels(frozenset({"a"}))),
        ("sum(x) - sum(y)", ResultLabels()),
        ("sum(x) or vector(0)", ResultLabels()),
        ("sum by (a) (x) unless y", ResultLabels(frozenset({"a"}))),
        ("max_over_time(sum by (a) (x)[5m:1m])", ResultLabels(frozenset({"a"}))),
        ("clamp_min(sum(x), 0)", ResultLabels()),
        ("label_replace(x, 'a', '$1', 'b', '(.*)')", None),
        ("sum(x) / ignoring (a) y", None),
        ("count_values('v', x)", None),
    ],
)
def test_the_labels_that_a_query_leaves(query: str, labels: ResultLabels | None) -> None:
    """None if they depend on the series."""
    assert result_labels(query) == labels


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("sum by (status) (x) / sum(y)", ("the labels status", "no labels")),
        ("x / sum(y)", ("all labels of the series", "no labels")),
        ("1 - sum by (a) (x) / sum by (a, b) (y)", ("the labels a", "the labels a, b")),
        ("sum by (a) (x) / sum without (a) (y)", ("the labels a", "all labels but a")),
        ("sum(x) and sum by (a) (y)", ("no labels", "the labels a")),
        ("sum by (a) (x) / on (a) sum(y)", None),
        ("sum by (job) (x) / y", None),
        ("sum(x) / sum(y) > 0.5", None),
        ("sum by (a) (x) or sum(y)", None),
    ],
)
def test_operators_whose_sides_match_nothing(query: str, told: tuple[str, str] | None) -> None:
    """Two sets of labels that no series can share; `or` needs no match, and `on` says what must match."""
    found = mismatch(query)
    assert (found and tuple(map(str, found))) == told
