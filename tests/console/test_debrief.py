"""The debrief: what it asks for, and what a team reads."""

import asyncio
import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chaosapi.clients.admin import AsyncAdminClient
from chaosapi.clients.prometheus import AsyncPrometheusClient
from chaosapi.console.debrief import Debrief, FaultReport, Loss, report
from chaosapi.console.export import as_html, as_json, as_text
from chaosapi.console.signals import ALL
from chaosapi.console.slos import SloTarget
from chaosapi.console.timeline import TimelineEntry
from chaosapi.console.zones import Zone
from tests.console.test_sources import client

MIDNIGHT = 1767225600.0
FAULT: dict[str, Any] = {
    "name": "drill",
    "effect": {"type": "error", "status": 503},
    "target": {"points": None, "methods": None, "routes": ["/api/checkout"], "headers": {}, "sticky_by": None},
    "state": "ended",
    "reason": "a <drill>",
    "starts_at": "2026-01-01T00:00:10Z",
    "ends_at": "2026-01-01T00:01:10Z",
    "receipt": {"requested_rate": 0.2, "achieved_rate": 0.21, "injected": 21, "matched": 100},
}
SCORE: dict[str, Any] = {
    "alerts": [
        {
            "severity": "page",
            "slo": "availability",
            "long_window": "1m",
            "short_window": "5s",
            "verdict": "by chance",
            "forecast": {"firing": 5.0, "notified": 5.0, "resolved": 90.0},
            "earliest": 2.0,
            "latest": None,
            "fact": {"firing": 3.81, "notified": 3.92, "resolved": None},
        },
        {
            "severity": "ticket",
            "slo": "availability",
            "long_window": "24m",
            "short_window": "2m",
            "verdict": "unexpected",
            "forecast": None,
            "earliest": None,
            "latest": None,
            "fact": {"firing": 60.0, "notified": None, "resolved": None},
        },
    ]
}
LOSS = Loss(1200.0, 21.0, {"250": 3.0}, {"shop-availability": (0.9, 0.65)})
EVENTS = [
    TimelineEntry(MIDNIGHT + 70, "fault", "drill ends", 60.0),
    TimelineEntry(MIDNIGHT + 10, "fault", "drill begins", 0.0),
]
WRITTEN = Debrief(MIDNIGHT + 100, EVENTS, [FAULT], [FaultReport(FAULT, SCORE, LOSS)])


def test_a_debrief_says_what_was_injected_which_alerts_fired_and_what_users_lost() -> None:
    """As text; the oldest event first, as one tells it."""
    assert as_text(WRITTEN, Zone()) == (
        """# Debrief of 2026-01-01 00:01 UTC

All times are in UTC.

## Fault drill

### What was injected

error status 503 on /api/checkout.

From 00:00:10 until 00:01:10. Reason: a <drill>.

Requested: 20.00% of the requests; actual: 21.00% (21 of 100).

### Which alerts fired

Times are from the start of the fault. The expected range is that of the firing.

| alert | predicted | expected range | fired | notified | resolved | verdict |
| --- | --- | --- | --- | --- | --- | --- |
| page availability 1m/5s | 5s | 2s to never | 3.8s | 3.9s |  | within the expected range |
| ticket availability 24m/2m |  |  | 1m |  |  | unexpected |

### What users lost

While it acted, 21 of 1,200 requests failed (1.75%), whatever the cause.

3 requests that did not fail took longer than 250 ms.

| error budget | left before | left after | spent |
| --- | --- | --- | --- |
| shop-availability | 90.0% | 65.0% | 25.0% |

## Timeline

Seconds count from the start of the latest fault.

| time | since the fault | about | what |
| --- | --- | --- | --- |
| 00:00:10 | +0.0 s | fault | drill begins |
| 00:01:10 | +60.0 s | fault | drill ends |
"""
    )


def test_the_formats_have_the_same_contents() -> None:
    """HTML escapes what others wrote; the JSON has all numbers."""
    page = as_html(WRITTEN, Zone())
    assert "Reason: a &lt;drill&gt;." in page
    assert "<td>page availability 1m/5s<td>5s<td>2s to never<td>3.8s" in page
    content = json.loads(as_json(WRITTEN))
    assert content["faults"] == [FAULT]
    assert content["reports"][0]["score"] == SCORE
    assert content["reports"][0]["loss"]["failed"] == 21


def test_what_is_not_known_is_said() -> None:
    """A fault without score and without requests, text that would break a table, and no fault at all."""
    unknown = as_text(Debrief(MIDNIGHT, [], [FAULT], [FaultReport(FAULT, None, None)]), Zone())
    assert "The service has no score of this fault." in unknown
    assert "Prometheus has no requests of that time." in unknown
    hostile = [TimelineEntry(MIDNIGHT, "change", "a | b\n# c")]
    assert "| a \\| b # c |" in as_text(Debrief(MIDNIGHT, hostile, [], []), Zone())
    assert "No fault has acted." in as_text(Debrief(MIDNIGHT, [], [], []), Zone())


def test_the_loss_is_counted_from_start_to_end() -> None:
    """With the budgets before and after; a fault that has not begun has no report, one without a score has."""
    asked: list[tuple[str, str]] = []

    async def metrics(request: Request) -> Response:
        expr = request.query_params["query"]
        asked.append((request.query_params["time"], expr))
        if "remaining" in expr:
            left = "0.9" if float(request.query_params["time"]) == MIDNIGHT + 10 else "0.65"
            found = [{"metric": {"signal": "left", "sloth_id": "shop-availability"}, "value": [0, left]}]
        else:
            numbers = {"requests": "1200", "failed": "21", "slow 250": "3"}
            found = [{"metric": {"signal": key}, "value": [0, text]} for key, text in numbers.items()]
        return JSONResponse({"status": "success", "data": {"result": found}})

    async def admin(request: Request) -> Response:
        return JSONResponse(SCORE if "drill" in request.url.path else {"detail": "not yet"}, 200)

    later = {**FAULT, "name": "later", "starts_at": "2026-01-01T01:00:00Z", "ends_at": "2026-01-01T02:00:00Z"}
    targets = [SloTarget("shop-latency", 0.99, 0.25, ALL)]
    found = asyncio.run(
        report(
            [later, FAULT],
            AsyncAdminClient(client(admin)),
            AsyncPrometheusClient(client(metrics)),
            "shop",
            targets,
            MIDNIGHT + 100,
        )
    )
    assert found == [FaultReport(FAULT, SCORE, LOSS)]
    counted = [(float(at) - MIDNIGHT, expr) for at, expr in asked if "increase" in expr]
    assert [at for at, _ in counted] == [75.0]
    assert 'increase(http_requests_total{job="shop", status=~"5..|000"}[65s])' in counted[0][1]
    assert 'le=~"0.25([.]0)?"' in counted[0][1]
