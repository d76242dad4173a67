"""Requests with client time-outs: the forecast counts them as the service does."""

from typing import Any

import numpy as np
import pytest

from chaosapi.forecast import timetable
from chaosapi.forecast.indicator import BUCKET, COUNT, Matcher, Term
from chaosapi.forecast.model import ForecastModel
from tests.forecast.conftest import Ask

SLOW = {"effect": {"type": "latency", "distribution": {"type": "constant", "value": "3s"}}}
UNEVEN = {"effect": {"type": "latency", "distribution": {"type": "uniform", "high": "1s"}}}
ERRORS = {"effect": {"type": "error", "status": 502}}
RESETS = {"effect": {"type": "reset"}}
HANGS = {"effect": {"type": "hang"}}
FAST = Matcher("le", "0.25")


def share(model: ForecastModel, metric: str, *matchers: Matcher) -> float:
    """Return the largest share of these series among all requests while the faults act."""
    part, whole = (model.counters.flow([term]) for term in (Term(1, metric, matchers), Term(1, COUNT, ())))
    return float(np.max(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)[model.edges[:-1] >= 0]))


def least(model: ForecastModel, metric: str, *matchers: Matcher) -> float:
    """Return the smallest such share in the first half minute."""
    part, whole = (model.counters.flow([term]) for term in (Term(1, metric, matchers), Term(1, COUNT, ())))
    during = (model.edges[:-1] >= 0) & (model.edges[1:] <= 30)
    return float(np.min(part[during] / whole[during]))


def status(value: str) -> Matcher:
    return Matcher("status", value)


@pytest.mark.parametrize(
    ("faults", "seconds", "unanswered"),
    [
        ([SLOW], 0.2, 1.0),
        ([SLOW], 5, 0.0),
        ([{**SLOW, "rate": 0.4}], 0.2, 0.4),
        ([UNEVEN], 0.504, 0.5),
        ([{**SLOW, "rate": 0.4}, {**ERRORS, "rate": 0.5}], 0.2, 0.4),
        ([{**SLOW, "rate": 0.4}, {**RESETS, "rate": 0.5}], 0.2, 0.7),
        ([HANGS], 0.2, 1.0),
    ],
)
def test_a_client_time_out_counts_as_no_response(
    ask: Ask, faults: list[dict[str, Any]], seconds: float, unanswered: float
) -> None:
    """For any later response."""
    model = ask(*faults, traffic={"client_timeout": seconds})
    assert share(model, "http_requests_total", status("000")) == pytest.approx(unanswered, abs=1e-6)
    assert least(model, COUNT, Matcher("status", "000", negative=True)) == pytest.approx(1 - unanswered, abs=1e-6)


@pytest.mark.parametrize("fault", [SLOW, RESETS, HANGS])
def test_no_failure_is_fast(ask: Ask, fault: dict[str, Any]) -> None:
    """Also for an SLI without a status matcher: a bucket counts only responses."""
    model = ask({**fault, "rate": 0.4}, traffic={"client_timeout": "200ms"})
    assert least(model, BUCKET, FAST) == pytest.approx(0.6)
    assert share(model, BUCKET, FAST, status("000")) == 0


def test_an_outage_with_only_time_outs_pages(ask: Ask) -> None:
    """By the availability SLO; the latency SLI, which excludes failures, does not improve."""
    slow = {**SLOW, "schedule": {"duration": "2m"}}
    patient = timetable.predict(ask(slow))
    impatient = timetable.predict(ask(slow, traffic={"client_timeout": "200ms"}))
    bad = [{budget.slo: budget.bad for budget in found.budgets} for found in (patient, impatient)]
    assert [each["availability"] for each in bad] == [0, pytest.approx(12_000, rel=0.01)]
    assert bad[0]["latency"] == pytest.approx(12_000, rel=0.01)
    assert any(alert.slo == "availability" and alert.severity == "page" and alert.moments for alert in impatient.alerts)


def test_the_time_out_is_among_the_assumptions_where_requests_are_held(ask: Ask) -> None:
    said = "clients give up after 30s: without an answer requests fail (000)"
    assert said in timetable.predict(ask(SLOW)).assumptions.others
    assert said not in timetable.predict(ask(ERRORS)).assumptions.others


def test_requests_that_the_end_of_the_fault_releases_are_answered(ask: Ask) -> None:
    """Those of the last seconds, within the clients' time-out."""
    model = ask({**SLOW, "schedule": {"duration": "10s"}}, traffic={"client_timeout": "2s"})
    assert float(model.events([Term(1, "http_requests_total", (status("000"),))])[-1]) == pytest.approx(800, rel=0.02)
