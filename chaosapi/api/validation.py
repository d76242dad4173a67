"""Turn pydantic's errors into messages, field by field, that say what would be valid."""

import difflib
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from chaosapi import json_limits
from chaosapi.errors import Invalid

M = TypeVar("M", bound=BaseModel)

_MESSAGES: Final = {
    "missing": "this field is required",
    "union_tag_not_found": 'say which kind with "type": one of {expected}',
    "union_tag_invalid": "unknown type {tag!r}: one of {expected}",
    "model_attributes_type": "this must be a JSON object",
    "dict_type": "this must be a JSON object",
}


def read(model: type[M], document: Any) -> M:
    """Return the document as a model; raises Invalid, which names each wrong field."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False), document, model) from None


def invalid(errors: Sequence[Any], body: Any, model: type[BaseModel] | None, skipped: int = 0) -> Invalid:
    """Return the error for pydantic's `errors`, with the first `json_limits.MAX_ERRORS` fields.

    `model` is the model of the body, if known; the first `skipped` parts of each location are not part of the body.
    """
    messages_by_field: dict[str, list[str]] = {}
    for reported, error in enumerate(errors):
        path = _path(error["loc"][skipped:], body, missing=error["type"] == "missing")
        field = ".".join(map(str, path)) or "body"
        if field not in messages_by_field and len(messages_by_field) == json_limits.MAX_ERRORS:
            return json_limits.refusal(_join_messages(messages_by_field), len(errors) - reported)
        messages = messages_by_field.setdefault(field, [])
        message = _message(error, path, body, model)
        if message not in messages:
            messages.append(message)  # one from each branch of a union
    return json_limits.refusal(_join_messages(messages_by_field))


def _join_messages(messages_by_field: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    return ((field, ", or ".join(messages)) for field, messages in messages_by_field.items())


def joined(errors: Sequence[Invalid]) -> Invalid:
    """Return one error with the messages and fields of all."""
    return Invalid("; ".join(map(str, errors)), list(chain.from_iterable(error.errors for error in errors)))


def _path(location: Sequence[int | str], body: Any, *, missing: bool) -> list[int | str]:
    """Return a location without pydantic's additions (tags, names of union branches): the path in the sender's body."""
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
        known = _known_fields(model, path[:-1], body) if model else []
        near = difflib.get_close_matches(str(path[-1])[:50], known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"the fields here are {', '.join(known)}"
        return f"unknown field: {hint}" if known else "unknown field"
    if error["type"] == "union_tag_not_found" and model:
        tags = [_tag(candidate) for candidate in _models_at(model, path)]
        return _MESSAGES[error["type"]].format(expected=", ".join(tags))
    template = _MESSAGES.get(error["type"])
    if template is not None:
        return template.format(
            tag=str(context.get("tag"))[:50], expected=str(context.get("expected_tags", "")).replace("'", "")
        )
    return error["msg"][:1].lower() + error["msg"][1:]


def _known_fields(model: type[BaseModel], path: Sequence[int | str], body: Any) -> list[str]:
    """Return the fields that the object at `path` may have."""
    for part in path:
        body = body[part]
    candidates = _models_at(model, path)
    if len(candidates) > 1:
        candidates = [candidate for candidate in candidates if _fits(candidate, body)]
    return [field.alias or name for name, field in candidates[0].model_fields.items()] if candidates else []


def _models_at(model: type[BaseModel], path: Sequence[int | str]) -> list[type[BaseModel]]:
    """Return the models that the object at `path` may have, according to the annotations of the fields."""
    models = [model]
    for part in path:
        if isinstance(part, str):
            fields = chain.from_iterable(candidate.model_fields.items() for candidate in models)
            meant = [field for name, field in fields if (field.alias or name) == part]
            models = list(chain.from_iterable(models_in(field.annotation) for field in meant))
    return models


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return list(chain.from_iterable(map(models_in, get_args(annotation))))


def _fits(model: type[BaseModel], body: Any) -> bool:
    """Return whether the object is meant as this model: it has the model's type, or all required fields."""
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    return _tag(model) == body.get("type") if _tag(model) else all(name in body for name in required)


def _tag(model: type[BaseModel]) -> str:
    field = model.model_fields.get("type")
    return str(field.default) if field else ""
