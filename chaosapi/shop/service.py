"""The shop's operations, and how they degrade when a dependency fails."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from cachetools import LRUCache

from chaosapi.errors import Conflict, Invalid, NotFound
from chaosapi.settings import Settings
from chaosapi.shop import assistant
from chaosapi.shop.backends import Database, Payments, SearchIndex
from chaosapi.shop.catalogue import PRODUCTS, Product
from chaosapi.shop.dependency import Dependency, Unavailable
from chaosapi.shop.models import Cart, Found, Item, Order, ProductPage

POINTS = ("db", "payments", "search-index")
"""The names of the shop's dependencies."""

_MAX_SEARCHES = 1000
"""How many searches are cached."""


class Shop:
    """Sells the catalogue; every method may raise Unavailable."""

    def __init__(self, settings: Settings) -> None:
        self.dependencies = tuple(Dependency(name, settings) for name in POINTS)
        self._db, self._payments, self._index = self.dependencies
        self._database = Database()
        self._gateway = Payments()
        self._search = SearchIndex()
        self._last_results: LRUCache[str, Found] = LRUCache(_MAX_SEARCHES)
        self._checkouts: set[tuple[str, str]] = set()

    async def page(self, page: int, size: int) -> ProductPage:
        """Return one page of the catalogue."""
        items = await self._db.call(partial(self._database.page, (page - 1) * size, size))
        return ProductPage(items=items, page=page, pages=math.ceil(len(PRODUCTS) / size), total=len(PRODUCTS))

    async def product(self, product_id: str) -> Product:
        """Return a product; raises NotFound."""
        if (product := await self._db.call(partial(self._database.product, product_id))) is None:
            raise NotFound(f"there is no product {product_id!r}: the first is p-0001")
        return product

    async def search(self, query: str) -> Found:
        """Find products by words; while the index is unavailable, return cached results for the same words."""
        words = query.lower()
        try:
            items = await self._index.call(partial(self._search.find, words.split()))
        except Unavailable:
            if (remembered := self._last_results.get(words)) is None:
                raise
            return remembered.model_copy(update={"query": query, "stale": True})
        found = self._last_results[words] = Found(query=query, items=items)
        return found

    async def ask(self, question: str) -> str:
        """Return the assistant's answer to a question about products."""
        return assistant.answer(await self._index.call(partial(self._search.related, assistant.words(question))))

    async def add(self, cart_id: str, item: Item) -> Cart:
        """Put an item into a cart; raises NotFound, Conflict."""
        await self.product(item.product_id)
        return await self._db.call(partial(self._database.add_item, cart_id, item), repeatable=False)

    async def checkout(self, cart_id: str, key: str | None) -> tuple[Order, bool]:
        """Buy a cart and empty it; return the order, and whether an earlier call with the same key created it.

        Raises Conflict if the cart is empty or being bought, and Invalid if the key was used for another cart.
        """
        with self._exclusive_checkout(("cart", cart_id), *([("key", key)] if key is not None else [])):
            database = self._database
            if key is not None and (bought := await self._db.call(partial(database.order_by_key, key))) is not None:
                if bought.cart_id != cart_id:
                    raise Invalid.field("Idempotency-Key", f"was used for the cart {bought.cart_id!r}: make a new key")
                return bought, True
            cart = await self._db.call(partial(database.cart, cart_id))
            if not cart.items:
                raise Conflict(f"the cart {cart_id!r} is empty: add items first")
            order = Order(order_id=database.next_order(), **cart.model_dump())
            charge = partial(self._gateway.charge, order.total_cents, key)
            await self._payments.call(charge, repeatable=key is not None)
            await self._db.call(partial(database.save_order, order, key))
            return order, False

    async def order(self, order_id: str) -> Order:
        """Return an order; raises NotFound."""
        if (order := await self._db.call(partial(self._database.order, order_id))) is None:
            raise NotFound(f"there is no order {order_id!r}, or it was long ago")
        return order

    @contextmanager
    def _exclusive_checkout(self, *names: tuple[str, str]) -> Iterator[None]:
        """Raise Conflict for a second checkout of the same cart, or with the same key, while the first one runs."""
        if not self._checkouts.isdisjoint(names):
            raise Conflict("this cart is being bought: ask again when that is done")
        self._checkouts.update(names)
        try:
            yield
        finally:
            self._checkouts.difference_update(names)
