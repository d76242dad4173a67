import subprocess
import sys

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.requests import Request
from starlette.websockets import WebSocketDisconnect

from chaosapi.console import login
from chaosapi.console.access import Guard, Sessions
from tests.conftest import Clock

PASSWORD = "correct horse"  # noqa: S105 - of this test
LIVE = "ws://localhost/live"


def guarded(password: str | None, clock: Clock, base_url: str = "http://localhost") -> TestClient:
    """Return a client of a small app behind the guard."""
    app, sessions = FastAPI(), Sessions(password, clock)
    app.include_router(login.router(sessions))

    @app.get("/")
    async def page(request: Request) -> bool:
        return bool(request.scope["session_of_console"].entered)

    @app.websocket("/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    return TestClient(Guard(app, sessions), base_url=base_url, follow_redirects=False)


def test_on_loopback_nobody_logs_in_and_each_browser_has_its_session(clock: Clock) -> None:
    """The cookie comes with the first page, and is not for scripts or other sites; a web socket needs it."""
    client = guarded(None, clock)
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(LIVE):
        pass
    first = client.get("/")
    assert "HttpOnly; SameSite=Strict" in first.headers["set-cookie"]
    assert "set-cookie" not in client.get("/").headers
    with client.websocket_connect(LIVE):
        pass


def test_a_name_that_is_not_loopback_is_refused_without_a_password(clock: Clock) -> None:
    """A page that points its own name at 127.0.0.1 gets nothing."""
    assert guarded(None, clock, "http://evil.example").get("/").status_code == 403
    assert guarded(PASSWORD, clock, "http://console.example").get("/").status_code == 303


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_another_sites_page_is_refused(password: str | None, clock: Clock) -> None:
    """By its origin, for the web socket as well."""
    client = guarded(password, clock)
    client.get("/")
    foreign = {"origin": "http://evil.example"}
    assert client.get("/", headers=foreign).status_code == 403
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(LIVE, headers=foreign):
        pass


def test_with_a_password_nothing_is_shown_before(clock: Clock) -> None:
    """The page leads to the form; the right password opens it for twelve hours, a wrong one says so."""
    client = guarded(PASSWORD, clock)
    assert client.get("/").headers["location"] == "/login"
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(LIVE):
        pass
    assert client.post("/login", data={"password": "wrong"}).status_code == 401
    assert client.post("/login", data={"password": PASSWORD}).status_code == 303
    assert client.get("/").json() is True
    with client.websocket_connect(LIVE):
        pass
    clock.now += 12 * 3600 + 1
    assert client.get("/").status_code == 303


def test_guessing_is_slowed_down(clock: Clock) -> None:
    """After ten wrong passwords within a minute even the right one has to wait."""
    client = guarded(PASSWORD, clock)
    for _ in range(10):
        client.post("/login", data={"password": "wrong"})
    assert client.post("/login", data={"password": PASSWORD}).status_code == 401
    clock.now += 61
    assert client.post("/login", data={"password": PASSWORD}).status_code == 303


def test_off_loopback_the_console_starts_only_with_a_password() -> None:
    """It says what to set."""
    command = [sys.executable, "-m", "chaosapi", "console", "--host", "192.0.2.1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "CHAOSAPI_CONSOLE_PASSWORD" in done.stderr
