"""Invalid bodies: refused with the field and what would be valid, without any change."""

import gzip
import json
import math
from typing import Any

import pytest
from fastapi.testclient import TestClient

from chaosapi.store import codec

ERROR = {"effect": {"type": "error"}}
KIND = {"content-type": "application/json"}


def latency(**distribution: Any) -> dict[str, Any]:
    """Return a latency fault."""
    return {"effect": {"type": "latency", "distribution": distribution}}


def error(**effect: Any) -> dict[str, Any]:
    """Return an error fault."""
    return {"effect": {"type": "error", **effect}}


def shaped(**shape: Any) -> dict[str, Any]:
    """Return an error fault with a shape."""
    return {**ERROR, "schedule": {"shape": shape}}


def deep(levels: int) -> Any:
    """Return nested lists."""
    return json.loads("[" * levels + "]" * levels)


def mixed(levels: int) -> dict[str, Any]:
    """Return nested mixtures of delays."""
    inner: dict[str, Any] = {"type": "constant", "value": 1}
    for _ in range(levels):
        inner = {"type": "mixture", "components": [{"weight": 1, "distribution": inner}]}
    return latency(**inner)


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
    ({**ERROR, "reason": "\ud800"}, "reason", "surrogate"),
    ({**ERROR, "reason": "two\nlines"}, "reason", "one line"),
    ({**ERROR, "reason": "\x1b[2J"}, "reason", "control characters"),
    ({**ERROR, "rate_sum": "a\x00b"}, "rate_sum", "control characters"),
    ({**ERROR, "seed": 2**64}, "seed", "64 bits"),
    (error(status=200), "effect.status", "400 to 599"),
    (error(status=600), "effect.status", "400 to 599"),
    (error(status="many"), "effect.status", "400 to 599"),
    (error(status={}), "effect.status", ""),
    (error(status={"503": 0}), "effect.status.503", ""),
    (error(status={"503": -1}), "effect.status.503", ""),
    (error(status={"200": 1}), "effect.status.200", "400 to 599"),
    (error(status=[503]), "effect.status", ""),
    (error(status={"503": 1, "0503": 1}), "effect.status.0503", "400 to 599"),
    (error(status={"503": 1, "+503": 1}), "effect.status.+503", "400 to 599"),
    (error(status={str(n): 1 for n in range(400, 421)}), "effect.status", "at most 20"),
    (error(status="0503"), "effect.status", "400 to 599"),
    (error(body=deep(200)), "body", "more than 32 levels"),
    (error(body=deep(31)), "body", "more than 32 levels"),
    (error(body=[0] * 10_000), "body", "more than 10,000 values"),
    (error(body=["x" * 100_000]), "effect.body", "more than 100,000 characters"),
    (error(body="x" * 100_001), "effect.body", "100000 characters"),
    (error(body={"a": {"b": ["\ud800"]}}), "effect.body.a.b.0", "surrogate"),
    (error(body={"\udfff": 1}), "effect.body", "surrogate"),
    (error(body={"a": [math.nan]}), "effect.body.a.0", "finite"),
    (error(body={"a": -math.inf}), "effect.body.a", "finite"),
    (error(body=[2**70]), "effect.body.0", "64 bits"),
    (error(headers={"X-A": "1", "x-a": "2"}), "effect.headers", "x-a is there twice"),
    (error(headers={"Retry-After": "1"}, retry_after=2), "effect", "leave one out"),
    (error(headers={f"x-{n}": "" for n in range(51)}), "effect.headers", "at most 50"),
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
    (mixed(11), "body", "more than 32 levels"),
    (latency(type="lognormal", median=1e-300, p99="1h"), "effect.distribution.median", ""),
    (latency(type="quantiles", p50=5e-324, p90=1, p95=1, p99=1, max=1), "effect.distribution.p50", ""),
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
    ({**ERROR, "target": {"headers": {"X": "1", "x": "2"}}}, "target.headers", "x is there twice"),
    ({**ERROR, "target": {"headers": {"x": "a\r\nb"}}}, "target.headers.x", "one line"),
    ({**ERROR, "target": {"sticky_by": "a b"}}, "target.sticky_by", ""),
    ({**ERROR, "target": {"route": ["/api/*"]}}, "target.route", "did you mean 'routes'"),
    ({**ERROR, "schedule": {"duration": 0}}, "schedule.duration", ""),
    ({**ERROR, "schedule": {"duration": "1s" * 51}}, "schedule.duration", "250ms"),
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
    (b'{"effect": {"type": "error", "body": [1e999]}}', "application/json", 422),
    (b'{"effect": {"type": "error"}, "rate": 0.1, "rate": 1}', "application/json", 422),
    (b'{"effect": {"type": "error", "status": {"503": 1, "503": 9}}}', "application/json", 422),
    ('{"effect": {"type": "error"}}'.encode("utf-16"), "application/json", 400),
    ('{"effect": {"type": "error"}}'.encode("utf-32-le"), "application/json; charset=utf-32", 400),
    (b'{"effect": {"type": "error", "body": "\xff"}}', "application/json", 400),
    (b"[" * 300 + b"]" * 300, "application/json", 422),
    (gzip.compress(b'{"effect": {"type": "error"}}', mtime=0), "application/json", 400),
    (b'{"effect": {"type": "error"}, "seed": ' + b"9" * 5000 + b"}", "application/json", 400),
    (b"[" * 100_000, "application/json", 400),
    (b'{"effect": {"type": "error"}}', "application/x-www-form-urlencoded", 415),
    (b'{"effect": {"type": "error"}}', "text/plain", 415),
]


def test_the_tables_have_enough_bad_bodies() -> None:
    """The tests below cover exactly these tables."""
    assert len(BAD) >= 80


@pytest.mark.parametrize(("body", "field", "says"), BAD, ids=lambda value: str(value)[:60])
def test_a_bad_body_is_refused_by_field_and_changes_nothing(
    client: TestClient, body: Any, field: str, says: str
) -> None:
    """POST and PUT respond with a 422 problem that names the field and says what would be valid."""
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
    assert client.get("/admin/audit").json()["entries"] == []


@pytest.mark.parametrize(("body", "kind", "status"), RAW, ids=lambda value: str(value)[:40])
def test_a_body_that_is_not_json_is_refused(client: TestClient, body: bytes, kind: str, status: int) -> None:
    """Malformed, too large, too deep, or of another type: a 4xx problem, and no change."""
    answer = client.post("/admin/faults", content=body, headers={"content-type": kind})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert client.get("/admin/faults").json()["revision"] == 0


@pytest.mark.parametrize(("path", "most"), [("/admin/faults", 1_000_000), ("/api/checkout", 20_000)])
@pytest.mark.parametrize("parts", [1, 20], ids=["declared", "chunked"])
def test_a_body_beyond_its_size_is_refused(client: TestClient, path: str, most: int, parts: int) -> None:
    """At once if its length is declared, else where it exceeds the size; a body of exactly that size is read.

    The shop's bodies are short, because anybody may upload thousands of them at once, slowly.
    """
    for size, status in ((most + 20, 413), (most, 400)):
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
    """A patch is applied as a whole or not at all."""
    client.put("/admin/faults/f", json=error(status={"500": 1}))
    before = client.get("/admin/faults/f").json()
    answer = client.patch("/admin/faults/f", content=json.dumps(body), headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert client.get("/admin/faults/f").json() == before


@pytest.mark.parametrize("coding", ["gzip", "br", "x" * 5000])
def test_a_compressed_body_is_refused(client: TestClient, coding: str) -> None:
    """The service does not decompress: a kilobyte may expand to a gigabyte."""
    answer = client.post("/admin/faults", json=ERROR, headers={"content-encoding": coding})
    assert answer.status_code == 415
    assert "send it without content-encoding" in answer.json()["detail"]


def test_the_budget_applies_to_the_merged_fault_of_a_patch(client: TestClient) -> None:
    """Many small patches cannot build a fault that is too large for one request."""
    client.put("/admin/faults/f", json=error(body={"a": "x" * 60_000}))
    answer = client.patch("/admin/faults/f", json={"effect": {"body": {"b": "x" * 60_000}}})
    assert answer.status_code == 422
    assert "more than 100,000 characters" in answer.json()["detail"]
    client.put("/admin/faults/f", json=error(body={"a": [0] * 9000}))
    answer = client.patch("/admin/faults/f", json={"effect": {"body": {"b": [0] * 9000}}})
    assert answer.status_code == 422
    assert "more than 10,000 values" in answer.json()["detail"]


LARGEST = [
    error(body=deep(29)),
    error(body=[0] * 9_950),
    error(body="\U0001f600" * 100_000),
    error(body={"\u2028\x00": ["\U0001f600", 2**64 - 1, -(2**63), 5e-324, 1.7976931348623157e308]}),
    mixed(9),
]


@pytest.mark.parametrize("body", LARGEST, ids=lambda value: str(value)[:60])
def test_the_largest_accepted_fault_is_shown_everywhere(client: TestClient, body: dict[str, Any]) -> None:
    """Every accepted fault can be read back."""
    made = client.put("/admin/faults/f", content=json.dumps(body, ensure_ascii=False).encode(), headers=KIND)
    assert made.status_code == 201, made.text
    shown = client.get("/admin/faults/f").json()
    assert shown["effect"].items() >= ({} if "distribution" in body["effect"] else body["effect"]).items()
    assert client.get("/admin/faults").json()["faults"][0]["effect"] == shown["effect"]
    assert client.get("/admin/audit").json()["entries"][0]["spec"]["effect"] == shown["effect"]
    assert client.get("/admin/faults/f/score").status_code == 200


FLOODS: list[tuple[str, Any]] = [
    ("/admin/faults", {**ERROR, **{f"unknown{n}": 1 for n in range(9_000)}}),
    ("/admin/faults", {**ERROR, **{f"unknown{n}": 1 for n in range(100_000)}}),
    ("/admin/faults", {**ERROR, "target": {"headers": {f"x-{n} ": n for n in range(9_000)}}}),
    ("/admin/faults", {**ERROR, "x" * 900_000: 1}),
    ("/admin/faults", {"effect": {"type": "\u0001\ud83d\ude00" * 100_000}}),
    ("/admin/faults", error(body={f"{n}\ud800": n for n in range(9_000)})),
    ("/admin/faults", error(body=["\ud800"] * 9_000)),
    ("/admin/faults", [{}] * 330_000),
    ("/admin/forecast", {**ERROR, "traffic": {"stages": [{}] * 4_000}}),
    ("/admin/forecast", {**ERROR, "traffic": {"shares": {f"GET /{n}": 2 for n in range(9_000)}}}),
    ("/hooks/alertmanager", [{}] * 330_000),
    ("/hooks/alertmanager", {"alerts": [{}] * 14_000}),
    ("/hooks/alertmanager", {"alerts": [{"labels": {f"{n}": n for n in range(29_000)}}]}),
    ("/api/checkout", {f"unknown{n}": 1 for n in range(60_000)}),
    ("/api/cart/c/items", {"x" * 900_000: 1}),
]


@pytest.mark.parametrize(("path", "body"), FLOODS, ids=lambda value: str(value)[:60])
def test_a_refusal_is_short(client: TestClient, path: str, body: Any) -> None:
    """It lists at most twenty errors and counts the rest, however large the body was."""
    answer = client.post(path, content=json.dumps(body).encode(), headers=KIND)
    assert answer.status_code in {413, 422}
    problem = answer.json()
    assert len(problem.get("errors", [])) <= 20
    assert len(answer.content) < 16_000
    answer.text.encode()


def test_a_refusal_counts_the_errors_that_it_does_not_list(client: TestClient) -> None:
    """A list of twenty errors would look complete."""
    answer = client.post("/admin/faults", json={**ERROR, **{f"unknown{n}": 1 for n in range(1_000)}})
    assert (len(answer.json()["errors"]), answer.json()["detail"][-14:]) == (20, "; and 980 more")


def test_faults_that_cannot_be_read_back_together_are_refused(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 429, as other limits of all live faults; what is there can be ended and made smaller."""
    monkeypatch.setattr(codec, "MAX_STATE", 30_000)
    large = error(body="x" * 12_000)
    assert client.put("/admin/faults/a", json=large).status_code == 201
    answer = client.put("/admin/faults/b", json=large)
    assert (answer.status_code, answer.json()["type"]) == (429, "urn:chaosapi:problem:limit-reached")
    assert client.patch("/admin/faults/a", json={"effect": {"body": None}}).status_code == 200
    assert client.put("/admin/faults/b", json=large).status_code == 201
    monkeypatch.setattr(codec, "MAX_STATE", 0)
    assert client.delete("/admin/faults/b").status_code == 200


def test_the_kill_switch_ignores_its_body(client: TestClient) -> None:
    """It works with a too large, malformed or compressed body."""
    client.put("/admin/faults/f", json=ERROR)
    odd = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = client.request("DELETE", "/admin/faults", content=b"[" * 2_000_000, headers=odd)
    assert (answer.status_code, answer.json()["ended"]) == (200, 1)


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("two\nlines", "two lines"), ("\x1b[2J\u202ered\x00", "[2Jred"), ("x" * 5000, "x" * 500), ("\ufffd", "\ufffd")],
    ids=ascii,
)
def test_a_stop_works_with_any_reason(client: TestClient, reason: str, kept: str) -> None:
    """The audit keeps the part that fits; for a fault, which can wait, such a reason is refused instead."""
    client.put("/admin/faults/f", json=ERROR)
    answer = client.delete("/admin/faults", params={"reason": reason})
    assert (answer.status_code, answer.json()["ended"]) == (200, 1)
    halted = client.post("/admin/halt", json={"reason": reason}).json()
    assert halted["halt"]["reason"] == kept
    assert [entry["reason"] for entry in client.get("/admin/audit?limit=2").json()["entries"]] == [kept, kept]
    assert client.put("/admin/faults/f", json={**ERROR, "reason": "two\nlines"}).status_code == 422
