"""The verdict on the pass conditions comes whatever ends a run, and is not met by a run that did not take place."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.loadtests.ids import is_planned
from tests.loadtests.processes import ENVIRONMENT, LOADTESTS, answers, free_port, locust, wait_for
from tests.loadtests.shop import Shop
from tests.patience import patience

pytestmark = pytest.mark.slow

EXPECT = ("--expect", "p95<30s,errors<1%,missed<0.1%")
"""The three conditions of the README, with a limit that a busy machine keeps."""
STEADY = ("--scenario", "steady", "--rate", "20", "--duration", "20s", *EXPECT)
WHOLE = re.compile(r"NOT met: a whole run \((.*)\)")


@dataclass
class Program:
    """Locust in the background, leader of its own process group."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def text(self) -> str:
        """What it has written so far."""
        return self.log.read_text()

    def ended(self) -> int:
        """Wait for its end and return the exit code."""
        return self.process.wait(patience(40))

    def verdicts(self) -> list[str]:
        """Return its verdicts, without figures."""
        return re.findall(r"(?:NOT )?met: \S+", self.text)


@contextmanager
def started(folder: Path, name: str, *arguments: str, files: str = str(LOADTESTS)) -> Iterator[Program]:
    """Run Locust, its output in a file; kill it in the end."""
    log = folder / f"{name}.log"
    command = [sys.executable, "-m", "locust", "-f", files, "--only-summary", "--reports", str(folder), *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield Program(process, log)
    finally:
        process.kill()
        process.wait()


def planned(shop: Shop) -> bool:
    """Return whether a request of the plan has come; those before its start fill carts."""
    return any(is_planned(headers["x-request-id"]) for headers in list(shop.headers))


@pytest.mark.parametrize(
    ("number", "mode"),
    [
        (signal.SIGTERM, "--headless"),
        (signal.SIGHUP, "--headless"),
        (signal.SIGINT, "--headless"),
        (signal.SIGINT, "--autostart"),
    ],
)
def test_a_signal_during_a_scenario_ends_it_with_all_reports(
    shop: Shop, tmp_path: Path, number: int, mode: str
) -> None:
    """Summary, HTML report and verdicts, with a page or without; what was not due yet was missed."""
    page = ("--web-host", "127.0.0.1", "--web-port", str(free_port()))
    with started(tmp_path, "log", mode, *page, "-H", shop.url, *STEADY) as run:
        wait_for(lambda: planned(shop), "the plan")
        run.process.send_signal(number)
        assert run.ended() == 1
    missed = re.search(r"400 requests were due and (\d+) missed \(\1 stopped\)", run.text)
    assert missed, run.text
    assert int(missed[1]) > 300
    assert run.verdicts()[:3] == ["NOT met: p95<30s", "NOT met: errors<1%", "NOT met: missed<0.1%"]
    assert f"of 20 s: {signal.Signals(number).name}" in WHOLE.findall(run.text)[0]
    assert list(tmp_path.glob("steady-*.html"))
    assert "Traceback" not in run.text


def test_a_second_signal_does_not_wait_for_answers(shop: Shop, tmp_path: Path) -> None:
    """Requests in flight are missed like those that were not due yet."""
    with shop.held, started(tmp_path, "log", "--headless", "-H", shop.url, *STEADY) as run:
        wait_for(lambda: planned(shop), "the plan")
        run.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "shutting down" in run.text, "the first signal")
        run.process.send_signal(signal.SIGTERM)
        assert run.ended() == 128 + signal.SIGTERM
    missed = re.search(r"400 requests were due and 400 missed \((\d+) stopped, (\d+) unanswered\)", run.text)
    assert missed, run.text
    assert int(missed[2]) > 0
    assert "NOT met: missed<0.1% (it was 100.00%)" in run.text


@pytest.mark.parametrize("more", [(), ("--master", "--master-bind-host", "127.0.0.1")])
def test_an_interrupt_before_the_first_request_is_no_traceback(tmp_path: Path, more: tuple[str, ...]) -> None:
    """Locust prepares for a second before a scenario starts, and waits for workers without an end."""
    port = ("--master-bind-port", str(free_port())) if more else ()
    with started(tmp_path, "log", "--headless", *STEADY, *more, *port) as run:
        wait_for(lambda: "Waiting for workers" in run.text or "400 requests" in run.text, "the start")
        run.process.send_signal(signal.SIGINT)
        assert run.ended() == 1
    assert "Traceback" not in run.text
    assert "KeyboardInterrupt" not in run.text
    assert "NOT met: p95<30s (not measured: no request ended)" in run.text
    assert "NOT met: missed<0.1% (it was 100.00%)" in run.text
    assert bool(list(tmp_path.glob("*.html"))) is not bool(more)


def test_a_run_without_its_only_worker_has_missed_the_rest(shop: Shop, tmp_path: Path) -> None:
    """The worker is killed: what it did not report was lost, and no condition is met."""
    port = str(free_port())
    master = ("--headless", "--master", "--expect-workers", "1", "--master-bind-port", port, "-H", shop.url)
    with (
        started(tmp_path, "m", *master, *STEADY) as run,
        started(tmp_path, "w", "--worker", "--master-port", port) as w,
    ):
        wait_for(lambda: planned(shop), "the plan")
        w.process.kill()
        assert run.ended() == 1
    assert re.search(r"400 requests were due and \d+ missed \(\d+ lost(, \d+ unanswered)?\)", run.text), run.text
    assert "met" not in [each.partition(":")[0] for each in run.verdicts()]
    assert "of 20 s: no worker was left" in WHOLE.findall(run.text)[0]


def test_a_worker_without_its_master_says_that_nobody_judges(shop: Shop, tmp_path: Path) -> None:
    """The master is killed: its worker, which hears of that by silence alone, does not end as if all were well."""
    port = str(free_port())
    quick = tmp_path / "quick.py"
    quick.write_text("import locust.runners\nlocust.runners.MASTER_HEARTBEAT_TIMEOUT = 2\n")
    master = ("--headless", "--master", "--expect-workers", "1", "--master-bind-port", port, "-H", shop.url)
    files = f"{LOADTESTS / 'locustfile.py'},{quick}"
    worker = ("--worker", "--master-port", port)
    with started(tmp_path, "m", *master, *STEADY) as m, started(tmp_path, "w", *worker, files=files) as run:
        wait_for(lambda: planned(shop), "the plan")
        m.process.kill()
        assert run.ended() == 1
    assert f"NOT met: {EXPECT[1]} (not judged: the master has been silent for 2 s)" in run.text


def test_an_interrupt_of_master_and_workers_counts_what_they_sent(shop: Shop, tmp_path: Path) -> None:
    """Ctrl-C reaches all processes of a terminal; the workers report before they leave."""
    with started(tmp_path, "log", "--headless", "--processes", "2", "-H", shop.url, *STEADY) as run:
        wait_for(lambda: planned(shop), "the plan")
        os.killpg(run.process.pid, signal.SIGINT)
        assert run.ended() == 1
    found = re.search(r"400 requests were due and (\d+) missed", run.text)
    assert found, run.text
    sent = sum(is_planned(headers["x-request-id"]) for headers in shop.headers)
    assert 400 - int(found[1]) == sent
    assert "Traceback" not in run.text


def test_nothing_measured_is_not_met(tmp_path: Path) -> None:
    """Without a user, and with a target that is down; `missed` needs a plan."""
    nobody = locust("-u", "0", "-t", "2s", *EXPECT, reports=str(tmp_path))
    assert nobody.returncode == 1
    assert re.findall(r"NOT met: (\S+) \(not measured: (.*)\)", nobody.stderr) == [
        ("p95<30s", "no request ended"),
        ("errors<1%", "no request ended"),
        ("missed<0.1%", "only a scenario in the open model plans requests"),
    ]
    assert "missed<0.1% will not be met: only a scenario" in nobody.stderr.partition("NOT met")[0]
    down = locust("--scenario", "steady", "--duration", "1s", *EXPECT, reports=str(tmp_path))
    assert down.returncode == 1
    assert "NOT met: p95<30s (not measured: no request was answered)" in down.stderr
    assert "NOT met: errors<1% (it was 100.00%)" in down.stderr
    assert "NOT met: a whole run" not in down.stderr
    assert "met: missed<0.1% (it was 0.00%)" in down.stderr


def test_the_web_page_judges_each_run_by_all_its_requests(shop: Shop, tmp_path: Path) -> None:
    """A reset of the statistics hides requests, so their figures are not measured; a stop leaves the rest undone."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    form = {"scenario": "steady", "rate": "20", "duration": "20s", "host": shop.url, "user_count": "1"}
    with started(tmp_path, "log", "--web-host", "127.0.0.1", "--web-port", str(port), *EXPECT) as run:
        wait_for(lambda: answers(url), "the web page")
        httpx2.post(f"{url}/swarm", data=form).raise_for_status()
        wait_for(lambda: httpx2.get(f"{url}/stats/requests").json()["stats"][-1]["num_requests"] > 2, "requests")
        httpx2.post(f"{url}/stats/reset").raise_for_status()
        httpx2.post(f"{url}/stop").raise_for_status()
        wait_for(lambda: bool(WHOLE.findall(run.text)), "the verdict")
        run.process.send_signal(signal.SIGINT)
        assert run.ended() == 1
    assert re.search(r"NOT met: errors<1% \(not measured: the statistics were reset: they have \d+ of \d+", run.text)
    assert "of 20 s: it was stopped" in WHOLE.findall(run.text)[0]
    assert "Traceback" not in run.text
