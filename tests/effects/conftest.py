"""A raw client: the received bytes, and how the connection ended."""

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.conftest import Serve
from tests.patience import patience

Raw = Callable[[str, str], tuple[bytes, str]]
Inject = Callable[..., str]


@pytest.fixture
def raw() -> Raw:
    """Return a function: URL and path → the bytes that arrived, and the end: `closed`, `reset` or `open`."""

    def get(url: str, path: str) -> tuple[bytes, str]:
        parts = urlsplit(url)
        request = f"GET {path} HTTP/1.1\r\nhost: {parts.netloc}\r\nconnection: close\r\n\r\n"
        arrived = b""
        with socket.create_connection((parts.hostname, parts.port), timeout=patience(20)) as client:
            client.sendall(request.encode())
            try:
                while part := client.recv(65536):
                    arrived += part
            except ConnectionResetError:
                return arrived, "reset"
        return arrived, "closed"

    return get


@pytest.fixture
def inject(serve: Serve) -> Inject:
    """Return a function that starts a service with the fault `f` of this effect on every route; returns its URL."""

    def start(effect: dict[str, object], **fault: object) -> str:
        url = serve()
        httpx2.put(f"{url}/admin/faults/f", json={"effect": effect, **fault}).raise_for_status()
        return url

    return start
