from typing import Any

from chaosapi.console.alertmanager import AlertmanagerState, is_silenced_by
from chaosapi.console.inhibitions import InhibitionHistory
from chaosapi.console.panels.strips import strip
from chaosapi.console.states import Band, alert_key, current_states, describe_matchers, other_labels, state_bands

LABELS = {"alertname": "Burn", "slo": "availability", "severity": "ticket"}
MIDNIGHT = 1767225600.0


def series(state: str, *times: float) -> dict[str, Any]:
    """Return a series of `ALERTS` as in the response to a range query."""
    return {"metric": {**LABELS, "alertstate": state}, "values": [[MIDNIGHT + time, "1"] for time in times]}


def test_samples_become_bands_with_silences() -> None:
    """Consecutive samples are one band; a gap splits it; a silence is drawn while the alert fires."""
    silence = {
        "matchers": [{"name": "severity", "value": "tick.*", "isRegex": True, "isEqual": True}],
        "startsAt": "2026-01-01T00:00:05Z",
        "endsAt": "2026-01-01T00:00:07Z",
    }
    # In Prometheus' order: by labels, and so firing before pending.
    found = state_bands([series("firing", 4, 6, 20), series("pending", 0, 2)], [silence], {}, 2)[alert_key(LABELS)]
    assert [(band.state, band.start - MIDNIGHT, band.end - MIDNIGHT) for band in found] == [
        ("pending", -2, 2),
        ("firing", 2, 6),
        ("firing", 18, 20),
        ("silenced", 5, 6),
    ]


def ruled(state: str, **labels: str) -> dict[str, Any]:
    """Return an alert as in Prometheus's /api/v1/rules."""
    return {"labels": LABELS | labels, "annotations": {}, "state": state, "activeAt": "2026-01-01T00:00:00Z"}


def test_alerts_with_different_labels_are_separate() -> None:
    """One for each route; labels that are not in the title are below it."""
    alerts = [ruled("pending", handler="/a", sloth_slo="x"), ruled("pending", handler="/b")]
    told = current_states(alerts, AlertmanagerState((), ()))
    assert [other_labels(each.labels) for each in told] == ["Burn handler=/a", "Burn handler=/b"]


def test_what_mutes_an_alert_has_a_name() -> None:
    """An alert its title, a silence its author and comment; an id that Alertmanager no longer explains stays."""

    def alert(fingerprint: str, *, silenced: tuple[str, ...] = (), inhibited: tuple[str, ...] = ()) -> dict[str, Any]:
        labels = LABELS | {"severity": "page", "long_window": "1m", "short_window": fingerprint}
        status = {"state": "active", "silencedBy": silenced, "inhibitedBy": inhibited}
        return ruled("firing") | {
            "labels": labels,
            "fingerprint": fingerprint,
            "startsAt": "2026-01-01T00:00:00Z",
            "status": status,
        }

    alerts = (alert("5s"), alert("6s", inhibited=("5s", "ended")), alert("7s", silenced=("s1",)))
    silences = ({"id": "s1", "createdBy": "ann", "comment": "known", "matchers": []},)
    told = current_states([], AlertmanagerState(alerts, silences))
    assert [each.muted_by for each in told] == [(), ("page availability 1m/5s", "ended"), ("ann: known",)]


def test_a_silence_shows_all_its_matchers() -> None:
    """Also one without an alert name, and one with a negative matcher."""

    def matcher(name: str, value: str, *, regex: bool = False, equal: bool = True) -> dict[str, Any]:
        return {"name": name, "value": value, "isRegex": regex, "isEqual": equal}

    assert describe_matchers([matcher("severity", "page"), matcher("handler", "/a")]) == "page handler=/a"
    assert describe_matchers([matcher("team", "a.*", regex=True)]) == "team=~a.*"
    assert describe_matchers([matcher("team", "a.*", regex=True, equal=False), matcher("slo", "x", equal=False)]) == (
        "team!~a.* slo!=x"
    )
    assert describe_matchers([matcher("alertname", "Burn"), matcher("team", "a")]) == "Burn team=a"


def test_prometheus_is_used_if_alertmanager_lacks_an_alert() -> None:
    """Otherwise Alertmanager alone is used, which has the alert or soon will."""
    assert [each.state for each in current_states([ruled("firing")], None)] == ["firing"]
    assert current_states([ruled("firing")], AlertmanagerState((), ())) == ()


def test_a_silence_matches_as_alertmanager_does() -> None:
    """Anchored values, regular expressions, negation; a missing label is empty."""

    def one(name: str, value: str, *, regex: bool = False, equal: bool = True) -> bool:
        return is_silenced_by(
            {"matchers": [{"name": name, "value": value, "isRegex": regex, "isEqual": equal}]}, LABELS
        )

    assert one("slo", "availability")
    assert not one("slo", "avail", regex=True)
    assert one("slo", "latency", equal=False)
    assert one("team", "")


def test_an_invalid_pattern_matches_nothing() -> None:
    """Alertmanager uses RE2: a silence with another syntax must not break the panels."""
    for equal in (True, False):
        matcher = {"name": "team", "value": r"\pL+", "isRegex": True, "isEqual": equal}
        silence = {"matchers": [matcher], "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2026-01-01T01:00:00Z"}
        found = state_bands([series("firing", 4)], [silence], {}, 2)[alert_key(LABELS)]
        assert [band.state for band in found] == ["firing"]


def test_observed_inhibitions_are_kept_for_six_hours() -> None:
    """Consecutive observations are one band; older ones are dropped, so memory is bounded."""
    seen = InhibitionHistory()
    alert = {"labels": LABELS, "status": {"inhibitedBy": ["x"]}}
    for at in range(0, 20, 2):
        seen.record([alert], at)
    seen.record([alert], 100)
    assert seen.bands[alert_key(LABELS)] == [Band("inhibited", 0, 18), Band("inhibited", 100, 100)]
    seen.record([], 100 + 7 * 3600)
    assert seen.bands == {}


def test_a_strip_is_clipped_to_its_time_range() -> None:
    """Bands are clipped at its ends, and its states are in words too."""
    drawn = strip([Band("firing", -10, 25), Band("pending", 200, 300)], 0, 100)
    assert "left:0.00%;width:25.00%" in drawn
    assert drawn.count("<i") == 1
    assert 'aria-label="firing' in drawn
