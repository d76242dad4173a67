"""Lists have pages of a megabyte, are serialized outside the event loop, and have a memory budget."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import pytest
from fastapi.testclient import TestClient

from chaosapi.api import responses
from chaosapi.api.pages import PAGE
from tests.api.test_webhooks import notification
from tests.conftest import Clock, MakeClient
from tests.patience import patience

LARGE = {"type": "error", "body": "x" * 90_000}


def pages(client: TestClient, path: str, query: str = "") -> Iterator[dict[str, Any]]:
    """Return all pages of a list."""
    onwards: str | None = query
    while onwards is not None:
        answer = client.get(path + onwards)
        assert answer.status_code == 200
        assert len(answer.content) < PAGE + 300_000
        yield answer.json()
        onwards = answer.json()["next"]


def names(found: Iterator[dict[str, Any]]) -> list[list[str]]:
    """Return the names of the faults on each page."""
    return [[fault["name"] for fault in page["faults"]] for page in found]


def test_pages_of_faults_are_complete_and_disjoint(client: TestClient) -> None:
    """The order is that of one long list; the links keep the filter."""
    for number in range(25):
        client.put(f"/admin/faults/f{number}", json={"effect": {"type": "error"}}).raise_for_status()
    for number in range(0, 25, 2):
        client.delete(f"/admin/faults/f{number}").raise_for_status()
    (whole,) = names(pages(client, "/admin/faults"))
    assert whole == [f"f{number}" for number in reversed(range(25))]
    cut = names(pages(client, "/admin/faults", "?limit=7"))
    assert [len(page) for page in cut] == [7, 7, 7, 4]
    assert list(chain.from_iterable(cut)) == whole
    active = names(pages(client, "/admin/faults", "?limit=5&state=active"))
    assert [len(page) for page in active] == [5, 5, 2]
    assert list(chain.from_iterable(active)) == [name for name in whole if int(name[1:]) % 2]


def test_a_page_ends_at_a_megabyte(client: TestClient) -> None:
    """Whatever the limit; small faults all fit on one page."""
    for number in range(30):
        client.put(f"/admin/faults/f{number}", json={"effect": LARGE}).raise_for_status()
    cut = names(pages(client, "/admin/faults"))
    assert [len(page) for page in cut] == [12, 12, 6]
    assert list(chain.from_iterable(cut)) == [f"f{number}" for number in reversed(range(30))]


def test_a_page_after_an_unknown_fault_is_refused(client: TestClient) -> None:
    """An empty page would look like the end of the list."""
    assert client.get("/admin/faults?after=nobody").status_code == 404
    assert client.get("/admin/faults?limit=0").status_code == 422


def test_pages_of_the_audit_are_complete_and_disjoint(client: TestClient) -> None:
    """Pages end by number and by size: an entry contains the whole fault."""
    for number in range(30):
        client.put("/admin/faults/f", json={"effect": LARGE, "seed": number}).raise_for_status()
    cut = [[entry["revision"] for entry in page["entries"]] for page in pages(client, "/admin/audit")]
    assert [len(page) for page in cut] == [12, 12, 6]
    assert list(chain.from_iterable(cut)) == list(range(30, 0, -1))
    client.delete("/admin/faults").raise_for_status()
    fives = [[entry["revision"] for entry in page["entries"]] for page in pages(client, "/admin/audit", "?limit=5")]
    assert list(chain.from_iterable(fives)) == list(range(31, 0, -1))
    assert {len(page) for page in fives} == {5, 1}
    assert client.get("/admin/audit?limit=31").json()["next"] is not None


def test_the_audit_takes_no_more_than_its_budget(client: TestClient) -> None:
    """After many replacements with large bodies, 16 MiB of text are kept."""
    for number in range(220):
        client.put("/admin/faults/f", json={"effect": LARGE, "seed": number}).raise_for_status()
    kept = [entry["revision"] for page in pages(client, "/admin/audit") for entry in page["entries"]]
    assert kept == list(range(220, 220 - len(kept), -1))
    assert 150 < len(kept) * 90_000 // 100_000 < 168


def test_pages_of_alerts_are_complete_and_disjoint(client: TestClient, clock: Clock) -> None:
    """Also if many alerts arrived in one notification."""
    start = datetime.fromtimestamp(clock.now, UTC)
    body = notification("firing", start)
    alerts = [{**body["alerts"][0], "fingerprint": f"{number}"} for number in range(60)]
    client.post("/hooks/alertmanager", json={**body, "alerts": alerts}).raise_for_status()
    (whole,) = [page["alerts"] for page in pages(client, "/admin/alerts")]
    assert [alert["fingerprint"] for alert in whole] == [f"{number}" for number in reversed(range(60))]
    cut = [page["alerts"] for page in pages(client, "/admin/alerts", "?limit=25")]
    assert [len(page) for page in cut] == [25, 25, 10]
    assert list(chain.from_iterable(cut)) == whole


def test_large_alerts_take_no_more_than_their_budget(client: TestClient, clock: Clock) -> None:
    """The oldest make room, and the list says how many; its pages are bounded too."""
    start = datetime.fromtimestamp(clock.now, UTC)
    body = notification("firing", start)
    large = {f"a{number}": "x" * 1900 for number in range(50)}
    for number in range(200):
        alert = {**body["alerts"][0], "fingerprint": f"{number}", "annotations": large}
        client.post("/hooks/alertmanager", json={**body, "alerts": [alert]}).raise_for_status()
    found = list(pages(client, "/admin/alerts", "?limit=1000"))
    kept = [alert["fingerprint"] for page in found for alert in page["alerts"]]
    assert kept == [f"{number}" for number in range(199, 199 - len(kept), -1)]
    assert 0 < len(json.dumps(found)) < 2**23
    assert found[0]["dropped"] == 200 - len(kept) > 0


def test_lists_are_written_outside_the_event_loop(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred large faults take seconds, in which the kill switch answers."""
    writing: list[str] = []
    fault = responses.FaultView.of
    entry = responses.AuditView.of

    def noted(*arguments: Any) -> responses.FaultView:
        writing.append(threading.current_thread().name.partition("_")[0])
        return fault(*arguments)

    def signed(*arguments: Any) -> responses.AuditView:
        writing.append(threading.current_thread().name.partition("_")[0])
        return entry(*arguments)

    for number in range(3):
        client.put(f"/admin/faults/f{number}", json={"effect": LARGE}).raise_for_status()
    monkeypatch.setattr(responses.FaultView, "of", noted)
    monkeypatch.setattr(responses.AuditView, "of", signed)
    client.get("/admin/faults").raise_for_status()
    client.get("/admin/audit").raise_for_status()
    assert writing == ["lists"] * 6


def test_of_many_concurrent_lists_most_are_refused_and_the_kill_switch_works(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is serialized, 32 wait, the others get 503 with Retry-After."""
    gate = threading.Event()
    of = responses.FaultView.of
    client = make_client()
    client.put("/admin/faults/f", json={"effect": {"type": "error"}}).raise_for_status()

    def slow(*arguments: Any) -> responses.FaultView:
        if threading.current_thread().name.startswith("lists"):
            gate.wait(patience(60))
        return of(*arguments)

    monkeypatch.setattr(responses.FaultView, "of", slow)
    with ThreadPoolExecutor(60) as people:
        asked = [people.submit(client.get, "/admin/faults") for _ in range(60)]
        for _ in range(2000):
            if sum(each.done() for each in asked) >= 27:
                break
            threading.Event().wait(0.01)
        refused = [each.result() for each in asked if each.done()]
        killed = client.delete("/admin/faults")
        gate.set()
    assert (killed.status_code, killed.json()["ended"]) == (200, 1)
    assert {answer.status_code for answer in refused} == {503}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert len(refused) == 27


def test_the_last_alerts_that_fit_are_kept(client: TestClient, clock: Clock) -> None:
    """A small alert takes a thousandth of the budget, so a thousand small alerts fit."""
    start = datetime.fromtimestamp(clock.now, UTC)
    body = notification("firing", start - timedelta(seconds=1))
    alerts = [{**body["alerts"][0], "fingerprint": f"{number}"} for number in range(1000)]
    client.post("/hooks/alertmanager", json={**body, "alerts": alerts}).raise_for_status()
    page = client.get("/admin/alerts?limit=1000").json()
    assert (len(page["alerts"]), page["dropped"], page["next"]) == (1000, 0, None)
