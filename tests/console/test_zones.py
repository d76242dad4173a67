"""Times of day in UTC, or in a browser's zone."""

import pytest

from chaosapi.console.zones import Zone, browser_zone

SUMMER = "2026-07-01T12:00:00Z"
WINTER = "2026-01-01T12:00:00.123Z"


def test_times_are_in_utc_unless_chosen() -> None:
    assert Zone().clock(SUMMER) == "12:00:00 UTC"
    assert Zone().date(WINTER) == "2026-01-01 12:00 UTC"


@pytest.mark.parametrize(
    ("name", "offset", "summer", "winter"),
    [
        ("Europe/Berlin", 120, "14:00:00 CEST", "13:00:00 CET"),
        ("Asia/Kolkata", 330, "17:30:00 IST", "17:30:00 IST"),
        ("America/Sao_Paulo", -180, "09:00:00 UTC-03", "09:00:00 UTC-03"),
        ("Nowhere/Known", -210, "08:30:00 UTC-03:30", "08:30:00 UTC-03:30"),
        ("../../etc/passwd", 60, "13:00:00 UTC+01:00", "13:00:00 UTC+01:00"),
        ("", 0, "12:00:00 UTC", "12:00:00 UTC"),
    ],
)
def test_the_zone_of_a_browser_is_used_with_its_rules(name: str, offset: float, summer: str, winter: str) -> None:
    """An unknown name has its present offset."""
    zone = browser_zone(name, offset)
    assert (zone.clock(SUMMER), zone.clock(WINTER)) == (summer, winter)
