"""What the shop is asked and answers."""

from typing import Annotated

from pydantic import Field

from chaosapi.models import Integer, Model
from chaosapi.shop.catalogue import Product

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
    stale: bool = False
    """Whether the search index was away, and this is what it last said."""


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
