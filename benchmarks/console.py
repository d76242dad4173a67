"""The cost of the console: queries per second with one page and with ten, and a browser's memory after half an hour.

Starts a lab with traffic, and Chromium. The half hour is simulated: as many updates, ten times as fast, while a fault
acts, alerts fire and one is silenced. Exits with 1 where a page grows beyond its bounds; six minutes or more.
"""

import argparse
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from threading import Thread
from typing import Any, Final

import httpx2
import psutil
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright
from prometheus_client.parser import text_string_to_metric_families

from chaosapi.console.signals import ALL, SPANS
from chaosapi.lab import stack
from chaosapi.lab.ports import HOST, Ports, url

PORTS: Final = Ports(35600, 35601, 35602, 35603, 35604, 35605, 35606)
WATCHED: Final = 20.0  # seconds
UPDATES: Final = 900  # of half an hour
WARM: Final = 300  # updates after which caches are full
GROWTH: Final = {"DOM nodes": 1.1, "heap": 1.25}
"""The highest ratio of a page's memory after all updates to its memory when warm."""
VIEWS: Final = list(product((ALL, "/api/checkout"), SPANS))
"""Ten different views, one for each page."""


def main() -> None:
    """Measure and print."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None).parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        options = stack.Options(Path(folder), "lab", PORTS, rate=40, traffic=True)
        with stack.running(options, print) as lab:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
            )
            with counted(PORTS.admin) as gate:
                with console("2s", gate.port):
                    cost(browser, gate)
                burning(lab)
                with console("200ms", gate.port) as process:
                    grown = growth(browser, process)
            browser.close()
    if grown:
        sys.exit(f"a page grows: {', '.join(grown)}")


def cost(browser: Browser, gate: "Gate") -> None:
    """Print the queries to the sources and the bytes to a page, with one page and with ten pages of different views."""
    pages: list[Page] = []
    print(f"\n{'pages':>5} {'questions/s to Prometheus':>26} {'to the service':>15} {'KiB/s to a page':>16}")
    for number in (0, 1, 10):
        for view in VIEWS[len(pages) : number]:
            pages.append(opened(browser))
            select_view(pages[-1], *view)
        sent = received(pages[0]) if pages else [0]
        before = questions()
        start = time.monotonic()
        bytes_before = sum(sent)
        passed = gate.passed
        if pages:
            pages[0].wait_for_timeout(WATCHED * 1000)
        else:
            time.sleep(WATCHED)
        took = time.monotonic() - start
        rate = (questions() - before) / took
        traffic = (sum(sent) - bytes_before) / took / 1024
        print(f"{number:5} {rate:26.2f} {(gate.passed - passed) / took:15.2f} {traffic:16.1f}")
    for page in pages:
        page.close()


def select_view(page: Page, route: str, span: str) -> None:
    """Select a route and a time range on a page."""
    page.get_by_role("button", name=span, exact=True).click()
    page.get_by_role("combobox", name="route").click()
    page.get_by_role("option", name=route, exact=True).click()


def burning(lab: stack.Lab) -> None:
    """Inject a fault until the block ends, wait for its alerts, and silence one of them."""
    lab.admin.create_fault(
        {"effect": {"type": "error"}, "rate": 0.2, "schedule": {"duration": "30m"}, "reason": "bench"}
    )
    fires = 'max(ALERTS{alertstate="firing", severity="ticket"}) + max(ALERTS{alertstate="firing", severity="page"})'
    lab.parts.wait_until(lambda: lab.prometheus.value(fires) is not None, "the alerts", timeout=90, every=0.5)
    now = datetime.now(UTC)
    silence = {
        "matchers": [{"name": "severity", "value": "ticket", "isRegex": False, "isEqual": True}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "bench",
        "comment": "bench",
    }
    httpx2.post(f"{url(PORTS.alertmanager)}/api/v2/silences", json=silence).raise_for_status()


def growth(browser: Browser, process: psutil.Process) -> list[str]:
    """Print the memory of a page and the console when warm and after half an hour; return what exceeds its bound."""
    page = opened(browser)
    page.get_by_role("tab", name="Alerts").click()
    page.locator(".chip", has_text="silenced").first.wait_for()
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable")
    print(f"\n{'updates':>7} {'page heap MiB':>14} {'DOM nodes':>10} {'console MiB':>12}")
    frames = received(page)
    looks = []
    for updates in (WARM, UPDATES):
        while len(frames) < updates:
            page.wait_for_timeout(500)
        heap, nodes = held(cdp)
        looks.append({"heap": heap, "DOM nodes": nodes})
        print(f"{updates:7} {heap / 2**20:14.1f} {nodes:10.0f} {process.memory_info().rss / 2**20:12.1f}")
    page.close()
    warm, after = looks
    return [name for name, bound in GROWTH.items() if after[name] > bound * warm[name]]


def held(cdp: CDPSession) -> tuple[float, float]:
    """Return the bytes of the page's heap after a garbage collection, and the number of DOM nodes."""
    cdp.send("HeapProfiler.collectGarbage")
    metrics = {each["name"]: each["value"] for each in cdp.send("Performance.getMetrics")["metrics"]}
    return metrics["JSHeapUsedSize"], metrics["Nodes"]


def received(page: Page) -> list[int]:
    """Return a list to which the size of each update to the page is appended."""
    sizes: list[int] = []
    cdp = page.context.new_cdp_session(page)
    cdp.send("Network.enable")

    def note(event: dict[str, Any]) -> None:
        size = len(event["response"]["payloadData"])
        if size > 1000:  # not a heartbeat
            sizes.append(size)

    cdp.on("Network.webSocketFrameReceived", note)
    return sizes


def opened(browser: Browser) -> Page:
    """Open the console in a new browser."""
    page = browser.new_context(viewport={"width": 1280, "height": 720}).new_page()
    page.goto(url(PORTS.console))
    page.get_by_text("Prometheus: up", exact=True).wait_for()
    return page


def questions() -> float:
    """Return the number of requests that Prometheus has answered, without scrapes of its metrics."""
    text = httpx2.get(f"{url(PORTS.prometheus)}/metrics").text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        if family.name == "prometheus_http_requests"
        for sample in family.samples
        if sample.labels["handler"].startswith("/api/")
    )


class Gate(socketserver.ThreadingTCPServer):
    """A proxy to a local port that counts the requests."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__((HOST, 0), Passing)
        self.behind = port
        self.port = int(self.server_address[1])
        self.passed = 0


class Passing(socketserver.BaseRequestHandler):
    """One connection."""

    server: Gate

    def handle(self) -> None:
        """Forward both directions until either side disconnects."""
        with socket.create_connection((HOST, self.server.behind)) as behind:
            Thread(target=pump, args=(behind, self.request), daemon=True).start()
            for part in parts(self.request):
                self.server.passed += part.count(b" HTTP/1.1\r\n")  # heads are short: never cut in two
                behind.sendall(part)


def parts(connection: socket.socket) -> Iterator[bytes]:
    """Yield the messages of a connection until it ends."""
    with suppress(OSError):
        while part := connection.recv(65536):
            yield part


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Forward one direction until its end."""
    with suppress(OSError):
        for part in parts(source):
            sink.sendall(part)
        sink.shutdown(socket.SHUT_RDWR)


@contextmanager
def counted(port: int) -> Iterator[Gate]:
    """Run the proxy until the block ends."""
    with Gate(port) as gate:
        Thread(target=gate.serve_forever, daemon=True).start()
        yield gate
        gate.shutdown()


@contextmanager
def console(every: str, service: int) -> Iterator[psutil.Process]:
    """Run the console until the block ends."""
    sources = {"service": service, "prometheus": PORTS.prometheus, "alertmanager": PORTS.alertmanager}
    options: list[str] = []
    for name, port in sources.items():
        options += [f"--{name}", url(port)]
    command = [sys.executable, "-m", "chaosapi", "console", *options, "--port", str(PORTS.console), "--every", every]
    with subprocess.Popen(command) as process:
        try:
            while not answers():
                if process.poll() is not None:
                    raise RuntimeError("the console did not start")
                time.sleep(0.1)
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def answers() -> bool:
    """Return whether the console answers."""
    try:
        return httpx2.get(url(PORTS.console)).is_success
    except httpx2.HTTPError:
        return False


if __name__ == "__main__":
    main()
