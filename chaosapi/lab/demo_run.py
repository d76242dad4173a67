import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from rich.table import Table

from chaosapi.binomial import LEVEL, expected_hits
from chaosapi.clients.answers import Receipt
from chaosapi.lab import timeline
from chaosapi.lab.errors import NotReadyError
from chaosapi.lab.prediction import PredictedMoment, Prediction
from chaosapi.lab.prometheus import JOB
from chaosapi.lab.stack import Lab
from chaosapi.terminal import Terminal

_TOLERANCE_S: Final = 30.0  # seconds that a moment may come later than predicted
_SERVER_ERRORS: Final = f'http_requests_total{{job="{JOB}",status=~"5.."}}[10m]'


def share_of_failures(receipt: Receipt) -> str:
    """Return a line with the share of requests that failed, the requested one, and how far chance takes them apart."""
    matched = receipt["matched"]
    low, high = (hits / max(1, matched) for hits in expected_hits(matched, receipt["requested_rate"]))
    expected = f"expected range {low:.1%} to {high:.1%} (in {LEVEL:.0%} of runs)"
    return (
        f"{receipt['injected']} of {matched} requests failed: {receipt['achieved_rate']:.1%}; "
        f"requested {receipt['requested_rate']:.0%}, {expected}"
    )


class DemoRun:
    """A fault and the moments that followed it, in Unix seconds; prints each moment when it is known."""

    def __init__(self, lab: Lab, prediction: Prediction, console: Terminal) -> None:
        self._lab = lab
        self._prediction = prediction
        self._console = console
        self._expected = prediction.alert
        self._name = lab.admin.create_fault(prediction.fault.model_dump(mode="json", exclude_none=True))["name"]
        self._applied_at = time.time()
        self._times: dict[str, float] = {}
        self._record(timeline.APPLIED, self._applied_at)

    def end(self) -> None:
        """End the fault, as someone who was paged would."""
        receipt = self._lab.admin.end_fault(self._name)["receipt"]
        self._record(timeline.ENDED, time.time())
        self._console.print(share_of_failures(receipt))

    def wait_seconds(self, seconds: float) -> None:
        """Wait until the fault has acted for so long."""
        end = self._applied_at + seconds
        self._lab.parts.wait_until(lambda: time.time() >= end, "the fault", timeout=seconds + _TOLERANCE_S)

    def wait_for(self, moment: str) -> None:
        """Wait until the moment and all earlier ones are known.

        Raises NotReadyError when that takes much longer than predicted.
        """
        predicted = self._predicted_moments()[moment]
        timeout = self._applied_at + (predicted.latest or predicted.expected) + _TOLERANCE_S - time.time()
        awaited = set(timeline.MOMENTS[: timeline.MOMENTS.index(moment) + 1])
        try:
            self._lab.parts.wait_until(lambda: awaited <= self._observe().keys(), moment, timeout=timeout, every=0.2)
        except NotReadyError as error:
            raise NotReadyError(f"the alert {self._expected.labels}: {error}") from error

    def table(self) -> Table:
        """Return the timeline, once complete: seconds since injection, as forecast and as measured."""
        table = Table("moment", "forecast", "expected range", "fact", title="seconds since injection", box=None)
        predicted = self._predicted_moments()
        for moment in timeline.MOMENTS:
            said = predicted.get(moment)
            known = said is not None and said.earliest is not None and said.latest is not None
            chance = f"{said.earliest:.1f} to {said.latest:.1f}" if said and known else ""
            fact = f"{self._times[moment] - self._applied_at:.1f}"
            table.add_row(moment, f"{said.expected:.1f}" if said else "", chance, fact)
        return table

    def _observe(self) -> dict[str, float]:
        for moment, find in self._sources():
            if moment not in self._times and (when := find()) is not None:
                at_once = moment == timeline.PENDING and self._first_evaluation("pending") is None
                self._record(moment, when, " and firing at once: the rule has no `for`" if at_once else "")
        return self._times

    def _sources(self) -> Iterator[tuple[str, Callable[[], float | None]]]:
        samples = self._lab.prometheus.samples
        yield timeline.BAD_SCRAPE, lambda: timeline.first_rise(samples(_SERVER_ERRORS), self._applied_at)
        yield timeline.PENDING, lambda: self._first_evaluation("pending") or self._first_evaluation("firing")
        yield timeline.FIRING, lambda: self._first_evaluation("firing")
        yield timeline.RECEIVED, lambda: self._delivery_time("firing")
        if timeline.ENDED in self._times:
            yield timeline.RESOLVED, self._resolution_time
            yield timeline.RESOLVED_RECEIVED, lambda: self._delivery_time("resolved")

    def _first_evaluation(self, state: str) -> float | None:
        found = self._evaluation_span(state)
        return found[0] if found else None

    def _resolution_time(self) -> float | None:
        """Return the time of the first evaluation that no longer found the alert."""
        if any(self._expected.matches(alert["labels"]) for alert in self._lab.prometheus.alerts()):
            return None
        found = self._evaluation_span("firing")
        return found[1] + self._lab.interval if found else None

    def _evaluation_span(self, state: str) -> tuple[float, float] | None:
        return timeline.first_and_last(self._lab.prometheus.samples(self._expected.selector(state)), self._applied_at)

    def _delivery_time(self, status: str) -> float | None:
        return timeline.received(self._lab.admin.alerts(limit=100)["alerts"], self._expected, status, self._applied_at)

    def _predicted_moments(self) -> dict[str, PredictedMoment]:
        ended = self._times.get(timeline.ENDED)
        return self._prediction.moments(None if ended is None else ended - self._applied_at)

    def _record(self, moment: str, when: float, note: str = "") -> None:
        self._times[moment] = when
        clock = f"{datetime.fromtimestamp(when, UTC):%H:%M:%S}Z"
        self._console.print(f"{clock} {when - self._applied_at:+6.1f} s  {moment}{note}")
