"""Every error as an RFC 9457 problem document, and the promise of that in the API's own description."""

import json
from collections.abc import Awaitable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, Field
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi.api import description, explain
from chaosapi.errors import BadRequest, ChaosError, TooLarge, UnsupportedType
from chaosapi.models import Model

MEDIA_TYPE = "application/problem+json"

_LARGEST = 1_000_000


class FieldError(Model):
    """One field that is wrong."""

    field: str
    message: str


class Problem(Model):
    """A problem document, RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = Field(default_factory=list)


def response(
    status: int, title: str, detail: str, slug: str | None, errors: Sequence[Mapping[str, str]] = ()
) -> Response:
    """Write a problem document; without a slug it says no more than its status does (RFC 9457, 4.2.1)."""
    kind = f"urn:chaosapi:problem:{slug}" if slug else "about:blank"
    body = {"type": kind, "title": title, "status": status, "detail": detail}
    content = json.dumps({**body, "errors": list(errors)} if errors else body)
    headers = {"www-authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
    return Response(content, status, headers, media_type=MEDIA_TYPE)


def of(error: ChaosError) -> Response:
    """Write the problem document of one of our own errors."""
    found = response(error.status, error.title, str(error), error.slug, error.errors)
    found.headers.update(error.headers)
    return found


def install(app: FastAPI) -> None:
    """Answer every error of the app with a problem document, refuse huge bodies, and describe all that."""
    app.add_exception_handler(ChaosError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)
    app.add_middleware(BodyLimit, largest=_LARGEST)
    described = app.openapi

    def openapi() -> dict[str, Any]:
        return description.with_problems(described(), Problem, MEDIA_TYPE)

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI documents it


class BodyLimit:
    """Pure ASGI: refuse a larger body, at once where its length is declared, otherwise while it is read.

    The framework's own limit answers in plain text.
    """

    def __init__(self, app: ASGIApp, largest: int) -> None:
        self.app, self._largest = app, largest

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve the request, or answer 413."""
        if scope["type"] != "http" or scope["method"] == "GET":  # whose body nobody reads
            return self.app(scope, receive, send)
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > self._largest:
            return of(self._refusal())(scope, receive, send)
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._largest:
                # FastAPI takes any other error while it reads a body for a broken body.
                raise HTTPException(TooLarge.status) from self._refusal()
            return message

        return self.app(scope, counted, send)

    def _refusal(self) -> TooLarge:
        return TooLarge(f"the body has more than {self._largest:,} bytes, which is the most")


async def _ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, ChaosError)  # noqa: S101 - registered for this class
    return of(error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
    details = error.errors()
    if any(each["type"] == "json_invalid" for each in details):
        return of(BadRequest(f"the body is not JSON: {details[0].get('ctx', {}).get('error', 'it cannot be read')}"))
    kind = request.headers.get("content-type", "")
    in_body, elsewhere = ([each for each in details if (each["loc"][0] == "body") is here] for here in (True, False))
    if in_body and error.body is not None and "json" not in kind:
        return of(UnsupportedType(f"the body is {kind or 'of no type'}: send it with content-type: application/json"))
    parameters = {each["loc"][1]: None for each in elsewhere}
    explained = [
        explain.invalid([{**each, "loc": each["loc"][1:]} for each in found], body, model)
        for found, body, model in ((in_body, error.body, _body_model(request)), (elsewhere, parameters, None))
        if found
    ]
    return of(explain.joined(explained))


def _body_model(request: Request) -> type[BaseModel] | None:
    """Return the model that the route reads its body with, to say which fields there are."""
    field = getattr(request.scope.get("route"), "body_field", None)
    kinds = explain.models_in(field.field_info.annotation) if field else []
    return kinds[0] if kinds else None


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    if isinstance(error.__cause__, ChaosError):
        return of(error.__cause__)
    title, detail, headers = HTTPStatus(error.status_code).phrase, str(error.detail), dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # The framework names the methods of one route; a path may have several.
        methods = _methods(request)
        headers["allow"] = ", ".join(methods)
        detail = f"{request.method} does not work here: {headers['allow']} {'do' if len(methods) > 1 else 'does'}"
    elif error.status_code == HTTPStatus.NOT_FOUND and detail == title:
        detail = f"there is nothing at {request.scope['path']}: {request.app.openapi_url} shows what there is"
    found = response(error.status_code, title, detail, None)
    found.headers.update(headers)
    return found


def _methods(request: Request) -> list[str]:
    found = {
        method
        for context in iter_route_contexts(request.app.routes)
        if context.path_regex and context.path_regex.match(request.scope["path"])
        for method in context.methods or ()
    }
    return sorted(found)


async def _unexpected(_: Request, __: Exception) -> Response:
    return response(500, "Internal Server Error", "the server failed to answer; its log has the traceback", None)
