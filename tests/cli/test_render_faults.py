"""Faults in a terminal."""

from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from chaosapi.cli.render_faults import fault_details, fault_table
from tests.conftest import Clock, MakeClient


def rendered(table: Table) -> str:
    """Return the text of a table on a wide terminal."""
    console = Console(width=400)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_a_fault_without_hits_has_a_note(make_client: MakeClient, clock: Clock) -> None:
    """In lists and alone, with the note of the admin API."""
    client = make_client()
    client.put("/admin/faults/f", json={"effect": {"type": "error"}, "target": {"methods": ["DELETE"]}})
    client.get("/api/products")
    tables = (fault_details, lambda fault: fault_table([fault]))
    assert not any("no request" in rendered(table(client.get("/admin/faults/f").json())) for table in tables)
    clock.now += 60
    assert all(
        "no request has matched in 1m" in rendered(table(client.get("/admin/faults/f").json())) for table in tables
    )


def test_a_random_rate_has_its_expected_range(make_client: MakeClient) -> None:
    """Beside the actual share, so that 23.5 % of requests do not look like a mistake where 20 % were requested."""
    client = make_client()
    client.put("/admin/faults/f", json={"effect": {"type": "error"}, "rate": 0.2})
    for number in range(50):
        client.get("/api/products", headers={"x-request-id": f"id-{number}"})
    fault = client.get("/admin/faults/f").json()
    assert "requested 20.0000%, expected range 10.0 to 32.0% (in 95% of runs)" in rendered(fault_details(fault))
    assert "10.0 to 32.0%" in rendered(fault_table([fault]))
    assert "in 95% of runs" in rendered(fault_table([fault]))


def test_hits_that_were_skipped_explain_a_share_below_the_range(make_client: MakeClient) -> None:
    """Of two faults that answer the same requests only the first acts; the list must not look wrong."""
    client = make_client()
    for name in ("first", "second"):
        client.put(f"/admin/faults/{name}", json={"effect": {"type": "error"}, "rate": 1})
    client.get("/api/products")
    listed = rendered(fault_table(client.get("/admin/faults").json()["faults"]))
    assert "0/1" in listed
    assert listed.count("1 skipped") == 1


def test_a_condition_that_does_not_hold_is_explained(make_client: MakeClient) -> None:
    """In lists and alone, with what it spared and the replicas on which it holds."""
    client = make_client(replica="shop-1")
    condition = {"settings": {"shop_retries": {"above": 5}}, "in_rotation": True}
    body = {"effect": {"type": "error"}, "while": condition, "target": {"replicas": ["shop-1"]}}
    client.put("/admin/faults/f", json=body)
    client.get("/api/products")
    fault = client.get("/admin/faults/f").json()
    for text in (rendered(fault_details(fault)), rendered(fault_table([fault]))):
        assert "all routes on shop-1" in text
        assert "while settings shop_retries above 5 and in_rotation on" in text
        assert "acts on no replica now: shop_retries is 2, not above 5" in text
        assert "1 spared" in text
    assert "shop-1: 0 of 1 hit, 1 spared" in rendered(fault_details(fault))


@pytest.mark.parametrize(
    "fault",
    [
        {"effect": {"type": "error"}, "rate": 1},
        {"effect": {"type": "error"}, "rate": 0.2, "target": {"sticky_by": "x-user-id"}},
        {"effect": {"type": "rate_limit", "requests_per_second": 1}, "rate": 0.5},
    ],
)
def test_where_no_dice_decide_on_each_request_there_is_no_range(make_client: MakeClient, fault: dict[str, Any]) -> None:
    """All requests are hit, all of a user's, or those over a limit."""
    client = make_client()
    client.put("/admin/faults/f", json=fault)
    client.get("/api/products", headers={"x-user-id": "u"})
    found = client.get("/admin/faults/f").json()
    assert "of all runs" not in rendered(fault_details(found)) + rendered(fault_table([found]))
