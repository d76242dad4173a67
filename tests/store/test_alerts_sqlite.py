import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chaosapi.store import alerts_sqlite
from chaosapi.store.alerts import DeliveredAlert, Delivery, Inbox, Status
from chaosapi.store.alerts_sqlite import SharedInbox

START = datetime(2026, 1, 1, tzinfo=UTC)


def news(name: str, second: int = 0, status: Status = "firing", text: str = "") -> Delivery:
    """Return one delivery of an alert."""
    at = START + timedelta(seconds=second)
    return Delivery(
        received_at=at,
        fingerprint=name,
        status=status,
        starts_at=START,
        ends_at=None if status == "firing" else at,
        labels={"alertname": name},
        annotations={"text": text},
    )


def told(inbox: Inbox) -> list[DeliveredAlert]:
    """Return the alerts of an inbox, newest first."""
    asyncio.run(inbox.catch_up())
    return inbox.latest(10)


def test_all_workers_share_the_delivered_alerts_in_the_same_order(tmp_path: Path) -> None:
    """Resolved notifications too, and also a worker that starts later."""
    one = SharedInbox(tmp_path / "inbox")
    other = SharedInbox(tmp_path / "inbox")
    asyncio.run(one.receive([news("a")]))
    asyncio.run(other.receive([news("b", 1)]))
    asyncio.run(one.receive([news("a", 2, "resolved")]))
    late = SharedInbox(tmp_path / "inbox")
    for inbox in (one, other, late):
        assert [(alert.fingerprint, alert.status) for alert in told(inbox)] == [("a", "resolved"), ("b", "firing")]
        assert [alert.fingerprint for alert in inbox.firing()] == ["b"]
    assert one.latest(10) == other.latest(10) == late.latest(10)


def test_the_number_of_alerts_in_the_file_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A late worker gets the latest alerts; a running worker keeps more."""
    monkeypatch.setattr(alerts_sqlite, "_MAX_ROWS", 3)
    inbox = SharedInbox(tmp_path / "inbox")
    for number in range(10):
        asyncio.run(inbox.receive([news(f"{number}", number)]))
    assert [alert.fingerprint for alert in told(SharedInbox(tmp_path / "inbox"))] == ["9", "8", "7"]


def test_the_file_has_a_budget_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large alerts evict older ones earlier than small ones do."""
    monkeypatch.setattr(alerts_sqlite, "MAX_BYTES", 3000)
    inbox = SharedInbox(tmp_path / "inbox")
    for number in range(10):
        asyncio.run(inbox.receive([news(f"{number}", number, text="x" * 1200)]))
    assert [alert.fingerprint for alert in told(SharedInbox(tmp_path / "inbox"))] == ["9", "8"]


def test_an_alert_that_cannot_be_written_is_kept_in_one_worker(tmp_path: Path) -> None:
    """On a full disk the alert is not lost, and the webhook does not fail."""
    inbox = SharedInbox(tmp_path / "inbox")
    asyncio.run(inbox.receive([news("a")]))
    assert told(inbox)
    with sqlite3.connect(tmp_path / "inbox") as other:
        other.execute("DROP TABLE inbox")
    other.close()
    asyncio.run(inbox.receive([news("b", 1)]))
    assert [alert.fingerprint for alert in told(inbox)] == ["b", "a"]
