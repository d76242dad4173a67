import re

import pytest
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from chaosapi.console.headers import SecurityHeaders

PAGE = '<script src="a"></script><SCRIPT>x</SCRIPT><script>y</script><scripts>'


async def page(_: Request) -> HTMLResponse:
    """Answer with a page."""
    return HTMLResponse(PAGE + " " * 5000)


async def parts(_: Request) -> StreamingResponse:
    """Answer with a page in chunks, split within a tag."""
    return StreamingResponse(iter([PAGE[:4], PAGE[4:]]), media_type="text/html")


async def plain(_: Request) -> PlainTextResponse:
    """Answer with text."""
    return PlainTextResponse(PAGE)


@pytest.fixture
def client() -> TestClient:
    """Return a client of such responses, compressed if requested."""
    app = Starlette(routes=[Route("/page", page), Route("/parts", parts), Route("/plain", plain)])
    app.add_middleware(GZipMiddleware)
    return TestClient(SecurityHeaders(app))


@pytest.mark.parametrize("path", ["/page", "/parts"])
def test_only_a_pages_own_scripts_may_run(client: TestClient, path: str) -> None:
    """Each response has its own nonce on its scripts, also if the browser accepts compression."""
    nonces = set()
    for _ in range(2):
        answer = client.get(path, headers={"accept-encoding": "gzip"})
        found = re.search(r"script-src 'self' 'unsafe-eval' 'nonce-([^']+)'", answer.headers["content-security-policy"])
        assert found
        assert answer.text.count(f'<script nonce="{found[1]}"') == 2
        assert "unsafe-inline" not in answer.headers["content-security-policy"].partition("script-src")[2]
        nonces.add(found[1])
    assert len(nonces) == 2


@pytest.mark.parametrize("path", ["/page", "/parts", "/plain", "/nothing"])
def test_no_response_may_be_framed_by_another_site(client: TestClient, path: str) -> None:
    """Refusals too; the page is otherwise unchanged."""
    answer = client.get(path)
    assert answer.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    if path == "/plain":
        assert answer.text == PAGE
