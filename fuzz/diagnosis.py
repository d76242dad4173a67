"""Find the request that broke a service, and minimize it, on fresh services."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from fuzz import service as services
from fuzz.campaign import LISTS
from fuzz.findings import Finding, minimize
from fuzz.grammar import Message
from fuzz.judge import judge
from fuzz.service import HOST, Service
from fuzz.wire import Answer, Connection

_TRIES = 60
_FRESH_TRIES = 12
"""Tries that each need a fresh service."""
_KINDS = 12
"""Findings that are minimized; other findings are reported as found."""


class Diagnosis:
    """Replays requests against fresh services."""

    def __init__(self, start: Callable[[], Service]) -> None:
        self._start = start

    def culprit(self, accepted: Sequence[Message], kind: str) -> tuple[Message, bytes] | None:
        """Return the accepted request that breaks a service as `kind` says, and its smallest form."""
        target = self._start()
        try:
            for message in accepted:
                _send(target, message)
                if _is_broken(target, kind):
                    break
            else:
                return None
        finally:
            services.stop(target.process)
        return message, minimize(
            message.data, lambda data: self._alone(replace(message, data=data), kind), _FRESH_TRIES
        )

    def _alone(self, message: Message, kind: str) -> bool:
        target = self._start()
        try:
            _send(target, message)
            return _is_broken(target, kind)
        finally:
            services.stop(target.process, 3)

    def shrink(self, found: Sequence[Finding]) -> None:
        """Minimize the request of each finding that a single request reproduces."""
        target = self._start()
        try:
            for each in found[:_KINDS]:
                message = each.message
                if message and len(message.data) < 100_000:
                    each.smallest = minimize(message.data, lambda data, each=each: _wrong(target, each, data), _TRIES)  # type: ignore[misc]  # mypy reads the default as another parameter
                target.call("DELETE", "/admin/faults")
        except OSError:
            pass  # the last request ended the service
        finally:
            services.stop(target.process)


def _send(target: Service, message: Message) -> list[Answer]:
    async def sent() -> list[Answer]:
        connection = await Connection.open(HOST, target.admin if message.control else target.users)
        answers = await connection.exchange(message.data, message.answers, 5.0 if message.plain else 0.5)
        connection.close()
        return list(answers)

    return asyncio.run(sent())


def _is_broken(target: Service, kind: str) -> bool:
    if kind.startswith("the service"):
        return not target.alive()
    if kind.startswith("GET"):
        return any(not (reply := services.answered(target, "GET", path)) or reply.status != 200 for path in LISTS)
    reply = services.answered(target, "DELETE", "/admin/faults")
    return not reply or reply.status != 200


def _wrong(target: Service, found: Finding, data: bytes) -> bool:
    assert found.message
    message = replace(found.message, data=data)
    return any(judge(message, answer).wrong == found.wrong for answer in _send(target, message))
