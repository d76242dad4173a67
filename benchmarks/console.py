"""What the console costs: questions a second with one page and with ten, and what half an hour does to a browser.

Starts a lab with traffic, and Chromium. The half hour is simulated: as many updates, four times as fast.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import psutil
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright
from prometheus_client.parser import text_string_to_metric_families

from chaosapi.lab import stack
from chaosapi.lab.ports import Ports, url

PORTS: Final = Ports(35600, 35601, 35602, 35603, 35604, 35605, 35606)
WATCHED: Final = 20.0  # seconds
UPDATES: Final = 900  # of half an hour
WARM: Final = 100  # updates after which caches are full


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        options = stack.Options(Path(folder), "lab", PORTS, rate=40, traffic=True)
        with stack.running(options, print):
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
            )
            with console("2s"):
                cost(browser)
            with console("500ms") as process:
                growth(browser, process)
            browser.close()


def cost(browser: Browser) -> None:
    """Print what Prometheus is asked and what a page is sent, with one page and with ten."""
    pages: list[Page] = []
    print(f"\n{'pages':>5} {'questions/s to Prometheus':>26} {'KiB/s to a page':>16}")
    for number in (0, 1, 10):
        while len(pages) < number:
            pages.append(opened(browser))
        sent = received(pages[0]) if pages else [0]
        before, start, bytes_before = questions(), time.monotonic(), sum(sent)
        if pages:
            pages[0].wait_for_timeout(WATCHED * 1000)
        else:
            time.sleep(WATCHED)
        took = time.monotonic() - start
        rate, traffic = (questions() - before) / took, (sum(sent) - bytes_before) / took / 1024
        print(f"{number:5} {rate:26.2f} {traffic:16.1f}")
    for page in pages:
        page.close()


def growth(browser: Browser, process: psutil.Process) -> None:
    """Print what a page and the console hold after few updates and after those of half an hour."""
    page = opened(browser)
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable")
    print(f"\n{'updates':>7} {'page heap MiB':>14} {'DOM nodes':>10} {'console MiB':>12}")
    for count in (WARM, WARM + UPDATES):
        frames = received(page)
        while len(frames) < (WARM if count == WARM else UPDATES):
            page.wait_for_timeout(500)
        heap, nodes = held(cdp)
        print(f"{count:7} {heap / 2**20:14.1f} {nodes:10.0f} {process.memory_info().rss / 2**20:12.1f}")
    page.close()


def held(cdp: CDPSession) -> tuple[float, float]:
    """Return the bytes of the page's heap that are in use, garbage swept, and the number of DOM nodes."""
    cdp.send("HeapProfiler.collectGarbage")
    metrics = {each["name"]: each["value"] for each in cdp.send("Performance.getMetrics")["metrics"]}
    return metrics["JSHeapUsedSize"], metrics["Nodes"]


def received(page: Page) -> list[int]:
    """Return a list that grows by the size of each update that the page is sent."""
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
    """Open the console in a browser of its own."""
    page = browser.new_context(viewport={"width": 1280, "height": 720}).new_page()
    page.goto(url(PORTS.console))
    page.get_by_text("Prometheus: up", exact=True).wait_for()
    return page


def questions() -> float:
    """Return how many questions Prometheus has answered, scrapes of it left out."""
    text = httpx2.get(f"{url(PORTS.prometheus)}/metrics").text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        if family.name == "prometheus_http_requests"
        for sample in family.samples
        if sample.labels["handler"].startswith("/api/")
    )


@contextmanager
def console(every: str) -> Iterator[psutil.Process]:
    """Run the console until the block ends."""
    sources = {"service": PORTS.admin, "prometheus": PORTS.prometheus, "alertmanager": PORTS.alertmanager}
    options = [word for name, port in sources.items() for word in (f"--{name}", url(port))]
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
    """Tell whether the console does."""
    try:
        return httpx2.get(url(PORTS.console)).is_success
    except httpx2.HTTPError:
        return False


if __name__ == "__main__":
    main()
