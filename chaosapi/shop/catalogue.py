"""The catalogue: a hundred products, the same in every process and every release."""

from itertools import product

from chaosapi.models import Model

_MATERIALS = ("oak", "steel", "linen", "clay", "copper", "cork", "glass", "wool", "bamboo", "marble")
_THINGS = ("lamp", "kettle", "chair", "vase", "clock", "tray", "stool", "mirror", "basket", "shelf")


class Product(Model):
    """One product of the catalogue."""

    id: str
    name: str
    price_cents: int
    stock: int


PRODUCTS: dict[str, Product] = {
    (number := f"p-{place:04d}"): Product(
        id=number,
        name=f"{material.title()} {thing}",
        price_cents=500 + (place * 7919) % 20_000,
        stock=10 + (place * 104_729) % 90,
    )
    for place, (material, thing) in enumerate(product(_MATERIALS, _THINGS), start=1)
}
