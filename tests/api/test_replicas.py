"""What the API says of several replicas: two whole services in this process, on one SQLite file."""

import asyncio
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from chaosapi.settings import SettingsError
from tests.conftest import Clock, MakeClient

ERROR = {"name": "f", "effect": {"type": "error"}}


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Give the URL of a store in a file."""
    return f"sqlite:///{tmp_path / 'faults.db'}"


def failed(client: TestClient, count: int) -> int:
    """Visit the shop so often; return how many visits failed."""
    return [client.get("/api/products").status_code for _ in range(count)].count(503)


def stop(client: TestClient) -> None:
    """Stop the service in order, as the server does."""
    client.exit_stack.close()


def test_a_replica_alone_is_in_the_list(client: TestClient) -> None:
    """With who it is and how far it has come; also with a store of its own."""
    client.post("/admin/faults", json=ERROR)
    shown = client.get("/admin/replicas").json()
    (replica,) = shown["replicas"]
    assert (shown["revision"], replica["revision"], replica["lag"]) == (1, 1, 0)
    assert replica["started"] == replica["last_seen"] == "2027-01-15T08:00:00Z"


def test_an_answer_waits_until_all_have_applied_the_change(make_client: MakeClient, url: str) -> None:
    """Every kind of change; then all that are known have it, and do it."""
    one, two = make_client(store=url), make_client(store=url)
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


def test_who_does_not_apply_it_is_counted(make_client: MakeClient, url: str, clock: Clock) -> None:
    """Once the time is over, or at once where nobody waits; who gives no sign of life for long is forgotten."""
    one, two = make_client(store=url), make_client(store=url)
    while len(one.get("/admin/replicas").json()["replicas"]) < 2:
        pass
    two.portal.call(stop_everything)  # type: ignore[union-attr]  # it has one while it runs
    assert one.post("/admin/faults?wait=0.05", json=ERROR).json()["receipt"]["replicas"] == {"applied": 1, "known": 2}
    lags = {each["lag"] for each in one.get("/admin/replicas").json()["replicas"]}
    assert lags == {0, 1}
    clock.now += 60
    assert one.get("/admin/faults/f").json()["receipt"]["replicas"] == {"applied": 1, "known": 1}


async def stop_everything() -> None:
    """Let nothing run in this event loop any more but what serves."""
    for task in asyncio.all_tasks():
        if "Heartbeat.run" in repr(task) or "_keep_looking" in repr(task):
            task.cancel()


def test_receipts_are_summed_and_outlive_their_replica(make_client: MakeClient, url: str) -> None:
    """The list, one fault and the last answer say the same; a replica that starts later knows it all."""
    one, two = make_client(store=url), make_client(store=url)
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
    """They go on where they were, process effects included, and end when they were to end."""
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


def test_a_fault_changes_only_from_the_version_that_was_seen(client: TestClient) -> None:
    """Each answer carries it as ETag; a change to another fault does not count; nothing of what is refused is done."""
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
        assert "look again, then decide" in refused.json()["detail"]
    assert client.get("/admin/faults").json()["revision"] == 3
    assert client.put("/admin/faults/f", json=ERROR, headers={"if-match": '"3"'}).headers["etag"] == '"4"'
    assert client.delete("/admin/faults/f", headers={"if-match": '"4"'}).headers["etag"] == '"5"'


def test_a_star_asks_only_that_there_is_one(client: TestClient) -> None:
    """RFC 9110, 13.1.1: so that PUT replaces and never creates."""
    star = {"if-match": "*"}
    assert client.put("/admin/faults/f", json=ERROR, headers=star).status_code == 412
    assert client.get("/admin/faults").json()["faults"] == []
    client.post("/admin/faults", json=ERROR)
    assert client.put("/admin/faults/f", json={**ERROR, "rate": 0.5}, headers=star).headers["etag"] == '"2"'


@pytest.mark.parametrize("tags", ['"7", "1"', '"1","7"', '"7" , , "1",', 'W/"7", "1"', '"another,one", "1"'])
def test_of_several_versions_any_may_be_the_one(client: TestClient, tags: str) -> None:
    """RFC 9110, 13.1.1: a list of tags, those of others and weak ones among them."""
    client.post("/admin/faults", json=ERROR)
    assert client.delete("/admin/faults/f", headers={"if-match": tags}).status_code == 200


def test_versions_in_several_header_lines_are_one_list(client: TestClient) -> None:
    """RFC 9110, 5.3."""
    client.post("/admin/faults", json=ERROR)
    lines = [("if-match", '"7"'), ("if-match", '"1"')]
    assert client.delete("/admin/faults/f", headers=lines).status_code == 200


@pytest.mark.parametrize("tags", ['"7", "8"', '"another"', '"01"', 'W/"1", "7"', '""'])
def test_versions_of_which_none_is_the_one_change_nothing(client: TestClient, tags: str) -> None:
    """Also one that this API never made, and a weak one: it compares strongly."""
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
def test_a_condition_that_cannot_be_read_is_refused(
    client: TestClient, query: str, headers: dict[str, str], field: str, says: str
) -> None:
    """By its name, and nothing is changed."""
    client.post("/admin/faults", json=ERROR)
    answer = client.delete(f"/admin/faults/f{query}", headers=headers)
    assert answer.status_code == 422
    assert says in {each["field"]: each["message"] for each in answer.json()["errors"]}[field]
    assert client.get("/admin/faults/f").json()["state"] == "active"


def test_a_patch_leaves_what_it_does_not_name_as_exact_as_it_was(client: TestClient) -> None:
    """To the last digit, though durations are shown rounded."""
    client.post("/admin/faults", json={**ERROR, "schedule": {"duration": 61.0004}})
    ends = client.get("/admin/faults/f").json()["ends_at"]
    client.patch("/admin/faults/f", json={"rate": 0.5})
    assert client.get("/admin/faults/f").json()["ends_at"] == ends


@pytest.mark.parametrize("store", ["mysql://there", "sqlite://host/f.db", "redis://host:port"])
def test_a_store_that_there_is_not_is_named_with_its_setting(make_client: MakeClient, store: str) -> None:
    """Before anything is served."""
    with pytest.raises(SettingsError, match=r"^CHAOSAPI_STORE: "):
        make_client(store=store)
