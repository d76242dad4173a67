import asyncio
import tracemalloc

from chaosapi.store.alerts import Inbox
from tests.store.test_alerts_sqlite import news


def test_an_alert_takes_about_a_kilobyte() -> None:
    """Thousands are stored, most of them for hours."""
    inbox = Inbox()
    tracemalloc.start()
    try:
        asyncio.run(inbox.receive([news(f"{number}") for number in range(500)]))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(inbox.firing()) == 500
    assert taken / 500 < 1300
