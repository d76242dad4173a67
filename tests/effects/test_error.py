"""The client's view of an error effect, through the whole service."""

import gc
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from scipy import stats

from chaosapi.effects.error import Error
from tests.conftest import MakeClient


def inject(client: TestClient, **effect: Any) -> None:
    """Inject an error on every request."""
    answer = client.post("/admin/faults", json={"name": "f", "effect": {"type": "error", **effect}})
    assert answer.status_code == 201, answer.text


FAILING = {
    503: {"type": "error", "status": 503},
    504: {"type": "hang"},
    500: {"type": "exception"},
}
"""Effects that make the shop itself answer with a status: the first two at its dependency, the last in the app."""


@pytest.mark.parametrize("status", FAILING)
def test_an_injected_error_is_the_shops_own_to_the_byte(make_client: MakeClient, status: int) -> None:
    """Status, headers and body."""
    client = make_client(shop_timeout="50ms", shop_retries=0, shop_breaker=False)
    client = TestClient(client.app, base_url="http://localhost:8000", raise_server_exceptions=False)
    inject(client, status=status)
    injected = client.get("/api/products")
    target = {} if status == 500 else {"target": {"points": ["db"]}}
    client.put("/admin/faults/f", json={"effect": FAILING[status], **target}).raise_for_status()
    own = client.get("/api/products")
    for answer in (own, injected):
        for name in ("x-request-id", "date"):
            answer.headers.pop(name, None)
    assert own.status_code == status
    assert (injected.status_code, injected.headers, injected.content) == (status, own.headers, own.content)


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("down for tea", "text/plain; charset=utf-8", "down for tea"),
        ({"code": 7}, "application/json", '{"code": 7}'),
        ([1, 2], "application/json", "[1, 2]"),
    ],
)
def test_a_body_is_sent_as_given(client: TestClient, body: Any, content_type: str, text: str) -> None:
    """A text body as text, a JSON body as JSON."""
    inject(client, body=body)
    answer = client.get("/api/products")
    assert (answer.headers["content-type"], answer.text) == (content_type, text)


def test_a_json_body_is_kept_as_text() -> None:
    """Nested lists would be thousands of objects, which slow garbage collections; the value is the same."""
    body = [[number, "x"] for number in range(3000)]
    gc.collect()
    before = len(gc.get_objects())
    kept = Error.model_validate({"type": "error", "body": body})
    gc.collect()
    assert len(gc.get_objects()) - before < 100
    for again in (kept.model_dump(), kept.model_dump(mode="json"), json.loads(kept.model_dump_json())):
        assert again["body"] == body
        assert Error.model_validate(again) == kept


def test_a_text_body_differs_from_the_same_json(client: TestClient) -> None:
    """Replacing one by the other is a change."""
    assert Error.model_validate({"body": "[1]"}) != Error.model_validate({"body": [1]})
    for revision, body in enumerate(["[1]", [1], [1]], 1):
        changed = client.put("/admin/faults/f", json={"effect": {"type": "error", "body": body}}).json()
        assert (changed["effect"]["body"], changed["revision"]) == (body, min(revision, 2))


def test_headers_and_retry_after_are_added(client: TestClient) -> None:
    """Retry-After is whole seconds, rounded up."""
    inject(client, status=429, headers={"x-why": "quota"}, retry_after="1500ms")
    answer = client.get("/api/products")
    assert (answer.status_code, answer.headers["x-why"], answer.headers["retry-after"]) == (429, "quota", "2")


def test_an_unassigned_status_works_too(client: TestClient) -> None:
    """Some proxies answer 520 and more."""
    inject(client, status=520)
    assert client.get("/api/products").json()["title"] == "Error"


def test_a_mix_is_drawn_by_weight(client: TestClient) -> None:
    """2,000 requests, weights 3 to 1 (they need not add up to 1); alarm at one in a million."""
    inject(client, status={"503": 3, "500": 1})
    seen = [client.get("/api/products", headers={"x-request-id": f"r-{n}"}).status_code for n in range(2000)]
    assert set(seen) == {500, 503}
    assert stats.binomtest(seen.count(503), len(seen), 0.75).pvalue > 1e-6


def test_an_error_before_the_handler_prevents_its_work_and_one_after_it_does_not(client: TestClient) -> None:
    """A checkout that fails before leaves the cart full; one that fails after has created the order."""

    def fill_and_buy() -> int:
        client.post("/api/cart/c/items", json={"product_id": "p-0001"})
        return client.post("/api/checkout", json={"cart_id": "c"}).status_code

    target = {"routes": ["/api/checkout"]}
    client.put("/admin/faults/f", json={"effect": {"type": "error"}, "target": target})
    assert fill_and_buy() == 503
    client.put("/admin/faults/f", json={"effect": {"type": "error", "when": "after"}, "target": target})
    assert client.post("/api/checkout", json={"cart_id": "c"}).status_code == 503
    client.delete("/admin/faults")
    assert client.post("/api/checkout", json={"cart_id": "c"}).status_code == 409
    assert client.get("/api/orders/o-000001").status_code == 200
