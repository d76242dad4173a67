import asyncio
import re
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
    """Return at once: the clock of these tests is fake."""


def guarded(
    password: str | None,
    clock: Clock,
    base_url: str = "http://localhost",
    *,
    sleep: Callable[[float], Awaitable[None]] = at_once,
    admits: Callable[[], bool] = lambda: True,
) -> TestClient:
    """Return a client of a small app behind the access guard."""
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


def test_on_loopback_each_browser_has_a_session_without_a_login(clock: Clock) -> None:
    """The cookie is HttpOnly and SameSite; pages and web sockets need it."""
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


def test_a_link_to_a_query_leads_there(clock: Clock) -> None:
    """Also in a browser without a session; `/enter` leads to no other site."""
    client = guarded(None, clock)
    first = client.get("/query?expr=rate(x[1m])&span=5 m")
    found = re.search(r"url=([^\"]+)", first.text)
    assert found
    assert client.get(found[1]).headers["location"] == "/query?expr=rate(x[1m])&span=5%20m"
    for elsewhere in ("//evil.example/query", "https://evil.example/", "/query/../x", "/admin", "/\\evil.example"):
        assert client.get("/enter", params={"page": elsewhere}).headers["location"] == "/"


def test_a_browser_without_cookies_gets_an_explanation(clock: Clock) -> None:
    """It is not redirected in a loop."""
    answer = guarded(None, clock).get("/enter")
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    assert "allow cookies" in answer.text


def test_only_the_pages_path_builds_a_page(clock: Clock) -> None:
    """Other paths are answered before NiceGUI builds a page, and beyond the limit no page is built."""
    client = guarded(None, clock, admits=lambda: False)
    client.get("/")
    assert client.get("/other").status_code == 404
    assert client.get("/").status_code == 503


def test_without_a_password_only_loopback_names_are_accepted(clock: Clock) -> None:
    """A name that resolves to 127.0.0.1 is refused (DNS rebinding)."""
    assert guarded(None, clock, "http://evil.example").get("/").status_code == 403
    assert guarded(PASSWORD, clock, "http://console.example").get("/").status_code == 303


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "via", "x-real-ip"])
def test_without_a_password_requests_through_a_proxy_are_refused(header: str, clock: Clock) -> None:
    """A local proxy may set Host to localhost and forward requests from any machine."""
    headers = {header: "127.0.0.1"}
    assert guarded(None, clock).get("/", headers=headers).status_code == 403
    assert guarded(PASSWORD, clock).get("/", headers=headers).status_code == 303


@pytest.mark.parametrize("password", [None, PASSWORD])
@pytest.mark.parametrize("value", ["http://[", "[::1", "a b", "x:y:z", ""])
def test_a_malformed_header_is_refused(password: str | None, value: str, clock: Clock) -> None:
    """Host and Origin; no such header causes a 5xx."""
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
def test_cookies_of_other_servers_are_ignored(password: str | None, foreign: str, clock: Clock) -> None:
    """Cookies are shared by all ports of a host; also cookies of the same name."""
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
def test_cross_site_requests_are_refused(password: str | None, clock: Clock) -> None:
    """By Origin, for the web socket too, and by Sec-Fetch-Site."""
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


def test_with_a_password_every_page_needs_a_login(clock: Clock) -> None:
    """The page redirects to the form; the right password gives a session of twelve hours, a wrong one an error."""
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


def test_guesses_are_slowed_down_and_the_right_password_works(clock: Clock) -> None:
    """After ten wrong passwords within a minute a peer's attempts are queued; the right one waits only for its turn."""
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


def test_a_flood_of_guesses_is_bounded_and_delays_no_other_peer(clock: Clock) -> None:
    """The queue is bounded; further attempts are refused, while other peers log in at once."""
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


def test_new_sessions_do_not_evict_sessions_with_a_login(clock: Clock) -> None:
    """For any number of requests without a cookie, sessions with a login or a token stay."""
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
def test_a_body_is_bounded(clock: Clock, declared: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """At once if its length is declared, else while it is read."""
    client = guarded(None, clock)
    client.get("/")
    path = "/_nicegui/taken"
    assert client.post(path, content=b"x" * 1_000_000).json() == 1_000_000
    large = b"x" * 1_000_001
    assert client.post(path, content=large if declared else iter([large])).status_code == 413
    assert client.post("/login", content=iter([large])).status_code == 413


def test_off_loopback_the_console_starts_only_with_a_password() -> None:
    """The error names the setting."""
    command = [sys.executable, "-m", "chaosapi", "console", "--host", "192.0.2.1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "CHAOSAPI_CONSOLE_PASSWORD" in done.stderr
