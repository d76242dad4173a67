import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from chaosapi.lab import timeline
from chaosapi.lab.errors import NotReadyError
from chaosapi.lab.prometheus import JOB
from chaosapi.lab.stack import Lab
from chaosapi.lab.timeline import Expected

_PATIENCE: Final = 30.0  # seconds that a moment may come later than predicted
_SERVER_ERRORS: Final = f'http_requests_total{{job="{JOB}",status=~"5.."}}[10m]'


class Story:
    """A fault and what has happened since: Unix seconds by moment, each told as soon as it is known.

    `fault` is the body for POST /admin/faults; its rate is the error ratio that predictions start from, with the
    traffic's `rate` in requests/s.
    """

    def __init__(self, lab: Lab, expected: Expected, fault: Mapping[str, Any], rate: float, console: Console) -> None:
        self._lab, self._expected, self._rate, self._console = lab, expected, rate, console
        self._error_ratio: float = fault["rate"]
        self._name = lab.service.inject(fault)["name"]
        self._applied = time.time()
        self._times: dict[str, float] = {}
        self._tell(timeline.APPLIED, self._applied)

    def end(self) -> None:
        """End the fault, as someone who was paged would."""
        receipt = self._lab.service.end(self._name)["receipt"]
        self._tell(timeline.ENDED, time.time())
        self._console.print(
            f"{receipt['injected']} of {receipt['matched']} requests failed: {receipt['achieved_rate']:.1%}, "
            f"asked for {receipt['requested_rate']:.0%}",
            highlight=False,
        )

    def wait_for(self, moment: str) -> None:
        """Return once the moment and all before it are known.

        Raises NotReadyError when that takes much longer than predicted.
        """
        timeout = self._applied + self._predicted()[moment][1] + _PATIENCE - time.time()
        awaited = set(timeline.MOMENTS[: timeline.MOMENTS.index(moment) + 1])
        try:
            self._lab.parts.wait_until(lambda: awaited <= self._look().keys(), moment, timeout=timeout, every=0.2)
        except NotReadyError as error:
            raise NotReadyError(f"the alert {self._expected.labels}: {error}") from error

    def table(self) -> Table:
        """Return the timeline, once complete: seconds since injection, measured and predicted."""
        table = Table("moment", "measured", "predicted", title="seconds since injection", box=None, title_style="bold")
        predicted = self._predicted()
        for moment in timeline.MOMENTS:
            theory = "{:.1f} to {:.1f}".format(*predicted[moment]) if moment in predicted else ""
            table.add_row(moment, f"{self._times[moment] - self._applied:.1f}", theory)
        return table

    def _look(self) -> dict[str, float]:
        for moment, find in self._sources():
            if moment not in self._times and (when := find()) is not None:
                at_once = moment == timeline.PENDING and self._first("pending") is None
                self._tell(moment, when, " and firing at once: the rule has no `for`" if at_once else "")
        return self._times

    def _sources(self) -> Iterator[tuple[str, Callable[[], float | None]]]:
        samples = self._lab.prometheus.samples
        yield timeline.BAD_SCRAPE, lambda: timeline.first_rise(samples(_SERVER_ERRORS), self._applied)
        yield timeline.PENDING, lambda: self._first("pending") or self._first("firing")
        yield timeline.FIRING, lambda: self._first("firing")
        yield timeline.RECEIVED, lambda: self._delivered("firing")
        if timeline.ENDED in self._times:
            yield timeline.RESOLVED, self._resolved
            yield timeline.RESOLVED_RECEIVED, lambda: self._delivered("resolved")

    def _first(self, state: str) -> float | None:
        found = self._span(state)
        return found[0] if found else None

    def _resolved(self) -> float | None:
        """Return the time of the first evaluation that no longer found the alert."""
        if any(self._expected.is_in(alert.labels) for alert in self._lab.prometheus.alerts()):
            return None
        found = self._span("firing")
        return found[1] + self._lab.interval if found else None

    def _span(self, state: str) -> tuple[float, float] | None:
        return timeline.span(self._lab.prometheus.samples(self._expected.selector(state)), self._applied)

    def _delivered(self, status: str) -> float | None:
        return timeline.received(self._lab.service.alerts(), self._expected, status, self._applied)

    def _predicted(self) -> dict[str, tuple[float, float]]:
        ended = self._times.get(timeline.ENDED)
        return timeline.predicted(
            self._expected,
            error_ratio=self._error_ratio,
            rate=self._rate,
            step=self._lab.interval,
            ended=None if ended is None else ended - self._applied,
        )

    def _tell(self, moment: str, when: float, note: str = "") -> None:
        self._times[moment] = when
        clock = f"{datetime.fromtimestamp(when, UTC):%H:%M:%S}Z"
        self._console.print(f"{clock} {when - self._applied:+6.1f} s  {moment}{note}", highlight=False)
