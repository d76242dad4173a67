"""Answer with an error status instead of the app."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi import json_limits
from chaosapi.durations import Duration
from chaosapi.effects.base import Ending, RequestEffect, Tools
from chaosapi.errors import Invalid
from chaosapi.inner import Place
from chaosapi.json_limits import JsonLimits
from chaosapi.models import Number, at_most_entries, case_insensitive_names
from chaosapi.response import is_start

_FRAMING_HEADERS = {"content-length", "transfer-encoding", "connection"}
_MAX_BODY: Final = 100_000
_BODY_LIMITS: Final = JsonLimits(depth=30, values=10_000)
"""Smaller than the limits of a request, because the fault and the record of a store contain the body."""


@dataclass(frozen=True, slots=True)
class Json:
    """JSON as text: parsed into objects it would take ten times the memory and slow down garbage collections."""

    text: str


def _check_status(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch("[1-9][0-9]{2}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 400 <= value <= 599:
        raise PydanticCustomError("status", "an error status is a whole number from 400 to 599")
    return value


def _serialize(value: Any) -> Any:
    """Return a JSON body as text; raise where it is too large or too deep."""
    if isinstance(value, dict | list):
        try:
            json_limits.check(value, _BODY_LIMITS)
        except Invalid as error:
            raise PydanticCustomError("body", "{why}", {"why": str(error)}) from None
        kept = Json(json.dumps(value))
        if len(kept.text) > _MAX_BODY:
            raise PydanticCustomError("body", "more than {most} characters as JSON", {"most": f"{_MAX_BODY:,}"})
        return kept
    return value


def _parse(value: Any) -> Any:
    return json.loads(value.text) if isinstance(value, Json) else value


def _parse_status(value: Any) -> Any:
    return value if isinstance(value, dict) else _check_status(value)


def _check_header_name(value: Any) -> Any:
    if isinstance(value, str) and value.lower() in _FRAMING_HEADERS:
        raise PydanticCustomError("header", "{name} belongs to the server, which frames the answer", {"name": value})
    return value


Status = Annotated[
    int, BeforeValidator(_check_status), WithJsonSchema({"type": "integer", "minimum": 400, "maximum": 599})
]
Weight = Annotated[Number, Field(gt=0, le=1e6)]
HeaderName = Annotated[
    str, BeforeValidator(_check_header_name), Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", max_length=100)
]
HeaderValue = Annotated[str, Field(pattern=r"^[\x20-\x7e]*$", max_length=1000)]


_Body = str | dict[str, Any] | list[Any] | None


class _ReplacedError(OSError):
    """Stops a stream whose response an error has replaced; ASGI servers raise an OSError when a client has left."""


class Error(RequestEffect):
    """Answer with an error status: always the same one, or drawn from a weighted mix."""

    type: Literal["error"] = "error"
    status: Annotated[
        Status | Annotated[dict[Status, Weight], Field(min_length=1, max_length=20), at_most_entries(20)],
        BeforeValidator(_parse_status),
    ] = 503
    """A status from 400 to 599, or a mix of them with weights: `{"503": 0.8, "500": 0.2}`."""
    body: Annotated[
        Annotated[str, Field(max_length=_MAX_BODY)] | dict[str, Any] | list[Any] | None,
        AfterValidator(_serialize),
        PlainSerializer(_parse, return_type=_Body),
    ] = None
    """Text, or JSON of at most 100,000 characters and 30 levels; unless given, the problem document with which the app
    itself answers with the status."""
    headers: Annotated[
        dict[HeaderName, HeaderValue],
        Field(max_length=50),
        BeforeValidator(case_insensitive_names),
        at_most_entries(50),
    ] = Field(default_factory=dict)
    """Headers to add to the response."""
    retry_after: Duration | None = None
    """The `Retry-After` header, in whole seconds, rounded up."""
    when: Literal["before", "after"] = "before"
    """`before` answers instead of the app; `after` lets the app work first: the order exists, the customer sees a 500.

    A streamed response is replaced when it starts, and then stopped as by a client that disconnects."""

    ends_request: ClassVar[bool] = True
    inside: ClassVar[Place | None] = "middleware"
    counts_itself: ClassVar[bool] = True
    at_points: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = None
    shorthand: ClassVar[str | None] = "status"
    example: ClassVar[dict[str, Any]] = {"type": "error", "status": {"503": 0.8, "500": 0.2}, "retry_after": "5s"}

    @model_validator(mode="after")
    def _check_retry_after(self) -> Self:
        if self.retry_after is not None and "retry-after" in map(str.lower, self.headers):
            raise PydanticCustomError("twice", "headers: Retry-After is there, and so is retry_after: leave one out")
        return self

    def endings(self) -> Sequence[Ending]:
        """Return the statuses with their shares."""
        if isinstance(self.status, int):
            return [Ending(self.status)]
        total = sum(self.status.values())
        return [Ending(status, weight / total) for status, weight in self.status.items()]

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Send the error, instead of the app's response or, with `when: after`, in its place."""
        if self.when == "before":
            await self._answer(scope, receive, send, tools)
        else:
            await self._replace(app, scope, receive, send, tools)

    async def _replace(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Call the app and replace its response when that starts."""
        answered = stopped = False

        async def replaced(message: Message) -> None:
            nonlocal answered, stopped
            if answered:
                stopped = message.get("more_body", False)
                if stopped:
                    raise _ReplacedError
                return
            if is_start(message):
                answered = not tools.over()
                if answered:
                    await self._answer(scope, receive, send, tools)
                    return
                tools.count_skipped("ended")
            await send(message)

        try:
            await app(scope, receive, replaced)
        except Exception:
            if stopped:
                return
            if tools.over():
                tools.count_skipped("ended")
            elif not answered:
                await self._answer(scope, receive, send, tools)
            raise

    async def _answer(self, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        tools.count_injected()
        response = self._response(tools)
        await response(scope, receive, send)

    def _response(self, tools: Tools) -> Response:
        status = self._pick(tools.draw)
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["retry-after"] = str(math.ceil(self.retry_after))
        if isinstance(self.body, str):
            return Response(self.body, status, headers, media_type="text/plain")
        if isinstance(self.body, Json):
            return Response(self.body.text, status, headers, media_type="application/json")
        problem = {"type": "about:blank", "title": _phrase(status), "status": status}
        if detail := self.detail(status, tools):
            problem["detail"] = detail
        return Response(json.dumps(problem), status, headers, media_type="application/problem+json")

    def detail(self, status: int, tools: Tools) -> str | None:
        """Return the detail of the problem document: what the app says when it answers with the status."""
        return tools.problem_detail(status)

    def _pick(self, draw: float) -> int:
        if isinstance(self.status, int):
            return self.status
        place = draw * sum(self.status.values())
        for status, weight in self.status.items():
            if place < weight:
                return status
            place -= weight
        return status


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
