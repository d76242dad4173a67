import json

from fastapi import FastAPI
from fastapi.testclient import TestClient

import chaosapi
from chaosapi.effects import EFFECTS
from chaosapi.settings import Settings
from tests.conftest import Clock, MakeClient

ERROR = {"effect": {"type": "error"}}
ALONE = {"applied": 1, "known": 1}


def test_the_smallest_fault_comes_back_complete(client: TestClient) -> None:
    """The response has every default, durations as text, and times in RFC 3339 UTC."""
    answer = client.post("/admin/faults", json=ERROR)
    fault = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"/admin/faults/{fault['name']}")
    assert fault["name"].startswith("error-")
    assert fault | {"name": ""} == {
        "forecast": None,
        "name": "",
        "effect": {
            "type": "error",
            "status": 503,
            "body": None,
            "headers": {},
            "retry_after": None,
            "when": "before",
        },
        "rate": 1.0,
        "rate_sum": "",
        "target": {"routes": None, "methods": None, "headers": {}, "sticky_by": None, "points": None, "replicas": None},
        "schedule": {"start_after": "0s", "duration": "15m", "shape": {"type": "constant", "scales": "rate"}},
        "while": None,
        "seed": 0,
        "reason": "",
        "guard": None,
        "state": "active",
        "revision": 1,
        "created_at": "2027-01-15T08:00:00Z",
        "starts_at": "2027-01-15T08:00:00Z",
        "ends_at": "2027-01-15T08:15:00Z",
        "remaining": "15m",
        "strength": 1.0,
        "condition": None,
        "note": "",
        "receipt": {
            "matched": 0,
            "injected": 0,
            "skipped": 0,
            "spared": 0,
            "requested_rate": 1.0,
            "achieved_rate": 0.0,
            "delay": None,
            "replicas": ALONE,
            "denied": [],
            "by_replica": [],
        },
    }


def test_a_fault_whose_condition_does_not_hold_is_active_without_strength_and_says_why(make_client: MakeClient) -> None:
    """The receipt has what the condition spared, by replica too; the world ends and revives the fault."""
    client = make_client(replica="shop-1")
    condition = {"settings": {"shop_retries": {"above": 0}}, "in_rotation": True}
    made = client.post("/admin/faults", json={**ERROR, "name": "f", "while": condition}).json()
    assert made["while"]["settings"]["shop_retries"]["above"] == 0
    assert (made["strength"], made["condition"]) == (1.0, {"holds": True, "replicas": ["shop-1"], "reason": ""})
    assert client.get("/api/products").status_code == 503
    client.patch("/admin/world", json={"settings": {"shop_retries": 0}})
    assert client.get("/api/products").status_code == 200
    fault = client.get("/admin/faults/f").json()
    assert (fault["state"], fault["strength"]) == ("active", 0.0)
    reason = "shop_retries is 0, not above 0"
    assert fault["condition"] == {"holds": False, "replicas": [], "reason": reason}
    assert (fault["receipt"]["injected"], fault["receipt"]["spared"]) == (1, 1)
    assert fault["receipt"]["by_replica"] == [
        {"replica": "shop-1", "matched": 2, "injected": 1, "skipped": 0, "spared": 1}
    ]
    assert client.get("/admin/faults").json()["faults"][0]["condition"]["reason"] == reason
    client.patch("/admin/world", json={"settings": {"shop_retries": 1}})
    assert client.get("/api/products").status_code == 503
    assert client.delete("/admin/faults/f").json()["condition"] is None
    assert client.get("/admin/audit").json()["entries"][-1]["spec"]["while"] == made["while"]


def test_a_name_that_no_replica_has_now_is_accepted_and_noted(make_client: MakeClient) -> None:
    """Replicas come and go: the fault waits for one, without strength."""
    client = make_client(replica="shop-1")
    fault = client.post("/admin/faults", json={**ERROR, "target": {"replicas": ["shop-9"]}}).json()
    assert (fault["strength"], fault["note"]) == (0.0, "no replica is called shop-9 now; there are shop-1")
    assert client.get("/api/products").status_code == 200
    here = client.post("/admin/faults", json={**ERROR, "target": {"replicas": ["shop-9", "shop-1"]}}).json()
    assert (here["strength"], here["note"]) == (1.0, "")
    assert client.get("/api/products").status_code == 503


def test_an_effect_on_the_process_may_name_replicas_and_nothing_else(client: TestClient) -> None:
    """The refusal says so."""
    health = {"effect": {"type": "health"}}
    assert client.post("/admin/faults", json={**health, "target": {"replicas": ["x"]}}).status_code == 201
    refused = client.post("/admin/faults", json={**health, "target": {"replicas": ["x"], "methods": ["GET"]}})
    assert "leave out rate and target, except its replicas" in refused.text


def test_a_faults_response_is_a_valid_body(client: TestClient) -> None:
    """PUT of the response, without the fields that the service added, is a no-op."""
    body = {
        "effect": {"type": "error", "status": {"503": 0.8, "500": 0.2}, "retry_after": "5s"},
        "rate": 0.05,
        "target": {"routes": ["/api/checkout"], "methods": ["POST"], "headers": {"x-tenant": "acme"}},
        "schedule": {"start_after": "10s", "duration": "10m", "shape": {"type": "ramp", "up": "2m"}},
        "seed": 7,
        "reason": "game day 12",
    }
    sent = client.put("/admin/faults/f", json=body)
    assert sent.status_code == 201
    again = client.put("/admin/faults/f", json={field: sent.json()[field] for field in body})
    assert (again.status_code, again.json()) == (200, sent.json())


def test_put_answers_201_where_no_live_fault_had_the_name(client: TestClient) -> None:
    """An ended fault gives 201; a live fault gives 200, whether or not the body differs."""

    def put(rate: float) -> int:
        return client.put("/admin/faults/f", json={**ERROR, "rate": rate}).status_code

    assert [put(0.1), put(0.1), put(0.2)] == [201, 200, 200]
    client.delete("/admin/faults/f").raise_for_status()
    assert [put(0.2), put(0.2)] == [201, 200]


def test_faults_are_listed_newest_first_and_by_state(client: TestClient, clock: Clock) -> None:
    """The filter returns scheduled, active or ended faults."""
    client.post("/admin/faults", json={**ERROR, "name": "old", "schedule": {"duration": 10}})
    clock.now += 10
    client.post("/admin/faults", json={**ERROR, "name": "now"})
    client.post("/admin/faults", json={**ERROR, "name": "later", "schedule": {"start_after": "1m"}})

    def names(query: str = "") -> list[str]:
        return [fault["name"] for fault in client.get(f"/admin/faults{query}").json()["faults"]]

    assert names() == ["later", "now", "old"]
    assert (names("?state=active"), names("?state=ended"), names("?state=scheduled")) == (["now"], ["old"], ["later"])
    assert client.get("/admin/faults?state=asleep").status_code == 422


def test_the_receipt_counts_what_the_fault_did(client: TestClient) -> None:
    """Requested and achieved rates are in every response, also that of DELETE."""
    client.post("/admin/faults", json={**ERROR, "name": "f", "rate": 0.2})
    failed = sum(client.get("/api/products", headers={"x-request-id": f"r-{n}"}).status_code == 503 for n in range(500))
    receipt = client.delete("/admin/faults/f").json()["receipt"]
    assert (receipt["matched"], receipt["injected"], receipt["requested_rate"]) == (500, failed, 0.2)
    assert receipt["achieved_rate"] == failed / 500
    assert client.get("/admin/faults/f").json()["receipt"] == receipt


def test_a_patch_changes_some_fields_and_keeps_the_rest(client: TestClient, clock: Clock) -> None:
    """RFC 7396: null restores the default; the fault's clock continues."""
    client.post(
        "/admin/faults", json={**ERROR, "name": "f", "rate": 0.2, "reason": "x", "target": {"methods": ["GET"]}}
    )
    clock.now += 60
    patch = {"rate": 0.4, "target": None, "schedule": {"duration": "5m"}}
    kind = {"content-type": "application/merge-patch+json"}
    patched = client.patch("/admin/faults/f", content=json.dumps(patch), headers=kind).json()
    assert (patched["rate"], patched["target"]["methods"], patched["reason"]) == (0.4, None, "x")
    assert (patched["remaining"], patched["revision"]) == ("4m", 2)


def test_the_kill_switch_ends_all_live_faults(client: TestClient) -> None:
    """The response has their number; a second call ends none."""
    for _ in range(3):
        client.post("/admin/faults", json=ERROR)
    assert client.delete("/admin/faults").json() == {"ended": 3, "revision": 4, "stored": True, "replicas": ALONE}
    assert client.delete("/admin/faults").json() == {"ended": 0, "revision": 4, "stored": True, "replicas": ALONE}
    assert client.get("/api/products").status_code == 200


def test_a_halt_refuses_new_faults_and_says_why(client: TestClient) -> None:
    """The list shows the halt; after it is lifted, faults are accepted."""
    client.post("/admin/faults", json=ERROR)
    assert client.post("/admin/halt", json={"reason": "real incident"}).json()["halt"]["reason"] == "real incident"
    assert client.get("/api/products").status_code == 200
    refused = client.post("/admin/faults", json=ERROR)
    assert refused.status_code == 409
    assert "real incident" in refused.json()["detail"]
    assert client.get("/admin/faults").json()["halt"]["reason"] == "real incident"
    assert client.delete("/admin/halt").json()["halt"] is None
    assert client.post("/admin/faults", json=ERROR).status_code == 201
    assert client.post("/admin/halt").status_code == 200


def test_the_audit_says_who_did_what_when_and_why(client: TestClient) -> None:
    """Newest first, with the fault of each change; refused requests are not listed."""
    client.post("/admin/faults", json={**ERROR, "name": "f", "reason": "game day"}, headers={"x-chaos-actor": "ada"})
    client.post("/admin/faults", json={**ERROR, "name": "f"})
    client.delete("/admin/faults/f?reason=enough")
    end, create = client.get("/admin/audit").json()["entries"]
    assert [create[key] for key in ("actor", "action", "fault", "reason", "revision", "at")] == [
        "ada (unverified)",
        "create",
        "f",
        "game day",
        1,
        "2027-01-15T08:00:00Z",
    ]
    assert create["spec"]["effect"]["type"] == "error"
    assert [end[key] for key in ("actor", "action", "reason", "spec")] == ["testclient", "end", "enough", None]
    assert len(client.get("/admin/audit?limit=1").json()["entries"]) == 1


def test_the_example_of_every_effect_is_accepted(client: TestClient) -> None:
    """The catalogue has type, summary and JSON schema of each effect."""
    effects = client.get("/admin/effects").json()["effects"]
    assert [effect["type"] for effect in effects] == [kind.model_fields["type"].default for kind in EFFECTS]
    for effect in effects:
        assert effect["summary"]
        assert effect["parameters"]["properties"].keys() >= effect["example"]["effect"].keys()
        refused = effect["denied"] is not None
        assert client.post("/admin/faults", json=effect["example"]).status_code == (422 if refused else 201)


def test_a_taken_name_is_a_conflict_and_an_unknown_one_is_not_found(client: TestClient) -> None:
    """POST conflicts; GET, PATCH and DELETE respond with 404."""
    client.post("/admin/faults", json={**ERROR, "name": "f"})
    assert client.post("/admin/faults", json={**ERROR, "name": "f"}).status_code == 409
    assert client.put("/admin/faults/f", json={**ERROR, "name": "g"}).status_code == 422
    client.delete("/admin/faults/f")
    assert client.delete("/admin/faults/f").status_code == 409
    assert client.patch("/admin/faults/f", json={"rate": 0.1}).status_code == 409
    for answer in (
        client.get("/admin/faults/x"),
        client.delete("/admin/faults/x"),
        client.patch("/admin/faults/x", json={}),
    ):
        assert answer.status_code == 404


def test_no_fault_lasts_longer_than_allowed(make_client: MakeClient) -> None:
    """The default is a day; the time before the start counts too."""
    assert make_client().post("/admin/faults", json={**ERROR, "schedule": {"duration": "25h"}}).status_code == 422
    client = make_client(max_duration="1h")
    assert client.post("/admin/faults", json={**ERROR, "schedule": {"duration": "1h"}}).status_code == 201
    assert (
        client.post("/admin/faults", json={**ERROR, "schedule": {"start_after": "1s", "duration": "1h"}}).status_code
        == 422
    )
    client.put("/admin/faults/f", json=ERROR)
    assert client.patch("/admin/faults/f", json={"schedule": {"duration": "2h"}}).status_code == 422


def test_the_audit_of_a_patch_has_the_patched_fault(client: TestClient) -> None:
    """The entry of a halt has no fault."""
    client.post("/admin/faults", json={**ERROR, "name": "f", "rate": 0.2})
    client.patch("/admin/faults/f", json={"rate": 0.4})
    client.post("/admin/halt")
    halted, patched, created = client.get("/admin/audit").json()["entries"]
    assert (patched["action"], patched["spec"]["rate"], created["spec"]["rate"]) == ("patch", 0.4, 0.2)
    assert halted["spec"] is None


def test_a_fault_without_hits_despite_traffic_has_a_note(client: TestClient, clock: Clock) -> None:
    """After a minute, in show and list; not without traffic, nor once something has matched, nor after its end."""

    def notes() -> set[str]:
        listed = client.get("/admin/faults").json()["faults"]
        shown = [client.get(f"/admin/faults/{name}").json() for name in ("requests", "calls")]
        return {fault["note"] for fault in [*listed, *shown]}

    client.put("/admin/faults/requests", json={**ERROR, "target": {"methods": ["DELETE"]}})
    client.put("/admin/faults/calls", json={**ERROR, "target": {"points": ["payments"]}})
    clock.now += 61
    assert notes() == {""}
    client.get("/api/products")
    assert all("has matched in 1m1s" in note and "WebSockets are never hit" in note for note in notes())
    client.delete("/api/products")
    assert client.get("/admin/faults/requests").json()["note"] == ""
    assert "no call to a dependency" in client.get("/admin/faults/calls").json()["note"]
    client.delete("/admin/faults")
    assert notes() == {""}


def test_a_fault_on_the_process_needs_no_requests(client: TestClient, clock: Clock) -> None:
    """It matches none, and nothing is odd about that."""
    client.put("/admin/faults/f", json={"effect": {"type": "health", "probe": "readiness"}})
    client.get("/api/products")
    clock.now += 120
    assert client.get("/admin/faults/f").json()["note"] == ""


def test_a_condition_needs_a_part_of_the_world_that_can_change_here() -> None:
    """An app of somebody else has no flags; a replica of it can be drained."""
    app = FastAPI()
    chaosapi.install(app, Settings(access_log=False))
    with TestClient(app, base_url="http://localhost:8000") as client:
        refused = client.post("/admin/faults", json={**ERROR, "while": {"flags": {"new-pricing": True}}})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "while.flags")
        assert "there are in_rotation, limits" in refused.json()["detail"]
        assert client.post("/admin/faults", json={**ERROR, "while": {"in_rotation": True}}).status_code == 201
