"""Draw documents that match a JSON schema of the service's OpenAPI documents."""

import math
import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final

_TEXTS: Final = (
    *("20ms", "100ms", "1s", "50us", "1m30s", "0.1s"),  # durations
    *("f0", "f1", "f2", "checkout-errors", "x-tenant", "x-user-id", "db", "payments", "search-index"),
    *("/api/products", "/api/*", "/api/products/{product_id}", "/api/checkout", "*", '"7"', "503", "500"),
    *("p-0001", "p-0042", "u-1", "cart-1", "8MiB", "1000", "x-tenant=acme", "x-user-id=u-1"),
)
"""Texts that match the patterns of the schemas."""
_SHORT: Final = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, "20ms", "100ms", "50ms", "0.1s")
_TIMES: Final = ("2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2026-11-27T07:00:00.123+02:00")
_WORDS: Final = ("", "a", "ErrorBudgetBurn", "page", "shop-availability", "checkout", "naïve ☃", "acme", "user-7")
_RISING: Final = (("min", "p50", "p90", "p95", "p99", "max"), ("low", "high"), ("median", "p99"))
"""Fields whose values must not decrease in this order."""
_DEEPEST: Final = 6


class Sampler:
    """Draws documents from the schemas of one OpenAPI document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def draw(self, dice: Random, schema: Mapping[str, Any], depth: int = 0) -> Any:  # noqa: PLR0911 - a kind a line
        """Return a document that matches the schema; rules that a schema cannot express may be violated."""
        schema = self.resolve(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return dice.choice(schema["enum"])
        for several in ("oneOf", "anyOf"):
            if several in schema:
                return self._one_of(dice, schema[several], depth)
        kind = schema.get("type")
        if kind == "object":
            return self._object(dice, schema, depth)
        if kind == "array":
            return self._array(dice, schema, depth)
        if kind == "string":
            return _text(dice, schema)
        if kind in {"number", "integer"}:
            return _number(dice, schema)
        if kind == "boolean":
            return dice.random() < 0.5
        return None if kind == "null" else anything(dice)

    def resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follow references."""
        while "$ref" in schema:
            found: Any = self._document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            schema = found
        return schema

    def _one_of(self, dice: Random, choices: Sequence[Mapping[str, Any]], depth: int) -> Any:
        if {each.get("type") for each in choices} == {"string", "number"}:  # a duration
            return dice.choice(_SHORT)
        if depth > _DEEPEST:
            flat = [each for each in choices if "$ref" not in each or "omponents" not in str(self.resolve(each))]
            choices = flat or choices
        return self.draw(dice, dice.choice(choices), depth + 1)

    def _object(self, dice: Random, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        wanted = schema.get("required", ())
        likely = 0.5 if depth < 2 else 0.3
        found = {
            name: self.draw(dice, each, depth + 1)
            for name, each in schema.get("properties", {}).items()
            if name in wanted or "const" in each or dice.random() < likely
        }
        others = schema.get("additionalProperties")
        keys = schema.get("propertyNames", {"type": "string"})
        for pattern, each in schema.get("patternProperties", {}).items():
            keys = {"type": "string", "pattern": pattern}
            others = each
        if isinstance(others, Mapping):
            for _ in range(dice.randrange(4)):
                found[str(self.draw(dice, keys, depth + 1))] = self.draw(dice, others, depth + 1)
        elif not schema.get("properties"):
            found["key"] = anything(dice)
        return _rising(found)

    def _array(self, dice: Random, schema: Mapping[str, Any], depth: int) -> list[Any]:
        least = schema.get("minItems", 0)
        count = dice.randint(least, min(schema.get("maxItems", 9), least + 2))
        return [self.draw(dice, schema.get("items", {}), depth + 1) for _ in range(count)]


def anything(dice: Random, depth: int = 0) -> Any:
    """Return an arbitrary JSON document."""
    kind = dice.randrange(7 if depth < 4 else 5)
    if kind == 5:
        return [anything(dice, depth + 1) for _ in range(dice.randrange(4))]
    if kind == 6:
        return {dice.choice(_WORDS): anything(dice, depth + 1) for _ in range(dice.randrange(4))}
    return (None, True, dice.randrange(1000), dice.random(), dice.choice(_WORDS))[kind]


def _text(dice: Random, schema: Mapping[str, Any]) -> str:
    if pattern := schema.get("pattern"):
        fitting = [text for text in _TEXTS if re.search(pattern, text)]
        return dice.choice(fitting or _TEXTS)
    if schema.get("format") == "date-time":
        return dice.choice(_TIMES)
    word = dice.choice(_WORDS)
    return word or "a" * schema.get("minLength", 0)


def _number(dice: Random, schema: Mapping[str, Any]) -> int | float:
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    high = schema.get("maximum", schema.get("exclusiveMaximum", max(low + 1, 1000)))
    if schema["type"] == "integer":
        least = math.ceil(low)
        return dice.choice((least, dice.randint(least, min(math.floor(high), 2**63)), least + 1))
    highest = high if "exclusiveMaximum" not in schema else low + 0.99 * (high - low)
    return dice.choice((low + 0.01 * (high - low), dice.uniform(low, highest), highest))


def _rising(found: dict[str, Any]) -> dict[str, Any]:
    """Make the values of such fields increase."""
    for names in _RISING:
        there = [name for name in names if name in found]
        if len(there) > 1 and all(isinstance(found[name], (int, float, str)) for name in there):
            found.update({name: 0.01 * (1 + place) for place, name in enumerate(there)})
    return found
