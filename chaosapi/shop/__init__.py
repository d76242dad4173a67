"""The demo target: a small shop with a catalogue, carts and orders."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from chaosapi import json_limits
from chaosapi.api.bodies import route_class
from chaosapi.api.descriptions import Responses, header, refusals
from chaosapi.errors import Conflict, NotFound
from chaosapi.shop.assistant import events
from chaosapi.shop.catalogue import ProductDetails
from chaosapi.shop.failures import detail as failure_detail
from chaosapi.shop.metrics import DependencyMetrics, ShopMetrics
from chaosapi.shop.models import Cart, Checkout, Found, Item, Order, ProductPage, Question
from chaosapi.shop.service import CLASSES, POINTS, Shop

__all__ = ["CLASSES", "POINTS", "DependencyMetrics", "Shop", "ShopMetrics", "failure_detail", "router"]


_DEPENDENCY_FAILURES: Responses = {
    503: {"description": "A dependency of the shop failed."},
    504: {"description": "A dependency of the shop timed out."},
}


def router(shop: Shop) -> APIRouter:  # noqa: C901 - a function for each route
    """Return the routes of the shop."""
    api = APIRouter(
        prefix="/api", tags=["shop"], responses=_DEPENDENCY_FAILURES, route_class=route_class(json_limits.SMALL)
    )

    @api.get("/products", responses=refusals(Conflict))
    async def products(
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
        size: Annotated[int, Query(ge=1, le=100)] = 20,
        *,
        export: Annotated[bool, Query(description="Return all products, while the export is switched on.")] = False,
    ) -> ProductPage:
        """List the catalogue, page by page."""
        return await (shop.export() if export else shop.page(page, size))

    @api.get("/products/{product_id}", responses=refusals(NotFound))
    async def product(product_id: str) -> ProductDetails:
        """Return one product."""
        return await shop.product(product_id)

    @api.get("/search")
    async def search(q: Annotated[str, Query(min_length=1, max_length=100)]) -> Found:
        """Find products whose names contain every word."""
        return await shop.search(q)

    async def answered(body: Question) -> str:
        """Return the answer to a question: where there is none, the request fails before its stream begins."""
        return await shop.ask(body.question)

    @api.post("/assistant", response_class=EventSourceResponse)
    async def ask(text: Annotated[str, Depends(answered)]) -> AsyncIterator[ServerSentEvent]:
        """Answer a question about products token by token, as server-sent events; the last one is `done`."""
        async for event in events(text):
            yield event

    @api.post("/cart/{cart_id}/items", status_code=201, responses=refusals(NotFound, Conflict))
    async def add_item(
        cart_id: Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Chosen by the customer.")],
        item: Item,
    ) -> Cart:
        """Put an item into a cart."""
        return await shop.add(cart_id, item)

    @api.post("/checkout", status_code=201, responses={201: header("Idempotent-Replayed"), **refusals(Conflict)})
    async def checkout(
        body: Checkout,
        response: Response,
        idempotency_key: Annotated[
            str | None, Header(max_length=255, description="A retry with the same key returns the same order.")
        ] = None,
    ) -> Order:
        """Buy a cart."""
        order, replayed = await shop.checkout(body.cart_id, idempotency_key)
        if replayed:
            response.headers["idempotent-replayed"] = "true"
        return order

    @api.get("/orders/{order_id}", responses=refusals(NotFound))
    async def show_order(order_id: str) -> Order:
        """Return one order."""
        return await shop.order(order_id)

    return api
