"""Faults in a terminal."""

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
