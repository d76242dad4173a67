"""Several replicas in the API: two services in this process on one SQLite file."""

import asyncio
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from chaosapi.settings import SettingsError
from tests.conftest import Clock, MakeClient

ERROR = {"name": "f", "effect": {"type": "error"}}


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the URL of an SQLite store."""
    return f"sqlite:///{tmp_path / 'faults.db'}"


def failed(client: TestClient, count: int) -> int:
    """Send requests to the shop; return how many failed."""
    return [client.get("/api/products").status_code for _ in range(count)].count(503)


def stop(client: TestClient) -> None:
    """Shut the service down as a server does."""
    client.exit_stack.close()


def test_a_single_replica_is_in_the_list(client: TestClient) -> None:
    """With its id, host, pid and revision; also with the memory store."""
    client.post("/admin/faults", json=ERROR)
    shown = client.get("/admin/replicas").json()
    (replica,) = shown["replicas"]
    assert (shown["revision"], replica["revision"], replica["lag"]) == (1, 1, 0)
    assert replica["started"] == replica["last_seen"] == "2027-01-15T08:00:00Z"


def test_a_response_waits_until_all_replicas_have_applied_the_change(make_client: MakeClient, url: str) -> None:
    """For every kind of change; all known replicas act on it then."""
    one = make_client(store=url)
    two = make_client(store=url)
    while len(one.get("/admin/replicas").json()["replicas"]) < 2:
        pass
    both = {"applied": 2, "known": 2}
    assert one.post("/admin/faults?wait=30s", json=ERROR).json()["receipt"]["replicas"] == both
    assert failed(two, 1) == 1
    assert two.patch("/admin/faults/f?wait=30", json={"rate": 0.5}).json()["receipt"]["replicas"] == both
    assert one.put("/admin/faults/f?wait=30s", json=ERROR).json()["receipt"]["replicas"] == both
    assert two.delete("/admin/faults/f?wait=30s").json()["receipt"]["replicas"] == both
    for method, path in (("POST", "halt"), ("DELETE", "halt"), ("DELETE", "faults")):
        assert one.request(method, f"/admin/{path}?wait=30s").json()["replicas"] == both


def test_a_replica_that_has_not_applied_a_change_is_counted_as_missing(
    make_client: MakeClient, url: str, clock: Clock
) -> None:
    """After the wait, or at once without a wait; a replica without heartbeats is dropped from the list."""
    one = make_client(store=url)
    two = make_client(store=url)
    while len(one.get("/admin/replicas").json()["replicas"]) < 2:
        pass
    two.portal.call(stop_everything)  # type: ignore[union-attr]  # it has one while it runs
    assert one.post("/admin/faults?wait=0.05", json=ERROR).json()["receipt"]["replicas"] == {"applied": 1, "known": 2}
    lags = {each["lag"] for each in one.get("/admin/replicas").json()["replicas"]}
    assert lags == {0, 1}
    clock.now += 60
    assert one.get("/admin/faults/f").json()["receipt"]["replicas"] == {"applied": 1, "known": 1}


async def stop_everything() -> None:
    """Cancel every task in this event loop except the server's."""
    for task in asyncio.all_tasks():
        if "Heartbeat.run" in repr(task) or "_keep_looking" in repr(task):
            task.cancel()


def test_receipts_are_sums_that_include_stopped_replicas(make_client: MakeClient, url: str) -> None:
    """The list, the fault and the final response agree, also on a replica that starts later."""
    one = make_client(store=url)
    two = make_client(store=url)
    one.post("/admin/faults?wait=30s", json={**ERROR, "rate": 0.5})
    while len(two.get("/admin/faults").json()["faults"]) < 1:
        pass
    hits = failed(one, 20) + failed(two, 30)
    stop(two)
    receipt = one.delete("/admin/faults/f").json()["receipt"]
    assert (receipt["matched"], receipt["injected"]) == (50, hits)
    assert one.get("/admin/faults").json()["faults"][0]["receipt"] == receipt
    assert one.get("/admin/faults/f").json()["receipt"] == receipt


def test_faults_survive_a_restart(make_client: MakeClient, url: str, clock: Clock) -> None:
    """They continue, process effects included, and end as scheduled."""
    before = make_client(store=url)
    before.post("/admin/faults", json={**ERROR, "schedule": {"duration": "1m"}})
    before.post("/admin/faults", json={"name": "h", "effect": {"type": "health", "probe": "readiness"}})
    assert failed(before, 3) == 3
    stop(before)
    clock.now += 50
    after = make_client(store=url)
    assert failed(after, 2) == 2
    fault = after.get("/admin/faults/f").json()
    assert (fault["remaining"], fault["receipt"]["matched"]) == ("10s", 5)
    while after.get("/readyz").status_code != 503:
        pass
    clock.now += 10
    assert failed(after, 1) == 0
    assert len(after.get("/admin/audit").json()["entries"]) == 2


def test_if_match_makes_a_change_conditional_on_the_etag(client: TestClient) -> None:
    """Each response has the ETag; changes of other faults do not count; a refused change has no effect."""
    made = client.post("/admin/faults", json=ERROR)
    assert made.headers["etag"] == client.get("/admin/faults/f").headers["etag"] == '"1"'
    client.post("/admin/faults", json={**ERROR, "name": "another"})
    patched = client.patch("/admin/faults/f", json={"rate": 0.5}, headers={"if-match": '"1"'})
    assert (patched.status_code, patched.headers["etag"]) == (200, '"3"')
    stale = {"if-match": '"1"'}
    for refused in (
        client.patch("/admin/faults/f", json={"rate": 0.7}, headers=stale),
        client.put("/admin/faults/f", json=ERROR, headers=stale),
        client.put("/admin/faults/new", json={**ERROR, "name": "new"}, headers=stale),
        client.delete("/admin/faults/f", headers=stale),
    ):
        assert refused.status_code == 412
        assert "read it again, then decide" in refused.json()["detail"]
    assert client.get("/admin/faults").json()["revision"] == 3
    assert client.put("/admin/faults/f", json=ERROR, headers={"if-match": '"3"'}).headers["etag"] == '"4"'
    assert client.delete("/admin/faults/f", headers={"if-match": '"4"'}).headers["etag"] == '"5"'


def test_if_match_star_requires_an_existing_fault(client: TestClient) -> None:
    """RFC 9110, 13.1.1: PUT replaces and does not create."""
    star = {"if-match": "*"}
    assert client.put("/admin/faults/f", json=ERROR, headers=star).status_code == 412
    assert client.get("/admin/faults").json()["faults"] == []
    client.post("/admin/faults", json=ERROR)
    assert client.put("/admin/faults/f", json={**ERROR, "rate": 0.5}, headers=star).headers["etag"] == '"2"'


@pytest.mark.parametrize("tags", ['"7", "1"', '"1","7"', '"7" , , "1",', 'W/"7", "1"', '"another,one", "1"'])
def test_if_match_accepts_a_list_of_etags(client: TestClient, tags: str) -> None:
    """RFC 9110, 13.1.1: other tags and weak tags may be in the list."""
    client.post("/admin/faults", json=ERROR)
    assert client.delete("/admin/faults/f", headers={"if-match": tags}).status_code == 200


def test_if_match_in_several_header_lines_is_one_list(client: TestClient) -> None:
    """RFC 9110, 5.3."""
    client.post("/admin/faults", json=ERROR)
    lines = [("if-match", '"7"'), ("if-match", '"1"')]
    assert client.delete("/admin/faults/f", headers=lines).status_code == 200


@pytest.mark.parametrize("tags", ['"7", "8"', '"another"', '"01"', 'W/"1", "7"', '""'])
def test_if_match_without_the_current_etag_changes_nothing(client: TestClient, tags: str) -> None:
    """Also with a foreign tag, and with a weak one: the comparison is strong."""
    client.post("/admin/faults", json=ERROR)
    assert client.delete("/admin/faults/f", headers={"if-match": tags}).status_code == 412
    assert client.get("/admin/faults/f").json()["state"] == "active"


@pytest.mark.parametrize(
    ("query", "headers", "field", "says"),
    [
        ("?wait=31s", {}, "wait", "30"),
        ("?wait=soon", {}, "wait", "250ms"),
        ("", {"if-match": "1"}, "if-match", "in quotes"),
        ("", {"if-match": 'W/"1"'}, "if-match", "in quotes"),
        ("", {"if-match": '"1" "2"'}, "if-match", "in quotes"),
        ("", {"if-match": '*, "1"'}, "if-match", "in quotes"),
        ("", {"if-match": ","}, "if-match", "in quotes"),
        ("", {"if-match": '"1",' * 300 + "!"}, "if-match", "in quotes"),
    ],
)
def test_a_malformed_if_match_is_refused(
    client: TestClient, query: str, headers: dict[str, str], field: str, says: str
) -> None:
    """The problem names the header, and nothing is changed."""
    client.post("/admin/faults", json=ERROR)
    answer = client.delete(f"/admin/faults/f{query}", headers=headers)
    assert answer.status_code == 422
    assert says in {each["field"]: each["message"] for each in answer.json()["errors"]}[field]
    assert client.get("/admin/faults/f").json()["state"] == "active"


def test_a_patch_keeps_the_exact_values_of_other_fields(client: TestClient) -> None:
    """To the last digit, although durations are shown rounded."""
    client.post("/admin/faults", json={**ERROR, "schedule": {"duration": 61.0004}})
    ends = client.get("/admin/faults/f").json()["ends_at"]
    client.patch("/admin/faults/f", json={"rate": 0.5})
    assert client.get("/admin/faults/f").json()["ends_at"] == ends


@pytest.mark.parametrize("store", ["mysql://there", "sqlite://host/f.db", "redis://host:port"])
def test_an_invalid_store_url_prevents_startup(make_client: MakeClient, store: str) -> None:
    """The error names CHAOSAPI_STORE."""
    with pytest.raises(SettingsError, match=r"^CHAOSAPI_STORE: "):
        make_client(store=store)
