from fastapi.testclient import TestClient


def test_the_catalogue_has_stable_pages(client: TestClient) -> None:
    """A hundred products; a page past the end is empty."""
    first = client.get("/api/products").json()
    assert (first["total"], first["pages"], len(first["items"])) == (100, 5, 20)
    assert first["items"][0] == {"id": "p-0001", "name": "Oak lamp", "price_cents": 8419, "stock": 69}
    ids = [item["id"] for page in range(1, 6) for item in client.get(f"/api/products?page={page}").json()["items"]]
    assert len(set(ids)) == 100
    assert client.get("/api/products?page=6").json()["items"] == []


def test_a_search_matches_all_words(client: TestClient) -> None:
    """Case-insensitive, in any order."""
    assert [item["name"] for item in client.get("/api/search?q=LAMP oak").json()["items"]] == ["Oak lamp"]
    assert len(client.get("/api/search?q=oak").json()["items"]) == 10
    assert client.get("/api/search?q=").status_code == 422


def test_a_customer_fills_a_cart_checks_out_and_finds_the_order(client: TestClient) -> None:
    """With the right total."""
    client.post("/api/cart/c-1/items", json={"product_id": "p-0001", "quantity": 2})
    cart = client.post("/api/cart/c-1/items", json={"product_id": "p-0002"})
    assert (cart.status_code, cart.json()["total_cents"]) == (201, 2 * 8419 + 16338)
    order = client.post("/api/checkout", json={"cart_id": "c-1"})
    assert order.status_code == 201
    assert client.get(f"/api/orders/{order.json()['order_id']}").json() == order.json()


def test_the_same_idempotency_key_buys_once(client: TestClient) -> None:
    """A retry gets the same order; the key is refused for another cart."""
    client.post("/api/cart/c-1/items", json={"product_id": "p-0001"})
    key = {"idempotency-key": "k-1"}
    first = client.post("/api/checkout", json={"cart_id": "c-1"}, headers=key)
    again = client.post("/api/checkout", json={"cart_id": "c-1"}, headers=key)
    assert again.json() == first.json()
    assert (again.headers["idempotent-replayed"], "idempotent-replayed" in first.headers) == ("true", False)
    assert client.post("/api/checkout", json={"cart_id": "c-2"}, headers=key).status_code == 422
    assert client.post("/api/checkout", json={"cart_id": "c-1"}).status_code == 409


def test_an_unknown_resource_is_a_problem_document(client: TestClient) -> None:
    """With status 404."""
    for answer, status in (
        (client.get("/api/products/p-9999"), 404),
        (client.get("/api/orders/o-999999"), 404),
        (client.post("/api/cart/c/items", json={"product_id": "p-9999"}), 404),
        (client.post("/api/checkout", json={"cart_id": "empty"}), 409),
        (client.post("/api/cart/c/items", json={"product_id": "p-0001", "quantity": 101}), 422),
        (client.post("/api/cart/not a cart/items", json={"product_id": "p-0001"}), 422),
        (client.get("/nowhere"), 404),
        (client.delete("/api/products"), 405),
    ):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status
