"""What is left of a run: an HTML report, a line about the plan, and whether it went as expected."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import _conductor
import _expect
from _conductor import Conductor
from locust.env import Environment
from locust.html import get_html_report

FOLDER = Path(__file__).parent / "reports"
_log = logging.getLogger(__name__)


class Reports:
    """Tells what came of each run; `folder` is None where no file is wanted."""

    def __init__(self, environment: Environment, conductor: Conductor, folder: Path | None) -> None:
        self._environment = environment
        self._conductor = conductor
        self._folder = folder
        environment.events.test_stop.add_listener(self._tell)  # type: ignore[no-untyped-call]
        environment.events.quitting.add_listener(self._judge)  # type: ignore[no-untyped-call]

    def _tell(self, **_: object) -> None:
        """Log what became of the plan and write the report."""
        choice = self._conductor.choice
        tally = self._conductor.tally()
        if not choice:
            return
        if choice.model == "open":
            for _number in range(tally.missed["lost"]):
                self._environment.stats.log_error("MISSED", "lost", "belonged to a worker that did not report back")
            _conductor.log(choice, tally)
        if self._folder:
            path = self._folder / f"{choice.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.html"
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                path.write_text(get_html_report(self._environment, show_download_link=False), encoding="utf-8")  # type: ignore[no-untyped-call]  # Locust's is untyped
            except OSError as problem:
                _log.warning("no report: %s (--reports chooses another folder, or none)", problem)
            else:
                _log.info("report: %s", path)

    def _judge(self, **_: object) -> None:
        """Let the conditions decide the exit code, where there are any: failures may be what was wanted."""
        options = self._environment.parsed_options
        expected = _expect.parse(options.expect) if options else []
        tally = self._conductor.tally()
        stats = self._environment.stats
        found = [(each, _expect.figure(each.figure, stats, tally.planned, tally.missed.total())) for each in expected]
        for each, figure in found:
            _log.log(logging.INFO if each.met(figure) else logging.ERROR, "%s", _expect.shown(each, figure))
        if found:
            self._environment.process_exit_code = 0 if all(each.met(figure) for each, figure in found) else 1
