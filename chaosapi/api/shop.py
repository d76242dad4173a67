"""The target: a small shop that does what shops do."""

import itertools
import math
from collections import Counter
from typing import Annotated, Any

from cachetools import LRUCache
from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import Field

from chaosapi.api.problems import Problem
from chaosapi.catalogue import PRODUCTS, Product
from chaosapi.errors import Conflict, Invalid, NotFound
from chaosapi.models import Integer, Model

_REMEMBERED = 10_000
"""Carts, orders and idempotency keys that are kept; the least recently used go first."""

POINTS = ("db", "payments", "search-index")
"""What the shop depends on."""

CartId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Quantity = Annotated[Integer, Field(ge=1, le=100)]


class ProductPage(Model):
    """One page of the catalogue."""

    items: list[Product]
    page: int
    pages: int
    total: int


class Found(Model):
    """What a search found."""

    query: str
    items: list[Product]


class Item(Model):
    """So many of one product."""

    product_id: str
    quantity: Quantity = 1


class Cart(Model):
    """A customer's cart."""

    cart_id: str
    items: list[Item]
    total_cents: int


class Checkout(Model):
    """Which cart to buy."""

    cart_id: CartId


class Order(Model):
    """A cart that was bought."""

    order_id: str
    cart_id: str
    items: list[Item]
    total_cents: int


class Shop:
    """Carts and orders, in memory and bounded."""

    def __init__(self) -> None:
        self._carts: LRUCache[str, Counter[str]] = LRUCache(_REMEMBERED)
        self._orders: LRUCache[str, Order] = LRUCache(_REMEMBERED)
        self._keys: LRUCache[str, Order] = LRUCache(_REMEMBERED)
        self._numbers = itertools.count(1)

    def product(self, product_id: str) -> Product:
        """Return a product; raises NotFound."""
        if product_id not in PRODUCTS:
            raise NotFound(f"there is no product {product_id!r}: the first is p-0001")
        return PRODUCTS[product_id]

    def add(self, cart_id: str, item: Item) -> Cart:
        """Put an item into a cart, which is made when it is not there; raises NotFound, Invalid."""
        self.product(item.product_id)
        cart = self._carts.setdefault(cart_id, Counter())
        if cart[item.product_id] + item.quantity > 100:
            raise Invalid.field("quantity", "at most 100 of one product fit into a cart")
        cart[item.product_id] += item.quantity
        items, total = _priced(cart)
        return Cart(cart_id=cart_id, items=items, total_cents=total)

    def checkout(self, cart_id: str, key: str | None) -> tuple[Order, bool]:
        """Buy a cart and empty it; the same idempotency key again gives the same order, told by the second value.

        Raises Conflict for an empty cart and Invalid for a key that was used for another cart.
        """
        if key is not None and (order := self._keys.get(key)) is not None:
            if order.cart_id != cart_id:
                raise Invalid.field("Idempotency-Key", f"was used for the cart {order.cart_id!r}: make a new key")
            return order, True
        if not (cart := self._carts.pop(cart_id, None)):
            raise Conflict(f"the cart {cart_id!r} is empty: add items first")
        items, total = _priced(cart)
        order = Order(order_id=f"o-{next(self._numbers):06d}", cart_id=cart_id, items=items, total_cents=total)
        self._orders[order.order_id] = order
        if key is not None:
            self._keys[key] = order
        return order, False

    def order(self, order_id: str) -> Order:
        """Return an order; raises NotFound."""
        if (order := self._orders.get(order_id)) is None:
            raise NotFound(f"there is no order {order_id!r}, or it was long ago")
        return order


def _priced(cart: Counter[str]) -> tuple[list[Item], int]:
    items = [Item(product_id=product, quantity=count) for product, count in sorted(cart.items()) if count]
    return items, sum(PRODUCTS[item.product_id].price_cents * item.quantity for item in items)


def router() -> APIRouter:
    """Make the shop's routes, with a shop of their own."""
    api, shop = APIRouter(prefix="/api", tags=["shop"], responses={422: {"model": Problem}}), Shop()
    missing: dict[int | str, dict[str, Any]] = {404: {"model": Problem}}
    empty: dict[int | str, dict[str, Any]] = {409: {"model": Problem}}

    @api.get("/products")
    async def products(
        page: Annotated[int, Query(ge=1)] = 1, size: Annotated[int, Query(ge=1, le=100)] = 20
    ) -> ProductPage:
        """List the catalogue, page by page."""
        everything = list(PRODUCTS.values())
        items = everything[(page - 1) * size : page * size]
        return ProductPage(items=items, page=page, pages=math.ceil(len(everything) / size), total=len(everything))

    @api.get("/products/{product_id}", responses=missing)
    async def product(product_id: str) -> Product:
        """Show one product."""
        return shop.product(product_id)

    @api.get("/search")
    async def search(q: Annotated[str, Query(min_length=1, max_length=100)]) -> Found:
        """Find products whose names contain every word."""
        words = q.lower().split()
        items = [product for product in PRODUCTS.values() if all(word in product.name.lower() for word in words)]
        return Found(query=q, items=items)

    @api.post("/cart/{cart_id}/items", status_code=201, responses=missing)
    async def add_item(
        cart_id: Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Chosen by the customer.")],
        item: Item,
    ) -> Cart:
        """Put an item into a cart."""
        return shop.add(cart_id, item)

    @api.post("/checkout", status_code=201, responses=empty)
    async def checkout(
        body: Checkout,
        response: Response,
        idempotency_key: Annotated[
            str | None, Header(max_length=255, description="The same key again answers with the same order.")
        ] = None,
    ) -> Order:
        """Buy a cart."""
        order, replayed = shop.checkout(body.cart_id, idempotency_key)
        if replayed:
            response.headers["idempotent-replayed"] = "true"
        return order

    @api.get("/orders/{order_id}", responses=missing)
    async def show_order(order_id: str) -> Order:
        """Show one order."""
        return shop.order(order_id)

    return api
