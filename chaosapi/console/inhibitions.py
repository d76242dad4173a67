"""The history of inhibited alerts: Alertmanager reports only the present, so the console records what it polls."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from chaosapi.console.states import Band, Key, alert_key

_KEPT_S: Final = 6 * 3600.0
_MAX_GAP_S: Final = 15.0  # between two polls that belong to one band
_MAX_BANDS: Final = 100  # of one alert


class InhibitionHistory:
    """The bands of the last six hours, at most the last hundred of each alert."""

    def __init__(self) -> None:
        self.bands: dict[Key, list[Band]] = {}

    def record(self, alerts: Iterable[Mapping[str, Any]], now: float) -> None:
        """Record which of Alertmanager's alerts are inhibited `now` (Unix seconds)."""
        for alert in alerts:
            if alert["status"]["inhibitedBy"]:
                known = self.bands.setdefault(alert_key(alert["labels"]), [])
                if known and now - known[-1].end <= _MAX_GAP_S:
                    known[-1] = Band("inhibited", known[-1].start, now)
                else:
                    known.append(Band("inhibited", now, now))
        for name, known in list(self.bands.items()):
            kept = [band for band in known if now - band.end < _KEPT_S][-_MAX_BANDS:]
            if kept:
                self.bands[name] = kept
            else:
                del self.bands[name]
