"""Responses before the body of a request with `Expect: 100-continue`, under servers of host apps."""

import socket
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from fastapi import Body, FastAPI

import chaosapi
from chaosapi.settings import Settings
from tests.serving import serving

app_body = Body()


@pytest.fixture(params=["httptools", "h11"])
def client(request: pytest.FixtureRequest) -> Iterator[httpx2.Client]:
    """Serve an app that reads the body of one request, and has a token."""
    app = FastAPI()

    @app.post("/reads")
    def reads(body: Any = app_body) -> Any:
        return body

    @app.post("/refuses", status_code=413)
    def refuses() -> str:
        return "too large"

    chaosapi.install(app, Settings(access_log=False, admin_token="secret"))
    with serving(app, request.param) as client:
        yield client


def answer(client: httpx2.Client, path: str, *headers: str) -> str:
    """Send the head of a request that announces a body, and return the head of the final response, in lower case."""
    head = (f"POST {path} HTTP/1.1", "host: localhost", "expect: 100-continue", "content-length: 4", *headers, "", "")
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), 10) as connection:
        connection.sendall("\r\n".join(head).encode())
        got = b""
        while b"\r\n\r\n" not in got.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n"):
            if got == b"HTTP/1.1 100 Continue\r\n\r\n":
                connection.sendall(b"1234")
            received = connection.recv(4096)
            assert received, got
            got += received
        return got.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").decode().lower()


def test_a_response_before_the_body_closes_the_connection(client: httpx2.Client) -> None:
    """An injected response, one of the control plane, and one of the app: the body may follow or not."""
    headers = {"authorization": "bearer secret"}
    fault = {"effect": {"type": "error"}, "target": {"routes": ["/reads"]}}
    client.post("/admin/faults", json=fault, headers=headers).raise_for_status()
    for path, status in (("/reads", 503), ("/admin/faults", 401), ("/refuses", 413), ("/nowhere", 404)):
        head = answer(client, path, "content-type: application/json")
        assert head.startswith(f"http/1.1 {status}"), head
        assert head.count("connection: close") == 1, path


def test_a_response_after_the_body_keeps_the_connection(client: httpx2.Client) -> None:
    head = answer(client, "/reads", "content-type: application/json")
    assert head.startswith("http/1.1 200")
    assert "connection: close" not in head
