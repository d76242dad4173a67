"""What operators change has the effect that it says, in the shop as its customers see it."""

import json
import re
import time
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.conftest import MakeClient

PRODUCTS = "/api/products"


def change(client: TestClient, document: Any) -> None:
    """Change the world."""
    kind = {"content-type": "application/merge-patch+json"}
    client.patch("/admin/world", content=json.dumps(document), headers=kind).raise_for_status()


def value(client: TestClient, series: str) -> float:
    """Return the value of one series; it must exist."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    assert found, series
    return float(found[1])


def fail(client: TestClient, point: str, effect: str = "error") -> None:
    """Make each call to a dependency fail."""
    target = {"points": [point]}
    client.post("/admin/faults", json={"effect": {"type": effect}, "target": target}).raise_for_status()


def buy(client: TestClient, cart: str, product: str = "p-0001", **headers: str) -> Any:
    """Put a product into a cart and buy it; return the response."""
    client.post(f"/api/cart/{cart}/items", json={"product_id": product}, headers=headers).raise_for_status()
    return client.post("/api/checkout", json={"cart_id": cart}, headers=headers)


def test_retries_change_while_the_shop_runs(client: TestClient) -> None:
    """A failed read is tried three times, then once."""
    fail(client, "db")
    tries = 'chaosapi_shop_calls_total{dependency="db",outcome="error"}'
    change(client, {"settings": {"shop_breaker": False}})
    client.get(PRODUCTS)
    assert value(client, tries) == 3
    change(client, {"settings": {"shop_retries": 0}})
    client.get(PRODUCTS)
    assert value(client, tries) == 4
    assert value(client, 'shop_setting{setting="shop_retries"}') == 0


def test_the_time_out_changes_while_the_shop_runs(client: TestClient) -> None:
    """A call that hangs is given up at once, and not after a second."""
    fail(client, "db", "hang")
    change(client, {"settings": {"shop_timeout": "1ms", "shop_retries": 0}})
    answer = client.get(PRODUCTS)
    assert (answer.status_code, answer.json()["detail"]) == (504, "db did not answer in time")
    assert value(client, 'chaosapi_shop_calls_total{dependency="db",outcome="timeout"}') == 1


def test_the_breaker_is_switched_off_and_on(client: TestClient) -> None:
    """An open one lets calls through at once; switched on again it is closed."""
    fail(client, "db")
    change(client, {"settings": {"shop_retries": 0}})
    rejected = 'chaosapi_shop_calls_total{dependency="db",outcome="rejected"}'
    for _ in range(8):
        client.get(PRODUCTS)
    assert value(client, rejected) == 3
    change(client, {"settings": {"shop_breaker": False}})
    client.get(PRODUCTS)
    assert (value(client, rejected), value(client, 'chaosapi_shop_breaker_open{dependency="db"}')) == (3, 0)
    client.delete("/admin/faults")
    change(client, {"settings": {"shop_breaker": True}})
    assert client.get(PRODUCTS).status_code == 200


def test_new_prices_are_the_same_in_the_catalogue_the_cart_and_the_order(client: TestClient) -> None:
    """They all end in 99."""
    old = client.get(f"{PRODUCTS}/p-0007").json()["price_cents"]
    change(client, {"flags": {"new-pricing": True}})
    new = client.get(f"{PRODUCTS}/p-0007").json()["price_cents"]
    assert (new % 100, new != old) == (99, True)
    assert client.get("/api/search?q=mirror").json()["items"][0]["price_cents"] % 100 == 99
    assert buy(client, "c", "p-0007").json()["total_cents"] == new
    assert value(client, 'shop_flag_enabled{flag="new-pricing"}') == 1


def test_recommendations_change(client: TestClient) -> None:
    """From what is next in the catalogue to the same thing of other materials."""
    assert client.get(f"{PRODUCTS}/p-0001").json()["recommended"] == ["p-0002", "p-0003", "p-0004"]
    change(client, {"flags": {"recommendations-v2": True}})
    assert client.get(f"{PRODUCTS}/p-0001").json()["recommended"] == ["p-0011", "p-0021", "p-0031"]


def test_the_export_is_switched_on(client: TestClient) -> None:
    """It has all products on one page."""
    assert client.get(f"{PRODUCTS}?export=true").status_code == 409
    change(client, {"flags": {"bulk-export": True}})
    page = client.get(f"{PRODUCTS}?export=true").json()
    assert (len(page["items"]), page["pages"]) == (100, 1)


def test_the_second_provider_is_slower_and_dearer(client: TestClient) -> None:
    """The order says who charged the customer, and the fee."""
    first = buy(client, "one").json()
    change(client, {"providers": {"payments": "bolt"}})
    started = time.perf_counter()
    second = buy(client, "two").json()
    assert time.perf_counter() - started >= 0.08
    assert (first["provider"], second["provider"]) == ("acme", "bolt")
    assert first["total_cents"] == second["total_cents"]
    assert 0 < first["fee_cents"] < second["fee_cents"]
    assert value(client, 'shop_payments_total{provider="bolt"}') == 1
    assert value(client, 'shop_payment_fees_cents_total{provider="bolt"}') == second["fee_cents"]
    active = [
        value(client, f'shop_provider_active{{dependency="payments",provider="{name}"}}') for name in ("acme", "bolt")
    ]
    assert active == [0, 1]


def test_a_product_in_quarantine_is_neither_shown_nor_sold(client: TestClient) -> None:
    """Also if it is in a cart already; out of quarantine it is back."""
    client.post("/api/cart/c/items", json={"product_id": "p-0002"}).raise_for_status()
    client.post("/api/cart/c/items", json={"product_id": "p-0001"}).raise_for_status()
    change(client, {"quarantine": ["p-0001", "p-0042"]})
    page = client.get(PRODUCTS).json()
    assert (page["items"][0]["id"], page["total"]) == ("p-0002", 98)
    assert client.get(f"{PRODUCTS}/p-0001").status_code == 404
    assert client.post("/api/cart/c/items", json={"product_id": "p-0042"}).status_code == 404
    assert "p-0001" not in {item["id"] for item in client.get("/api/search?q=lamp").json()["items"]}
    order = client.post("/api/checkout", json={"cart_id": "c"}).json()
    assert [item["product_id"] for item in order["items"]] == ["p-0002"]
    assert (value(client, "shop_quarantined_products"), value(client, "shop_quarantined_requests_total")) == (2, 2)
    change(client, {"quarantine": []})
    assert client.get(f"{PRODUCTS}/p-0001").status_code == 200


def test_a_degraded_search_does_not_ask_the_index(client: TestClient) -> None:
    """It answers with earlier results, or with none, and is not an error."""
    found = client.get("/api/search?q=lamp").json()["items"]
    fail(client, "search-index")
    change(client, {"settings": {"search": "cached"}})
    assert client.get("/api/search?q=lamp").json() == {"query": "lamp", "items": found, "stale": True}
    assert client.get("/api/search?q=chair").json() == {"query": "chair", "items": [], "stale": True}
    assert value(client, 'shop_searches_total{results="cached"}') == 2
    assert value(client, 'chaosapi_shop_calls_total{dependency="search-index",outcome="error"}') == 0


@pytest.mark.parametrize("faulty", [False, True])
def test_the_edge_refuses_before_faults_and_app(client: TestClient, faulty: bool) -> None:  # noqa: FBT001 - a parameter
    """Requests of routes at which a fault acts too; probes, metrics and the admin API are never refused."""
    if faulty:
        client.post("/admin/faults", json={"name": "f", "effect": {"type": "error", "status": 500}, "rate": 1e-9})
    change(
        client, {"limits": [{"header": "x-tenant", "value": "acme", "requests_per_second": 0}], "shed": {"browse": 1}}
    )
    blocked = client.get(PRODUCTS, headers={"x-tenant": "acme"})
    shed = client.get(PRODUCTS)
    assert (blocked.status_code, shed.status_code, shed.headers["retry-after"]) == (429, 503, "5")
    assert shed.json() == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "too many requests: try again later",
    }
    assert "x-request-id" in shed.headers
    assert buy(client, "c").status_code == 201
    assert client.get("/readyz", headers={"x-tenant": "acme"}).status_code == 200
    assert value(client, 'chaosapi_edge_refused_total{class="browse",reason="shed"}') == 1
    assert value(client, 'chaosapi_edge_refused_total{class="browse",reason="block"}') == 1
    assert value(client, 'shop_shed_ratio{class="browse"}') == 1
    if faulty:
        assert client.get("/admin/faults/f").json()["receipt"]["matched"] == 2


def test_each_replica_shows_its_release(make_client: MakeClient) -> None:
    """That of all, or its own during a deployment."""
    client = make_client(replica="shop-2", release="2.4.0")
    assert value(client, 'shop_release_info{version="2.4.0"}') == 1
    change(client, {"release": {"by_replica": {"shop-2": "2.4.1"}}})
    assert value(client, 'shop_release_info{version="2.4.1"}') == 1
    change(client, {"release": {"by_replica": {"shop-2": None, "shop-1": "2.4.1"}}})
    assert value(client, 'shop_release_info{version="2.4.0"}') == 1


def test_every_metric_of_an_action_is_there_before_the_first_one(client: TestClient) -> None:
    """A series that begins with a burst would hide it."""
    for series in (
        'chaosapi_edge_refused_total{class="checkout",reason="queue_timeout"}',
        "chaosapi_replica_drained",
        'shop_payments_total{provider="bolt"}',
        'shop_payment_fees_cents_total{provider="acme"}',
        'shop_searches_total{results="cached"}',
        "shop_quarantined_requests_total",
        "shop_quarantined_products",
        'shop_shed_ratio{class="cart"}',
        'shop_flag_enabled{flag="bulk-export"}',
        'shop_setting{setting="search_cached"}',
    ):
        assert value(client, series) == 0
