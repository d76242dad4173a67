"""The lab and the demo as a user runs them: real processes, from an empty folder."""

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil
import pytest

from chaosapi import assets
from chaosapi.cli import spans
from chaosapi.effects import Error
from chaosapi.faults.fault import Fault
from chaosapi.forecast.traffic import Traffic
from chaosapi.lab import debian, demo, stack, status, timeline, traces
from chaosapi.lab import tools as tools_of_the_lab
from chaosapi.lab.demo_run import DemoRun
from chaosapi.lab.errors import PartDiedError
from chaosapi.lab.ports import Ports
from chaosapi.lab.prediction import Prediction
from chaosapi.lab.timeline import ExpectedAlert
from chaosapi.slo import spec
from chaosapi.terminal import Terminal
from tests.patience import patience

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("CHAOSAPI_")} | {
    "COLUMNS": "120"
}


def command(name: str, ports: dict[str, int], *options: str) -> list[str]:
    """Return the command line of `chaosapi lab` or `chaosapi demo` on these ports."""
    words = [word for option, port in ports.items() for word in (option, str(port))]
    return [sys.executable, "-m", "chaosapi", name, *words, *options]


def run(name: str, ports: dict[str, int], cwd: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in a folder."""
    return subprocess.run(
        command(name, ports, *options),
        cwd=cwd,
        env={**ENVIRONMENT, "TMPDIR": str(cwd)},
        capture_output=True,
        text=True,
        check=False,
    )


def eventually(condition: Callable[[], bool]) -> bool:
    """Wait for a condition, longer on a busy machine."""
    deadline = time.monotonic() + patience(60)
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def alive(part: psutil.Process) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return part.is_running() and part.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def listening(ports: dict[str, int]) -> list[int]:
    """Return the ports that are in use."""

    def answers(port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return [port for port in ports.values() if answers(port)]


@contextmanager
def lab_running(ports: dict[str, int], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a lab until the block ends; the block starts when the lab is ready."""
    with subprocess.Popen(
        command("lab", ports),
        cwd=folder,
        env={**ENVIRONMENT, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as lab:
        try:
            assert lab.stdout is not None
            assert any(re.match(r"\d\d:\d\d:\d\dZ targets 2/2 up", line) for line in lab.stdout)
            yield lab
        finally:
            lab.kill()


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["lab", "production"])
def test_once(profile: str, lab_ports: dict[str, int], tmp_path: Path, tools: dict[str, Path]) -> None:
    """`lab --once` starts all parts, waits for targets and rules, stops all parts and leaves nothing behind."""
    done = run("lab", lab_ports, tmp_path, "--once", "--profile", profile)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("targets 2/2 up; rules ")
    loaded, known = last.split("rules ")[1].split()[0].split("/")
    assert loaded == known != "0"
    assert eventually(lambda: listening(lab_ports) == [])  # another test may borrow a port for a moment
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs a Debian or one of its kin")
def test_the_distributions_packages_work_too(
    lab_ports: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without PATH, releases and newer suites, the distribution's packages make a working lab."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    kept = tools_of_the_lab.tools_folder() / "system"  # so that a second run of the tests downloads nothing
    sources = [("this system's package", debian.fetch_running)]
    names = ("prometheus", "promtool", "alertmanager", "amtool")
    found = tools_of_the_lab.ensure_programs(*names, folder=kept, sources=sources)
    assert found == {name: kept / name for name in names}
    monkeypatch.setitem(ENVIRONMENT, "CHAOSAPI_TOOLS_DIR", str(kept))
    done = run("lab", lab_ports, tmp_path, "--once")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_token_is_used_by_all_parts(
    lab_ports: dict[str, int], tmp_path: Path, tools: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With CHAOSAPI_ADMIN_TOKEN set, the lab's own requests have it; only parts that need it get it or may read it."""
    monkeypatch.setenv("CHAOSAPI_ADMIN_TOKEN", "a-token")
    monkeypatch.setenv("CHAOSAPI_CONSOLE_PASSWORD", "a password")
    monkeypatch.setenv("SOMEBODYS_SECRET", "a secret")
    config = tmp_path / "alertmanager.yml"
    config.touch(mode=0o644)
    ports = Ports(*lab_ports.values())
    parts = ("chaosapi serve", "chaosapi console", "alertmanager.yml", "prometheus.yml")
    known: dict[str, set[str]] = {}
    others = set(psutil.Process().children())  # of tests before this one
    with stack.running(stack.Options(tmp_path, "lab", ports, console=True), Terminal(quiet=True).print) as lab:
        assert lab.admin.list_faults("active")["faults"] == []
        for child in set(psutil.Process().children()) - others:
            what = [word for word in parts if word in " ".join(child.cmdline())]
            known[what[0]] = {"a-token", "a password", "a secret"} & set(child.environ().values())
    assert known == dict(zip(parts, ({"a-token"}, {"a-token", "a password"}, set(), set()), strict=True))
    assert config.stat().st_mode & 0o077 == 0
    assert "a-token" in config.read_text()


def test_a_port_in_use_is_named_before_anything_starts(
    lab_ports: dict[str, int], tmp_path: Path, tools: dict[str, Path]
) -> None:
    """A port in use ends the lab with 1 and names the port, its owner and the option, with nothing started."""
    with socket.create_server(("127.0.0.1", lab_ports["--alertmanager-port"])):
        done = run("lab", lab_ports, tmp_path, "--once")
    assert done.returncode == 1
    port = lab_ports["--alertmanager-port"]
    assert f"port {port} is taken by" in done.stderr
    assert "--alertmanager-port" in done.stderr
    assert "starting" not in done.stdout


def test_an_unknown_profile_is_refused(lab_ports: dict[str, int], tmp_path: Path) -> None:
    """The error lists the known profiles."""
    done = run("lab", lab_ports, tmp_path, "--profile", "staging")
    assert done.returncode == 2
    assert "lab, production" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_no_process_is_left(
    number: signal.Signals, code: int, lab_ports: dict[str, int], tmp_path: Path, tools: dict[str, Path]
) -> None:
    """After any end of the lab, none of its processes runs; after a graceful end its data is removed too."""
    with lab_running(lab_ports, tmp_path) as lab:
        parts = psutil.Process(lab.pid).children(recursive=True)
        assert len(parts) == 4  # with the console, which the dev environment has what it needs for
        lab.send_signal(number)
        assert lab.wait(patience(60)) == code
    # A killed process is dead a moment before the last of its threads closes its port.
    assert eventually(lambda: not any(alive(part) for part in parts) and listening(lab_ports) == [])
    assert number == signal.SIGKILL or list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["serve", "--storage.tsdb.path", "--cluster.listen-address="])
def test_a_crash_of_any_part_ends_the_lab(
    victim: str, lab_ports: dict[str, int], tmp_path: Path, tools: dict[str, Path]
) -> None:
    """When the service, Prometheus or Alertmanager dies, the lab names it, stops the others and exits with 1."""
    with lab_running(lab_ports, tmp_path) as lab:
        parts = psutil.Process(lab.pid).children(recursive=True)
        next(part for part in parts if victim in " ".join(part.cmdline())).kill()
        _, told = lab.communicate(timeout=patience(60))
    assert lab.returncode == 1
    assert "was killed by SIGKILL. The end of" in told
    assert not any(alive(part) for part in parts)


@pytest.mark.slow
def test_data_dir_keeps_the_data(lab_ports: dict[str, int], tmp_path: Path, tools: dict[str, Path]) -> None:
    """With --data-dir the store and the logs stay, and a second lab continues with them instead of seeding."""
    folder = tmp_path / "kept"
    first = run("lab", lab_ports, tmp_path, "--once", "--data-dir", str(folder))
    second = run("lab", lab_ports, tmp_path, "--once", "--data-dir", str(folder))
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    assert "seeding" in first.stdout
    assert "seeding" not in second.stdout
    assert (folder / "logs" / "prometheus.log").stat().st_size


@pytest.mark.slow
def test_traffic_may_flow_from_the_start(lab_ports: dict[str, int], tmp_path: Path, tools: dict[str, Path]) -> None:
    """With --rate Locust sends to the shop, and the lab does not say how to start it."""
    folder = tmp_path / "kept"
    done = run("lab", lab_ports, tmp_path, "--once", "--rate", "5", "--data-dir", str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "requests within 604800 s" in (folder / "logs" / "locust.log").read_text()


@pytest.mark.slow
def test_the_status_names_faults_and_alerts(lab_ports: dict[str, int], tmp_path: Path, tools: dict[str, Path]) -> None:
    """The status shows a fault while it acts, even one that blocks the service; a dead part ends the status.

    The log of the service, which commands find, is JSON and says nothing about faults; the audit log does.
    """
    with stack.running(stack.Options(tmp_path, "lab", Ports(*lab_ports.values())), Terminal(quiet=True).print) as lab:
        assert status.read_status(lab).faults == ()
        lab.admin.create_fault({"name": "shown", "effect": {"type": "error"}})
        assert status.read_status(lab).faults == ("shown",)
        assert httpx2.get(f"{lab.endpoints.users}/api/products").status_code == 503
        if traces.folder(tmp_path / "logs"):  # the extra is installed
            folder = Path(str(lab.addresses.traces))
            lab.parts.wait_until(lambda: any(spans.requests(spans.read(folder))), "a span in the folder of the lab")
        lab.admin.create_fault({"name": "frozen", "effect": {"type": "pause", "pause": "1m", "every": "2m"}})
        lab.parts.wait_until(
            lambda: status.read_status(lab).targets == "1/2 up", "a target that looks frozen", every=0.2
        )
        assert status.read_status(lab).faults == ("frozen", "shown")
        assert lab.addresses.log is not None
        lines = [json.loads(line) for line in Path(lab.addresses.log).read_text().splitlines()]
        assert {line["logger"] for line in lines} >= {"uvicorn.error", "chaosapi.access"}
        assert not re.search(r"fault|shown|frozen|admin", str(lines))
        audit = [json.loads(line) for line in (tmp_path / "logs" / "audit.log").read_text().splitlines()]
        assert [line["fault"] for line in audit if line["event"] == "fault created"] == ["shown", "frozen"]
        next(child for child in psutil.Process().children() if "serve" in child.cmdline()).kill()
        with pytest.raises(PartDiedError, match="service was killed"):
            status.show_until_stopped(lab, Terminal(quiet=True))


@pytest.mark.slow
def test_demo(lab_ports: dict[str, int], tmp_path: Path, tools: dict[str, Path]) -> None:
    """The demo exits with 0 after a real alert has fired and resolved, and prints each step."""
    del lab_ports["--console-port"]  # it is over before anybody could open one
    del lab_ports["--locust-port"]  # and it sends its own traffic
    done = run("demo", lab_ports, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    moments = [
        "fault applied",
        "first bad scrape",
        "alert pending",
        "firing in Prometheus",
        "received from Alertmanager",
        "fault ended",
        "resolved in Prometheus",
        "resolved received",
    ]
    table = done.stdout.partition("seconds since injection")[2]
    measured = [line.split() for line in table.splitlines() if line.strip().startswith(tuple(moments))]
    assert len(measured) == len(moments)
    assert "\x1b" not in done.stdout
    assert "requested 20%, expected range" in done.stdout
    assert "\nNext: " in done.stdout
    assert eventually(lambda: listening(lab_ports) == [])  # another test may borrow a port for a moment


@pytest.mark.slow
def test_an_outage_pages_first_under_the_production_profile(
    lab_ports: dict[str, int], tmp_path: Path, tools: dict[str, Path]
) -> None:
    """After a healthy month a total outage pages with the 1h/5m pair first, as the theory says, without any ticket."""
    options = stack.Options(tmp_path, "production", Ports(*lab_ports.values()), traffic=True)
    with stack.running(options, Terminal(quiet=True).print) as lab:
        flowing = 'sum(rate(http_requests_total{job="chaosapi"}[30s])) > 15'
        lab.parts.wait_until(
            lambda: lab.prometheus.value(flowing) is not None, "traffic", timeout=patience(60), every=0.5
        )
        lab.admin.create_fault({"effect": {"type": "error", "status": 503}})
        applied = time.time()
        first: list[tuple[str, str, str]] = []

        def burning() -> bool:
            labels = [alert["labels"] for alert in lab.prometheus.alerts()]
            # A busy machine raises alerts of its own, about the event loop.
            first[:] = [(one["slo"], one["severity"], one["long_window"]) for one in labels if "slo" in one]
            return bool(first)

        lab.parts.wait_until(burning, "the first alert of an SLO", timeout=patience(150), every=0.5)
        waited = time.time() - applied
    assert first == [("availability", "page", "1h")]
    assert 40 < waited < 90  # theory: 14.4 × 0.001 × 3600 = 51.8 s, then a scrape and an evaluation of 5 s each


def _check_first_sample(lab: stack.Lab) -> None:
    """Prometheus sees the status of a fault at 0 before the first request that gets it."""
    teapot = Fault.model_validate(
        {"effect": Error(status=418), "schedule": {"start_after": 2 * lab.interval, "duration": 1}}
    )
    lab.admin.create_fault(teapot.model_dump(mode="json"))
    counted = 'sum(http_requests_total{job="chaosapi",status="418"}) > 0'
    lab.parts.wait_until(lambda: lab.prometheus.value(counted) is not None, "a 418", timeout=patience(30))
    for series in lab.prometheus.samples('http_requests_total{handler="/api/products",status="418"}[1m]'):
        assert series[0][1] == 0


@pytest.mark.slow
def test_a_fault_of_504_pages_as_early_as_forecast(
    lab_ports: dict[str, int], tmp_path: Path, tools: dict[str, Path]
) -> None:
    """Its series is 0 from the start, in Prometheus too, so no scrape of the burst is lost."""
    fault = demo.FAULT.model_copy(update={"effect": Error(status=504), "rate": 0.05})
    options = stack.Options(tmp_path, ports=Ports(*lab_ports.values()), traffic=True)
    with stack.running(options, Terminal(quiet=True).print) as lab:
        flowing = 'sum(rate(http_requests_total{job="chaosapi"}[5s])) > 15'
        lab.parts.wait_until(lambda: lab.prometheus.value(flowing) is not None, "traffic", timeout=patience(60))
        born = lab.prometheus.samples('http_requests_total{handler="/api/products",status="504"}[1m]')
        assert {value for _, value in born[0]} == {0}
        _check_first_sample(lab)
        shop = spec.load(assets.path("alerts") / "slo.yaml")
        expected = ExpectedAlert("availability", lab.profile.pairs[0])
        prediction = Prediction(expected, fault, Traffic.of_shop(20), shop, lab.profile)
        told = io.StringIO()
        run = DemoRun(lab, prediction, Terminal(file=told, width=200))
        run.wait_for(timeline.FIRING)
        run.end()
    forecast = prediction.moments()[timeline.FIRING]
    assert forecast.expected == 18
    measured = float(re.findall(r"([+][0-9.]+) s  firing in Prometheus", told.getvalue())[0])
    assert forecast.earliest is not None
    assert forecast.latest is not None
    assert forecast.earliest - lab.interval <= measured <= forecast.latest + patience(2)
