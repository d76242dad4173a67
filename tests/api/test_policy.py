"""The limits of the settings: a refusal names the field and the variable, and changes nothing."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from chaosapi.app import create_app
from chaosapi.settings import Settings, SettingsError
from tests.conftest import Clock, MakeClient

ERROR: dict[str, Any] = {"effect": {"type": "error"}}
CPU: dict[str, Any] = {"effect": {"type": "cpu", "cores": 2}}


def memory(limit: str) -> dict[str, Any]:
    """Return a memory fault that allocates very slowly."""
    return {"effect": {"type": "memory", "limit": limit, "rate": "1KiB"}}


def refusal(client: TestClient, fault: dict[str, Any], name: str = "f") -> tuple[int, str, str]:
    """Return status, field and message of a refusal."""
    answer = client.put(f"/admin/faults/{name}", json=fault)
    (error,) = answer.json()["errors"]
    return answer.status_code, error["field"], error["message"]


@pytest.mark.parametrize(
    ("settings", "fault", "field", "message"),
    [
        ({"max_rate": 0.5}, ERROR, "rate", "at most 0.5 (CHAOSAPI_MAX_RATE)"),
        ({"max_cpu": 1.5}, CPU, "effect.cores", "at most 1.5 cores (CHAOSAPI_MAX_CPU)"),
        ({"max_memory": "64MiB"}, memory("65MiB"), "effect.limit", "at most 67108864 bytes (CHAOSAPI_MAX_MEMORY)"),
        ({"effects_denied": "error"}, ERROR, "effect.type", "error is switched off here (CHAOSAPI_EFFECTS_DENIED)"),
        ({}, {"effect": {"type": "crash"}}, "effect.type", "crash is switched off unless CHAOSAPI_ALLOW_CRASH=true"),
    ],
)
def test_a_fault_beyond_a_limit_is_refused_with_the_field_and_the_variable(
    settings: dict[str, Any], fault: dict[str, Any], field: str, message: str, make_client: MakeClient
) -> None:
    """POST, PUT and PATCH respond with 422."""
    client = make_client(**settings)
    assert refusal(client, fault) == (422, field, message)
    assert client.post("/admin/faults", json=fault).status_code == 422
    other = "latency" if "effects_denied" not in settings else "hang"
    effect = {"type": other, **({"distribution": {"type": "constant", "value": 1}} if other == "latency" else {})}
    assert client.put("/admin/faults/p", json={"effect": effect, "rate": 0.5}).status_code == 201
    nulls = dict.fromkeys(effect.keys() - {"type"})
    patch = {"rate": None, "effect": {**nulls, **fault["effect"]}}
    assert client.patch("/admin/faults/p", json=patch).status_code == 422
    faults = client.get("/admin/faults").json()
    assert (faults["revision"], [each["effect"]["type"] for each in faults["faults"]]) == (1, [other])


def test_the_maximum_rate_applies_to_request_effects(make_client: MakeClient) -> None:
    """A process effect has no rate."""
    client = make_client(max_rate=0.5)
    assert client.post("/admin/faults", json={**ERROR, "rate": 0.5}).status_code == 201
    assert client.post("/admin/faults", json={"effect": {"type": "health"}}).status_code == 201


def test_live_faults_share_a_limit(make_client: MakeClient, clock: Clock) -> None:
    """POST, PUT and PATCH respond with 429 beyond the limit; ended faults do not count."""
    client = make_client(max_memory="64MiB")
    assert client.put("/admin/faults/a", json={**memory("40MiB"), "schedule": {"duration": "1m"}}).status_code == 201
    left = "only 25165824 of 67108864 bytes (CHAOSAPI_MAX_MEMORY) is left by the faults that are live"
    assert refusal(client, memory("25MiB"), "b") == (429, "effect.limit", left)
    assert client.put("/admin/faults/b", json=memory("24MiB")).status_code == 201
    assert client.post("/admin/faults", json=memory("1MiB")).status_code == 429
    assert client.patch("/admin/faults/b", json={"effect": {"limit": "25MiB"}}).status_code == 429
    assert client.patch("/admin/faults/b", json={"effect": {"limit": "20MiB"}}).status_code == 200
    assert client.put("/admin/faults/a", json=memory("45MiB")).status_code == 429
    assert client.get("/admin/faults/a").json()["effect"]["limit"] == "40MiB"
    assert client.put("/admin/faults/a", json={**memory("44MiB"), "schedule": {"duration": "1m"}}).status_code == 200
    clock.now += 60
    assert client.patch("/admin/faults/b", json={"effect": {"limit": "64MiB"}}).status_code == 200


def test_tenths_of_cores_add_up(make_client: MakeClient) -> None:
    """Ten tenths are one core, in spite of binary fractions."""
    client = make_client(max_cpu=1)
    scheduled = {"effect": {"type": "cpu", "cores": 0.1}, "schedule": {"start_after": "1h"}}
    for _ in range(10):
        assert client.post("/admin/faults", json=scheduled).status_code == 201
    assert client.post("/admin/faults", json=scheduled).status_code == 429


def test_the_number_of_live_faults_is_limited(make_client: MakeClient) -> None:
    """A replaced fault does not count."""
    client = make_client(max_faults=2)
    for name in ("a", "b"):
        assert client.put(f"/admin/faults/{name}", json=ERROR).status_code == 201
    refused = client.put("/admin/faults/c", json=ERROR)
    assert refused.status_code == 429
    assert "CHAOSAPI_MAX_FAULTS" in refused.json()["detail"]
    assert client.put("/admin/faults/a", json={**ERROR, "rate": 0.5}).status_code == 200
    client.delete("/admin/faults/b")
    assert client.put("/admin/faults/c", json=ERROR).status_code == 201


def test_the_catalogue_has_the_reason_of_each_denied_effect(make_client: MakeClient) -> None:
    """It also says what each effect acts on."""
    effects = make_client(effects_denied=["hang"]).get("/admin/effects").json()["effects"]
    shown = {effect["type"]: effect for effect in effects}
    denied = {name: effect["denied"] for name, effect in shown.items() if effect["denied"]}
    assert denied.keys() == {"hang", "crash"}
    assert "CHAOSAPI_EFFECTS_DENIED" in denied["hang"]
    assert "CHAOSAPI_ALLOW_CRASH" in denied["crash"]
    process = {name for name, effect in shown.items() if effect["acts_on"] == "process"}
    assert process == {"pause", "cpu", "memory", "health", "crash"}
    assert shown["error"]["at_points"]
    assert not any(shown[name]["at_points"] for name in process)


@pytest.mark.parametrize("written", ["pause,cpu", " pause , cpu,", '["pause", "cpu"]'])
def test_denied_effects_are_comma_separated_or_json(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """CHAOSAPI_EFFECTS_DENIED accepts both forms."""
    monkeypatch.setenv("CHAOSAPI_EFFECTS_DENIED", written)
    assert Settings().effects_denied == {"pause", "cpu"}


def test_an_unknown_effect_cannot_be_denied() -> None:
    """A typo would leave an effect switched on."""
    with pytest.raises(
        SettingsError, match=r"^CHAOSAPI_EFFECTS_DENIED: no effect is called crsh; there are error,.*crash"
    ):
        create_app(Settings(effects_denied=frozenset({"crsh", "cpu"})))


@pytest.mark.parametrize(
    "bad",
    [
        {"max_rate": 0},
        {"max_rate": 5},
        {"max_faults": 0},
        {"max_cpu": 0},
        {"max_memory": "lots"},
        {"effects_denied": "[1"},
    ],
)
def test_invalid_settings_prevent_startup(bad: dict[str, object]) -> None:
    """The error comes at startup."""
    with pytest.raises(ValidationError):
        Settings.model_validate(bad)
