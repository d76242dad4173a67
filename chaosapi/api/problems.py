"""Answer every error with an RFC 9457 problem document, and describe that in the OpenAPI document."""

import asyncio
import json
import threading
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from cachetools import LRUCache
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from chaosapi.api import descriptions, validation
from chaosapi.errors import ChaosError, UnsupportedType
from chaosapi.frameworks import every_route, route_path
from chaosapi.json_limits import MAX_ERRORS, shown
from chaosapi.models import Model

MEDIA_TYPE = "application/problem+json"
_MAX_TEXT: Final = 2000
"""Bytes of a detail or message, which may quote the request or list what exists; longer ones are truncated."""

_WRITTEN: Final = 8
"""OpenAPI documents that are kept as JSON, by root path: writing one takes 4 ms of the event loop."""


class FieldError(Model):
    """A wrong field, and what is wrong."""

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
    """Return a problem document; without a slug its type is about:blank: the status says it all (RFC 9457, 4.2.1)."""
    kind = f"urn:chaosapi:problem:{slug}" if slug else "about:blank"
    body: dict[str, Any] = {"type": kind, "title": title, "status": status, "detail": shown(detail, _MAX_TEXT)}
    if errors:
        body["errors"] = [_truncate(error) for error in errors[:MAX_ERRORS]]
    content = json.dumps(body)
    headers = {"www-authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
    return Response(content, status, headers, media_type=MEDIA_TYPE)


def _truncate(error: Mapping[str, str]) -> dict[str, str]:
    return {name: shown(text, _MAX_TEXT) for name, text in error.items()}


def of(error: ChaosError) -> Response:
    """Return the problem document of one of chaosapi's own errors."""
    problem = response(error.status, error.title, str(error), error.slug, error.errors)
    problem.headers.update(error.headers)
    return problem


def install(app: FastAPI) -> None:
    """Answer every error of the app with a problem document, and describe that in its OpenAPI document."""
    app.add_exception_handler(ChaosError, _handle_chaos_error)
    app.add_exception_handler(RequestValidationError, _handle_invalid_request)
    app.add_exception_handler(HTTPException, _handle_http_exception)
    app.add_exception_handler(Exception, _handle_unexpected)
    generate = app.openapi
    lock = threading.Lock()

    def openapi() -> dict[str, Any]:
        with lock:
            if app.openapi_schema is None:
                descriptions.with_problems(generate(), Problem, MEDIA_TYPE)
            return generate()

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI documents it
    place, route = next((place, route) for place, route in enumerate(app.routes) if _path(route) == app.openapi_url)

    written: LRUCache[str, Response] = LRUCache(_WRITTEN)

    async def show_openapi(request: Request) -> Response:
        root_path = request.scope.get("root_path", "")
        document = written.get(root_path)
        if document is None:
            await asyncio.to_thread(app.openapi)  # generating the document the first time takes 0.1 s
            document = written[root_path] = await route.endpoint(request)  # type: ignore[attr-defined]  # a Route
        return Response(document.body, media_type=document.media_type)

    app.router.routes[place] = Route(_path(route), show_openapi, include_in_schema=False)


def _path(route: BaseRoute) -> str:
    return getattr(route, "path", "")


async def _handle_chaos_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ChaosError)  # noqa: S101 - registered for this class
    return of(error)


async def _handle_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
    details = error.errors()
    content_type = request.headers.get("content-type", "")
    in_body = [detail for detail in details if detail["loc"][0] == "body"]
    in_parameters = [detail for detail in details if detail["loc"][0] != "body"]
    if in_body and error.body is not None and "json" not in content_type:
        found = shown(content_type) or "of no type"
        return of(UnsupportedType(f"the body is {found}: send it with content-type: application/json"))
    invalid = []
    if in_body:
        invalid.append(validation.invalid(in_body, error.body, _body_model(request), skipped=1))
    if in_parameters:
        parameters = {detail["loc"][1]: None for detail in in_parameters}
        invalid.append(validation.invalid(in_parameters, parameters, None, skipped=1))
    return of(validation.joined(invalid))


def _body_model(request: Request) -> type[BaseModel] | None:
    """Return the model of the route's body, whose field names an error message lists."""
    field = getattr(request.scope.get("route"), "body_field", None)
    models = validation.models_in(field.field_info.annotation) if field else []
    return models[0] if models else None


async def _handle_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    if isinstance(error.__cause__, ChaosError):
        return of(error.__cause__)
    title = HTTPStatus(error.status_code).phrase
    detail = str(error.detail)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # The framework lists the methods of one route; a path may have several routes.
        methods = _allowed_methods(request)
        headers["allow"] = ", ".join(methods)
        detail = (
            f"{shown(request.method)} does not work here: {headers['allow']} {'do' if len(methods) > 1 else 'does'}"
        )
    elif error.status_code == HTTPStatus.NOT_FOUND and detail == title:
        path = shown(request.scope["path"])
        detail = f"there is nothing at {path}: {request.app.openapi_url} lists all paths"
    problem = response(error.status_code, title, detail, None)
    problem.headers.update(headers)
    return problem


def _allowed_methods(request: Request) -> list[str]:
    path = route_path(request.scope)
    methods: set[str] = set()
    for route in every_route(request.app.routes):
        pattern = getattr(route, "path_regex", None)
        if pattern and pattern.match(path):
            methods.update(getattr(route, "methods", None) or ())
    if "GET" in methods:
        methods.add("HEAD")  # HeadMiddleware passes it on as GET
    return sorted(methods)


async def _handle_unexpected(_: Request, __: Exception) -> Response:
    return response(500, "Internal Server Error", "the server failed to answer; its log has the traceback", None)
