"""`chaosapi demo`: inject a fault, and compare the time of the real alert with the forecast."""

import time
from typing import Final

from chaosapi import assets
from chaosapi.alert_labels import severity
from chaosapi.faults.fault import Fault
from chaosapi.forecast.traffic import Traffic
from chaosapi.lab import timeline
from chaosapi.lab.demo_run import DemoRun
from chaosapi.lab.errors import LabError
from chaosapi.lab.prediction import Prediction
from chaosapi.lab.prometheus import JOB
from chaosapi.lab.stack import Lab
from chaosapi.lab.status import TOO_BUSY, reasons_not_to_trust
from chaosapi.lab.timeline import ExpectedAlert
from chaosapi.slo import spec
from chaosapi.terminal import Terminal

RATE: Final = 100.0
"""Requests per second: enough for a steady error ratio within seconds, few enough for any laptop."""
FAULT: Final = Fault.model_validate(
    {
        "effect": {"type": "error", "status": 503},
        "rate": 0.2,
        "schedule": {"duration": "3m"},
        "reason": "chaosapi demo",
    }
)
_SLO: Final = "availability"
_BASELINE_S: Final = 10.0  # seconds of healthy traffic before the fault
_FAULT_S: Final = 10.0
"""The fault lasts so long, and until the alert is received: some thousand requests show its rate."""


def run(lab: Lab, console: Terminal) -> None:
    """Inject the fault into a lab with traffic, wait until the page alert has come and gone, and print the timeline.

    Raises LabError, saying which moment never came, unless the alert reached the webhook both times.
    """
    console.print(f"{RATE:g} requests/s, healthy for {_BASELINE_S:g} s after a healthy past")
    try:
        with console.status("healthy traffic") as shown:
            _record_baseline(lab)
            shown.update("waiting for the alert")
            story = DemoRun(lab, _prediction(lab), console)
            story.wait_for(timeline.RECEIVED)
            story.wait_seconds(_FAULT_S)
            story.end()
            shown.update("waiting for the alert to resolve")
            story.wait_for(timeline.RESOLVED_RECEIVED)
        console.print()
        console.print(story.table())
    finally:  # a moment that did not come may have this reason
        if reasons := reasons_not_to_trust(lab):
            console.print(f"{TOO_BUSY} {', '.join(reasons)}", style="yellow")


def _prediction(lab: Lab) -> Prediction:
    """Forecast the quick page of the availability SLO."""
    shop = spec.load(assets.path("alerts") / "slo.yaml")
    return Prediction(ExpectedAlert(_SLO, lab.profile.pairs[0]), FAULT, Traffic.of_shop(RATE), shop, lab.profile)


def _record_baseline(lab: Lab) -> None:
    flowing = f'sum(rate(http_requests_total{{job="{JOB}"}}[{round(5 * lab.interval)}s]))'
    lab.parts.wait_until(
        lambda: (lab.prometheus.value(flowing) or 0) > 0.9 * RATE, f"{RATE:g} requests/s from Locust", every=0.2
    )
    until = time.monotonic() + _BASELINE_S
    lab.parts.wait_until(lambda: time.monotonic() > until, "healthy traffic")
    if pages := [alert for alert in lab.prometheus.alerts() if severity(alert["labels"]) == "page"]:
        raise LabError(f"pages before any fault: {', '.join(page['labels']['alertname'] for page in pages)}")
