"""Every error as an RFC 9457 problem document that names the fields and says what would be right."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, get_args

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.responses import Response

from chaosapi.errors import BadRequest, ChaosError, Invalid, UnsupportedType
from chaosapi.fault import Fault
from chaosapi.models import Model

_WORDS: Final = {
    "missing": "this field is required",
    "union_tag_not_found": 'say which kind with "type": one of {expected}',
    "union_tag_invalid": "unknown type {tag!r}: one of {expected}",
    "model_attributes_type": "this must be a JSON object",
    "dict_type": "this must be a JSON object",
}


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


def response(status: int, title: str, detail: str, slug: str, errors: Sequence[Mapping[str, str]] = ()) -> Response:
    """Write a problem document."""
    body = {"type": f"urn:chaosapi:problem:{slug}", "title": title, "status": status, "detail": detail}
    content = json.dumps({**body, "errors": list(errors)} if errors else body)
    headers = {"www-authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
    return Response(content, status, headers, media_type="application/problem+json")


def of(error: ChaosError) -> Response:
    """Write the problem document of one of our own errors."""
    return response(error.status, error.title, str(error), error.slug, error.errors)


def install(app: FastAPI) -> None:
    """Answer every error of the app with a problem document."""
    app.add_exception_handler(ChaosError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def fault(document: Any) -> Fault:
    """Read a fault; raises Invalid, which names every field that is wrong."""
    try:
        return Fault.model_validate(document)
    except ValidationError as error:
        raise _explained(error.errors(include_url=False), document, Fault) from None


def _explained(errors: Iterable[Any], body: Any, model: type[BaseModel] | None) -> Invalid:
    found: dict[str, list[str]] = {}
    for error in errors:
        path = _path(error["loc"], body, missing=error["type"] == "missing")
        messages = found.setdefault(".".join(map(str, path)) or "body", [])
        if (message := _message(error, path, body, model)) not in messages:
            messages.append(message)  # one from each branch of a union
    fields = [{"field": field, "message": ", or ".join(messages)} for field, messages in found.items()]
    return Invalid("; ".join(f"{each['field']}: {each['message']}" for each in fields), fields)


def _path(location: Sequence[int | str], body: Any, *, missing: bool) -> list[int | str]:
    """Drop what pydantic adds to a location (tags, names of union branches): keep what the sender wrote or left out."""
    path: list[int | str] = []
    for place, part in enumerate(location):
        if isinstance(body, dict) and part in body:
            body = body[part]
        elif isinstance(body, list) and isinstance(part, int):
            body = body[part] if part < len(body) else None
        elif not (missing and place == len(location) - 1 and isinstance(body, dict)):
            continue
        path.append(part)
    return path


def _message(error: ErrorDetails, path: Sequence[int | str], body: Any, model: type[BaseModel] | None) -> str:
    context = error.get("ctx", {})
    if error["type"] == "extra_forbidden":
        known = _known(model, path[:-1], body) if model else []
        near = difflib.get_close_matches(str(path[-1]), known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"the fields here are {', '.join(known)}"
        return f"unknown field: {hint}" if known else "unknown field"
    if error["type"] == "union_tag_not_found" and model:
        tags = [_tag(kind) for kind in _models_at(model, path)]
        return _WORDS[error["type"]].format(expected=", ".join(tags))
    if (words := _WORDS.get(error["type"])) is not None:
        return words.format(tag=context.get("tag"), expected=str(context.get("expected_tags", "")).replace("'", ""))
    return error["msg"][:1].lower() + error["msg"][1:]


def _known(model: type[BaseModel], path: Sequence[int | str], body: Any) -> list[str]:
    """Return the fields that the object at `path` may have."""
    for part in path:
        body = body[part]
    kinds = _models_at(model, path)
    chosen = [kind for kind in kinds if len(kinds) == 1 or _tag(kind) == body.get("type")]
    return list(chosen[0].model_fields) if chosen else []


def _models_at(model: type[BaseModel], path: Sequence[int | str]) -> list[type[BaseModel]]:
    """Return the models that may stand at `path`, following the fields' annotations."""
    kinds = [model]
    for part in path:
        if isinstance(part, str):
            fields = [kind.model_fields[part] for kind in kinds if part in kind.model_fields]
            kinds = [found for field in fields for found in _models_in(field.annotation)]
    return kinds


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models_in(part)]


def _tag(model: type[BaseModel]) -> str:
    field = model.model_fields.get("type")
    return str(field.default) if field else ""


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
    model = _body_model(request)
    explained = [
        _explained([{**each, "loc": each["loc"][1:]} for each in found], body, kind)
        for found, body, kind in ((in_body, error.body, model), (elsewhere, {}, None))
        if found
    ]
    fields = [field for each in explained for field in each.errors]
    return of(Invalid("; ".join(map(str, explained)), fields))


def _body_model(request: Request) -> type[BaseModel] | None:
    """Return the model that the route reads its body with, to say which fields there are."""
    field = getattr(request.scope.get("route"), "body_field", None)
    kinds = _models_in(field.field_info.annotation) if field else []
    return kinds[0] if kinds else None


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    title = HTTPStatus(error.status_code).phrase
    found = response(error.status_code, title, str(error.detail), title.lower().replace(" ", "-"))
    found.headers.update(error.headers or {})
    return found


async def _unexpected(_: Request, __: Exception) -> Response:
    return response(500, "Internal Server Error", "the server failed to answer; its log has the traceback", "internal")
