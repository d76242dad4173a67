"""The console in a real browser under attack: cross-site pages and floods of requests."""

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest

from tests.patience import patience

pytest.importorskip("nicegui", reason="needs NiceGUI, of the extra `console`")
playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright, of the dev group")

pytestmark = pytest.mark.slow

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
HACK = "{text: 'window.hacked = 1'}"
PATIENCE = 20_000  # milliseconds


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield a console without sources."""
    nowhere = [
        word
        for name in ("service", "prometheus", "alertmanager", "locust")
        for word in (f"--{name}", "http://127.0.0.1:9")
    ]
    command = [sys.executable, "-m", "chaosapi", "console", "--port", "0", *nowhere]
    log = tmp_path_factory.mktemp("console") / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stderr=out, stdout=out)
    try:
        while not (found := re.search(r"The console is at (\S+)\n", log.read_text())):
            assert process.poll() is None, log.read_text()
        yield found[1]
    finally:
        process.terminate()
        process.wait(patience(20))


@pytest.fixture
def browser() -> Iterator[Any]:
    """Yield a browser without cookies."""
    if not (program := shutil.which("chromium")):
        pytest.skip("needs chromium on PATH: apt-get install chromium")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=program, args=FLAGS)
        context = started.new_context()
        context.set_default_timeout(patience(PATIENCE))
        yield context
        started.close()


def opened(page: Any) -> bool:
    """Wait until the page shows its sources."""
    page.get_by_text("Service: down", exact=True).wait_for()
    return True


def test_the_page_works_under_its_content_security_policy(browser: Any, url: str) -> None:
    """Every panel is drawn without a violation, also with foreign cookies; an injected script does not run."""
    browser.add_cookies([{"name": name, "value": 'x:y"[', "url": url} for name in ("a@b", "chaosapi_console")])
    page = browser.new_page()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.goto(url)
    assert opened(page)
    for name in ("Alerts", "Budget", "Timeline", "World", "Traffic", "Faults"):
        page.get_by_role("tab", name=name).click()
    page.get_by_role("button", name="Halt…").click()
    page.get_by_role("button", name="Cancel").click()
    assert page.evaluate("window.eval('1 + 1')") == 2
    assert troubles == []
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=\"data:,\" onerror=\"window.hacked = 1\">')")
    with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
        page.evaluate(
            "document.body.append(Object.assign(document.createElement('script'), {text: 'window.hacked = 1'}))"
        )
    assert page.evaluate("window.hacked") is None


def test_a_link_from_another_site_opens_the_page_and_a_frame_does_not(browser: Any, url: str) -> None:
    """Although the browser omits the cookie in cross-site requests."""

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(f'<a href="{url}/">console</a><iframe src="{url}/"></iframe>'.encode())

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name there
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Other)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        page = browser.new_page()
        page.goto(f"http://localhost:{server.server_address[1]}/")
        assert page.frames[1].get_by_text("Service: down", exact=True).count() == 0
        page.get_by_role("link", name="console").click()
        assert opened(page)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_flood_of_page_loads_does_not_affect_other_browsers(browser: Any, url: str) -> None:
    """Without a cookie no page is built; with one, abandoned pages are evicted."""
    page = browser.new_page()
    page.goto(url)
    assert opened(page)
    with httpx2.Client(base_url=url) as client:
        for _ in range(2600):
            client.cookies.clear()
            assert client.get("/").status_code == 200
        for _ in range(60):
            assert client.get("/").status_code == 200
    later = browser.new_page()
    later.goto(url)
    assert opened(later)
    page.get_by_role("tab", name="Traffic").click()
    page.get_by_text("For traffic:").wait_for()
