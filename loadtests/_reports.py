"""The results of a run: an HTML report, a log line, and the exit code from the pass conditions."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import _coordinator
import _expect
from _coordinator import Coordinator
from locust.env import Environment
from locust.html import get_html_report

FOLDER = Path(__file__).parent / "reports"
_log = logging.getLogger(__name__)


class Reports:
    """Writes a report after each run; no file if `folder` is None."""

    def __init__(self, environment: Environment, coordinator: Coordinator, folder: Path | None) -> None:
        self._environment = environment
        self._coordinator = coordinator
        self._folder = folder
        environment.events.test_stop.add_listener(self._write_report)  # type: ignore[no-untyped-call]
        environment.events.quitting.add_listener(self._check_expectations)  # type: ignore[no-untyped-call]

    def _write_report(self, **_: object) -> None:
        """Log the summary and write the HTML report."""
        choice = self._coordinator.choice
        tally = self._coordinator.tally()
        if not choice:
            return
        if choice.model == "open":
            for _number in range(tally.missed["lost"]):
                self._environment.stats.log_error("MISSED", "lost", "belonged to a worker that did not report back")
            _coordinator.log(choice, tally)
        if self._folder:
            path = self._folder / f"{choice.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.html"
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                path.write_text(get_html_report(self._environment, show_download_link=False), encoding="utf-8")  # type: ignore[no-untyped-call]  # Locust's is untyped
            except OSError as problem:
                _log.warning("no report: %s (--reports chooses another folder, or none)", problem)
            else:
                _log.info("report: %s", path)

    def _check_expectations(self, **_: object) -> None:
        """Set the exit code by the pass conditions; without any, failures do not count: faults may cause them."""
        options = self._environment.parsed_options
        expected = _expect.parse(options.expect) if options else []
        tally = self._coordinator.tally()
        stats = self._environment.stats
        found = [(each, _expect.figure(each.figure, stats, tally.planned, tally.missed.total())) for each in expected]
        for each, figure in found:
            _log.log(logging.INFO if each.met(figure) else logging.ERROR, "%s", _expect.describe(each, figure))
        if found:
            self._environment.process_exit_code = 0 if all(each.met(figure) for each, figure in found) else 1
