"""Times of day in UTC or in the zone of a browser."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from chaosapi.console.states import unix_time


@dataclass(frozen=True)
class Zone:
    """A time zone: its IANA name as browsers know it, and its rules."""

    name: str = "UTC"
    rules: tzinfo = UTC

    def clock(self, when: float | str) -> str:
        """Return the time of day of Unix seconds, or of an RFC 3339 text, with the zone: `23:41:17 UTC`."""
        return f"{self.bare_clock(when)} {self.label(when)}"

    def bare_clock(self, when: float | str) -> str:
        """Return the time of day without the zone."""
        return f"{self._time(when):%H:%M:%S}"

    def date(self, when: float | str) -> str:
        """Return the day and the minute: `2026-11-27 23:41 UTC`."""
        return f"{self._time(when):%Y-%m-%d %H:%M} {self.label(when)}"

    def label(self, when: float | str) -> str:
        """Return the short name of the zone at that time: `UTC`, `CET`, `UTC+05:30`."""
        found = self._time(when).tzname() or self.name
        return found if found[:1].isalpha() else f"UTC{found}"  # zones without letters are called +0530

    def _time(self, when: float | str) -> datetime:
        return datetime.fromtimestamp(unix_time(when) if isinstance(when, str) else when, self.rules)


def browser_zone(name: str, offset_min: float) -> Zone:
    """Return the zone that a browser names; its offset from UTC now, in minutes, where the name is unknown here."""
    try:
        return Zone(name, ZoneInfo(name))
    except (KeyError, ValueError, OSError):  # unknown, no name at all, a folder
        return Zone(name, timezone(timedelta(minutes=max(-1439, min(1439, offset_min)))))
