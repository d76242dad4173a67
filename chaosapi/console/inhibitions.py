"""Which alerts were inhibited, and when: Alertmanager tells only of this moment, so what was seen is kept."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from chaosapi.console.states import Band, Key, alert_key

_KEPT: Final = 6 * 3600.0
_GAP: Final = 15.0  # seconds between two looks, at most, that belong to one band
_MOST: Final = 100  # bands of one alert


class InhibitionHistory:
    """The bands of the last six hours, of each alert the last hundred."""

    def __init__(self) -> None:
        self.bands: dict[Key, list[Band]] = {}

    def record(self, alerts: Iterable[Mapping[str, Any]], now: float) -> None:
        """Take in what Alertmanager says at time `now` (Unix seconds)."""
        for alert in alerts:
            if alert["status"]["inhibitedBy"]:
                known = self.bands.setdefault(alert_key(alert["labels"]), [])
                if known and now - known[-1].end <= _GAP:
                    known[-1] = Band("inhibited", known[-1].start, now)
                else:
                    known.append(Band("inhibited", now, now))
        kept = {name: [band for band in known if now - band.end < _KEPT][-_MOST:] for name, known in self.bands.items()}
        self.bands = {name: known for name, known in kept.items() if known}
