"""Every error as an RFC 9457 problem document, and the promise of that in the API's own description."""

import asyncio
import json
import threading
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from chaosapi.api import descriptions, validation
from chaosapi.budget import MAX_ERRORS, shown
from chaosapi.errors import ChaosError, UnsupportedType
from chaosapi.frameworks import every_route
from chaosapi.models import Model
from chaosapi.routes import route_path

MEDIA_TYPE = "application/problem+json"
_LONGEST: Final = 2000
"""Bytes of a detail or message, which may repeat what was sent or list what there is."""


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
    body = {"type": kind, "title": title, "status": status, "detail": shown(detail, _LONGEST)}
    told = [{name: shown(text, _LONGEST) for name, text in each.items()} for each in errors[:MAX_ERRORS]]
    content = json.dumps({**body, "errors": told} if told else body)
    headers = {"www-authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
    return Response(content, status, headers, media_type=MEDIA_TYPE)


def of(error: ChaosError) -> Response:
    """Write the problem document of one of our own errors."""
    found = response(error.status, error.title, str(error), error.slug, error.errors)
    found.headers.update(error.headers)
    return found


def install(app: FastAPI) -> None:
    """Answer every error of the app with a problem document, and describe that."""
    app.add_exception_handler(ChaosError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)
    described = app.openapi
    turn = threading.Lock()

    def openapi() -> dict[str, Any]:
        with turn:
            if app.openapi_schema is None:
                descriptions.with_problems(described(), Problem, MEDIA_TYPE)
            return described()

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI documents it
    place, route = next((place, route) for place, route in enumerate(app.routes) if _path(route) == app.openapi_url)

    async def show(request: Request) -> Response:
        await asyncio.to_thread(app.openapi)  # the first time it takes a tenth of a second
        shown: Response = await route.endpoint(request)  # type: ignore[attr-defined]  # a Route
        return shown

    app.router.routes[place] = Route(_path(route), show, include_in_schema=False)


def _path(route: BaseRoute) -> str:
    return getattr(route, "path", "")


async def _ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, ChaosError)  # noqa: S101 - registered for this class
    return of(error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
    details = error.errors()
    kind = request.headers.get("content-type", "")
    in_body, elsewhere = ([each for each in details if (each["loc"][0] == "body") is here] for here in (True, False))
    if in_body and error.body is not None and "json" not in kind:
        return of(
            UnsupportedType(f"the body is {shown(kind) or 'of no type'}: send it with content-type: application/json")
        )
    parameters = {each["loc"][1]: None for each in elsewhere}
    explained = [
        validation.invalid(found, body, model, skipped=1)
        for found, body, model in ((in_body, error.body, _body_model(request)), (elsewhere, parameters, None))
        if found
    ]
    return of(validation.joined(explained))


def _body_model(request: Request) -> type[BaseModel] | None:
    """Return the model that the route reads its body with, to say which fields there are."""
    field = getattr(request.scope.get("route"), "body_field", None)
    kinds = validation.models_in(field.field_info.annotation) if field else []
    return kinds[0] if kinds else None


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    if isinstance(error.__cause__, ChaosError):
        return of(error.__cause__)
    title = HTTPStatus(error.status_code).phrase
    detail = str(error.detail)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # The framework names the methods of one route; a path may have several.
        methods = _methods(request)
        headers["allow"] = ", ".join(methods)
        detail = (
            f"{shown(request.method)} does not work here: {headers['allow']} {'do' if len(methods) > 1 else 'does'}"
        )
    elif error.status_code == HTTPStatus.NOT_FOUND and detail == title:
        path = shown(request.scope["path"])
        detail = f"there is nothing at {path}: {request.app.openapi_url} shows what there is"
    found = response(error.status_code, title, detail, None)
    found.headers.update(headers)
    return found


def _methods(request: Request) -> list[str]:
    path = route_path(request.scope)
    found = {
        method
        for route in every_route(request.app.routes)
        if (pattern := getattr(route, "path_regex", None)) and pattern.match(path)
        for method in getattr(route, "methods", None) or ()
    }
    return sorted(found)


async def _unexpected(_: Request, __: Exception) -> Response:
    return response(500, "Internal Server Error", "the server failed to answer; its log has the traceback", None)
