"""What an OpenAPI document says of errors: every status that may come, its media type and its schema."""

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
"""Chaosapi's own telemetry stands around its apps; FastAPI would look for OpenTelemetry's with every request.
Releases that do not are deaf to it."""

_SCHEMAS = "#/components/schemas/"

Responses = dict[int | str, dict[str, Any]]


def refusals(*errors: type[ChaosError]) -> Responses:
    """Describe, for a route's `responses`, what it may refuse; `with_problems` adds what follows from its shape."""
    return {error.status: {"description": inspect.getdoc(error) or error.title} for error in errors}


def header(*names: str, required: bool = False) -> dict[str, Any]:
    """Describe headers, for one of a route's `responses`."""
    return {"headers": {name: {"required": required, "schema": {"type": "string"}} for name in names}}


def with_problems(document: dict[str, Any], problem: type[BaseModel], media_type: str) -> dict[str, Any]:
    """Complete an OpenAPI document in place: each error is a problem, unless its route says what else it is.

    A body may be broken, too large or of another type, a parameter wrong, and where the docs ask for a token it may be
    missing. Done again it changes nothing.
    """
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    described = problem.model_json_schema(ref_template=_SCHEMAS + "{model}")
    schemas.update({**described.pop("$defs", {}), problem.__name__: described})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    content = {media_type: {"schema": {"$ref": _SCHEMAS + problem.__name__}}}
    for operation in _operations(document):
        responses = operation["responses"]
        for status, answer in refusals(*_implied(operation)).items():
            responses[str(status)] = responses.get(str(status)) or answer
        for status, answer in responses.items():
            said = str(answer.get("content", problem.__name__))
            if status.startswith(("4", "5")) and (problem.__name__ in said or status == str(Invalid.status)):
                answer["content"] = content
        if answer := responses.get(str(Unauthorized.status)):
            answer |= header("WWW-Authenticate", required=True)
        operation["responses"] = dict(sorted(responses.items()))
    return document


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


def _implied(operation: dict[str, Any]) -> Iterable[type[ChaosError]]:
    """Return what an operation may refuse because of its shape."""
    if "requestBody" in operation:
        yield from (BadRequest, TooLarge, UnsupportedType, Invalid)
    elif "parameters" in operation:
        yield Invalid
    if "security" in operation:
        yield Unauthorized
