"""Check that a service has the series of its SLOs."""

import pytest

from chaosapi.lab import coverage
from chaosapi.slo import spec
from chaosapi.slo.spec import Spec

EXPOSITION = """
# TYPE http_requests_total counter
http_requests_total{method="GET",handler="/items",status="200"} 7
http_requests_total{method="POST",handler="/orders",status="201"} 5
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{method="GET",handler="/items",status="200",le="0.25"} 1
http_request_duration_seconds_bucket{method="GET",handler="/items",status="200",le="+Inf"} 1
http_request_duration_seconds_count{method="GET",handler="/items",status="200"} 1
http_request_duration_seconds_sum{method="GET",handler="/items",status="200"} 1
"""
KNOWN = coverage.series(EXPOSITION, {"job": "items", "instance": "here"})


def promised(selector: str) -> Spec:
    """Return a spec with one SLO for a selector."""
    query = f"sum(rate({selector}[{{{{.window}}}}]))"
    return spec.parse(
        f"""
        version: prometheus/v1
        service: items
        slos:
          - name: mine
            objective: 99
            sli: {{events: {{error_query: '{query}', total_query: '{query}'}}}}
            alerting: {{}}
        """,
        "slo.yml",
    )[0]


@pytest.mark.parametrize(
    "selector",
    [
        'http_requests_total{job="items", handler="/items"}',
        'http_requests_total{handler=~"/it.*", method!="POST"}',
        'http_requests_total{status=~"5.."}',
        'http_requests_total{instance="here", cluster=""}',
        'http_request_duration_seconds_bucket{le="0.25"}',
        "up",
    ],
)
def test_existing_series_are_covered(selector: str) -> None:
    """Statuses appear with traffic, so none must exist yet."""
    assert coverage.uncovered(promised(selector), KNOWN) == []


@pytest.mark.parametrize(
    ("selector", "trouble"),
    [
        ('http_requests_total{handler="/itmes"}', 'has handler="/itmes"; there are /items, /orders'),
        ('http_requests_total{handler=~"/shop.*"}', 'has handler=~"/shop.*"; there are /items, /orders'),
        ('http_requests_total{handler="/items", method="POST"}', 'has all of handler="/items", method="POST"'),
        ('http_requests_total{namespace="prod"}', 'has namespace="prod", nor that label'),
        ('http_request_duration_seconds_bucket{le="0.3"}', 'has le="0.3"; there are +Inf, 0.25'),
        ("requests_total", "the service has no metric requests_total"),
    ],
)
def test_a_missing_series_is_reported_with_similar_ones(selector: str, trouble: str) -> None:
    """It is reported once, although both queries select it."""
    (found,) = coverage.uncovered(promised(selector), KNOWN)
    assert found.startswith("SLO mine: ")
    assert found.endswith(trouble)
