"""The world in the API: what operators change, on one replica and on several."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import chaosapi
from chaosapi.settings import Settings
from tests.conftest import MakeClient

ALONE = {"applied": 1, "known": 1}


def change(client: TestClient, document: Any, query: str = "", **headers: str) -> Any:
    """Send a merge patch of the world; return the response."""
    kind = {"content-type": "application/merge-patch+json", **headers}
    return client.patch(f"/admin/world{query}", content=json.dumps(document), headers=kind)


def test_the_world_that_nobody_has_changed_is_that_of_the_settings(make_client: MakeClient) -> None:
    """Complete, with durations as text, at revision 0."""
    client = make_client(release="2.4.0", shop_retries=1, shop_timeout="250ms", shop_breaker=False)
    answer = client.get("/admin/world")
    assert answer.headers["etag"] == '"0"'
    assert answer.json() == {
        "release": {"running": "2.4.0", "by_replica": {}, "previous": None},
        "flags": {"new-pricing": False, "recommendations-v2": False, "bulk-export": False},
        "settings": {
            "shop_timeout": "250ms",
            "shop_retries": 1,
            "shop_breaker": False,
            "concurrency": 0,
            "queue": 100,
            "queue_timeout": "5s",
            "search": "live",
        },
        "providers": {"payments": "acme"},
        "rotation": {},
        "limits": [],
        "shed": {},
        "quarantine": [],
        "revision": 0,
        "risks": [],
        "absent": [],
        "replicas": ALONE,
    }


def test_a_change_says_what_was_before_and_is_in_the_feed_and_in_the_audit(client: TestClient) -> None:
    """With who, when and why; the audit has the revision that faults share, the feed counts its own changes."""
    client.post("/admin/faults", json={"effect": {"type": "error"}})
    changed = change(client, {"settings": {"shop_retries": 0}}, "?note=storm&wait=2s", **{"x-chaos-actor": "ann"})
    fields = [{"field": "settings.shop_retries", "before": 2, "after": 0}]
    assert (changed.status_code, changed.headers["etag"]) == (200, '"1"')
    assert (changed.json()["settings"]["shop_retries"], changed.json()["changed"]) == (0, fields)
    assert (changed.json()["revision"], changed.json()["replicas"]) == (1, ALONE)
    assert client.get("/admin/changes").json() == {
        "changes": [
            {
                "revision": 1,
                "at": "2027-01-15T08:00:00Z",
                "actor": "ann (unverified)",
                "note": "storm",
                "fields": fields,
            }
        ],
        "next": None,
    }
    entry = client.get("/admin/audit").json()["entries"][0]
    assert (entry["action"], entry["revision"], entry["reason"], entry["fields"]) == ("world", 2, "storm", fields)
    assert client.get("/api/products").status_code == 503


def test_the_same_patch_again_changes_nothing(client: TestClient) -> None:
    """Neither the revision nor the feed; the response is the same world."""
    first = change(client, {"flags": {"new-pricing": True}}).json()
    again = change(client, {"flags": {"new-pricing": True}}).json()
    assert again == first | {"changed": []}
    assert len(client.get("/admin/changes").json()["changes"]) == 1


def test_if_match_refuses_a_change_of_what_somebody_else_has_changed(client: TestClient) -> None:
    """412, and nothing changes; a new fault does not count."""
    tag = client.get("/admin/world").headers["etag"]
    tag = change(client, {"shed": {"browse": 0.5}}, **{"if-match": tag}).headers["etag"]
    client.post("/admin/faults", json={"effect": {"type": "hang"}})
    assert change(client, {"shed": None}, **{"if-match": '"0"'}).status_code == 412
    assert client.get("/admin/world").json()["shed"] == {"browse": 0.5}
    assert change(client, {"shed": None}, **{"if-match": tag}).json()["shed"] == {}


@pytest.mark.parametrize(
    ("document", "field", "said"),
    [
        ({"settings": {"shop_retires": 1}}, "settings.shop_retires", "did you mean 'shop_retries'"),
        ({"settings": {"shop_retries": 99}}, "settings.shop_retries", "less than or equal to 10"),
        ({"flags": {"new-prices": True}}, "flags.new-prices", "'new-pricing', 'recommendations-v2' or 'bulk-export'"),
        ({"shed": {"cart": 0.5}}, "body", "shed at least 0.5 of browse first"),
        ({"quarantine": ["P-1"]}, "quarantine.0", "p-[0-9]{4}"),
        ({"settings": {"queue_timeout": "soon"}}, "settings.queue_timeout", "a duration is text with units"),
    ],
    ids=str,
)
def test_a_wrong_change_is_refused_whole_and_says_what_would_be_right(
    client: TestClient, document: Any, field: str, said: str
) -> None:
    """422 with the field."""
    refused = change(client, {"providers": {"payments": "bolt"}, **document})
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert said in refused.json()["errors"][0]["message"]
    assert client.get("/admin/world").json()["providers"] == {"payments": "acme"}


def test_a_value_outside_its_safe_range_is_named(client: TestClient) -> None:
    """It is accepted all the same; the schema has the range."""
    risky = change(client, {"settings": {"shop_timeout": "20s", "concurrency": 2}, "shed": {"browse": 1, "cart": 0.9}})
    assert risky.json()["risks"] == [
        "settings.shop_timeout: 20s is outside the safe range, 100ms to 5s",
        "settings.concurrency: 2 is outside the safe range, 8 to 1000, or 0",
        "shed.cart: 0.9 is outside the safe range, 0 to 0.8",
    ]
    schema = client.get("/admin/openapi.json").json()["components"]["schemas"]["ShopSettings"]
    assert schema["properties"]["shop_retries"]["x-safe-range"] == "0 to 3"


def test_the_feed_has_pages(client: TestClient) -> None:
    """Newest first."""
    for number in range(5):
        change(client, {"settings": {"queue": number}})
    page = client.get("/admin/changes?limit=2").json()
    assert [each["revision"] for each in page["changes"]] == [5, 4]
    rest = client.get(f"/admin/changes{page['next']}").json()
    assert [each["revision"] for each in rest["changes"]] == [3, 2]
    assert client.get("/admin/changes?limit=2&before=2").json()["next"] is None


def test_all_replicas_have_a_change_before_the_answer_comes(make_client: MakeClient, tmp_path: Path) -> None:
    """With `wait`; the kill switch leaves the world as it is, on both."""
    one, two = (make_client(store=f"sqlite:///{tmp_path / 'faults.db'}") for _ in range(2))
    while len(one.get("/admin/replicas").json()["replicas"]) < 2:
        pass
    assert change(one, {"flags": {"bulk-export": True}}, "?wait=30s").json()["replicas"] == {"applied": 2, "known": 2}
    two.delete("/admin/faults?wait=30s")
    assert one.get("/admin/world").json()["flags"]["bulk-export"] is True
    assert two.get("/admin/changes").json() == one.get("/admin/changes").json()


def test_a_drained_replica_is_not_ready_and_still_answers(make_client: MakeClient, tmp_path: Path) -> None:
    """By its name, which it keeps after a restart; the other replica stays ready."""
    url = f"sqlite:///{tmp_path / 'faults.db'}"
    one = make_client(store=url, replica="shop-1")
    two = make_client(store=url, replica="shop-2")
    change(one, {"rotation": {"shop-1": "drained"}})
    assert [one.get(path).status_code for path in ("/readyz", "/healthz", "/api/products")] == [503, 200, 200]
    two.get("/admin/world")
    assert two.get("/readyz").status_code == 200
    assert "shop-1" in {each["name"] for each in one.get("/admin/replicas").json()["replicas"]}
    one.exit_stack.close()
    assert make_client(store=url, replica="shop-1").get("/readyz").status_code == 503
    change(two, {"rotation": {"shop-1": None}})
    assert make_client(store=url, replica="shop-1").get("/readyz").status_code == 200


def test_an_app_of_somebody_else_has_no_parts_of_the_shop() -> None:
    """The API says which, and refuses to change them; a replica can be drained."""
    app = FastAPI()
    chaosapi.install(app, Settings(replica="mine", access_log=False))
    with TestClient(app, base_url="http://localhost:8000") as client:
        absent = client.get("/admin/world").json()["absent"]
        assert absent == ["flags", "providers", "quarantine", "release", "settings", "shed"]
        refused = change(client, {"flags": {"new-pricing": True}})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "flags")
        assert "which does not run here" in refused.json()["detail"]
        change(client, {"rotation": {"mine": "drained"}}).raise_for_status()
        assert client.get("/readyz").status_code == 503
