"""The shop's operations, and how they degrade when a dependency fails."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from cachetools import LRUCache

from chaosapi.errors import Conflict, Invalid, NotFound
from chaosapi.shop import assistant
from chaosapi.shop.backends import PROVIDERS, Database, Payments, Products, SearchIndex
from chaosapi.shop.catalogue import PRODUCTS, ProductDetails, products, recommended
from chaosapi.shop.dependency import Dependency, Unavailable
from chaosapi.shop.models import Cart, Found, Item, Order, ProductPage
from chaosapi.world.world import RequestClass, World

POINTS = ("db", "payments", "search-index")
"""The names of the shop's dependencies."""

CLASSES: Mapping[str, RequestClass] = {"/api/cart/{cart_id}/items": "cart", "/api/checkout": "checkout"}
"""The classes of requests by the templates of their routes; the other routes are for browsing."""

_MAX_SEARCHES = 1000
"""How many searches are cached."""


class Shop:
    """Sells the catalogue as the world says; every method may raise Unavailable."""

    def __init__(self, world: Callable[[], World]) -> None:
        self._world = world
        self._sold_in: World | None = None
        self._sold: Products = products(new_pricing=False)
        self.payments = Counter(dict.fromkeys(PROVIDERS, 0))
        """The number of orders that each provider charged."""
        self.fees_cents = Counter(dict.fromkeys(PROVIDERS, 0))
        """What each provider took."""
        self.searches = Counter(live=0, cached=0)
        """The number of searches, by where the results came from."""
        self.quarantined = 0
        """The number of requests for products in quarantine."""
        self.dependencies = tuple(Dependency(name, lambda: world().settings) for name in POINTS)
        self._db, self._payments, self._index = self.dependencies
        self._database = Database()
        self._gateway = Payments()
        self._search = SearchIndex()
        self._last_results: LRUCache[str, Found] = LRUCache(_MAX_SEARCHES)
        self._checkouts: set[tuple[str, str]] = set()

    async def page(self, page: int, size: int) -> ProductPage:
        """Return one page of the catalogue."""
        sold = self._products()
        items = await self._db.call(partial(self._database.page, sold, (page - 1) * size, size))
        return ProductPage(items=items, page=page, pages=math.ceil(len(sold) / size), total=len(sold))

    async def export(self) -> ProductPage:
        """Return the whole catalogue on one page; raises Conflict while the flag `bulk-export` is off."""
        if not self._world().flags["bulk-export"]:
            raise Conflict("the export of the whole catalogue is switched off: ask for single pages")
        return await self.page(1, len(PRODUCTS))

    async def product(self, product_id: str) -> ProductDetails:
        """Return a product; raises NotFound, also for one in quarantine."""
        sold = self._products()
        product = await self._db.call(partial(self._database.product, sold, product_id))
        if product is None:
            self.quarantined += product_id in PRODUCTS
            raise NotFound(f"there is no product {product_id!r}: the first is {next(iter(sold), 'to come')}")
        same_thing = self._world().flags["recommendations-v2"]
        others = [other for other in recommended(product_id, same_thing=same_thing) if other in sold]
        return ProductDetails(**dict(product), recommended=others)

    async def search(self, query: str) -> Found:
        """Find products by words; while the index is unavailable, return cached results for the same words.

        While the world says so the index is not asked, and words without cached results find nothing.
        """
        words = query.lower()
        sold = self._products()
        if self._world().settings.search == "cached":
            return self._cached(query, self._last_results.get(words) or Found(query=query, items=[]))
        try:
            items = await self._index.call(partial(self._search.find, sold, words.split()))
        except Unavailable:
            if (remembered := self._last_results.get(words)) is None:
                raise
            return self._cached(query, remembered)
        self.searches["live"] += 1
        found = self._last_results[words] = Found(query=query, items=items)
        return found

    def _cached(self, query: str, remembered: Found) -> Found:
        self.searches["cached"] += 1
        sold = self._products()
        return Found(query=query, items=[item for item in remembered.items if item.id in sold], stale=True)

    async def ask(self, question: str) -> str:
        """Return the assistant's answer to a question about products."""
        related = partial(self._search.related, self._products(), assistant.words(question))
        return assistant.answer(await self._index.call(related))

    async def add(self, cart_id: str, item: Item) -> Cart:
        """Put an item into a cart; raises NotFound, Conflict."""
        await self.product(item.product_id)
        return await self._db.call(partial(self._database.add_item, self._products(), cart_id, item), repeatable=False)

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
            cart = await self._db.call(partial(database.cart, self._products(), cart_id))
            if not cart.items:
                raise Conflict(f"the cart {cart_id!r} is empty: add items first")
            name = self._world().providers.payments
            provider = PROVIDERS[name]
            fee = provider.fee_cents(cart.total_cents)
            order = Order(order_id=database.next_order(), **cart.model_dump(), provider=name, fee_cents=fee)
            charge = partial(self._gateway.charge, order.total_cents, key)
            await self._payments.call(charge, repeatable=key is not None, takes_s=provider.takes_s)
            self.payments[name] += 1
            self.fees_cents[name] += fee
            await self._db.call(partial(database.save_order, order, key))
            return order, False

    async def order(self, order_id: str) -> Order:
        """Return an order; raises NotFound."""
        if (order := await self._db.call(partial(self._database.order, order_id))) is None:
            raise NotFound(f"there is no order {order_id!r}, or it was long ago")
        return order

    def _products(self) -> Products:
        """Return the products that are sold now, at the present prices."""
        world = self._world()
        if world is not self._sold_in:
            all_products = products(new_pricing=world.flags["new-pricing"])
            hidden = set(world.quarantine)
            self._sold = {name: each for name, each in all_products.items() if name not in hidden}
            self._sold_in = world
        return self._sold

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
