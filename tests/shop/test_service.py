"""The shop with failing dependencies, as its customers see it."""

import asyncio
import itertools
import json
from collections.abc import Coroutine
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from chaosapi.errors import Conflict
from chaosapi.injection.dependencies import DependencyCall, Gate, current_gate
from chaosapi.shop.backends import Payments
from chaosapi.shop.models import Item
from chaosapi.shop.service import Shop
from chaosapi.world.world import World
from tests.conftest import MakeClient

HANG = {"type": "hang", "at_most": "1h"}


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    """Return a client of a shop with one retry."""
    return make_client(shop_retries=1)


def inject(client: TestClient, effect: dict[str, Any], point: str, **fault: Any) -> None:
    """Inject the fault `mystery` at a point."""
    body = {"effect": effect, "target": {"points": [point]}, **fault}
    client.put("/admin/faults/mystery", json=body).raise_for_status()


def matched(client: TestClient) -> int:
    """Return how many calls the fault has matched."""
    found: int = client.get("/admin/faults/mystery").json()["receipt"]["matched"]
    return found


def calls(client: TestClient, dependency: str) -> dict[str, int]:
    """Return the calls by outcome and the breaker's state, from the metrics."""
    found = {
        sample.labels.get("outcome", "open"): int(sample.value)
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if sample.name in {"chaosapi_shop_calls_total", "chaosapi_shop_breaker_open"}
        and sample.labels["dependency"] == dependency
    }
    assert found
    return found


def fill(client: TestClient, cart: str) -> None:
    """Add an item to a cart."""
    client.post(f"/api/cart/{cart}/items", json={"product_id": "p-0001"}).raise_for_status()


def test_all_series_exist_before_the_first_call(client: TestClient) -> None:
    """A series that starts with the first failure hides it from increase()."""
    for dependency in ("db", "payments", "search-index"):
        assert calls(client, dependency) == {"ok": 0, "error": 0, "timeout": 0, "rejected": 0, "open": 0}


def test_a_slow_dependency_cascades(make_client: MakeClient) -> None:
    """Slower responses, then time-outs with retries that double the calls, then refusals without calls."""
    client = make_client(shop_timeout="250ms", shop_retries=1)
    inject(client, {"type": "latency", "distribution": {"type": "constant", "value": "1ms"}}, "db")
    assert client.get("/api/products").status_code == 200
    assert matched(client) == 1
    inject(client, {"type": "latency", "distribution": {"type": "constant", "value": "10s"}}, "db")
    answers = [client.get("/api/products") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [504, 504, 503, 503, 503, 503]
    assert matched(client) == 1 + 5
    assert calls(client, "db") == {"ok": 1, "error": 0, "timeout": 5, "rejected": 4, "open": 1}
    assert calls(client, "payments")["open"] == 0
    assert answers[-1].headers["retry-after"] == "5"
    assert client.get("/api/search?q=oak").status_code == 200


def test_without_the_breaker_every_request_waits(make_client: MakeClient) -> None:
    """The dependency gets twice the load while it is slow."""
    client = make_client(shop_timeout="10ms", shop_retries=1, shop_breaker=False)
    inject(client, HANG, "db")
    assert {client.get("/api/products").status_code for _ in range(6)} == {504}
    assert matched(client) == 12


def test_retries_hide_rare_failures(make_client: MakeClient) -> None:
    """A tenth of the calls fails and a hundred requests succeed: each fails with probability 10⁻⁷, by 7 tries."""
    client = make_client(shop_retries=6)
    inject(client, {"type": "error"}, "db", rate=0.1)
    for number in range(100):
        assert client.get("/api/products", headers={"x-request-id": f"r-{number}"}).status_code == 200
    assert matched(client) > 100


@pytest.mark.parametrize(
    ("effect", "status"),
    [(HANG, 504), ({"type": "error", "status": 500}, 503), ({"type": "reset"}, 503)],
    ids=lambda value: value["type"] if isinstance(value, dict) else None,
)
def test_a_failure_is_a_problem_document_of_the_shop(
    make_client: MakeClient, effect: dict[str, Any], status: int
) -> None:
    """It does not reveal the cause."""
    client = make_client(shop_timeout="10ms", shop_retries=0)
    inject(client, effect, "db")
    answer = client.get("/api/products")
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.text + repr(answer.headers)
    assert not [word for word in ("chaos", "mystery", "inject", "fault") if word in told.lower()]


def test_search_falls_back_to_cached_results(client: TestClient) -> None:
    """The response says so; a new search is unavailable."""
    fresh = client.get("/api/search?q=Oak").json()
    inject(client, {"type": "error"}, "search-index")
    assert client.get("/api/search?q=oak").json() == {**fresh, "query": "oak", "stale": True}
    assert client.get("/api/search?q=steel").status_code == 503
    client.delete("/admin/faults")


def test_a_payment_is_retried_only_with_an_idempotency_key(client: TestClient) -> None:
    """Without a key, the payment may have been taken; the cart stays full either way."""
    fill(client, "c")
    inject(client, {"type": "error"}, "payments")
    assert client.post("/api/checkout", json={"cart_id": "c"}).status_code == 503
    assert matched(client) == 1
    key = {"idempotency-key": "k"}
    assert client.post("/api/checkout", json={"cart_id": "c"}, headers=key).status_code == 503
    assert matched(client) == 3
    client.delete("/admin/faults")
    assert client.post("/api/checkout", json={"cart_id": "c"}, headers=key).status_code == 201


def test_a_payment_with_a_lost_response_is_taken_once() -> None:
    """With a key; without one, twice."""
    payments = Payments()
    for _ in range(2):
        payments.charge(100, "k")
    assert payments.taken_cents == 100
    payments.charge(50, None)
    payments.charge(50, None)
    assert payments.taken_cents == 200


def test_an_order_with_a_lost_response_exists_once(client: TestClient) -> None:
    """A retry with the key returns the existing order."""
    inject(client, {"type": "error", "when": "after"}, "db", rate=0.3, target={"points": ["db"], "methods": ["POST"]})
    numbers = itertools.count()
    orders = {}

    def post_until_201(path: str, body: dict[str, str], **headers: str) -> str:
        while True:
            answer = client.post(path, json=body, headers={"x-request-id": f"r-{next(numbers)}", **headers})
            if answer.status_code == 201:
                return answer.text
            assert answer.status_code == 503

    for cart in map(str, range(15)):
        post_until_201(f"/api/cart/{cart}/items", {"product_id": "p-0001"})
        bought = post_until_201("/api/checkout", {"cart_id": cart}, **{"idempotency-key": f"k-{cart}"})
        orders[cart] = json.loads(bought)["order_id"]
    assert len(set(orders.values())) == 15
    client.delete("/admin/faults")
    for cart, order in orders.items():
        assert client.get(f"/api/orders/{order}").json()["cart_id"] == cart
        assert client.post("/api/checkout", json={"cart_id": cart}).status_code == 409


def test_a_cart_is_bought_once_with_slow_payments() -> None:
    """A concurrent checkout is refused, with the same key too; items added meanwhile stay in the cart."""
    shop = Shop(World)

    async def story() -> None:
        asked = asyncio.Event()
        release = asyncio.Event()

        async def slow(call: DependencyCall) -> None:
            asked.set()
            await release.wait()
            await call.app({}, call.receive, call.send)

        def gate(name: str, call: DependencyCall) -> Coroutine[Any, Any, None] | None:
            return slow(call) if name == "payments" else None

        current_gate.set(Gate(gate, asyncio.get_running_loop()))
        await shop.add("c", Item(product_id="p-0001", quantity=2))
        await shop.add("d", Item(product_id="p-0002"))
        first = asyncio.create_task(shop.checkout("c", "k"))
        await asked.wait()
        for cart, key in (("c", None), ("c", "k"), ("d", "k")):
            with pytest.raises(Conflict, match="being bought"):
                await shop.checkout(cart, key)
        await shop.add("c", Item(product_id="p-0001"))
        release.set()
        order, replayed = await first
        assert ([item.quantity for item in order.items], replayed) == ([2], False)
        rest = await shop.add("c", Item(product_id="p-0003"))
        assert [(item.product_id, item.quantity) for item in rest.items] == [("p-0001", 1), ("p-0003", 1)]

    asyncio.run(story())
