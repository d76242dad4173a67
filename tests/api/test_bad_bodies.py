"""What is not a fault: refused by field, with what would be right, and nothing is changed."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

ERROR = {"effect": {"type": "error"}}


def latency(**distribution: Any) -> dict[str, Any]:
    """Make a latency fault."""
    return {"effect": {"type": "latency", "distribution": distribution}}


def error(**effect: Any) -> dict[str, Any]:
    """Make an error fault."""
    return {"effect": {"type": "error", **effect}}


def shaped(**shape: Any) -> dict[str, Any]:
    """Make an error fault with a shape."""
    return {**ERROR, "schedule": {"shape": shape}}


BAD: list[tuple[Any, str, str]] = [
    # body, field, what the message says
    ([], "body", "object"),
    ("error", "body", "object"),
    (7, "body", "object"),
    (None, "body", ""),
    ({}, "effect", "required"),
    ({"effect": None}, "effect", ""),
    ({"effect": "error"}, "effect", ""),
    ({"effect": {}}, "effect", "error, latency"),
    ({"effect": {"type": "eror"}}, "effect", "error, latency"),
    ({"effect": {"type": 5}}, "effect", "error, latency"),
    ({"efect": {"type": "error"}}, "efect", "did you mean 'effect'"),
    ({**ERROR, "rat": 0.5}, "rat", "did you mean 'rate'"),
    ({**ERROR, "zzz": 1}, "zzz", "the fields here are name, effect"),
    ({**ERROR, "rate": 5}, "rate", "did you mean 0.05?"),
    ({**ERROR, "rate": 100}, "rate", "did you mean 1?"),
    ({**ERROR, "rate": 0}, "rate", "above 0"),
    ({**ERROR, "rate": -0.1}, "rate", "above 0"),
    ({**ERROR, "rate": 101}, "rate", "at most 1"),
    ({**ERROR, "rate": "5%"}, "rate", "number"),
    ({**ERROR, "rate": "0.5"}, "rate", "number"),
    ({**ERROR, "rate": True}, "rate", "number"),
    ({**ERROR, "rate": None}, "rate", "number"),
    ({**ERROR, "name": ""}, "name", ""),
    ({**ERROR, "name": "No Capitals"}, "name", ""),
    ({**ERROR, "name": "a/b"}, "name", ""),
    ({**ERROR, "name": "a" * 64}, "name", ""),
    ({**ERROR, "name": 7}, "name", "string"),
    ({**ERROR, "seed": -1}, "seed", ""),
    ({**ERROR, "seed": 2**64}, "seed", ""),
    ({**ERROR, "seed": 1.5}, "seed", ""),
    ({**ERROR, "seed": "7"}, "seed", ""),
    ({**ERROR, "reason": "x" * 501}, "reason", "500"),
    ({**ERROR, "reason": "\ud800"}, "reason", ""),
    (error(status=200), "effect.status", "400 to 599"),
    (error(status=600), "effect.status", "400 to 599"),
    (error(status="many"), "effect.status", "400 to 599"),
    (error(status={}), "effect.status", ""),
    (error(status={"503": 0}), "effect.status.503", ""),
    (error(status={"503": -1}), "effect.status.503", ""),
    (error(status={"200": 1}), "effect.status.200", "400 to 599"),
    (error(status=[503]), "effect.status", ""),
    (error(body=5), "effect.body", "string, or this must be a JSON object, or"),
    (error(when="during"), "effect.when", "before"),
    (error(statsu=500), "effect.statsu", "did you mean 'status'"),
    (error(headers={"bad name": "x"}), "effect.headers.bad name", ""),
    (error(headers={"x": "a\r\nb"}), "effect.headers.x", ""),
    (error(headers={"Content-Length": "1"}), "effect.headers.Content-Length", "belongs to the server"),
    (error(retry_after="soon"), "effect.retry_after", "250ms"),
    (error(retry_after=-1), "effect.retry_after", "250ms"),
    (latency(), "effect.distribution", "lognormal"),
    ({"effect": {"type": "latency"}}, "effect.distribution", "required"),
    (latency(type="gamma"), "effect.distribution", "lognormal"),
    (latency(type="constant"), "effect.distribution.value", "required"),
    (latency(type="constant", value="fast"), "effect.distribution.value", "250ms"),
    (latency(type="constant", value="1h"), "effect", "cap"),
    (latency(type="lognormal", median="1s", p9="2s"), "effect.distribution.p9", "did you mean 'p99'"),
    (latency(type="lognormal", median="2s", p99="1s"), "effect.distribution", "median ≤ p99"),
    (latency(type="pareto", minimum="1s", shape=0), "effect.distribution.shape", ""),
    (latency(type="normal", mean="1s", stddev=-1), "effect.distribution.stddev", "250ms"),
    (latency(type="mixture", components=[]), "effect.distribution.components", ""),
    (
        latency(type="mixture", components=[{"weight": 1, "distribution": {"type": "no"}}]),
        "effect.distribution.components.0.distribution",
        "lognormal",
    ),
    ({"effect": {**latency(type="constant", value=1)["effect"], "mode": "both"}}, "effect.mode", "floor"),
    ({"effect": {**latency(type="constant", value=1)["effect"], "cap": 0}}, "effect.cap", ""),
    ({**ERROR, "target": []}, "target", ""),
    ({**ERROR, "target": {"routes": []}}, "target.routes", ""),
    ({**ERROR, "target": {"routes": "/api/*"}}, "target.routes", ""),
    ({**ERROR, "target": {"routes": ["api"]}}, "target.routes.0", ""),
    ({**ERROR, "target": {"routes": ["/api/*", "/nowhere"]}}, "target.routes.1", "/api/checkout"),
    ({**ERROR, "target": {"routes": ["/metrics"]}}, "target.routes.0", "exempt"),
    ({**ERROR, "target": {"routes": ["/admin/*"]}}, "target.routes.0", "exempt"),
    ({**ERROR, "target": {"methods": ["BREW"]}}, "target.methods.0", "GET"),
    ({**ERROR, "target": {"headers": {"x": 1}}}, "target.headers.x", ""),
    ({**ERROR, "target": {"sticky_by": "a b"}}, "target.sticky_by", ""),
    ({**ERROR, "target": {"route": ["/api/*"]}}, "target.route", "did you mean 'routes'"),
    ({**ERROR, "schedule": {"duration": 0}}, "schedule.duration", ""),
    ({**ERROR, "schedule": {"duration": "forever"}}, "schedule.duration", "250ms"),
    ({**ERROR, "schedule": {"duration": "48h"}}, "schedule.duration", "CHAOSAPI_MAX_DURATION"),
    ({**ERROR, "schedule": {"duration": None}}, "schedule.duration", "250ms"),
    ({**ERROR, "schedule": {"start_after": -5}}, "schedule.start_after", "250ms"),
    (shaped(type="square"), "schedule.shape", "pulse"),
    (shaped(type="ramp", up="10m", down="10m"), "schedule", "up + down"),
    (shaped(type="steps", levels=[2]), "schedule.shape.levels.0", ""),
    (shaped(type="pulse", on=0, off=1), "schedule.shape.on", ""),
    (shaped(type="sine"), "schedule.shape.period", "required"),
    (shaped(type="constant", scales="magnitude"), "body", "no magnitude"),
]

RAW: list[tuple[bytes, str, int]] = [
    (b"", "application/json", 422),
    (b"{", "application/json", 400),
    (b"\xff\xfe", "application/json", 400),
    (b'{"effect": {"type": "error"}, "rate": NaN}', "application/json", 422),
    (b'{"effect": {"type": "error"}, "rate": 1e999}', "application/json", 422),
    (b'{"effect": {"type": "error"}, "seed": ' + b"9" * 5000 + b"}", "application/json", 400),
    (b"[" * 100_000, "application/json", 400),
    (b'{"effect": {"type": "error"}}', "application/x-www-form-urlencoded", 415),
    (b'{"effect": {"type": "error"}}', "text/plain", 415),
]


def test_bad_bodies_are_plenty() -> None:
    """The tables below are what the promise rests on."""
    assert len(BAD) >= 80


@pytest.mark.parametrize(("body", "field", "says"), BAD, ids=lambda value: str(value)[:60])
def test_a_bad_body_is_refused_by_field_and_changes_nothing(
    client: TestClient, body: Any, field: str, says: str
) -> None:
    """A 422 problem that names the field and says what would be right, from POST and PUT alike."""
    before = client.get("/admin/faults").json()
    for method, path in (("POST", "/admin/faults"), ("PUT", "/admin/faults/f")):
        answer = client.request(method, path, content=json.dumps(body), headers={"content-type": "application/json"})
        problem = answer.json()
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        messages = {each["field"]: each["message"] for each in problem["errors"]}
        assert len(messages) == len(problem["errors"])
        assert says in messages[field]
        assert field == "body" or field in problem["detail"]
    assert client.get("/admin/faults").json() == before
    assert client.get("/admin/audit").json() == {"entries": []}


@pytest.mark.parametrize(("body", "kind", "status"), RAW, ids=lambda value: str(value)[:40])
def test_what_is_not_even_json_is_refused(client: TestClient, body: bytes, kind: str, status: int) -> None:
    """Broken, huge, endless, deep, or of another type: a 4xx problem, nothing changed."""
    answer = client.post("/admin/faults", content=body, headers={"content-type": kind})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert client.get("/admin/faults").json()["revision"] == 0


@pytest.mark.parametrize("path", ["/admin/faults", "/api/checkout"])
@pytest.mark.parametrize("parts", [1, 20], ids=["declared", "chunked"])
def test_a_body_of_more_than_a_megabyte_is_refused(client: TestClient, path: str, parts: int) -> None:
    """At once where its length is declared, otherwise while it is read; just a megabyte is read."""
    for size, status in ((1_000_020, 413), (1_000_000, 400)):
        part = b"x" * (size // parts)
        body = part if parts == 1 else iter([part] * parts)
        answer = client.post(path, content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert (answer.json()["type"] == "urn:chaosapi:problem:content-too-large") == (status == 413)


PATCHES = [
    body
    for body, field, _ in BAD
    # What is missing in a new fault need not be in a patch, and a null there brings the default back.
    if isinstance(body, dict)
    and body not in ({}, {"effect": {}})
    and None not in body.values()
    and field not in ("schedule.duration", "effect.status")
]


@pytest.mark.parametrize("body", PATCHES, ids=lambda value: str(value)[:60])
def test_a_bad_patch_is_refused_and_the_fault_stays_as_it_was(client: TestClient, body: dict[str, Any]) -> None:
    """All or nothing."""
    client.put("/admin/faults/f", json=error(status={"500": 1}))
    before = client.get("/admin/faults/f").json()
    answer = client.patch("/admin/faults/f", content=json.dumps(body), headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert client.get("/admin/faults/f").json() == before
