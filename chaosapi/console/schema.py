"""Turn JSON schema into the fields of a form, and the text of these fields into JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from chaosapi import durations, json_limits
from chaosapi.errors import ChaosError

Json = Mapping[str, Any]
Kind = Literal["text", "number", "integer", "duration", "choice", "list", "json"]
Path = tuple[str, ...]

_MAX_DEPTH: Final = 3  # below it a value is one field of JSON, such as a mixture of mixtures


@dataclass(frozen=True)
class Field:
    """One value: its path in the body, its kind, and the facts of its schema."""

    path: Path
    kind: Kind
    help: str = ""
    limits: str = ""
    default: str = ""
    required: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """One of several objects: the fields of each by its `type`. The variant `""` is no object."""

    path: Path
    variants: Mapping[str, tuple["Field | Choice", ...]]
    help: str = ""
    default: str = ""


Part = Field | Choice


def form_parts(schema: Json, definitions: Json, path: Path = (), *, needed: bool = True) -> tuple[Part, ...]:
    """Return the form of an object's schema, without `type`, which a Choice already has.

    No field is required in an object that is not `needed`.
    """
    required = schema.get("required", []) if needed else []
    found: list[Part] = []
    for name, inner in schema.get("properties", {}).items():
        if name != "type":
            found += _part(inner, definitions, (*path, name), required=name in required)
    return tuple(found)


def initial_text(field: Field, text: str, known: Any) -> Any:
    """Return a field's JSON, which is `known` if its text is unchanged; raises ValueError as `parse_field` does.

    So an unchanged text such as `"5"` does not become a number.
    """
    return known if known is not None and text == format_value(known) else parse_field(field, text)


def parse_field(field: Field, text: str) -> Any:
    """Return the JSON of a field's text; raises ValueError with the expected form."""
    text = text.strip()
    match field.kind:
        case "integer" | "number":
            try:
                return int(text) if field.kind == "integer" else float(text)
            except ValueError:
                what = "a whole number" if field.kind == "integer" else "a number"
                raise ValueError(f"{what} {field.limits}".strip()) from None
        case "duration":
            durations.parse(text)
            return text
        case "list":
            return [each.strip() for each in text.split(",") if each.strip()]
        case "json":
            try:
                return json_limits.read(text.encode("utf-8", "surrogatepass"), json_limits.FAULT)
            except ChaosError as error:
                if text[:1] in "{[":
                    raise ValueError(f"this is not JSON: {error}") from None
                return text
        case _:
            return text


def body(values: Mapping[Path, Any]) -> dict[str, Any]:
    """Return nested objects with each value at its path."""
    made: dict[str, Any] = {}
    for path, value in values.items():
        place = made
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
    return made


def format_value(value: Any) -> str:
    """Return the text of a JSON value in a field."""
    if value is None or value in ({}, []):
        return ""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value)


def value_at(values: Any, path: Path) -> Any:
    """Return the value at a path, None if there is none."""
    for name in path:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def merge_patch(old: Json, new: Json) -> dict[str, Any]:
    """Return the merge patch (RFC 7396) from `old` to `new`; fields that `new` lacks are null, which removes them."""
    changes: dict[str, Any] = dict.fromkeys(old)
    for name, value in new.items():
        before = old.get(name)
        changes[name] = (
            merge_patch(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
        )
    return changes


def _part(schema: Json, definitions: Json, path: Path, *, required: bool) -> list[Part]:
    outer = schema
    schema = _without_null(schema, definitions)
    text = outer.get("description") or schema.get("description", "")
    default = outer.get("default", schema.get("default"))
    if "discriminator" in schema and len(path) <= _MAX_DEPTH:
        mapping = schema["discriminator"]["mapping"]
        variants = {
            name: form_parts(_resolve_reference(where, definitions), definitions, path)
            for name, where in mapping.items()
        }
        if not required and default is None:
            variants = {"": (), **variants}
        chosen = default["type"] if isinstance(default, Mapping) else next(iter(variants))
        return [Choice(path, variants, text, chosen)]
    if "properties" in schema and schema.get("type") == "object":
        return list(form_parts(schema, definitions, path, needed=required))
    kind, limits = _kind(schema)
    shown = (
        durations.format(default) if kind == "duration" and isinstance(default, (int, float)) else format_value(default)
    )
    return [Field(path, kind, text, limits, shown, required, tuple(map(str, schema.get("enum", ()))))]


def _without_null(schema: Json, definitions: Json) -> Json:
    """Return the schema behind a reference, without the null of an optional value."""
    if "$ref" in schema:
        schema = _resolve_reference(schema["$ref"], definitions)
    options = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    if len(options) == 1:
        return _without_null(options[0], definitions)
    return schema


def _resolve_reference(reference: str, definitions: Json) -> Json:
    found: Json = definitions[reference.rpartition("/")[2]]
    return found


def _kind(schema: Json) -> tuple[Kind, str]:
    if "enum" in schema:
        return "choice", ""
    options = [schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())]
    if any("ns|us" in each.get("pattern", "") for each in options):
        return "duration", "such as 250ms or 1m30s"
    match schema.get("type"):
        case "integer" | "number" as kind:
            return kind, _limits(schema)
        case "string":
            longest = schema.get("maxLength")
            return "text", f"at most {longest} characters" if longest else ""
        case "array" if schema.get("items", {}).get("type") == "string":
            return "list", "with commas between them"
    limits = next((_limits(each) for each in options if each.get("type") in ("integer", "number")), "")
    return "json", limits


def _limits(schema: Json) -> str:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    return " ".join(f"{word} {schema[name]:g}" for name, word in words.items() if name in schema)
