"""A campaign: attackers on many connections, a concurrent operator, and checks during and after the attack."""

import asyncio
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from random import Random
from typing import Any, Final
from weakref import WeakSet

from fuzz.findings import Findings
from fuzz.grammar import Grammar, Message, pipelined
from fuzz.judge import judge
from fuzz.malformed import malformed
from fuzz.service import HOST, Resources, Service
from fuzz.wire import Answer, Connection

SETTINGS: Final = {
    "CHAOSAPI_MARK_RESPONSES": "true",
    "CHAOSAPI_MAX_CPU": "0.2",
    "CHAOSAPI_MAX_MEMORY": "32MiB",
    "CHAOSAPI_MAX_HELD": "300",
    "CHAOSAPI_EFFECTS_DENIED": "crash",
}
LISTS: Final = ("/admin/faults", "/admin/audit", "/admin/alerts", "/admin/effects", "/admin/replicas", "/metrics")
EVERY: Final = 1000
"""Requests between two checks of the lists, the log and the process."""
_PATIENCE: Final = {True: 25.0, False: 10.0}
"""Time-outs in seconds for the control plane (True) and the shop (False), where a kill switch comes every four."""
_REMEMBERED: Final = 400
_TICK_S: Final = 0.05


class Operator:
    """The prober's process, and its measurements."""

    def __init__(self, service: Service) -> None:
        self._command = [sys.executable, "-m", "fuzz.prober", str(service.admin), str(service.users)]
        self.kills: list[float] = []
        self.late: list[float] = []
        self.refused: list[str] = []
        self.unhealthy: list[str] = []

    async def watch(self) -> None:
        """Collect measurements until cancelled."""
        root = str(Path(__file__).parent.parent)
        process = await asyncio.create_subprocess_exec(*self._command, stdout=asyncio.subprocess.PIPE, cwd=root)
        try:
            assert process.stdout
            async for line in process.stdout:
                self._note(json.loads(line))
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _note(self, seen: dict[str, Any]) -> None:
        self.late.append(seen["late"])
        if seen["kill"]:
            self.kills.append(seen["took"])
        # A fault may fail the liveness probe.
        wrong = seen["status"] != 200 and (seen["kill"] or "failing" not in seen["body"])
        if wrong:
            (self.refused if seen["kill"] else self.unhealthy).append(f"{seen['status']} {seen['body']}")


@dataclass
class Life:
    """One service from start to stop, and the statistics of its attack."""

    service: Service
    grammar: Grammar
    findings: Findings
    seed: str
    sent: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    explained: Counter[str] = field(default_factory=Counter)
    accepted: deque[Message] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    """The latest requests that may have changed the state."""
    slowest: dict[str, tuple[float, Message]] = field(default_factory=dict)
    """The slowest response of each control-plane operation, in milliseconds, and its request."""
    own_lag: float = 0.0
    """The longest block of the fuzzer's own event loop, in milliseconds: the error of all latencies."""
    poison: str = ""
    """Why the service no longer works; empty while it works."""
    _left: int = 0
    _open: WeakSet[Connection] = field(default_factory=WeakSet)

    async def attack(self, requests: int, connections: int, operator: Operator) -> None:
        """Send the requests; stop early if the service no longer works."""
        self._left = requests
        kinds: list[Callable[[Random], Any]] = [
            self._attack_control,
            self._attack_users,
            self._send_malformed,
            self._misbehave,
        ]
        shares = (0.5, 0.3, 0.1, 0.1)
        plan = []
        for kind, share in zip(kinds, shares, strict=True):
            plan += max(1, round(share * connections)) * [kind]
        tasks = [asyncio.create_task(kind(Random(f"{self.seed}:{number}"))) for number, kind in enumerate(plan)]
        checks = [asyncio.create_task(self._check(operator)), asyncio.create_task(self._measure_own_lag())]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in (*tasks, *checks):
                task.cancel()
            await asyncio.gather(*tasks, *checks, return_exceptions=True)
            for connection in self._open:
                connection.close()
            self._open.clear()

    def _remaining(self, count: Callable[[], int] = lambda: 1) -> Iterator[None]:
        """Yield until all requests are sent or the service no longer works."""
        while self._left > 0 and not self.poison:
            self._left -= count()
            yield

    async def _measure_own_lag(self) -> None:
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(_TICK_S)
            stall = 1000 * (time.perf_counter() - begun - _TICK_S)
            self.own_lag = max(self.own_lag, stall)

    # The attackers.

    async def _attack_control(self, dice: Random) -> None:
        await self._send_requests(dice, control=True)

    async def _attack_users(self, dice: Random) -> None:
        await self._send_requests(dice, control=False)

    async def _send_requests(self, dice: Random, *, control: bool) -> None:
        """Send one request after the other on a keep-alive connection."""
        connection: Connection | None = None
        for _ in self._remaining():
            message = self._message(dice, control=control)
            if not message.plain:
                await self._send_once(dice, message)
                continue
            begun = time.perf_counter()
            fresh = connection is None or connection.closed
            if connection is None or connection.closed:
                connection = await self._connect(message)
                if connection is None:
                    continue
            answers = await connection.exchange(message.data, message.answers, _PATIENCE[control])
            if not answers and connection.closed and not fresh:  # the service may have closed an idle connection
                connection = await self._connect(message)
                if connection is None:
                    continue
                answers = await connection.exchange(message.data, message.answers, _PATIENCE[control])
            self._judge(message, connection, answers)
            if len(answers) < message.answers:
                connection.close()
            elif control:
                self._time(message, 1000 * (time.perf_counter() - begun))
        if connection:
            connection.close()

    def _time(self, message: Message, took: float) -> None:
        where = f"{message.method} {message.route}"
        if took > self.slowest.get(where, (0.0, message))[0]:
            self.slowest[where] = took, message

    def _message(self, dice: Random, *, control: bool) -> Message:
        if dice.random() > 0.06:
            return self.grammar.draw(dice, control=control).message()
        requests = [self.grammar.draw(dice, control=control) for _ in range(dice.choice((2, 2, 3, 5)))]
        if dice.random() < 0.5:
            requests = [requests[0]] * len(requests)
        messages = [request.message() for request in requests]
        plain = [message for message in messages if message.plain]
        self._left -= max(0, len(plain) - 1)
        return pipelined(plain) if plain else messages[0]

    async def _send_malformed(self, dice: Random) -> None:
        """Send malformed requests, each on a new connection."""
        for _ in self._remaining():
            message = malformed(dice, self.grammar.draw(dice, control=dice.random() < 0.5))
            await self._send_once(dice, message)

    async def _send_once(self, dice: Random, message: Message) -> None:
        connection = await self._connect(message)
        if connection is None:
            return
        answers = await connection.exchange(message.data, message.answers, dice.choice((0.05, 0.3)))
        self._judge(message, connection, answers, whole=False)
        connection.close(reset=dice.random() < 0.3)

    async def _misbehave(self, dice: Random) -> None:
        """Disconnect early, write slowly, read slowly, half-close."""
        ways = (self._disconnect, self._dribble, self._read_slowly, self._half_close, self._idle)
        for _ in self._remaining():
            message = self.grammar.draw(dice, control=dice.random() < 0.5).message()
            connection = await self._connect(message)
            if connection is None:
                continue
            await dice.choice(ways)(dice, connection, message)
            connection.close(reset=dice.random() < 0.5)

    async def _disconnect(self, dice: Random, connection: Connection, message: Message) -> None:
        connection.send(message.data[: dice.randrange(len(message.data) + 1)])
        await asyncio.sleep(dice.choice((0, 0.001, 0.02)))
        self._count(message)

    async def _dribble(self, dice: Random, connection: Connection, message: Message) -> None:
        place = 0
        data = message.data[:5000]
        for _ in range(dice.choice((2, 5))):
            step = dice.randrange(len(data) + 1)
            connection.send(data[place : place + step])
            place += step
            await asyncio.sleep(0.005)
        connection.send(data[place:])
        self._judge(message, connection, await connection.wait(1, 0.3), whole=False)

    async def _read_slowly(self, dice: Random, connection: Connection, message: Message) -> None:
        many = dice.choice((1, 20))
        large = b"GET /admin/effects HTTP/1.1\r\nhost: localhost\r\n\r\n" if message.control else message.data
        connection.pause(paused=True)
        connection.send(large * many)
        await asyncio.sleep(dice.choice((0.05, 0.3)))
        connection.pause(paused=False)
        await connection.wait(many, 0.3)
        self._count(message)

    async def _half_close(self, dice: Random, connection: Connection, message: Message) -> None:
        connection.send(message.data)
        with suppress(OSError, RuntimeError):
            connection.transport.write_eof()
        self._judge(message, connection, await connection.wait(1, dice.choice((0.02, 0.5))), whole=False)

    async def _idle(self, dice: Random, _: Connection, message: Message) -> None:
        await asyncio.sleep(dice.choice((0.01, 0.5)))
        self._count(message)

    # Helpers of the attackers.

    async def _connect(self, message: Message) -> Connection | None:
        port = self.service.admin if message.control else self.service.users
        try:
            connection = await Connection.open(HOST, port)
        except OSError as error:
            self.findings.add("no connection", repr(error), message)
            await asyncio.sleep(0.2)
            return None
        self._open.add(connection)
        return connection

    def _count(self, message: Message) -> None:
        self.sent += message.answers
        self.statuses["left"] += message.answers

    def _judge(self, message: Message, connection: Connection, answers: list[Answer], *, whole: bool = True) -> None:
        """Check the responses against the invariants; with `whole`, each request must have one."""
        self.sent += message.answers
        for answer in answers:
            self._check_answer(message, answer)
        if connection.broken:
            self.findings.add("not HTTP", connection.broken, message)
        missing = message.answers - len(answers)
        if missing <= 0:
            return
        if not answers and connection.begun:
            self._check_answer(message, Answer(connection.begun, {b"x-chaos-fault": b""}))  # its body is incomplete
            return
        self.statuses["closed" if connection.closed else "no answer"] += missing
        if not connection.closed and whole:
            seconds = _PATIENCE[message.control]
            self.findings.add("no answer", f"{missing} of {message.answers} not within {seconds:g} s", message)
        elif connection.closed and whole and message.control and not answers and self.service.alive():
            self.findings.add("closed without an answer", "", message)

    def _check_answer(self, message: Message, answer: Answer) -> None:
        self.statuses[str(answer.status)] += 1
        changed = answer.status < 300 or answer.status >= 500  # a 5xx may come after the change
        if message.control and changed and message.method in {"POST", "PUT", "PATCH"}:
            self.accepted.append(message)
        verdict = judge(message, answer)
        if verdict.explanation:
            self.explained[f"{answer.status} {verdict.explanation}"] += 1
        if verdict.wrong:
            self.findings.add(verdict.wrong, verdict.got, message)

    # The checks.

    async def _check(self, operator: Operator) -> None:
        due = EVERY
        while True:
            await asyncio.sleep(0.1)
            if operator.refused:
                self.poison = f"the kill switch was refused: {operator.refused[0]}"
            if not self.service.alive():
                self.poison = "the service has ended"
            if self.sent >= due or self.poison:
                due = self.sent + EVERY
                await asyncio.to_thread(self.check_lists)

    def check_lists(self) -> None:
        """Request every list, and read the log."""
        for path in LISTS:
            with suppress(OSError, HTTPException, ValueError):
                reply = self.service.call("GET", path)
                if reply.status != 200:
                    self.poison = self.poison or f"GET {path} answers {reply.status}"
        self.read_log()

    def read_log(self) -> None:
        """Report the log lines that no fault explains."""
        lines = self.service.unexpected_lines()
        bare = [line for line in lines if not line.startswith("{")]
        if bare:
            self.findings.add("in the log: lines that are not JSON", "\n".join(bare[-30:]))
        for line in lines:
            if line.startswith("{"):
                self.findings.add(f"in the log: {_kind(line)}", line)


def _kind(line: str) -> str:
    """Return the kind of a log line, the same for the same mistake."""
    try:
        entry = json.loads(line)
    except ValueError:
        return "a line that is cut"
    kinds = ", ".join(str(each.get("exc_type")) for each in entry.get("exception", []))
    return f"{entry.get('event', '')[:80]} {kinds}".strip()


@dataclass
class Ending:
    """The resources in use at the end."""

    held: float
    before: Resources
    after: Resources
    status: int | None


def settle(service: Service, seconds: float) -> Resources:
    """End all faults, rest, and return the resources that the service still uses."""
    service.call("DELETE", "/admin/halt")
    service.call("DELETE", "/admin/faults")
    time.sleep(seconds)
    return service.resources()


def grammar(service: Service) -> Grammar:
    """Return the grammar of the service's OpenAPI documents."""
    users = service.call("GET", "/openapi.json", port=service.users).content
    return Grammar(users, service.call("GET", "/admin/openapi.json").content)


def settings(store: str, denied: str) -> dict[str, str]:
    """Return the settings of a service to attack."""
    return {**SETTINGS, "CHAOSAPI_STORE": store, "CHAOSAPI_EFFECTS_DENIED": denied}
