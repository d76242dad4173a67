import pytest

from chaosapi import assets
from chaosapi.forecast import indicator
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


def test_the_shops_slos_are_understood() -> None:
    """All three read the service's own counters; the latency one takes a bucket away."""
    availability, latency, checkout = (
        indicator.parse_indicator(slo) for slo in spec.load(assets.path("alerts") / "slo.yaml").slos
    )
    assert not any(each.foreign for each in (availability, latency, checkout))
    assert [(term.sign, term.limit) for term in latency.error] == [(1, None), (-1, 0.25)]
    product = {"method": "GET", "handler": "/api/products", "status": "503"}
    assert availability.error[0].matches(product)
    assert not availability.error[0].matches(product | {"status": "200"})
    assert not checkout.total[0].matches(product)


@pytest.mark.parametrize(
    ("matcher", "matches"), [('="503"', True), ('!="503"', False), ('=~"5.."', True), ('!~"2..|503"', False)]
)
def test_matchers_are_anchored_as_in_promql(matcher: str, *, matches: bool) -> None:
    """All four kinds."""
    [term] = indicator.parse_indicator(
        _slo(f"sum(rate(http_requests_total{{status{matcher}}}[{{{{.window}}}}]))")
    ).error
    assert term.matches({"method": "GET", "handler": "/", "status": "503"}) is matches


@pytest.mark.parametrize(
    "query",
    [
        "sum(rate(grpc_server_handled_total[{{.window}}]))",
        'sum(rate(http_requests_total{code=~"5.."}[{{.window}}]))',
        "sum(increase(http_requests_total[{{.window}}]))",
        "sum(rate(http_requests_total[{{.window}}])) * 2",
        'sum(rate(http_requests_total[{{.window}}])) + sum(rate(http_requests_total{status="429"}[{{.window}}]))',
        "sum by (handler) (rate(http_requests_total[{{.window}}]))",
        "sum(rate(http_requests_total[{{.window}}])) + on(job) sum(rate(http_requests_total[{{.window}}]))",
        "sum(rate(http_requests_total[{{.window}}] offset 5m))",
        'sum(rate(http_request_duration_seconds_bucket{le=~"0.25|0.5"}[{{.window}}]))',
        "sum(rate(http_request_duration_seconds_bucket[{{.window}}]))",
    ],
)
def test_other_queries_stand_for_failed_requests(query: str) -> None:
    """A foreign metric or label, another function, arithmetic, a sum by label, an offset, several buckets at once.

    So does a sum of which one part may be absent: then so is the whole.
    """
    assert indicator.parse_indicator(_slo(query)).foreign
