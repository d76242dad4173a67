"""Whether a service has what its SLOs are about."""

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
    """Return a spec with one SLO about the series that a selector finds."""
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
def test_what_the_service_has_is_covered(selector: str) -> None:
    """Statuses come with traffic, so that none needs to be there yet."""
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
def test_what_it_lacks_is_named_with_what_it_has(selector: str, trouble: str) -> None:
    """Once, although both queries select it."""
    (found,) = coverage.uncovered(promised(selector), KNOWN)
    assert found.startswith("SLO mine: ")
    assert found.endswith(trouble)
