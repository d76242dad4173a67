"""The requests that customers of the shop send."""

import json
from bisect import bisect
from collections import deque
from itertools import accumulate
from typing import Any, NamedTuple

PRODUCTS = [f"p-{number:04}" for number in range(1, 101)]
WORDS = ["oak", "steel", "wool", "glass", "lamp", "chair", "kettle", "sofa"]

_POPULARITY = list(
    accumulate(1 / rank for rank in range(1, len(PRODUCTS) + 1))
)  # Zipf: a few products get most of the views
_KEPT = 500  # carts and orders that a process remembers; the shop forgets old ones too


class Request(NamedTuple):
    """A request: its route, path, body, and the key that lets a purchase be repeated."""

    route: str
    path: str
    body: dict[str, Any] | None = None
    key: str | None = None

    @property
    def method(self) -> str:
        """Return GET or POST."""
        return self.route.partition(" ")[0]

    @property
    def name(self) -> str:
        """Return the route's template."""
        return self.route.partition(" ")[2]


def read_body(content: bytes, media_type: str) -> Any:
    """Return the value of an answer's body, nothing for a stream of events; raises ValueError unless it is whole."""
    if media_type.startswith("text/event-stream"):
        if b"event: done" not in content:
            raise ValueError("the stream ends before its event `done`")
        return {}
    return json.loads(content)


class ShopState:
    """The filled carts and the orders of one process's customers.

    A checkout uses a filled cart if there is one, else an empty one (409). A look at an order uses a known order, else
    one that does not exist (404). So an outage does not change the mix of routes.
    """

    def __init__(self) -> None:
        self._filled: deque[str] = deque(maxlen=_KEPT)
        self._orders: deque[str] = deque(maxlen=_KEPT)

    def request(self, route: str, name: str, draws: tuple[float, float]) -> Request:  # noqa: PLR0911 - one for each route
        """Return a request to the route; `name` is the id of a new cart, `draws` are random numbers from 0 to 1."""
        which, what = draws
        product = PRODUCTS[bisect(_POPULARITY, which * _POPULARITY[-1])]
        match route:
            case "GET /api/products/{product_id}":
                return Request(route, f"/api/products/{product}")
            case "GET /api/search":
                return Request(route, f"/api/search?q={WORDS[int(what * len(WORDS))]}")
            case "POST /api/assistant":
                question = f"Do you have something like a {WORDS[int(what * len(WORDS))]}?"
                return Request(route, "/api/assistant", {"question": question})
            case "POST /api/cart/{cart_id}/items":
                return Request(route, f"/api/cart/{name}/items", {"product_id": product, "quantity": 1 + int(3 * what)})
            case "POST /api/checkout":
                cart = self._filled.pop() if self._filled else name
                return Request(route, "/api/checkout", {"cart_id": cart}, cart)
            case "GET /api/orders/{order_id}":
                order = self._orders[int(what * len(self._orders))] if self._orders else "o-000000"
                return Request(route, f"/api/orders/{order}")
        return Request(route, route.partition(" ")[2])

    def possible_step(self, route: str) -> str:
        """Return the route, or the route that must come before it: add to cart, check out, look at the order."""
        if route == "GET /api/orders/{order_id}" and not self._orders:
            route = "POST /api/checkout"
        if route == "POST /api/checkout" and not self._filled:
            route = "POST /api/cart/{cart_id}/items"
        return route

    def answered(self, request: Request, status: int, body: dict[str, Any]) -> None:
        """Remember the cart or order of an answer; status 0 is no answer.

        A failed checkout is tried again later, with the same cart and idempotency key.
        """
        if request.name == "/api/cart/{cart_id}/items" and status == 201:
            self._filled.append(request.path.split("/")[3])
        elif request.name == "/api/checkout":
            if status == 201 and isinstance(order := body.get("order_id"), str):
                self._orders.append(order)
            elif request.key and not 400 <= status < 500:
                self._filled.append(request.key)
