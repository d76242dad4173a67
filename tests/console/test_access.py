import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.requests import HTTPConnection, Request
from starlette.websockets import WebSocketDisconnect

from chaosapi.console import login
from chaosapi.console.access import AccessMiddleware, Session, Sessions, cookie
from tests.conftest import Clock
from tests.patience import patience

PASSWORD = "correct horse"  # noqa: S105 - of this test
LIVE = "ws://localhost/_nicegui/live"


async def at_once(_: float) -> None:
    """Wait for nothing: the clock of these tests stands."""


def guarded(
    password: str | None,
    clock: Clock,
    base_url: str = "http://localhost",
    *,
    sleep: Callable[[float], Awaitable[None]] = at_once,
    admits: Callable[[], bool] = lambda: True,
) -> TestClient:
    """Return a client of a small app behind the guard."""
    app = FastAPI()
    sessions = Sessions(password, clock, sleep)
    app.include_router(login.router(sessions))

    @app.get("/")
    async def page(request: Request) -> bool:
        return bool(request.scope["session_of_console"].entered)

    @app.post("/_nicegui/taken")
    async def take(request: Request) -> int:
        return len(await request.body())

    @app.websocket("/_nicegui/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    return TestClient(AccessMiddleware(app, sessions, admits), base_url=base_url, follow_redirects=False)


def test_on_loopback_nobody_logs_in_and_each_browser_has_its_session(clock: Clock) -> None:
    """The cookie is not for scripts or other sites; a page is built only for who keeps it, a web socket needs it."""
    client = guarded(None, clock)
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(LIVE):
        pass
    first = client.get("/")
    assert "HttpOnly; SameSite=Strict" in first.headers["set-cookie"]
    assert "url=/enter" in first.text
    assert client.get("/enter").headers["location"] == "/"
    assert client.get("/").json() is False
    assert "set-cookie" not in client.get("/").headers
    with client.websocket_connect(LIVE):
        pass


def test_a_browser_without_cookies_is_told(clock: Clock) -> None:
    """And not sent in circles."""
    answer = guarded(None, clock).get("/enter")
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    assert "allow cookies" in answer.text


def test_a_page_is_built_for_the_page_alone(clock: Clock) -> None:
    """Other paths are answered before NiceGUI builds one for them, and where there is no room none is built."""
    client = guarded(None, clock, admits=lambda: False)
    client.get("/")
    assert client.get("/other").status_code == 404
    assert client.get("/").status_code == 503


def test_a_name_that_is_not_loopback_is_refused_without_a_password(clock: Clock) -> None:
    """A page that points its own name at 127.0.0.1 gets nothing."""
    assert guarded(None, clock, "http://evil.example").get("/").status_code == 403
    assert guarded(PASSWORD, clock, "http://console.example").get("/").status_code == 303


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "via", "x-real-ip"])
def test_without_a_password_it_is_not_shown_through_a_proxy(header: str, clock: Clock) -> None:
    """A proxy on this machine may set Host to localhost, and its clients may be anywhere."""
    headers = {header: "127.0.0.1"}
    assert guarded(None, clock).get("/", headers=headers).status_code == 403
    assert guarded(PASSWORD, clock).get("/", headers=headers).status_code == 303


@pytest.mark.parametrize("password", [None, PASSWORD])
@pytest.mark.parametrize("value", ["http://[", "[::1", "a b", "x:y:z", ""])
def test_a_malformed_header_is_refused(password: str | None, value: str, clock: Clock) -> None:
    """Host and Origin; it is no failure of the console."""
    client = guarded(password, clock)
    client.get("/")
    assert client.get("/", headers={"host": value}).status_code == (400 if value else 403)
    assert client.get("/", headers={"origin": value}).status_code == 403


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_a_request_with_two_hosts_is_refused(password: str | None, clock: Clock) -> None:
    """RFC 9112, 3.2."""
    sent = [("host", "localhost"), ("host", "localhost")]
    assert guarded(password, clock).get("/", headers=sent).status_code == 400


@pytest.mark.parametrize(
    "foreign", ['a:b=1; "=; =;; \\', "chaosapi_console=x", "a=" + "b" * 4000, "\xff=\xfe", "{a}=1; a@b=2; (x)=3"]
)
@pytest.mark.parametrize("password", [None, PASSWORD])
def test_cookies_of_other_servers_do_no_harm(password: str | None, foreign: str, clock: Clock) -> None:
    """They are for all ports of a host; before and after ours, and also of the name that ours has elsewhere."""
    client = guarded(password, clock)
    path = "/login" if password else "/"
    own = client.request("POST" if password else "GET", path, data={"password": PASSWORD} if password else None)
    ours = own.headers["set-cookie"].partition(";")[0]
    client.cookies.clear()
    for cookies in (f"{foreign}; {ours}", f"{ours}; {foreign}", f"{ours.partition('=')[0]}=guessed; {ours}"):
        answer = client.get("/", headers=[(b"cookie", cookies.encode("latin-1"))])
        assert answer.json() is bool(password)
    assert client.get("/", headers=[(b"cookie", foreign.encode("latin-1"))]).status_code in {200, 303}


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_another_sites_page_is_refused(password: str | None, clock: Clock) -> None:
    """By its origin, for the web socket as well, and by where the browser says that a request comes from."""
    client = guarded(password, clock)
    client.get("/")
    foreign = {"origin": "http://evil.example"}
    assert client.get("/", headers=foreign).status_code == 403
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(LIVE, headers=foreign):
        pass
    for site in ("cross-site", "same-site"):
        embedded = {"sec-fetch-site": site, "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}
        assert client.get("/", headers={"sec-fetch-site": site}).status_code == 403
        assert client.get("/", headers=embedded).status_code == 403
        followed = embedded | {"sec-fetch-dest": "document"}
        assert client.get("/", headers=followed).status_code in {200, 303}
        assert client.post("/login", headers=followed).status_code == 403


def test_with_a_password_nothing_is_shown_before(clock: Clock) -> None:
    """The page leads to the form; the right password opens it for twelve hours, a wrong one says so."""
    client = guarded(PASSWORD, clock)
    assert client.get("/").headers["location"] == "/login"
    assert client.get("/_nicegui/anything").headers["location"] == "/login"
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(LIVE):
        pass
    assert client.post("/login", data={"password": "wrong"}).status_code == 401
    assert client.post("/login", data={"password": PASSWORD}).status_code == 303
    assert client.get("/").json() is True
    with client.websocket_connect(LIVE):
        pass
    clock.now += 12 * 3600 + 1
    assert client.get("/").status_code == 303


def test_guessing_is_slowed_down_and_the_right_password_always_works(clock: Clock) -> None:
    """After ten wrong passwords within a minute a peer's attempts take turns; the right one only waits for its own."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.now += seconds

    client = guarded(PASSWORD, clock, sleep=sleep)
    for _ in range(30):
        assert client.post("/login", data={"password": "wrong"}).status_code == 401
    assert client.post("/login", data={"password": PASSWORD}).status_code == 303
    assert sum(waits) == pytest.approx(20 * 0.5)
    clock.now += 61
    waits.clear()
    assert client.post("/login", data={"password": PASSWORD}).status_code == 303
    assert waits == []


def test_a_flood_of_guesses_is_bounded_and_delays_nobody_else(clock: Clock) -> None:
    """So many may wait at once; what would wait longer is refused, while other peers get in at once."""
    found: dict[str, list[bool | None]] = {"guesser": [], "other": []}

    async def flood() -> None:
        waiting = asyncio.Event()
        sessions = Sessions(PASSWORD, clock, lambda seconds: waiting.wait() if seconds else asyncio.sleep(0))  # type: ignore[arg-type, return-value]  # what it returns is not looked at
        async with asyncio.TaskGroup() as asking:

            async def guess(peer: str, password: str) -> None:
                found[peer].append(await sessions.check_password(peer, password))

            for _ in range(1000):
                asking.create_task(guess("guesser", "wrong"))
            await asyncio.sleep(0)
            await asyncio.wait_for(guess("other", PASSWORD), patience(30))
            waiting.set()

    asyncio.run(flood())
    assert found["other"] == [True]
    assert Counter(found["guesser"]) == {False: 31, None: 969}


def test_browsers_that_hold_nothing_push_out_nobody(clock: Clock) -> None:
    """However many come without a cookie, who has logged in or entered a token stays."""
    sessions = Sessions(None, clock)
    request = HTTPConnection({"type": "http", "headers": [], "server": ("localhost", 8080)})

    def find(number: str) -> Session | None:
        headers = [(b"cookie", cookie(request, number).partition(";")[0].encode())]
        return sessions.find(HTTPConnection({**request.scope, "headers": headers}))

    entered, _ = sessions.open(entered=True)
    holding, session = sessions.open(entered=False)
    idle, _ = sessions.open(entered=False)
    session.token = PASSWORD
    assert find(holding) is session
    for _ in range(3000):
        sessions.open(entered=False)
    assert find(entered) is not None
    assert find(holding) is session
    assert find(idle) is None


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_is_bounded(clock: Clock, declared: bool) -> None:  # noqa: FBT001
    """At once where its length is declared, else while it is read."""
    client = guarded(None, clock)
    client.get("/")
    path = "/_nicegui/taken"
    assert client.post(path, content=b"x" * 1_000_000).json() == 1_000_000
    large = b"x" * 1_000_001
    assert client.post(path, content=large if declared else iter([large])).status_code == 413
    assert client.post("/login", content=iter([large])).status_code == 413


def test_off_loopback_the_console_starts_only_with_a_password() -> None:
    """It says what to set."""
    command = [sys.executable, "-m", "chaosapi", "console", "--host", "192.0.2.1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "CHAOSAPI_CONSOLE_PASSWORD" in done.stderr
