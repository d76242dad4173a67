"""The request and response bodies of the shop."""

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
    """The results of a search."""

    query: str
    items: list[Product]
    stale: bool = False
    """Whether the results are cached ones, because the search index was not asked or was unavailable."""


class Question(Model):
    """A question to the assistant."""

    question: Annotated[str, Field(min_length=1, max_length=500)]


class Item(Model):
    """A product and its quantity."""

    product_id: str
    quantity: Quantity = 1


class Cart(Model):
    """A customer's cart."""

    cart_id: str
    items: list[Item]
    total_cents: int


class Checkout(Model):
    """The cart to buy."""

    cart_id: CartId


class Order(Model):
    """A cart that was bought."""

    order_id: str
    cart_id: str
    items: list[Item]
    total_cents: int
    provider: str
    """Who charged the customer."""
    fee_cents: int
    """What the provider takes from the shop."""
