"""Describe errors in the OpenAPI documents: each possible status, its media type and its schema."""

import inspect
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from chaosapi.errors import (
    BadRequest,
    ChaosError,
    Invalid,
    TooLarge,
    Unauthorized,
    UnsupportedType,
)

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

UNTRACED: "Final[TelemetryConfig]" = {"tracing": False, "metrics": False, "logs": False}
"""Options that turn off FastAPI's OpenTelemetry look-up on each request: chaosapi measures its apps itself. Releases
of FastAPI without that look-up ignore the options."""

_SCHEMAS = "#/components/schemas/"

Responses = dict[int | str, dict[str, Any]]


def refusals(*errors: type[ChaosError]) -> Responses:
    """Return the `responses` of a route that may raise these errors; `with_problems` adds those of its parameters."""
    return {error.status: {"description": inspect.getdoc(error) or error.title} for error in errors}


def header(*names: str, required: bool = False) -> dict[str, Any]:
    """Return the description of response headers, for one of a route's `responses`."""
    return {"headers": {name: {"required": required, "schema": {"type": "string"}} for name in names}}


def with_problems(document: dict[str, Any], problem: type[BaseModel], media_type: str) -> dict[str, Any]:
    """Complete an OpenAPI document in place: each error is a problem document, unless its route describes another.

    Add the errors that a route does not list: a malformed, too large or wrongly typed body, a wrong parameter, a
    missing token. Idempotent.
    """
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schema = problem.model_json_schema(ref_template=_SCHEMAS + "{model}")
    schemas.update({**schema.pop("$defs", {}), problem.__name__: schema})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    content = {media_type: {"schema": {"$ref": _SCHEMAS + problem.__name__}}}
    for operation in _operations(document):
        responses = operation["responses"]
        for status, response in refusals(*_implied_errors(operation)).items():
            responses[str(status)] = responses.get(str(status)) or response
        for status, response in responses.items():
            described = str(response.get("content", problem.__name__))
            if status.startswith(("4", "5")) and (problem.__name__ in described or status == str(Invalid.status)):
                response["content"] = content
        if response := responses.get(str(Unauthorized.status)):
            response |= header("WWW-Authenticate", required=True)
        operation["responses"] = dict(sorted(responses.items()))
    return document


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


def _implied_errors(operation: dict[str, Any]) -> Iterable[type[ChaosError]]:
    """Yield the errors that follow from an operation's body, parameters and token."""
    if "requestBody" in operation:
        yield from (BadRequest, TooLarge, UnsupportedType, Invalid)
    elif "parameters" in operation:
        yield Invalid
    if "security" in operation:
        yield Unauthorized
