"""The console's sources, and their errors: with small servers of the tests."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chaosapi.clients.alertmanager import AsyncAlertmanagerClient
from chaosapi.clients.errors import NoAnswerError, RefusedError
from chaosapi.clients.locust import AsyncLocustClient
from chaosapi.clients.prometheus import AsyncPrometheusClient
from chaosapi.console.feed import DOWN_AFTER_S, Feed, Source, State
from chaosapi.console.locust import LocustWatcher, describe_badge
from chaosapi.console.panels.traffic import describe_absence
from chaosapi.console.prometheus import PrometheusWatcher
from chaosapi.console.service import ServiceState, ServiceWatcher, as_curl
from chaosapi.console.signals import View
from chaosapi.console.sources import Addresses, Sources
from tests.conftest import Clock

SOURCE = Source("Prometheus", "http://127.0.0.1:9", "Start it.")
EMPTY: dict[str, Any] = {"groups": [], "result": [], "activeTargets": []}
ANSWER: dict[str, Any] = {
    **{name: [] for name in ("faults", "entries", "alerts", "changes", "limits", "quarantine", "risks", "absent")},
    **{name: {} for name in ("release", "flags", "settings", "providers", "rotation", "shed")},
    "halt": None,
    "revision": 1,
    "next": None,
    "dropped": 0,
}
"""What a service without faults answers to all that the console polls, in one object; `replicas` differs by path."""


def client(answer: Callable[[Request], Awaitable[Response]]) -> httpx2.AsyncClient:
    """Return a client of a server with this response to every request."""
    app = FastAPI()
    app.add_api_route("/{path:path}", answer, methods=["GET", "POST", "DELETE"], response_model=None)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test")


def prometheus(seen: Counter[str]) -> AsyncPrometheusClient:
    """Return a client of a Prometheus without series, which counts its requests."""

    async def answer(request: Request) -> Response:
        seen[request.url.path] += 1
        data: Any = [] if "label" in request.url.path else EMPTY
        return JSONResponse({"status": "success", "data": data})

    return AsyncPrometheusClient(client(answer))


def test_ten_pages_send_as_many_queries_as_one(clock: Clock) -> None:
    """Pages with the same view share a response; without a page there are no queries for charts."""

    def asked_by(pages: list[View]) -> Counter[str]:
        seen: Counter[str] = Counter()
        asyncio.run(PrometheusWatcher(prometheus(seen), "shop", lambda: pages, clock).poll())
        return seen

    assert asked_by([View()] * 10) == asked_by([View()])
    assert asked_by([])["/api/v1/query_range"] == 0
    assert asked_by([View(), View(3600)])["/api/v1/query_range"] == 4


def test_a_long_time_range_is_refreshed_less_often(clock: Clock) -> None:
    """Its points are minutes apart: it is refreshed after a quarter of that."""
    seen: Counter[str] = Counter()

    async def look() -> None:
        asking = PrometheusWatcher(prometheus(seen), "shop", lambda: [View(21600)], clock)
        for _ in range(36):
            await asking.poll()
            clock.now += 2

    asyncio.run(look())
    assert seen["/api/v1/query_range"] == 2 * 2
    assert seen["/api/v1/rules"] == 36 + 3
    assert seen["/api/v1/query"] == 36 * 2 + 3, "budgets and present values in each round"


def test_a_source_is_stale_before_it_is_down(clock: Clock) -> None:
    """The last response stays, with its age; a closed port is down at once."""
    answers = [{"a": 1}]

    async def ask() -> dict[str, int]:
        if not answers:
            raise NoAnswerError("no answer")
        return answers.pop()

    feed = Feed(SOURCE, ask, clock)
    assert feed.state() == "waiting"
    asyncio.run(feed.poll())
    assert feed.state() == "up"
    clock.now += 10
    asyncio.run(feed.poll())
    assert (feed.state(), feed.answer) == ("stale", {"a": 1})
    assert "What you see is 10 s old. Start it." in feed.describe()
    clock.now += DOWN_AFTER_S
    assert feed.state() == "down"


def test_a_closed_port_is_down_at_once(clock: Clock) -> None:
    """A refused connection is not retried until stale."""
    room = Sources(Addresses(service="http://127.0.0.1:9", prometheus="http://127.0.0.1:9"), None, clock)
    asyncio.run(room.service.poll())
    assert room.service.state() == "down"
    assert "chaosapi serve" in room.service.describe()


def test_a_malformed_response_is_an_error_of_the_source(clock: Clock) -> None:
    """Another program may use the port."""

    async def ask() -> str:
        return str(EMPTY["no such thing"])

    feed = Feed(SOURCE, ask, clock)
    asyncio.run(feed.poll())
    assert feed.state() == "down"
    assert "cannot read" in feed.describe()


def test_a_malformed_alert_is_an_error_of_alertmanager_only(clock: Clock) -> None:
    """Its response is parsed when it is read."""

    async def answer(_: Request) -> Response:
        return JSONResponse([{"labels": {}}])

    room = Sources(Addresses(), None, clock)
    room.silencer = AsyncAlertmanagerClient(client(answer))
    asyncio.run(room.alertmanager.poll())
    assert "other JSON" in room.alertmanager.describe()


def test_a_response_becomes_stale_by_age(clock: Clock) -> None:
    """Also without an error, if polling has stopped."""

    async def ask() -> int:
        return 1

    feed = Feed(SOURCE, ask, clock)
    asyncio.run(feed.poll())
    clock.now += DOWN_AFTER_S + 1
    assert feed.state() == "stale"
    assert "was last polled 31 s ago" in feed.describe()


def test_data_read_with_a_sessions_token_is_shown_to_that_session_only(clock: Clock) -> None:
    """Unless the console has its own token: then its password or the loopback check protects the data."""
    room = Sources(Addresses(), None, clock)
    assert room.may_see(None)
    room.admin.token = "entered in one browser"  # noqa: S105 - of this test
    assert not room.may_see(None)
    assert room.may_see("entered in one browser")
    assert Sources(Addresses(), "its own", clock).may_see(None)


def test_an_entered_token_is_used_for_twelve_hours(clock: Clock) -> None:
    """Then the console no longer uses it; the console's own token has no limit."""

    async def answer(request: Request) -> Response:
        known = "authorization" in request.headers
        replicas = {"applied": 1, "known": 1} if request.url.path == "/admin/world" else []
        return JSONResponse(ANSWER | {"replicas": replicas}, 200 if known else 401)

    async def look(own: str | None) -> str:
        room = Sources(Addresses(), own, clock)
        room.admin = ServiceWatcher(client(answer), own)
        await room.unlock("entered")
        assert room.service.state() == "up", room.service.describe()
        clock.now += 12 * 3600
        await room.service.poll()
        return room.service.state()

    assert asyncio.run(look(None)) == "locked"
    assert asyncio.run(look("its own")) == "up"


def test_a_401_of_the_service_has_a_hint(clock: Clock) -> None:
    """A console with its own token has no key button."""

    async def answer(_: Request) -> Response:
        return JSONResponse({}, 401)

    def told(own: str | None) -> str:
        room = Sources(Addresses(), own, clock)
        room.admin = ServiceWatcher(client(answer), own)
        asyncio.run(room.service.poll())
        return room.service.describe()

    assert "the key at the top" in told(None)
    assert "CHAOSAPI_ADMIN_TOKEN" in told("wrong")


def test_passwords_in_urls_are_hidden(clock: Clock) -> None:
    """On the page and in copied commands."""
    room = Sources(Addresses(prometheus="https://me:secret@example.org:9090/prom"), None, clock)
    assert room.prometheus.source.url == "https://example.org:9090/prom"


def test_a_change_uses_the_token_of_its_own_session() -> None:
    """Not another session's token, also while the console reads with one."""
    carried: list[str | None] = []

    async def answer(request: Request) -> Response:
        carried.append(request.headers.get("authorization"))
        applied = {"applied": 1, "known": 1}
        return JSONResponse({"ended": 0, "revision": 1, "stored": True, "replicas": applied})

    clock = Clock()
    room = Sources(Addresses(), None, clock)
    room.admin = ServiceWatcher(client(answer), "entered in one browser")
    for token in (None, "", "mine"):
        asyncio.run(room.admin.with_token(room.token_for(token)).end_all_faults())
    assert carried == [None, None, "Bearer mine"]


def test_copied_curl_commands_are_quoted_and_have_no_token() -> None:
    """The command can be pasted into a shell."""
    line = as_curl("http://127.0.0.1:8001", {"effect": {"type": "error"}, "reason": "it's a drill"}, token=True)
    assert line.startswith("curl -X POST http://127.0.0.1:8001/admin/faults -H 'content-type: application/json'")
    assert '-H "authorization: Bearer $CHAOSAPI_ADMIN_TOKEN"' in line
    assert """'"'"'s a drill""" in line


def steering(refused: Callable[[dict[str, Any]], bool]) -> tuple[LocustWatcher, list[str]]:
    """Return a watcher of a Locust that refuses such forms, and the list of what it was asked to do."""
    done: list[str] = []

    async def answer(request: Request) -> Response:
        form = dict(await request.form())
        check = " (check)" * ("check" in form)
        done.append(f"{request.url.path} {form.get('rate', '')}{check}".strip())
        return JSONResponse({"success": not refused(form), "message": "rate: a number."})

    return LocustWatcher(AsyncLocustClient(client(answer))), done


def test_a_typo_stops_no_run() -> None:
    """Locust stops a run before it reads the form of the next one, so the form is checked first."""
    locust, done = steering(lambda form: form.get("rate") == "typo")
    with pytest.raises(RefusedError, match=r"^rate: a number\.$"):
        asyncio.run(locust.change({"rate": "typo"}))
    assert done == ["/swarm typo (check)"]


def test_a_run_that_is_refused_after_the_check_is_replaced_by_the_previous_one() -> None:
    """Such as by a Locust whose workers have left meanwhile."""
    locust, done = steering(lambda form: form.get("rate") == "60" and "check" not in form)

    async def steer() -> None:
        with pytest.raises(RefusedError, match="was not started here"):
            await locust.change({"rate": "60"})
        await locust.start({"rate": "40"})
        with pytest.raises(RefusedError, match=r"rate: a number\. The run before was started again"):
            await locust.change({"rate": "60"})

    asyncio.run(steer())
    change = ["/swarm 60 (check)", "/stop", "/swarm 60"]
    assert done == [*change, "/swarm 40", *change, "/swarm 40"]


@pytest.mark.parametrize(
    ("state", "rate", "known", "badge"),
    [
        ("up", 20.0, True, "Locust: up"),
        ("down", 20.0, True, "Locust: down"),
        ("down", 20.0, False, "Traffic without a page"),
        ("down", 0.0, False, "No traffic"),
        ("down", None, False, "Traffic: unknown"),
    ],
)
def test_traffic_without_a_page_is_no_fault(state: State, rate: float | None, known: bool, badge: str) -> None:  # noqa: FBT001
    """A Locust without a page was never there; one that has answered is missed."""
    assert describe_badge(state, rate, known=known) == badge


def test_the_traffic_panel_says_what_arrives_without_a_page(clock: Clock) -> None:
    """With its rate, and what to do where nothing arrives."""
    feed = Sources(Addresses(locust="http://127.0.0.1:9"), None, clock).locust
    asyncio.run(feed.poll())
    assert describe_absence(feed, 20.0).startswith("20.0 requests/s reach the service. There is no page of Locust")
    assert describe_absence(feed, 0.0).startswith("No request reaches the service. For traffic: ")
    assert describe_absence(feed, None) == feed.describe()


@pytest.mark.parametrize(("effect", "ended", "slowed"), [("cpu", 5, True), ("cpu", 60, False), ("error", 5, False)])
def test_a_fault_on_the_process_explains_a_late_loop(effect: str, ended: float, slowed: bool) -> None:  # noqa: FBT001
    """While it acts, and as long as it is in the window of the measurement; then the machine is to blame."""
    midnight = 1767225600
    fault = {
        "effect": {"type": effect},
        "starts_at": "2025-12-31T23:00:00Z",
        "ends_at": datetime.fromtimestamp(midnight - ended, UTC).isoformat(),
    }
    assert ServiceState((fault,), None, 1, (), (), ()).slowed(midnight, 30) is slowed
