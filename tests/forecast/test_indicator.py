import re

import pytest

from chaosapi import assets
from chaosapi.forecast import indicator
from chaosapi.forecast.indicator import ForeignQueryError
from chaosapi.slo import spec
from chaosapi.slo.spec import Objective

TEXT = """\
version: prometheus/v1
service: shop
slos:
  - name: promise
    objective: 99
    alerting: {}
    sli:
      events:
        error_query: %s
        total_query: sum(rate(http_requests_total[{{.window}}]))
"""


def _slo(error: str) -> Objective:
    return spec.parse(TEXT % f"'{error}'", "slo.yaml")[0].slos[0]


def test_the_shops_slos_are_parsed() -> None:
    """All three use the service's own counters; the latency SLO subtracts a bucket."""
    availability, latency, checkout = (
        indicator.parse_indicator(slo) for slo in spec.load(assets.path("alerts") / "slo.yaml").slos
    )
    assert [(term.sign, term.limit) for term in latency.error] == [(1, None), (-1, 0.25)]
    product = {"method": "GET", "handler": "/api/products", "status": "503"}
    assert availability.error[0].matches(product)
    assert not availability.error[0].matches(product | {"status": "200"})
    assert not checkout.total[0].matches(product)


@pytest.mark.parametrize(
    ("matcher", "matches"), [('="503"', True), ('!="503"', False), ('=~"5.."', True), ('!~"2..|503"', False)]
)
def test_matchers_are_anchored_as_in_promql(matcher: str, *, matches: bool) -> None:
    """All four kinds of matchers."""
    [term] = indicator.parse_indicator(
        _slo(f"sum(rate(http_requests_total{{status{matcher}}}[{{{{.window}}}}]))")
    ).error
    assert term.matches({"method": "GET", "handler": "/", "status": "503"}) is matches


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("sum(rate(grpc_server_handled_total[{{.window}}]))", "grpc_server_handled_total is none of this service's"),
        ('sum(rate(http_requests_total{code=~"5.."}[{{.window}}]))', "the series have no label code"),
        ("sum(increase(http_requests_total[{{.window}}]))", "reads sums of rates"),
        ("sum(rate(http_requests_total[{{.window}}])) * 2", "reads sums of rates"),
        (
            'sum(rate(http_requests_total[{{.window}}])) + sum(rate(http_requests_total{status="429"}[{{.window}}]))',
            "absent until all do",
        ),
        ("max(rate(http_requests_total[{{.window}}]))", "reads sums of rates"),
        (
            "sum(rate(http_requests_total[{{.window}}])) + on(job) sum(rate(http_requests_total[{{.window}}]))",
            "reads sums of rates",
        ),
        ("sum(rate(http_requests_total[{{.window}}] offset 5m))", "offset"),
        (
            'sum(rate(http_request_duration_seconds_bucket{le=~"0.25|0.5"}[{{.window}}]))',
            "selects 0.25 and 0.5: a query selects one",
        ),
        ('sum(rate(http_request_duration_seconds_bucket{le="0.3"}[{{.window}}]))', "selects no bucket"),
        ('sum(rate(http_request_duration_seconds_bucket{le="1"}[{{.window}}]))', "selects no bucket"),
        ("sum(rate(http_request_duration_seconds_bucket[{{.window}}]))", "by `le`"),
        ('sum(rate(http_requests_total{le="1.0"}[{{.window}}]))', "by `le`"),
        ('sum(rate(http_requests_total{handler=~"/[[:alpha:]]+"}[{{.window}}]))', "cannot read the pattern"),
        (r'sum(rate(http_requests_total{handler=~"/\\pL+"}[{{.window}}]))', "cannot read the pattern"),
    ],
)
def test_queries_that_cannot_be_read_are_refused_with_the_reason(query: str, reason: str) -> None:
    """Anything but sums of rates of the service's own counters."""
    with pytest.raises(ForeignQueryError, match=re.escape(reason)):
        indicator.parse_indicator(_slo(query))


def test_a_pattern_may_select_a_bucket() -> None:
    """As `chaosapi slo lint` recommends, for the two ways in which Prometheus writes a bound."""
    [term] = indicator.parse_indicator(
        _slo(r'sum(rate(http_request_duration_seconds_bucket{le=~"1(\\.0)?"}[{{.window}}]))')
    ).error
    assert term.limit == 1.0
