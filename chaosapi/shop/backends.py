"""The backends behind the shop's dependencies: in memory, with bounded size."""

import itertools
from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from cachetools import LRUCache

from chaosapi.errors import Conflict
from chaosapi.shop.catalogue import Product
from chaosapi.shop.models import Cart, Item, Order

_MAX_ENTRIES = 10_000
"""How many carts, orders, charges and idempotency keys are kept; the least recently used are evicted first."""


Products = Mapping[str, Product]
"""The products that are sold now, by their ids."""


class Database:
    """Carts and orders; each method is one transaction, and all but `add_item` may be retried."""

    def __init__(self) -> None:
        self._carts: LRUCache[str, Counter[str]] = LRUCache(_MAX_ENTRIES)
        self._orders: LRUCache[str, Order] = LRUCache(_MAX_ENTRIES)
        self._keys: LRUCache[str, Order] = LRUCache(_MAX_ENTRIES)
        self._numbers = itertools.count(1)

    def page(self, products: Products, start: int, size: int) -> list[Product]:
        """Return a slice of the catalogue."""
        return list(itertools.islice(products.values(), start, start + size))

    def product(self, products: Products, product_id: str) -> Product | None:
        """Return a product."""
        return products.get(product_id)

    def add_item(self, products: Products, cart_id: str, item: Item) -> Cart:
        """Put an item into a cart, creating the cart if needed; raises Conflict when the cart is full."""
        cart = self._carts.setdefault(cart_id, Counter())
        if cart[item.product_id] + item.quantity > 100:
            raise Conflict("at most 100 of one product fit into a cart")
        cart[item.product_id] += item.quantity
        return self.cart(products, cart_id)

    def cart(self, products: Products, cart_id: str) -> Cart:
        """Return a cart with the items that are sold now, empty if the cart does not exist."""
        held = self._carts.get(cart_id, Counter[str]())
        items = [
            Item(product_id=product, quantity=count)
            for product, count in sorted(held.items())
            if count and product in products
        ]
        total = sum(products[item.product_id].price_cents * item.quantity for item in items)
        return Cart(cart_id=cart_id, items=items, total_cents=total)

    def next_order(self) -> str:
        """Return a new order number."""
        return f"o-{next(self._numbers):06d}"

    def save_order(self, order: Order, key: str | None) -> None:
        """Save an order and its idempotency key, and remove its items from the cart; later items stay."""
        if order.order_id in self._orders:
            return
        self._orders[order.order_id] = order
        if key is not None:
            self._keys[key] = order
        if (cart := self._carts.get(order.cart_id)) is not None:
            cart.subtract({item.product_id: item.quantity for item in order.items})

    def order(self, order_id: str) -> Order | None:
        """Return an order."""
        return self._orders.get(order_id)

    def order_by_key(self, key: str | None) -> Order | None:
        """Return the order with this idempotency key."""
        return None if key is None else self._keys.get(key)


class Provider(NamedTuple):
    """A company that charges customers, and what it takes from the shop."""

    takes_s: float
    """The time of each charge."""
    percent: float
    fixed_cents: int

    def fee_cents(self, cents: int) -> int:
        """Return the fee for a charge."""
        return round(cents * self.percent / 100) + self.fixed_cents


PROVIDERS: Final = {"acme": Provider(0.0, 1.4, 25), "bolt": Provider(0.08, 2.9, 30)}
"""The payments providers, by the names that the world has for them."""


class Payments:
    """Charges customers, once for each idempotency key."""

    def __init__(self) -> None:
        self.taken_cents = 0
        self._keys: LRUCache[str, None] = LRUCache(_MAX_ENTRIES)

    def charge(self, cents: int, key: str | None) -> None:
        """Charge the customer."""
        if key is None or key not in self._keys:
            self.taken_cents += cents
        if key is not None:
            self._keys[key] = None


class SearchIndex:
    """Finds products by the words of their names."""

    def related(self, products: Products, words: list[str]) -> list[Product]:
        """Return the products whose names contain the most of these words, none where there is no such word."""
        asked = frozenset(words)
        matches = {name: len(asked.intersection(each.name.lower().split())) for name, each in products.items()}
        most = max(matches.values(), default=0)
        return [products[name] for name, count in matches.items() if count == most] if most else []

    def find(self, products: Products, words: list[str]) -> list[Product]:
        """Return the products whose names contain every word."""
        return [product for product in products.values() if all(word in product.name.lower() for word in words)]
