"""The catalogue: a hundred products, the same in every process and every release."""

from itertools import product
from typing import Final

from chaosapi.models import Model

_MATERIALS = ("oak", "steel", "linen", "clay", "copper", "cork", "glass", "wool", "bamboo", "marble")
_THINGS = ("lamp", "kettle", "chair", "vase", "clock", "tray", "stool", "mirror", "basket", "shelf")
_RECOMMENDED: Final = 3


class Product(Model):
    """One product of the catalogue."""

    id: str
    name: str
    price_cents: int
    stock: int


class ProductDetails(Product):
    """One product, and others that its customers may like."""

    recommended: list[str]
    """Their ids."""


PRODUCTS: dict[str, Product] = {
    (number := f"p-{place:04d}"): Product(
        id=number,
        name=f"{material.title()} {thing}",
        price_cents=500 + (place * 7919) % 20_000,
        stock=10 + (place * 104_729) % 90,
    )
    for place, (material, thing) in enumerate(product(_MATERIALS, _THINGS), start=1)
}
"""The shop's products by their ids, in the order of the catalogue."""

_NEW_PRICES: Final[dict[str, Product]] = {
    each.id: each.model_copy(update={"price_cents": each.price_cents // 100 * 100 + 99}) for each in PRODUCTS.values()
}
"""The products at the prices of the flag `new-pricing`, which all end in 99."""


def products(*, new_pricing: bool) -> dict[str, Product]:
    """Return the products by their ids, at the old or the new prices."""
    return _NEW_PRICES if new_pricing else PRODUCTS


def recommended(product_id: str, *, same_thing: bool) -> list[str]:
    """Return the ids of products to recommend: the same thing of other materials, or what is next in the catalogue."""
    ids = list(PRODUCTS)
    place = ids.index(product_id)
    step = len(_THINGS) if same_thing else 1
    return [ids[(place + step * number) % len(ids)] for number in range(1, _RECOMMENDED + 1)]
