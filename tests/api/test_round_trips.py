"""Round trips: whatever the API accepts is shown, listed, stored and read back unchanged."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosapi.effects import EFFECTS
from chaosapi.faults import changes
from chaosapi.faults.fault import Fault
from chaosapi.faults.state import AuditEntry, State
from chaosapi.store import codec
from chaosapi.store.redis.announcement import Announcement
from tests.conftest import MakeClient

KIND = {"content-type": "application/json"}
ODD = ["", "\x00", "\ud800", "\U0001f600", "\u2028", "__proto__"]
TEXT = st.text(st.characters(), max_size=12) | st.sampled_from(ODD)
NUMBER = (
    st.floats(width=64)
    | st.integers(-(2**66), 2**66)
    | st.sampled_from([0, -0.0, 5e-324, 1.7976931348623157e308, 2**53 + 1, 2**64 - 1, 1e16, 0.1, 1])
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
BODY = (
    TEXT
    | st.lists(JSON, max_size=4)
    | st.dictionaries(TEXT, JSON, max_size=4)
    | st.integers(1, 60).map(lambda levels: json.loads("[" * levels + "]" * levels))
)
SPAN = st.sampled_from(["250ms", "1m30s", "1h", "0s", "1us", "0.1ns", "1.0004s", 61.0004, 0.1, 1e-7, 30, "99y"])
TOKEN = st.text("abcXYZ-09", min_size=1, max_size=5)
DELAYS: st.SearchStrategy[dict[str, Any]] = st.deferred(
    lambda: st.one_of(
        st.fixed_dictionaries({"type": st.just("constant"), "value": SPAN}),
        st.fixed_dictionaries({"type": st.just("uniform"), "low": SPAN, "high": SPAN}),
        st.fixed_dictionaries({"type": st.just("lognormal"), "median": SPAN, "p99": SPAN}),
        st.fixed_dictionaries({"type": st.just("pareto"), "minimum": SPAN, "shape": st.floats(0.1, 100)}),
        st.fixed_dictionaries(
            {
                "type": st.just("mixture"),
                "components": st.lists(
                    st.fixed_dictionaries({"weight": st.floats(5e-324, 1e6), "distribution": DELAYS}), max_size=2
                ),
            }
        ),
    )
)
STATUSES = st.dictionaries(st.sampled_from(["503", "0503", "500", "599"]), st.floats(1e-9, 1e6))
ERRORS = st.fixed_dictionaries(
    {"type": st.just("error")},
    optional={
        "status": st.integers(400, 599) | STATUSES,
        "body": BODY | st.none() | NUMBER,
        "headers": st.dictionaries(TOKEN, st.text("ab \t~é\n", max_size=5), max_size=3),
        "retry_after": SPAN,
    },
)
EFFECT = st.one_of(
    ERRORS,
    st.fixed_dictionaries({"type": st.just("error"), "body": BODY}),
    st.fixed_dictionaries({"type": st.just("latency"), "distribution": DELAYS}),
    st.sampled_from([effect.example for effect in EFFECTS]),
)
ALERT_GUARD = st.fixed_dictionaries({"alert": TEXT, "labels": st.dictionaries(TEXT, TEXT, max_size=3)})
BUDGET_GUARD = st.fixed_dictionaries({"budget_burned": st.floats(0, 1), "period": SPAN})
TARGET = st.fixed_dictionaries(
    {},
    optional={
        "headers": st.dictionaries(TOKEN, TEXT, max_size=3),
        "sticky_by": TOKEN,
        "replicas": st.lists(TOKEN, max_size=2),
    },
)
LEVEL = st.integers(0, 5) | NUMBER | SPAN | TEXT | st.booleans()
TEST = LEVEL | st.dictionaries(st.sampled_from(["above", "at_most", "equal"]), LEVEL, max_size=2)
CONDITION = st.fixed_dictionaries(
    {},
    optional={
        "release": st.sampled_from(["2.4.1", "", "é"]),
        "flags": st.dictionaries(st.sampled_from(["new-pricing", "bulk-export"]), st.booleans()),
        "settings": st.dictionaries(st.sampled_from(["shop_retries", "shop_timeout", "search"]), TEST, max_size=2),
        "in_rotation": st.booleans(),
        "limits": st.dictionaries(st.sampled_from(["x-tenant=acme", "x-tenant=é", "x"]), TEST, max_size=1),
    },
)
FAULT = st.fixed_dictionaries(
    {"effect": EFFECT},
    optional={
        "rate": st.floats(0, 1) | NUMBER,
        "seed": st.integers(0, 2**64),
        "reason": TEXT,
        "rate_sum": TEXT,
        "schedule": st.fixed_dictionaries({"start_after": SPAN, "duration": SPAN}),
        "target": TARGET,
        "guard": st.fixed_dictionaries({"stop_when": ALERT_GUARD | BUDGET_GUARD}),
        "while": CONDITION,
    },
)
"""Faults of which about half are valid, with every text and number of JSON, and some that JSON forbids."""


def sent(client: TestClient, method: str, path: str, document: Any) -> tuple[int, Any]:
    """Send a document as Python serializes it, NaN and lone surrogates included; the response must be valid."""
    answer = client.request(method, path, content=json.dumps(document).encode(), headers=KIND)
    assert answer.status_code < 500, answer.text
    return answer.status_code, answer.json()


def check_shown(client: TestClient, shown: dict[str, Any]) -> None:
    """Check that all routes show the same fault."""
    fields = {name: shown[name] for name in Fault.names()}
    one = client.get("/admin/faults/f")
    every = client.get("/admin/faults")
    assert {name: one.json()[name] for name in Fault.names()} == fields
    assert {name: every.json()["faults"][0][name] for name in Fault.names()} == fields
    (entry,) = client.get("/admin/audit?limit=1").json()["entries"]
    assert (entry["spec"], entry["reason"]) == (fields, fields["reason"])
    assert client.get("/admin/faults/f/score").status_code in {200, 409}


@pytest.mark.parametrize("store", ["memory://", "sqlite:///{folder}/faults.db"])
def test_an_accepted_fault_is_shown_everywhere_as_sent(make_client: MakeClient, tmp_path: Path, store: str) -> None:
    """By PUT, and again by PATCH; a refused fault changes nothing, and the problem names its fields."""
    client = make_client(store=store.format(folder=tmp_path), effects_denied="pause,cpu,memory")
    outcomes: Counter[int] = Counter()

    @settings(max_examples=70, deadline=None, derandomize=True, database=None)
    @given(document=FAULT, patch=FAULT)
    def tried(document: dict[str, Any], patch: dict[str, Any]) -> None:
        for method, body in (("PUT", document), ("PATCH", patch)):
            before = client.get("/admin/faults").json()
            status, shown = sent(client, method, "/admin/faults/f", body)
            outcomes[status] += 1
            if status in {200, 201}:
                check_shown(client, shown)
            else:
                assert status in {404, 409, 422}
                assert shown.get("errors") or status != 422
                assert client.get("/admin/faults").json() == before
        client.delete("/admin/faults/f")

    tried()
    for path in ("/metrics", "/admin/effects", "/admin/alerts", "/admin/replicas", "/admin/audit?limit=10000"):
        assert client.get(path).status_code == 200
    assert outcomes[201] + outcomes[200] > 20
    assert outcomes[422] > 20


def test_an_accepted_error_body_is_sent_as_shown(client: TestClient) -> None:
    """A JSON body is sent as the same JSON, text as text."""
    kinds: Counter[str] = Counter()

    @settings(max_examples=200, deadline=None, derandomize=True, database=None)
    @given(body=BODY)
    def tried(body: Any) -> None:
        status, shown = sent(client, "PUT", "/admin/faults/f", {"effect": {"type": "error", "body": body}})
        if status in {200, 201}:
            kinds[type(body).__name__] += 1
            assert shown["effect"]["body"] == body
            hit = client.get("/api/products")
            assert hit.status_code >= 400
            assert (hit.text if isinstance(body, str) else hit.json()) == body

    tried()
    assert min(kinds[kind] for kind in ("str", "list", "dict")) > 5


def test_every_store_format_round_trips() -> None:
    """State, audit and Redis announcements, to the last bit; the check before writing agrees."""
    outcomes: Counter[bool] = Counter()

    @settings(max_examples=300, deadline=None, derandomize=True, database=None)
    @given(document=FAULT)
    def tried(document: dict[str, Any]) -> None:
        try:
            fault = Fault.model_validate({"name": "f", **document})
        except ValueError:
            outcomes[False] += 1
            return
        outcomes[True] += 1
        before = State()
        after = changes.create(fault, 1_800_000_000.123456)(before)
        entry = AuditEntry(at=1.1, actor="a", action="create", fault="f", reason=fault.reason).signed(after)
        news = Announcement.of(before, after, epoch="e", version="v", follows="", line="l")
        assert codec.read(State, codec.write_state(after)) == after
        assert codec.read(AuditEntry, codec.write(entry)) == entry
        assert codec.read(Announcement, codec.write(news)).apply(before) == after
        assert codec.round_trips(after.faults[0])

    tried()
    assert min(outcomes[True], outcomes[False]) > 50


TIME = st.sampled_from(
    ["2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+14:00", "9999-12-31T23:59:59-14:00", "2026"]
)
ALERT = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["firing", "resolved", "odd"]),
        "labels": st.dictionaries(TEXT, TEXT, max_size=4) | st.dictionaries(TEXT, JSON, max_size=2),
        "startsAt": TIME,
        "endsAt": TIME,
    },
    optional={"annotations": st.dictionaries(TEXT, TEXT, max_size=4), "fingerprint": TEXT, "generatorURL": JSON},
)


def test_an_accepted_alert_is_listed_as_sent(client: TestClient) -> None:
    """A refused alert leaves the list readable."""
    taken: Counter[bool] = Counter()

    @settings(max_examples=200, deadline=None, derandomize=True, database=None)
    @given(alert=ALERT)
    def tried(alert: dict[str, Any]) -> None:
        payload = {"version": "4", "groupKey": "g", "status": "firing", "receiver": "r", "alerts": [alert]}
        status, _ = sent(client, "POST", "/hooks/alertmanager", payload)
        assert status in {200, 422}
        taken[status == 200] += 1
        listed = client.get("/admin/alerts?limit=1000").json()["alerts"]
        if status == 200:
            assert any(each["labels"] == alert["labels"] for each in listed)

    tried()
    assert min(taken.values()) > 20
