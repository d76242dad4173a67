"""The form of a JSON schema, tested with the schemas of the real service."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from chaosapi.console.schema import (
    Choice,
    Field,
    Part,
    Path,
    body,
    form_parts,
    format_value,
    initial_text,
    merge_patch,
    parse_field,
)
from chaosapi.console.service import describe_condition


def effect(client: TestClient, name: str) -> tuple[Part, ...]:
    """Return the form of an effect of the catalogue."""
    found = next(each for each in client.get("/admin/effects").json()["effects"] if each["type"] == name)
    return form_parts(found["parameters"], found["parameters"].get("$defs", {}), ("effect",))


def every(found: tuple[Part, ...]) -> list[Field]:
    """Return all fields, including those in choices."""
    inner = [
        each
        for part in found
        if isinstance(part, Choice)
        for variant in part.variants.values()
        for each in every(variant)
    ]
    return [part for part in found if isinstance(part, Field)] + inner


def test_every_effect_has_a_form_with_help_texts(client: TestClient) -> None:
    """Each parameter of each effect is a field or a choice with a help text, except a mixture's components."""
    for each in client.get("/admin/effects").json()["effects"]:
        found = effect(client, each["type"])
        assert {part.path[1] for part in found} == each["parameters"]["properties"].keys() - {"type"}
        assert [field.path for field in every(found) if not field.help and field.path[-1] != "components"] == []


def test_kinds_limits_and_defaults_come_from_the_schema(client: TestClient) -> None:
    """A status has bounds, a duration a unit, a choice its options; a field without a default is required."""
    error = {field.path[-1]: field for field in every(effect(client, "error"))}
    assert (error["status"].kind, error["status"].limits, error["status"].default) == ("json", "from 400 to 599", "503")
    assert error["retry_after"].kind == "duration"
    assert error["when"].choices == ("before", "after")
    throttle = every(effect(client, "throttle"))[0]
    assert (throttle.kind, throttle.required, throttle.limits) == ("integer", True, "from 1 to 1e+09")


def test_a_condition_has_a_field_for_each_part_of_the_world(client: TestClient) -> None:
    """What the fields say is a condition that the service accepts."""
    schemas = client.get("/admin/openapi.json").json()["components"]["schemas"]
    found = form_parts({"properties": {"while": schemas["FaultRequest"]["properties"]["while"]}}, schemas)
    fields = {field.path: field for field in every(found)}
    texts = {"release": "2.4.1", "flags": '{"new-pricing": true}', "settings": '{"queue": {"above": 1}}'}
    typed: dict[Path, Any] = {("while", name): parse_field(fields["while", name], text) for name, text in texts.items()}
    answer = client.post("/admin/faults", json={"effect": {"type": "error"}, **body(typed)})
    assert answer.status_code == 201
    shown = answer.json()
    assert (shown["while"]["release"], shown["while"]["flags"]) == ("2.4.1", {"new-pricing": True})
    described = describe_condition(shown)
    assert "while release 2.4.1 and flags new-pricing true and settings queue above 1: acts on no replica" in described
    assert "the release is 1.0.0, not 2.4.1" in described


def test_a_distribution_is_a_choice_of_forms(client: TestClient) -> None:
    """Each kind of distribution has its own fields."""
    (distribution,) = [part for part in effect(client, "latency") if isinstance(part, Choice)]
    assert distribution.path == ("effect", "distribution")
    assert [part.path[-1] for part in distribution.variants["lognormal"]] == ["median", "p99"]
    assert "" not in distribution.variants


def test_an_optional_choice_has_an_empty_option(client: TestClient) -> None:
    """The service time of `capacity` is an example."""
    (time,) = [part for part in effect(client, "capacity") if isinstance(part, Choice)]
    assert (time.default, time.variants[""]) == ("", ())


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("number", " 0.2 ", 0.2),
        ("integer", "3", 3),
        ("duration", "1m30s", "1m30s"),
        ("list", "/api/*, /b ,", ["/api/*", "/b"]),
        ("json", '{"503": 0.8}', {"503": 0.8}),
        ("json", "256MiB", "256MiB"),
        ("text", "5", "5"),
    ],
)
def test_typed_text_is_converted_to_json(kind: Any, text: str, value: object) -> None:
    """By the type of its field; text that is not JSON stays text."""
    assert parse_field(Field(("x",), kind), text) == value


@pytest.mark.parametrize("known", ["123", '{"a":1}', "", " with spaces ", {"a": 1}, ["/a,b"], 0.5])
def test_unchanged_fields_keep_their_values(known: object) -> None:
    """Text that looks like JSON stays text, with its spaces."""
    assert initial_text(Field(("x",), "json"), format_value(known), known) == known


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("integer", "1.5", "a whole number from 1 to 9"),
        ("duration", "5 minutes", "text with units"),
        ("json", '{"503": ', "not JSON"),
        ("json", "[" * 100_000, "not JSON"),
        ("json", "[NaN]", "finite"),
    ],
)
def test_invalid_text_is_refused_with_what_would_be_valid(kind: Any, text: str, message: str) -> None:
    """The message has the valid form."""
    with pytest.raises(ValueError, match=message):
        parse_field(Field(("x",), kind, limits="from 1 to 9"), text)


def test_values_are_nested_by_their_paths() -> None:
    """The type of a choice is next to its fields."""
    values = {("effect", "distribution", "type"): "constant", ("effect", "distribution", "value"): "1s", ("rate",): 0.5}
    assert body(values) == {"effect": {"distribution": {"type": "constant", "value": "1s"}}, "rate": 0.5}


def test_an_edit_removes_the_fields_of_the_old_fault(client: TestClient) -> None:
    """The patch with another effect, shape and target gives exactly the fault of the form."""
    old = {
        "name": "old",
        "effect": {"type": "error", "status": 500, "retry_after": "5s"},
        "target": {"routes": ["/api/search"], "methods": ["GET"]},
        "schedule": {"duration": "5m", "start_after": "1s", "shape": {"type": "ramp", "up": "1m"}},
        "reason": "before",
    }
    new = {
        "effect": {"type": "latency", "distribution": {"type": "constant", "value": "20ms"}},
        "target": {"routes": ["/api/products"]},
        "schedule": {"duration": "6m", "shape": {"type": "pulse", "on": "1s", "off": "2s"}},
    }
    made = client.post("/admin/faults", json=old).json()
    fields = ("effect", "rate", "target", "schedule", "seed", "reason", "guard")
    sent = merge_patch({name: made[name] for name in fields}, new)
    answer = client.patch("/admin/faults/old", json=sent, headers={"content-type": "application/merge-patch+json"})
    assert answer.status_code == 200, answer.text
    fresh = client.post("/admin/faults", json={"name": "fresh", **new}).json()
    assert {name: answer.json()[name] for name in fields} == {name: fresh[name] for name in fields}
