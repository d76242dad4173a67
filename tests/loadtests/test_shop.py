from typing import Any

import pytest

from tests.loadtests.pure import module

MODULE: Any = module("_shop")
RETRIES: Any = module("_retries")
ADD = "POST /api/cart/{cart_id}/items"
PAY = "POST /api/checkout"
LOOK = "GET /api/orders/{order_id}"


def test_a_checkout_takes_a_filled_cart_and_returns_it_on_failure() -> None:
    """Under the same key, so that a purchase whose answer was lost is not made twice."""
    customers = MODULE.ShopState()
    customers.answered(customers.request(ADD, "n-1", (0, 0)), 201, {})
    bought = customers.request(PAY, "n-2", (0, 0))
    assert (bought.body, bought.key) == ({"cart_id": "n-1"}, "n-1")
    customers.answered(bought, 503, {})
    again = customers.request(PAY, "n-3", (0, 0))
    assert again == bought
    customers.answered(again, 201, {"order_id": "o-7"})
    assert customers.request(LOOK, "n-4", (0, 0.5)).path == "/api/orders/o-7"


def test_an_outage_changes_no_route() -> None:
    """Without a filled cart or an order the request goes to its route all the same; those in order go a step back."""
    customers = MODULE.ShopState()
    assert customers.request(PAY, "n-1", (0, 0)).path == "/api/checkout"
    assert customers.request(LOOK, "n-2", (0, 0)).name == "/api/orders/{order_id}"
    assert customers.possible_step(LOOK) == ADD


def test_every_draw_gives_a_request() -> None:
    """From 0 to just below 1."""
    draws = (0.0, 0.5, 1 - 2**-32)
    routes = {route for scenario in module("_scenarios").SCENARIOS.values() for route in scenario.mix}
    for route in routes:
        assert all(
            MODULE.ShopState().request(route, "n", (one, two)).path.startswith("/api") for one in draws for two in draws
        )


def test_a_stream_of_events_is_read_to_its_end() -> None:
    """One that breaks off is no answer, as half a document is none."""
    stream = "text/event-stream; charset=utf-8"
    whole = b'data: {"token": "Oak"}\n\nevent: done\ndata: {"tokens": 1}\n\n'
    assert MODULE.read_body(whole, stream) == {}
    with pytest.raises(ValueError, match="before its event"):
        MODULE.read_body(whole[:20], stream)
    assert MODULE.read_body(b'{"order_id": "o-1"}', "application/json") == {"order_id": "o-1"}


def test_policies_wait_longer_each_time_and_keep_their_budget() -> None:
    """Without jitter exactly twice as long; a budget of a tenth allows ten at first and then one in ten requests."""
    backoff = RETRIES.POLICIES["backoff"]
    budgeted = RETRIES.POLICIES["naive"].budgeted()
    assert [backoff.pause(tried, 0.3) for tried in (1, 2, 3)] == [0.1, 0.2, 0.4]
    assert RETRIES.POLICIES["jitter"].pause(2, 0.25) == 0.05
    purse = RETRIES.Budget()
    allowed = 0
    for _ in range(1000):
        purse.earn(budgeted)
        allowed += purse.allows(budgeted)
    assert 105 <= allowed <= 111
    assert all(purse.allows(RETRIES.POLICIES["naive"]) for _ in range(1000))
