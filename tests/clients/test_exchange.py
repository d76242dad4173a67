"""Responses and errors of HTTP clients, with fake transports."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx2
import pytest

from chaosapi.clients import admin_calls, alertmanager, locust, prometheus
from chaosapi.clients.errors import ClientError, NoAnswerError, RefusedError, UnauthorizedError, UnreachableError
from chaosapi.clients.exchange import AsyncClient, Client, Exchange, asked, pages, ready

Page = dict[str, Any]
Answer = Callable[[httpx2.Request], httpx2.Response]


def client(answer: Answer) -> Client:
    """Return a client of a server with this response."""
    return Client(httpx2.Client(transport=httpx2.MockTransport(answer), base_url="http://source"))


def answering(text: str, status: int = 200) -> Client:
    """Return a client of a server with one response to all requests."""
    return client(lambda _: httpx2.Response(status, text=text))


def failing(error: Exception) -> Client:
    """Return a client of a server that does not respond."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        raise error

    return client(answer)


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    """No page and no terminal can encode one; a pair is a character."""
    found = answering(r'{"a\ud800": ["\uD83D\uDE00", "x\uDFFFy"]}').run(asked("GET", "/", object))
    assert found == {"a?": ["\U0001f600", "x?y"]}


@pytest.mark.parametrize(
    ("source", "raised", "says"),
    [
        (answering("[" * 200_000), NoAnswerError, "it answered 200 without JSON"),
        (answering("<html>", 502), NoAnswerError, "it answered 502 without JSON"),
        (answering("{}", 401), UnauthorizedError, "the token is missing or wrong"),
        (answering('{"detail": "no rate of 5"}', 422), RefusedError, "no rate of 5"),
        (answering('{"status": "error", "error": "parse error"}', 400), RefusedError, "parse error"),
        (answering('"silence not found"', 404), RefusedError, "silence not found"),
        (answering("[]", 404), RefusedError, "it answered 404"),
        (failing(httpx2.ConnectError("refused")), UnreachableError, "nothing answers there"),
        (failing(httpx2.ReadTimeout("slow")), NoAnswerError, "no answer (ReadTimeout)"),
    ],
)
def test_every_failure_is_a_client_error_with_a_message(source: Client, raised: type[ClientError], says: str) -> None:
    """For any exception of httpx2 and any response."""
    with pytest.raises(raised) as failure:
        source.run(asked("GET", "/", object))
    assert str(failure.value) == says


def test_an_error_has_the_problem_document_and_its_fields() -> None:
    """The status and the document are unchanged."""
    document = '{"title": "Invalid", "detail": "no", "errors": [{"field": "rate", "message": "did you mean 0.05"}, {}]}'
    with pytest.raises(RefusedError) as failure:
        answering(document, 422).run(asked("POST", "/", object))
    assert failure.value.status == 422
    assert failure.value.problem["title"] == "Invalid"
    assert failure.value.fields == {"rate": "did you mean 0.05"}


def test_an_empty_success_is_none() -> None:
    """Alertmanager responds without a body."""
    assert answering("").run(asked("DELETE", "/", object)) is None


def test_a_list_is_read_page_by_page() -> None:
    """The other fields are those of the last page; `next` is relative to the list."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        if "after" in request.url.params:
            return httpx2.Response(200, json={"items": [3], "revision": 8, "next": None})
        assert dict(request.url.params) == {"state": "active"}
        return httpx2.Response(200, json={"items": [1, 2], "revision": 7, "next": "?state=active&after=2"})

    found = client(answer).run(pages("/list", "items", Page, {"state": "active", "limit": None}))
    assert found == {"items": [1, 2, 3], "revision": 8, "next": None}


def test_a_probe_is_ready_only_if_it_answers_200() -> None:
    """Other statuses and time-outs return False."""
    assert answering("").run(ready("/readyz"))
    assert not answering("", 503).run(ready("/readyz"))
    assert not failing(httpx2.ConnectError("refused")).run(ready("/readyz"))


def test_the_asynchronous_client_behaves_the_same() -> None:
    """Both use the same code except for the waits."""

    async def ask(answer: Answer) -> Any:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer), base_url="http://source")
        async with http, AsyncClient(http, {"x-chaos-actor": "Jürgen"}) as source:
            return await source.run(asked("GET", "/", object, {"if-match": '"7"'}))

    def heard(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=[request.headers["if-match"], request.headers.raw[-2][1].decode()])

    def silent(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadTimeout("slow")

    assert asyncio.run(ask(heard)) == ['"7"', "Jürgen"]
    with pytest.raises(NoAnswerError):
        asyncio.run(ask(silent))


def test_a_client_closes_only_its_own_connections() -> None:
    """A given HTTP client stays open."""
    with httpx2.Client(base_url="http://source") as http:
        with Client(http):
            pass
        assert not http.is_closed


@pytest.mark.parametrize("url", ["http://[::1", "http://a:port", "nothing"])
def test_an_invalid_url_is_a_client_error(url: str) -> None:
    """When the client is created or when it is used."""
    with pytest.raises(ClientError), Client(url) as source:
        source.run(asked("GET", "/", object))


def test_a_list_ends_with_an_empty_page() -> None:
    """Whatever that page calls the next one: otherwise the list would have no end."""
    reading = pages("/admin/faults", "faults", Page, {})
    assert next(reading).path == "/admin/faults"
    assert reading.send(httpx2.Response(200, json={"faults": [1], "next": "?after=a"})).path == "/admin/faults?after=a"
    with pytest.raises(StopIteration) as end:
        reading.send(httpx2.Response(200, json={"faults": [], "next": "?after=a"}))
    assert end.value.value["faults"] == [1]


OTHERS = {"is_ready", "arguments", "arguments_of", "end_silence", "stop", "metrics"}
"""The calls that read no JSON, or ignore it."""

LENIENT = {"forecast", "score", "openapi", "stats"}
"""The calls that return any object."""


def _calls() -> Iterator[tuple[str, Callable[[], Exchange[object]]]]:
    """Yield each call that reads JSON, by its name."""
    known = {"now": datetime.now(UTC), "lasting": timedelta(seconds=1), "start": 0.0, "end": 1.0, "step": 1.0}
    objects: dict[str, Any] = {name: {} for name in ("fault", "changes", "question", "labels", "form")}
    for module in (admin_calls, prometheus, alertmanager, locust):
        for name, call in vars(module).items():
            own = inspect.isfunction(call) and call.__module__ == module.__name__ and not name.startswith("_")
            if own and name not in {
                "is_ready",
                "arguments",
                "arguments_of",
                "end_silence",
                "stop",
                "metrics",
                *LENIENT,
            }:
                parameters = inspect.signature(call).parameters.values()
                required = [each.name for each in parameters if each.default is each.empty]
                given = {each: {**known, **objects}.get(each, "x") for each in required}
                yield f"{module.__name__.rpartition('.')[2]}.{name}", partial(call, **given)


@pytest.mark.parametrize("call", [pytest.param(call, id=name) for name, call in _calls()])
@pytest.mark.parametrize("text", ["null", "{}", '"pong"', "[1]", '{"status": "success", "data": {}}', '{"faults": 3}'])
def test_json_of_another_service_is_refused(call: Callable[[], Exchange[object]], text: str) -> None:
    """No call returns what its caller cannot read; Prometheus refuses for itself what has no status."""
    with pytest.raises((NoAnswerError, RefusedError)):
        answering(text).run(call())
