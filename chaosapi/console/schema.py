"""A form's fields, made from JSON schema, and what people type into them made into JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from chaosapi import budget, durations
from chaosapi.errors import ChaosError

Json = Mapping[str, Any]
Kind = Literal["text", "number", "integer", "duration", "choice", "list", "json"]
Path = tuple[str, ...]

_DEEPEST: Final = 3  # a mixture of mixtures is written as JSON


@dataclass(frozen=True)
class Field:
    """One value: its path in the body, how it is typed, and what its schema says of it."""

    path: Path
    kind: Kind
    help: str = ""
    limits: str = ""
    default: str = ""
    required: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """One of several objects, told apart by their `type`: the fields of each. `""` is none, where there may be none."""

    path: Path
    variants: Mapping[str, tuple["Field | Choice", ...]]
    help: str = ""
    default: str = ""


Part = Field | Choice


def form_parts(schema: Json, definitions: Json, path: Path = (), *, needed: bool = True) -> tuple[Part, ...]:
    """Return the form of an object's schema; `type`, which the choice of the object already told, is left out.

    Nothing is required of an object that itself is not `needed`.
    """
    required = schema.get("required", []) if needed else []
    found: list[Part] = []
    for name, inner in schema.get("properties", {}).items():
        if name != "type":
            found += _part(inner, definitions, (*path, name), required=name in required)
    return tuple(found)


def initial_text(field: Field, text: str, known: Any) -> Any:
    """Turn what stands where `known` was written into JSON; raises ValueError as `read` does.

    What nobody touched stays what it was: the text `"5"` becomes no number by being looked at.
    """
    return known if known is not None and text == format_value(known) else parse_field(field, text)


def parse_field(field: Field, text: str) -> Any:
    """Turn what was typed into JSON; raises ValueError that says what would be right."""
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
                return budget.read(text.encode("utf-8", "surrogatepass"), budget.FAULT)
            except ChaosError as error:
                if text[:1] in "{[":
                    raise ValueError(f"this is no JSON: {error}") from None
                return text
        case _:
            return text


def body(values: Mapping[Path, Any]) -> dict[str, Any]:
    """Put values where their paths say."""
    made: dict[str, Any] = {}
    for path, value in values.items():
        place = made
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
    return made


def format_value(value: Any) -> str:
    """Write JSON the way it is typed."""
    if value is None or value in ({}, []):
        return ""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value)


def value_at(values: Any, path: Path) -> Any:
    """Return what stands at a path, None where nothing does."""
    for name in path:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def merge_patch(old: Json, new: Json) -> dict[str, Any]:
    """Return the merge patch (RFC 7396) that makes `new` of `old`: it keeps what it does not name, so that is null."""
    changes: dict[str, Any] = dict.fromkeys(old)
    for name, value in new.items():
        before = old.get(name)
        changes[name] = (
            merge_patch(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
        )
    return changes


def _part(schema: Json, definitions: Json, path: Path, *, required: bool) -> list[Part]:
    outer = schema
    schema = _plain(schema, definitions)
    text = outer.get("description") or schema.get("description", "")
    default = outer.get("default", schema.get("default"))
    if "discriminator" in schema and len(path) <= _DEEPEST:
        mapping = schema["discriminator"]["mapping"]
        variants = {name: form_parts(_named(where, definitions), definitions, path) for name, where in mapping.items()}
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


def _plain(schema: Json, definitions: Json) -> Json:
    """Follow a reference, and leave the null away from what may be null."""
    if "$ref" in schema:
        schema = _named(schema["$ref"], definitions)
    options = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    if len(options) == 1:
        return _plain(options[0], definitions)
    return schema


def _named(reference: str, definitions: Json) -> Json:
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
    """Return the bounds of a number."""
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    return " ".join(f"{word} {schema[name]:g}" for name, word in words.items() if name in schema)
