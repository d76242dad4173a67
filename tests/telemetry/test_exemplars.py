"""Exemplars: from a slow bucket to the trace of a request in it."""

import pytest
from fastapi.testclient import TestClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
from prometheus_client.samples import Exemplar

from chaosapi.telemetry.exemplars import Exemplars, with_exemplars
from chaosapi.trace_context import TraceContext, current_trace

TRACES = ["ab" * 16, "cd" * 16]


def exemplars(client: TestClient, family: str) -> dict[str, str]:
    """Return the trace of each exemplar of a histogram, by the bound of its bucket."""
    text = client.get("/metrics", headers={"accept": "application/openmetrics-text"}).text
    (found,) = [each for each in parse(text) if each.name == family]  # type: ignore[no-untyped-call]  # theirs is untyped
    return {each.labels["le"]: each.exemplar.labels["trace_id"] for each in found.samples if each.exemplar}


def ask(client: TestClient, trace: str, *, sampled: bool) -> None:
    client.get("/api/products", headers={"traceparent": f"00-{trace}-{'b7' * 8}-0{sampled:d}"})


@pytest.mark.parametrize("family", ["http_request_duration_seconds", "chaosapi_dependency_request_duration_seconds"])
def test_a_bucket_has_the_last_recorded_trace(client: TestClient, family: str) -> None:
    """One for each bucket, however many requests there were; a trace that nobody records is none."""
    delay = {"type": "latency", "distribution": {"type": "constant", "value": "60ms"}}
    client.post("/admin/faults", json={"effect": delay, "target": {"points": ["db"]}})
    for trace in TRACES:
        ask(client, trace, sampled=True)
    ask(client, "ef" * 16, sampled=False)
    client.get("/api/products")
    found = exemplars(client, family)
    assert TRACES[1] in found.values()
    assert set(found.values()) <= set(TRACES)
    assert all(float(le) > 0.05 for le in found)


def test_the_text_format_has_none(client: TestClient) -> None:
    ask(client, TRACES[0], sampled=True)
    assert "trace_id" not in client.get("/metrics").text


def test_the_last_bucket_counts_from_the_end() -> None:
    """As request metrics count an answer that did not arrive as a whole."""
    token = current_trace.set(TraceContext(TRACES[0], "b7" * 8, sampled=True))
    try:
        kept = Exemplars()
        kept.note(-1, 0.2, lambda: 7.0)
    finally:
        current_trace.reset(token)
    assert with_exemplars(["1.0", "+Inf"], [3, 4], kept) == [
        ("1.0", 3),
        ("+Inf", 4, Exemplar({"trace_id": TRACES[0]}, 0.2, 7.0)),
    ]
