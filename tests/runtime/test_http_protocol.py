"""The limits on clients' bytes and delays: raw bytes to a real server in a thread."""

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from chaosapi.runtime.admin_server import UVICORN_OPTIONS, CappedServer, bind
from chaosapi.runtime.http_protocol import MAX_HEAD_BYTES, MAX_HEADERS, MAX_PIPELINED, MAX_TARGET_BYTES, HttpProtocol
from tests.garbage import alive, collection_off
from tests.patience import patience, until

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


class App:
    """Echoes the request once `gate` is open; `/early` responds before its body is read."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.arrived = 0
        self.left = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.arrived += 1
        self.loop = asyncio.get_running_loop()
        body = b""
        while scope["path"] != "/early":
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left += 1
                return
            body += message["body"]
            if not message["more_body"]:
                break
        if scope["path"] == "/wait":
            while not self.gate.is_set():
                await asyncio.sleep(0.001)
        if scope["path"] == "/gone":
            assert (await receive())["type"] == "http.disconnect"
            self.left += 1
            return
        self.headers = scope["headers"]
        answer = b"x" * 50_000_000 if scope["path"] == "/large" else b"read %d" % len(body)
        length = (b"content-length", b"%d" % len(answer))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": answer})


class Hasty(HttpProtocol):
    """An HTTP protocol with short time-outs."""

    head_timeout = body_timeout = stall_timeout = 0.3


class Served:
    """A server in a thread."""

    def __init__(self) -> None:
        self.app = App()
        config = uvicorn.Config(self.app, **UVICORN_OPTIONS, lifespan="off")
        self.server = CappedServer(config, 1 / 2)
        self.bound = bind("127.0.0.1", 0, "PORT")
        self.address = self.bound.getsockname()

    def idle(self) -> list[float | None]:
        """Return the idle time of each connection."""
        return [each.idle_since for each in self.server.server_state.connections if isinstance(each, HttpProtocol)]

    def ask(self, *parts: bytes, until: bytes | None = None) -> bytes:
        """Send the bytes; return the received bytes until the connection is closed or a text is received."""
        with socket.create_connection(self.address, timeout=patience(30)) as connection:
            for part in parts:
                try:
                    connection.sendall(part)
                except OSError:
                    break  # it was refused meanwhile
            return read(connection, until)


def read(connection: socket.socket, until: bytes | None = None) -> bytes:
    """Read until the end, or until a text is received."""
    got = b""
    while until is None or until not in got:
        try:
            part = connection.recv(2**16)
        except ConnectionResetError:
            assert got, "reset before anything came"
            break
        if not part:
            break
        got += part
    return got


@contextmanager
def serving(protocol: type[HttpProtocol], monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Run a server with this protocol."""
    monkeypatch.setattr("chaosapi.runtime.admin_server.HttpProtocol", protocol)
    served = Served()
    thread = threading.Thread(target=served.server.run, kwargs={"sockets": [served.bound]})
    thread.start()
    try:
        yield served
    finally:
        served.app.gate.set()
        served.server.should_exit = True
        thread.join(patience(30))
        assert not thread.is_alive()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Yield a server with the service's limits."""
    with serving(HttpProtocol, monkeypatch) as served:
        yield served


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Yield a server with short time-outs."""
    with serving(Hasty, monkeypatch) as served:
        yield served


def refusal(answer: bytes) -> tuple[int, dict[str, Any]]:
    """Parse the last response, a problem document that closes its connection."""
    head, _, body = answer[answer.rindex(b"HTTP/1.1 4") :].partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json\r\n" in head
    assert head.count(b"connection: close") == 1
    assert b"content-length: %d" % len(body) in head
    problem = json.loads(body)
    assert problem["status"] == int(head.split()[1])
    return problem["status"], problem


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01 not HTTP\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        CHUNKED + b"zz\r\n",
    ],
)
def test_malformed_http_is_refused_with_a_problem_document(served: Served, request_: bytes) -> None:
    """The connection is closed."""
    status, problem = refusal(served.ask(request_))
    assert (status, problem["title"]) == (400, "Bad Request")


@pytest.mark.parametrize(
    "hosts",
    [
        b"",
        b"Host: localhost\r\nHost: localhost\r\n",
        b"Host: localhost\r\nX: y\r\nhost: evil.example\r\n",
        b"Host:\r\nHost:\r\n",
        b"Host: user@localhost\r\n",
        b"Host: localhost, evil.example\r\n",
        b"Host: localhost:x\r\n",
        b"Host: [::1\r\n",
    ],
)
def test_a_request_has_one_valid_host(served: Served, hosts: bytes) -> None:
    """RFC 9112, 3.2: a proxy may have used the other one."""
    assert refusal(served.ask(b"GET / HTTP/1.1\r\n" + hosts + b"\r\n"))[0] == 400
    assert served.app.arrived == 0


@pytest.mark.parametrize(
    "head", [b"1.0\r\n", b"1.1\r\nHost:\r\n", b"1.1\r\nHost: [::1]:80\r\n", b"1.1\r\nhost: A_b.c\r\n"]
)
def test_a_host_may_be_empty_and_in_http_1_0_missing(served: Served, head: bytes) -> None:
    """RFC 9112, 3.2."""
    assert served.ask(b"GET / HTTP/" + head + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * (MAX_HEAD_BYTES + 1) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"x%d: 1\r\n" % number for number in range(MAX_HEADERS)) + b"\r\n",
    ],
    ids=["size", "number"],
)
def test_a_head_that_is_too_large_is_refused(served: Served, head: bytes) -> None:
    """Also after another request on the connection, which is answered."""
    assert refusal(served.ask(head))[0] == 431
    with socket.create_connection(served.address, timeout=patience(30)) as connection:
        connection.sendall(GET)
        read(connection, b"read 0")
        connection.sendall(head)
        assert refusal(read(connection))[0] == 431
    assert served.ask(GET + head).startswith(b"HTTP/1.1 200 OK")
    assert served.app.arrived == 2


def test_a_head_that_begins_in_the_chunk_of_another_request_has_the_same_limit(served: Served) -> None:
    """For any split into chunks."""
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * (MAX_HEAD_BYTES + 1) + b"\r\n\r\n"
    with socket.create_connection(served.address, timeout=patience(30)) as connection:
        connection.sendall(GET + head[:-2000])
        read(connection, b"read 0")
        connection.sendall(head[-2000:])
        assert refusal(read(connection))[0] == 431
    assert served.app.arrived == 1


def test_a_large_head_within_the_limits_is_served(served: Served) -> None:
    """The response is the usual one, and the connection stays open."""
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(
        b"x%d: %s\r\n" % (number, b"y" * 200) for number in range(MAX_HEADERS - 1)
    )
    assert served.ask(head + b"\r\n", until=b"read 0").startswith(b"HTTP/1.1 200 OK")


def test_a_target_that_is_too_long_is_refused(served: Served) -> None:
    """The limit is on path and query together."""
    assert refusal(served.ask(b"GET /" + b"x" * MAX_TARGET_BYTES + b" HTTP/1.1\r\nHost: a\r\n\r\n"))[0] == 414
    longest = b"GET /" + b"x" * (MAX_TARGET_BYTES - 1) + b" HTTP/1.1\r\nHost: a\r\n\r\n"
    assert served.ask(longest, until=b"read 0").startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("start", "endless"),
    [
        (b"GET / HTTP/1.1\r\nX: ", b"x" * 2**20),
        (b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 2**17),
        (b"GET /", b"x" * 2**20),
        (CHUNKED + b"0\r\nX: ", b"x" * 2**20),
        (CHUNKED + b"0\r\n", b"X: y\r\n" * 2**17),
        (CHUNKED + b"1;x=", b"x" * 2**20),
    ],
    ids=["header", "headers", "target", "trailer", "trailers", "chunk extension"],
)
def test_every_part_of_a_request_is_limited(served: Served, start: bytes, endless: bytes) -> None:
    """An endless request is refused with a reason, and cut off within a few megabytes."""
    assert refusal(served.ask(start, endless))[0] in {414, 431}
    assert refusal(served.ask(start, *[endless] * 64))[0] in {414, 431}
    until(lambda: not served.server.server_state.connections)


def test_trailers_do_not_become_headers(served: Served) -> None:
    """They must not change the headers that were checked."""
    request = CHUNKED + b"3\r\nabc\r\n0\r\nX-Late: 1\r\n\r\n"
    assert served.ask(request, until=b"read 3").startswith(b"HTTP/1.1 200 OK")
    assert [name for name, _ in served.app.headers] == [b"host", b"transfer-encoding"]


def test_a_request_before_malformed_bytes_is_answered(served: Served) -> None:
    """The response is complete, and the connection ends after it."""
    served.app.gate.clear()
    with socket.create_connection(served.address, timeout=patience(30)) as connection:
        connection.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: served.app.arrived)
        connection.sendall(b"nonsense\r\n\r\n")
        served.app.gate.set()
        answer = read(connection)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"\r\n\r\nread 0")
    assert b"connection: close" in answer


def test_a_response_before_an_expected_body_closes_the_connection(served: Served) -> None:
    """The client may or may not send the body (RFC 9110, 10.1.1); after a 100 Continue the connection stays open."""
    expecting = b"Host: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    early = served.ask(b"POST /early HTTP/1.1\r\n" + expecting)
    assert re.search(rb"^HTTP/1\.1 200 .*connection: close\r\n.*read 0$", early, re.DOTALL)
    with socket.create_connection(served.address, timeout=patience(30)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\n" + expecting)
        assert read(connection, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert b"connection: close" not in read(connection, b"read 3")


def test_an_upgrade_that_is_not_offered_is_answered_and_closes(served: Served) -> None:
    """The upgrade is ignored, without a log line."""
    asked = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    answer = served.ask(asked)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in answer


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"\r\n" * 40], ids=["nothing", "an empty line", "empty lines"])
def test_a_connection_without_a_request_is_closed(hasty: Served, sent: bytes) -> None:
    """Without a response, because there was no request."""
    assert hasty.ask(sent) == b""


def test_an_idle_keep_alive_connection_is_closed_too(hasty: Served) -> None:
    """An empty line does not keep it open."""
    with socket.create_connection(hasty.address, timeout=patience(30)) as connection:
        connection.sendall(GET)
        read(connection, b"read 0")
        connection.sendall(b"\r\n")
        assert read(connection) == b""


@pytest.mark.parametrize("part", [b"GE", b"GET / HTTP/1.1\r\nHost: a\r\n", POST + b"Content-Length: 3\r\n\r\na"])
def test_a_stalled_request_is_refused(hasty: Served, part: bytes) -> None:
    """In its head or in its body; an app that reads the body gets a disconnect."""
    assert refusal(hasty.ask(part))[0] == 408
    until(lambda: hasty.app.left == hasty.app.arrived)


def test_a_trickling_body_is_refused(hasty: Served) -> None:
    """A byte now and then does not reset the time-out."""
    with socket.create_connection(hasty.address, timeout=patience(30)) as connection:
        connection.sendall(POST + b"Content-Length: 100000\r\n\r\n")
        connection.settimeout(0.05)
        answer = b""
        deadline = time.monotonic() + patience(30)
        while b"\r\n\r\n" not in answer:
            assert time.monotonic() < deadline
            connection.sendall(b"a")
            try:
                answer += connection.recv(2**16)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_client_that_does_not_read_is_cut_off(hasty: Served) -> None:
    """Its response would stay in memory."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(hasty.address)
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: hasty.app.arrived)
        until(lambda: not hasty.server.server_state.connections)


def test_a_request_in_progress_is_not_cut_off(hasty: Served) -> None:
    """However long it takes, also while the client sends the next request."""
    hasty.app.gate.clear()
    with socket.create_connection(hasty.address, timeout=patience(30)) as connection:
        connection.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\nGET ")
        time.sleep(3 * Hasty.head_timeout)  # more cannot be waited for: nothing is to happen
        hasty.app.gate.set()
        assert read(connection, b"read 0").startswith(b"HTTP/1.1 200 OK")


def test_every_pipelined_request_gets_the_disconnect(served: Served) -> None:
    """Uvicorn sends the disconnect to the last request only."""
    with socket.create_connection(served.address, timeout=patience(30)) as connection:
        connection.sendall(b"GET /gone HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
        until(lambda: served.app.arrived)
    until(lambda: served.app.left == 1)
    until(lambda: not served.server.server_state.connections)


def test_requests_of_a_lost_connection_leave_nothing_to_the_garbage_collector(served: Served) -> None:
    """Those too that never ran, because others were before them."""
    with collection_off():
        with socket.create_connection(served.address, timeout=patience(30)) as connection:
            connection.sendall(b"GET /gone HTTP/1.1\r\nHost: a\r\n\r\n" + 3 * GET)
            until(lambda: served.app.arrived)
        until(lambda: not served.server.server_state.connections)
        until(lambda: alive(RequestResponseCycle) == 0)


def test_the_number_of_pipelined_requests_is_limited(served: Served) -> None:
    """Those within the limit are answered, then the connection closes."""
    answers = served.ask(GET * 10_000)
    assert 0 < answers.count(b"HTTP/1.1 200 OK") <= MAX_PIPELINED + 2
    assert served.app.arrived <= MAX_PIPELINED + 2
    assert b"connection: close" in answers[answers.rindex(b"HTTP/1.1 ") :]


def test_pipelined_requests_up_to_the_limit_are_answered(served: Served) -> None:
    """One is in progress, the others wait; the connection stays open."""
    served.app.gate.clear()
    with socket.create_connection(served.address, timeout=patience(30)) as connection:
        connection.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n" + MAX_PIPELINED * GET)
        until(lambda: served.app.arrived)
        served.app.gate.set()
        until(lambda: served.app.arrived == MAX_PIPELINED + 1)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert read(connection).count(b"HTTP/1.1 200 OK") == MAX_PIPELINED + 2


def test_a_client_that_reads_nothing_counts_as_idle(served: Served) -> None:
    """Its connection may be closed for others; one that waits for its response may not."""
    with socket.socket() as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.connect(served.address)
        stalled.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: [each is not None for each in served.idle()] == [True])
    until(lambda: not served.server.server_state.connections)
    served.app.gate.clear()
    with socket.create_connection(served.address, timeout=patience(30)) as waiting:
        waiting.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: served.app.arrived == 2)
        assert served.idle() == [None]


def test_at_shutdown_received_requests_are_answered_and_idle_connections_closed(served: Served) -> None:
    """A request that arrived before the close, and was not read, would be reset otherwise."""
    with (
        socket.create_connection(served.address, timeout=patience(30)) as idle,
        socket.create_connection(served.address, timeout=patience(30)) as late,
    ):
        for connection in (idle, late):
            connection.sendall(GET)
            read(connection, b"read 0")

        def end() -> None:
            late.sendall(GET)  # while the event loop is busy with this
            for connection in list(served.server.server_state.connections):
                connection.shutdown()

        assert served.app.loop
        served.app.loop.call_soon_threadsafe(end)
        assert read(idle) == b""
        assert read(late, b"read 0").startswith(b"HTTP/1.1 200 OK")


def test_uvicorn_has_the_private_names_that_are_used() -> None:
    """Another release may change them: then the version cap in pyproject.toml must stay."""
    ours = {name for name in vars(HttpProtocol) if not name.startswith("__")}
    theirs = set(dir(HttpProtocol.__mro__[1]))
    overridden = {
        *("connection_made", "connection_lost", "data_received", "on_message_begin", "on_headers_complete", "on_body"),
        *("on_response_complete", "timeout_keep_alive_handler", "pause_writing", "resume_writing", "shutdown"),
        *("send_400_response", "_unsupported_upgrade_warning"),
    }
    assert ours & theirs == overridden
    assert "_unset_keepalive_if_required" in theirs
