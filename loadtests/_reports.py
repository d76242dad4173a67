"""The results of a run: a log line, an HTML report, the verdict on the pass conditions, and the exit code."""

import atexit
import logging
from datetime import UTC, datetime
from pathlib import Path
from time import time

import _coordinator
import _expect
import gevent
from _answers import Answers
from _coordinator import Coordinator
from _run import Choice, Tally
from gevent.event import Event
from locust import runners
from locust.env import Environment
from locust.html import get_html_report
from locust.runners import LocalRunner, WorkerRunner
from locust.stats import RequestStats, StatsError

FOLDER = Path(__file__).parent / "reports"
_PATIENCE_S = 60.0
_log = logging.getLogger(__name__)


class Reports:
    """Reports on each run once, when it has ended; no file if `folder` is None.

    A run with a web page ends when it is stopped. Without one it ends with Locust, when all workers have reported.
    """

    def __init__(
        self, environment: Environment, coordinator: Coordinator, answers: Answers, folder: Path | None
    ) -> None:
        self._environment = environment
        self._coordinator = coordinator
        self._answers = answers
        self._folder = folder
        self._reported = False
        self._quitting = False
        self._verdicts: list[_expect.Verdict] = []
        options = environment.parsed_options
        self._headless = bool(options and options.headless)
        self._autostart = bool(options and options.autostart)
        self._stopped = Event()
        events = environment.events
        events.test_stop.add_listener(lambda **_: self._stopped.set())  # type: ignore[no-untyped-call]
        events.test_start.add_listener(self._begin)  # type: ignore[no-untyped-call]  # Locust's is untyped
        events.quitting.add_listener(self._quit)  # type: ignore[no-untyped-call]
        if not self._headless:
            events.test_stop.add_listener(self.conclude)  # type: ignore[no-untyped-call]
        atexit.register(self.conclude)  # where Locust gives up without `quitting`

    def conclude(self, **_: object) -> None:
        """Log the summary and the verdicts, and write the HTML report, unless it was done for this run."""
        if self._reported:
            return
        self._reported = True
        self._coordinator.end()
        choice = self._coordinator.choice
        tally = self._coordinator.tally()
        cut_short = self._coordinator.cut_short()
        expected = self._expected()
        started = self._coordinator.started
        if choice and choice.model == "open" and started:
            self._count_unaccounted(tally)
            _coordinator.log(choice, tally)
        if cut_short and choice and not expected and (started or self._headless):
            _log.warning("the run was cut short: %s", cut_short)
        if choice and self._folder and started:
            self._write_report(choice, self._folder)
        measured = _expect.Measured(
            self._environment.stats,
            self._answers.requests,
            self._answers.answered,
            tally.planned,
            tally.missed.total(),
            cut_short,
        )
        self._verdicts = _expect.judge(expected, measured) if expected else []
        for met, text in self._verdicts:
            _log.log(logging.INFO if met else logging.ERROR, "%s", text)

    def _count_unaccounted(self, tally: Tally) -> None:
        """Count requests as missed that nobody sent, or whose process ended before their answer."""
        stats = self._environment.stats
        _add_missed(stats, "lost", "not sent: its process ended, or did not report back", tally.missed["lost"])
        in_flight = tally.planned + tally.retries - tally.missed.total() - self._answers.requests
        if in_flight > 0 and not self._environment.reset_stats:
            _add_missed(stats, "unanswered", "its process ended before the answer", in_flight)
            tally.missed["unanswered"] += in_flight

    def _begin(self, **_: object) -> None:
        self._reported = False
        self._stopped.clear()
        choice = self._coordinator.choice
        for each in self._expected() if choice is None or choice.model != "open" else ():
            if each.figure == "missed":
                _log.warning("%s will not be met: %s", each.text, _expect.UNPLANNED)

    def _expected(self) -> list[_expect.Expectation]:
        options = self._environment.parsed_options
        return _expect.parse(options.expect) if options else []

    def _write_report(self, choice: Choice, folder: Path) -> None:
        path = folder / f"{choice.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.html"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(get_html_report(self._environment, show_download_link=False), encoding="utf-8")  # type: ignore[no-untyped-call]  # Locust's is untyped
        except OSError as problem:
            _log.warning("no report: %s (--reports chooses another folder, or none)", problem)
        else:
            _log.info("report: %s", path)

    def _quit(self, **_: object) -> None:
        """End the run if it still goes on, report on it, and set the exit code.

        Without conditions Locust's own rule holds, since faults may cause failures; a scenario that a web page does not
        steer must also have run to its end.
        """
        if self._quitting:  # a signal ends Locust in one greenlet while another sees the runner end
            gevent.sleep(_PATIENCE_S)
            return
        self._quitting = True
        self._end_run()
        self.conclude()
        options = self._environment.parsed_options
        if self._verdicts:
            self._environment.process_exit_code = 0 if all(each.met for each in self._verdicts) else 1
        elif options and self._headless and self._coordinator.choice and self._coordinator.cut_short():
            self._environment.process_exit_code = options.exit_code_on_error

    def _end_run(self) -> None:
        runner = self._environment.runner
        if runner is None:
            return
        if isinstance(runner, LocalRunner) and self._autostart and not self._headless and runner.shape_greenlet:
            runner.shape_greenlet.kill(block=False)  # Locust waits for it, and then stops the run: not twice at once
            self._stopped.wait(_PATIENCE_S)
        runner.quit()


def _add_missed(stats: RequestStats, reason: str, text: str, count: int) -> None:
    """Count missed requests in Locust's statistics, all of a reason at once: they may be millions."""
    if not count:
        return
    stats.log_error("MISSED", reason, text)
    stats.errors[StatsError.create_key("MISSED", reason, text)].occurrences += count - 1
    for entry in (stats.get(reason, "MISSED"), stats.total):
        entry.num_failures += count - 1


class LostMaster:
    """Says at the end of a worker that its run is not judged, if the master died during the run."""

    def __init__(self, environment: Environment, runner: WorkerRunner) -> None:
        self._environment = environment
        self._runner = runner
        self._running = False
        events = environment.events
        events.test_start.add_listener(self._begin)  # type: ignore[no-untyped-call]  # Locust's is untyped
        events.test_stopping.add_listener(self._end)  # type: ignore[no-untyped-call]
        events.quitting.add_listener(self._report)  # type: ignore[no-untyped-call]

    def _begin(self, **_: object) -> None:
        self._running = True

    def _end(self, **_: object) -> None:
        self._running = self._running and self._is_lost()

    def _is_lost(self) -> bool:
        heard = self._runner.last_heartbeat_timestamp
        return heard is not None and heard < time() - runners.MASTER_HEARTBEAT_TIMEOUT

    def _report(self, **_: object) -> None:
        if self._running and self._is_lost():
            options = self._environment.parsed_options
            expected = (options and options.expect) or "a whole run"
            silence = runners.MASTER_HEARTBEAT_TIMEOUT
            _log.error("NOT met: %s (not judged: the master has been silent for %g s)", expected, silence)
            self._environment.process_exit_code = 1
