"""The shop's customers."""

import random
from time import perf_counter
from uuid import uuid4

from locust import FastHttpUser, task

# One request a second from each user: so the number of users is the rate, as long as no answer takes over a second.
# (This is a closed loop: a slower answer makes its user skip the starts it missed.)
PERIOD = 1.0

PRODUCTS = [f"p-{number:04}" for number in range(1, 101)]
POPULARITY = [1 / rank for rank in range(1, len(PRODUCTS) + 1)]  # Zipf's law: a few products draw most of the looks
WORDS = ["oak", "steel", "wool", "glass", "lamp", "chair", "kettle", "sofa"]


class ShopUser(FastHttpUser):
    """A customer who mostly looks around and now and then buys; each task is one request.

    A step that is not possible yet (a checkout with an empty cart, an order before there is one) becomes the step
    before it, so the rate holds.
    """

    host = "http://127.0.0.1:8000"
    connection_timeout = 5.0
    network_timeout = 30.0

    def on_start(self) -> None:
        """Come in with an empty cart, at a random moment of the period, so that users who start together spread out."""
        self._due = perf_counter() - random.random() * PERIOD
        self._user_id = f"u-{uuid4().hex[:12]}"
        self._order_id: str | None = None
        self._take_cart()
        self.wait()  # type: ignore[no-untyped-call]  # Locust's is untyped

    def wait_time(self) -> float:
        """Return the seconds until the next request is due, counted from the last one's due time and not its answer.

        Locust's constant_throughput counts alike but from the user's birth, which lines all users up.
        """
        self._due = max(self._due + PERIOD, perf_counter())
        return self._due - perf_counter()

    @task(30)
    def browse(self) -> None:
        """List the products."""
        self._get("/api/products")

    @task(35)
    def product(self) -> None:
        """Look at one product."""
        self._get(f"/api/products/{_product()}", "/api/products/{product_id}")

    @task(15)
    def search(self) -> None:
        """Search by a word."""
        self._get(f"/api/search?q={random.choice(WORDS)}", "/api/search")

    @task(10)
    def add_to_cart(self) -> None:
        """Put a product into the cart."""
        item = {"product_id": _product(), "quantity": random.randint(1, 3)}
        name = "/api/cart/{cart_id}/items"
        answer = self.client.post(f"/api/cart/{self._cart_id}/items", json=item, name=name, headers=self._headers())
        self._cart_filled |= answer.status_code == 201

    @task(6)
    def checkout(self) -> None:
        """Buy what is in the cart; whoever cannot gives up and starts anew, so an outage leaves the mix as it was."""
        if not self._cart_filled:
            self.add_to_cart()
            return
        headers = {**self._headers(), "idempotency-key": self._cart_id}
        answer = self.client.post("/api/checkout", json={"cart_id": self._cart_id}, headers=headers)
        if answer.status_code == 201:
            self._order_id = answer.json()["order_id"]
        self._take_cart()

    @task(4)
    def order(self) -> None:
        """Look at the last order."""
        if self._order_id is None:
            self.checkout()
            return
        self._get(f"/api/orders/{self._order_id}", "/api/orders/{order_id}")

    def _take_cart(self) -> None:
        self._cart_id = uuid4().hex
        self._cart_filled = False

    def _get(self, path: str, name: str | None = None) -> None:
        self.client.get(path, name=name, headers=self._headers())

    def _headers(self) -> dict[str, str]:
        return {"x-request-id": uuid4().hex, "x-user-id": self._user_id}


def _product() -> str:
    return random.choices(PRODUCTS, POPULARITY)[0]
