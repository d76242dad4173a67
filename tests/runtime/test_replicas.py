"""Several processes on one store agree: real processes on a real SQLite file and a real Redis."""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.patience import patience, until
from tests.planes import Planes, started
from tests.store.conftest import RedisServer, running

pytestmark = pytest.mark.slow

ERROR = {"name": "f", "effect": {"type": "error"}}


class Replicas:
    """Processes on the same store; the first one has its own admin port."""

    def __init__(self, folder: Path, store: str, stack: ExitStack) -> None:
        self._folder = folder
        self._store = store
        self._stack = stack
        self._count = 0

    def start(self, *, apart: bool = False) -> Planes:
        self._count += 1
        log = self._folder / f"replica-{self._count}.log"
        return self._stack.enter_context(started(log, apart=apart, CHAOSAPI_STORE=self._store))


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def replicas(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """Return a function that starts a replica on a shared store."""
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        if request.param == "redis":
            url = stack.enter_context(running(folder)).url
        else:
            url = f"sqlite:///{folder / 'faults.db'}"
        yield Replicas(folder, url, stack)


@pytest.fixture(scope="module")
def pair(replicas: Replicas) -> tuple[Planes, Planes]:
    """Yield two replicas that list each other."""
    two = replicas.start(apart=True), replicas.start()
    until(lambda: len(get(two[0], "/admin/replicas")["replicas"]) == 2)
    return two


def get(planes: Planes, path: str) -> Any:
    """Read from the admin API."""
    return httpx2.get(f"{planes.admin}{path}", timeout=patience(30)).raise_for_status().json()


def ask(planes: Planes, method: str, path: str, **how: Any) -> httpx2.Response:
    """Send a change to the admin API."""
    return httpx2.request(method, f"{planes.admin}{path}", timeout=patience(60), **how)


def visit(planes: Planes, count: int, prefix: str) -> int:
    """Send requests to the shop; return how many failed."""
    with httpx2.Client(base_url=planes.users) as client:
        answers = [client.get("/api/products", headers={"x-request-id": f"{prefix}-{n}"}) for n in range(count)]
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {200, 503}
    return statuses.count(503)


def everywhere(answer: httpx2.Response) -> dict[str, Any]:
    """Check that all replicas have applied a change; return the answer."""
    shown: dict[str, Any] = answer.raise_for_status().json()
    counted = shown.get("replicas") or shown["receipt"]["replicas"]
    assert counted["applied"] == counted["known"] >= 2
    return shown


def test_a_change_acts_on_all_replicas_and_the_kill_switch_ends_it_on_all(pair: Sequence[Planes]) -> None:
    """After the response, the next request to any replica is hit, or no longer is."""
    for teller, other in (pair, pair[::-1]):
        everywhere(ask(teller, "POST", "/admin/faults?wait=30s", json=ERROR))
        assert [visit(each, 5, "r") for each in pair] == [5, 5]
        assert everywhere(ask(other, "DELETE", "/admin/faults?wait=30s"))["ended"] == 1
        assert [visit(each, 5, "r") for each in pair] == [0, 0]
    shown = get(pair[0], "/admin/replicas")
    assert [(each["lag"], each["revision"]) for each in shown["replicas"]] == [(0, shown["revision"])] * 2
    assert {each["pid"] for each in shown["replicas"]} == {each.process.pid for each in pair}
    assert get(pair[0], "/admin/faults")["revision"] == get(pair[1], "/admin/faults")["revision"]
    assert get(pair[0], "/admin/audit") == get(pair[1], "/admin/audit")


def test_the_receipt_equals_the_clients_counts_after_a_replica_has_left(
    pair: Sequence[Planes], replicas: Replicas
) -> None:
    """Exactly: matched equals the requests and injected the failures, on every replica."""
    third = replicas.start()
    everywhere(ask(third, "PUT", "/admin/faults/f?wait=30s", json={**ERROR, "rate": 0.3}))
    with ThreadPoolExecutor() as pool:
        failed = sum(pool.map(visit, [*pair, third], [100, 70, 50], ["one", "two", "three"]))
    third.process.terminate()
    third.process.wait(patience(30))
    answer = everywhere(ask(pair[0], "DELETE", "/admin/faults/f?wait=30s"))
    receipts = [answer["receipt"], *(get(each, "/admin/faults/f")["receipt"] for each in pair)]
    for receipt in receipts:
        assert (receipt["matched"], receipt["injected"]) == (220, failed)
        assert receipt["replicas"] == {"applied": 2, "known": 2}


def test_a_change_of_the_world_stops_a_fault_on_all_replicas_and_starts_it_again(pair: Sequence[Planes]) -> None:
    """The same requests fail again; the sum of what each replica spared is exactly what a twin without `while` hits."""
    condition = {"settings": {"shop_retries": {"above": 0}}}
    everywhere(ask(pair[0], "PUT", "/admin/faults/f?wait=30s", json={**ERROR, "rate": 0.3, "while": condition}))
    failed = [visit(each, 40, "r") for each in pair]
    for retries, expected in ((0, [0, 0]), (2, failed)):
        world = {"settings": {"shop_retries": retries}}
        everywhere(ask(pair[1], "PATCH", "/admin/world?wait=30s", json=world))
        assert [visit(each, 40, "r") for each in pair] == expected
    fault = everywhere(ask(pair[0], "DELETE", "/admin/faults/f?wait=30s"))
    receipt = fault["receipt"]
    assert (receipt["matched"], receipt["injected"], receipt["spared"]) == (240, 2 * sum(failed), sum(failed))
    assert sorted(each["spared"] for each in receipt["by_replica"]) == sorted(failed)


def test_a_fault_on_a_named_replica_acts_there_alone(pair: Sequence[Planes]) -> None:
    """Without a name of its own a replica is called by its id."""
    names = {each["pid"]: each["name"] for each in get(pair[0], "/admin/replicas")["replicas"]}
    named = {**ERROR, "target": {"replicas": [names[pair[1].process.pid]]}}
    everywhere(ask(pair[0], "PUT", "/admin/faults/f?wait=30s", json=named))
    assert [visit(each, 5, "r") for each in pair] == [0, 5]
    receipt = everywhere(ask(pair[0], "DELETE", "/admin/faults/f?wait=30s"))["receipt"]
    assert (receipt["matched"], receipt["injected"]) == (5, 5)


def test_of_two_concurrent_changes_of_one_version_one_is_refused(pair: Sequence[Planes]) -> None:
    """On different replicas, repeatedly: the accepted change is the stored one."""
    tag = ask(pair[0], "PUT", "/admin/faults/f?wait=30s", json=ERROR).headers["etag"]
    with ThreadPoolExecutor(2) as pool:
        for turn in range(10):

            def patch(who: int, tag: str = tag, turn: int = turn) -> httpx2.Response:
                document = {"seed": 2 * turn + who + 1}
                return ask(pair[who], "PATCH", "/admin/faults/f", json=document, headers={"if-match": tag})

            one, other = sorted(pool.map(patch, range(2)), key=lambda answer: answer.status_code)
            assert (one.status_code, other.status_code) == (200, 412)
            tag = one.headers["etag"]
            for each in pair:
                agree(each, one.json())
    everywhere(ask(pair[0], "DELETE", "/admin/faults?wait=30s"))


def agree(planes: Planes, fault: dict[str, Any]) -> None:
    """Check that a replica applies this version of a fault."""
    until(lambda: get(planes, "/admin/faults/f")["revision"] >= fault["revision"])
    known = get(planes, "/admin/faults/f")
    assert [known[field] for field in ("revision", "seed")] == [fault[field] for field in ("revision", "seed")]


def test_while_redis_is_down_only_changes_are_refused(tmp_path: Path) -> None:
    """Faults act and end on time, a change is refused completely, a replica can start; then it recovers.

    The kill switch works; what is made once Redis is back is spared by a call that Redis hears of late.
    """
    with running(tmp_path) as server, ExitStack() as stack:
        one = stack.enter_context(started(tmp_path / "one.log", apart=False, CHAOSAPI_STORE=server.url))
        ask(one, "POST", "/admin/faults", json={**ERROR, "schedule": {"duration": "4s"}}).raise_for_status()
        server.kill()
        assert visit(one, 5, "r") == 5
        refused = ask(one, "POST", "/admin/faults", json=ERROR)
        assert (refused.status_code, refused.json()["title"]) == (503, "Service Unavailable")
        assert ask(one, "GET", "/admin/replicas").status_code == 503
        assert up(one) == 0
        late = stack.enter_context(started(tmp_path / "late.log", apart=False, CHAOSAPI_STORE=server.url))
        assert (visit(late, 5, "r"), up(late)) == (0, 0)
        until(lambda: visit(one, 1, "r") == 0)
        assert get(one, "/admin/faults/f")["state"] == "ended"
        assert get(one, "/admin/faults/f")["receipt"]["matched"] >= 5
        assert ask(one, "DELETE", "/admin/faults").json()["stored"] is False
        heal(server, [one, late])
        everywhere(ask(late, "POST", "/admin/faults?wait=30s", json=ERROR))
        assert [visit(each, 5, "r") for each in (one, late)] == [5, 5]


def heal(server: RedisServer, replicas: Sequence[Planes]) -> None:
    """Start Redis again, and wait until all replicas are connected."""
    server.start()
    until(lambda: all(up(each) for each in replicas))
    until(lambda: all(len(get(each, "/admin/replicas")["replicas"]) == len(replicas) for each in replicas))


def up(planes: Planes) -> float:
    """Return the gauge's value."""
    found = re.search(r"^chaosapi_store_up (\S+)$", "\n".join(planes.metrics()), re.MULTILINE)
    assert found
    return float(found[1])
