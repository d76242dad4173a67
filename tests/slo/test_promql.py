import pytest

from chaosapi.slo import promql


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("sum(rate(a[5m])", "not PromQL"),
        ("", "not PromQL"),
        ("histogram_share(0.2, a)", "not PromQL: unknown function"),
        ("1", "must return an instant vector"),
        ('"a"', "must return an instant vector"),
        ("a[5m]", "must return an instant vector"),
        ("scalar(a)", "must return an instant vector"),
    ],
)
def test_a_query_without_an_instant_vector_is_refused(query: str, complaint: str) -> None:
    """Syntax errors, functions of other systems, scalars, strings and range vectors."""
    with pytest.raises(ValueError, match=complaint):
        promql.check(query)


@pytest.mark.parametrize("query", ["vector(1)", "sum(rate(a[5m])) # c", "a OR on() vector(0)", "max_over_time(a[5m:])"])
def test_every_instant_vector_is_accepted(query: str) -> None:
    """Comments, set operators and subqueries included."""
    promql.check(query)


def test_the_labels_and_counters_of_a_query_are_found() -> None:
    """Only exact matchers have a value; subqueries are like ranges."""
    query = 'sum(rate(a{job="x", le="1"}[5m])) / sum(increase(b{job="y", le!="2"}[5m])) + c{job=~"z"}'
    assert promql.exact_values(query, "job") == {"x", "y"}
    assert promql.exact_values(query, "le") == {"1"}
    assert promql.range_functions(query) == {"rate", "increase"}
    assert promql.range_functions("sum_over_time(count(a)[5m:])") == {"sum_over_time"}
    assert promql.range_functions("a") == set()


@pytest.mark.parametrize(
    "query",
    [
        "(" * 20_000 + "up" + ")" * 20_000,
        "-" * 9_000 + "up",
        "1" + "+1" * 4_000,
        "up" + " unless up" * 900,
        "sum(" * 200 + "up" + ")" * 200,
        "up" + " " * 10_000,
    ],
    ids=lambda query: str(query)[:20],
)
def test_a_query_that_would_crash_the_parser_is_refused(query: str) -> None:
    """The parser crashes the process on deeply nested queries, after minutes."""
    with pytest.raises(ValueError, match="refused: more than"):
        promql.check(query)


def test_operators_in_quotes_do_not_count() -> None:
    """A long list of routes in a matcher is not a deep query."""
    promql.check(f'rate(requests_total{{route=~"{"|".join(f"/api/{n}.*(-)" for n in range(200))}"}}[5m])')
