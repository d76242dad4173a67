"""What is wrong with a body, field by field, in words that say what would be right."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from chaosapi import budget
from chaosapi.errors import Invalid

M = TypeVar("M", bound=BaseModel)

_WORDS: Final = {
    "missing": "this field is required",
    "union_tag_not_found": 'say which kind with "type": one of {expected}',
    "union_tag_invalid": "unknown type {tag!r}: one of {expected}",
    "model_attributes_type": "this must be a JSON object",
    "dict_type": "this must be a JSON object",
}


def read(model: type[M], document: Any) -> M:
    """Read a document; raises Invalid, which names the fields that are wrong."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False), document, model) from None


def invalid(errors: Sequence[Any], body: Any, model: type[BaseModel] | None, skipped: int = 0) -> Invalid:
    """Name the fields that pydantic's errors are about, the first `budget.MAX_ERRORS` of them.

    `model` is what `body` was read with, where that is known; `skipped` parts of each location are not of the body.
    """
    found: dict[str, list[str]] = {}
    for seen, error in enumerate(errors):
        path = _path(error["loc"][skipped:], body, missing=error["type"] == "missing")
        field = ".".join(map(str, path)) or "body"
        if field not in found and len(found) == budget.MAX_ERRORS:
            return budget.refusal(_told(found), len(errors) - seen)
        messages = found.setdefault(field, [])
        if (message := _message(error, path, body, model)) not in messages:
            messages.append(message)  # one from each branch of a union
    return budget.refusal(_told(found))


def _told(found: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    return ((field, ", or ".join(messages)) for field, messages in found.items())


def joined(found: Sequence[Invalid]) -> Invalid:
    """Make one error of several."""
    return Invalid("; ".join(map(str, found)), [field for each in found for field in each.errors])


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
        near = difflib.get_close_matches(str(path[-1])[:50], known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"the fields here are {', '.join(known)}"
        return f"unknown field: {hint}" if known else "unknown field"
    if error["type"] == "union_tag_not_found" and model:
        tags = [_tag(kind) for kind in _models_at(model, path)]
        return _WORDS[error["type"]].format(expected=", ".join(tags))
    if (words := _WORDS.get(error["type"])) is not None:
        return words.format(
            tag=str(context.get("tag"))[:50], expected=str(context.get("expected_tags", "")).replace("'", "")
        )
    return error["msg"][:1].lower() + error["msg"][1:]


def _known(model: type[BaseModel], path: Sequence[int | str], body: Any) -> list[str]:
    """Return the fields that the object at `path` may have."""
    for part in path:
        body = body[part]
    kinds = _models_at(model, path)
    chosen = [kind for kind in kinds if len(kinds) == 1 or _fits(kind, body)]
    return list(chosen[0].model_fields) if chosen else []


def _models_at(model: type[BaseModel], path: Sequence[int | str]) -> list[type[BaseModel]]:
    """Return the models that may stand at `path`, following the fields' annotations."""
    kinds = [model]
    for part in path:
        if isinstance(part, str):
            fields = [kind.model_fields[part] for kind in kinds if part in kind.model_fields]
            kinds = [found for field in fields for found in models_in(field.annotation)]
    return kinds


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in models_in(part)]


def _fits(model: type[BaseModel], body: Any) -> bool:
    """Tell whether the object is meant to be of this kind: by its type, or by having what that kind must have."""
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    return _tag(model) == body.get("type") if _tag(model) else all(name in body for name in required)


def _tag(model: type[BaseModel]) -> str:
    field = model.model_fields.get("type")
    return str(field.default) if field else ""
