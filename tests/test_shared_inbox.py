from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chaosapi import shared_inbox
from chaosapi.inbox import Delivery, Status
from chaosapi.shared_inbox import SharedInbox

START = datetime(2026, 1, 1, tzinfo=UTC)


def news(name: str, second: int = 0, status: Status = "firing") -> Delivery:
    """Make one delivery of an alert."""
    at = START + timedelta(seconds=second)
    return Delivery(
        received_at=at,
        fingerprint=name,
        status=status,
        starts_at=START,
        ends_at=None if status == "firing" else at,
        labels={"alertname": name},
        annotations={},
    )


def test_what_one_worker_is_told_all_know_in_the_same_order(tmp_path: Path) -> None:
    """Also that it ended, and also one that comes later."""
    one, other = SharedInbox(tmp_path / "inbox"), SharedInbox(tmp_path / "inbox")
    one.take(news("a"))
    other.take(news("b", 1))
    one.take(news("a", 2, "resolved"))
    late = SharedInbox(tmp_path / "inbox")
    for inbox in (one, other, late):
        assert [(alert.fingerprint, alert.status) for alert in inbox.latest(10)] == [("a", "resolved"), ("b", "firing")]
        assert [alert.fingerprint for alert in inbox.firing()] == ["b"]
    assert one.latest(10) == other.latest(10) == late.latest(10)


def test_the_file_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes late gets what was delivered last; who was there knows more."""
    monkeypatch.setattr(shared_inbox, "_KEPT", 3)
    inbox = SharedInbox(tmp_path / "inbox")
    for number in range(10):
        inbox.take(news(f"{number}", number))
    assert [alert.fingerprint for alert in SharedInbox(tmp_path / "inbox").latest(10)] == ["9", "8", "7"]
