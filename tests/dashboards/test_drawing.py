from typing import Any

import pytest

from tests.dashboards import drawing

BOARD = {
    "panels": [
        {
            "id": 1,
            "type": "stat",
            "title": "RPS",
            "targets": [{"expr": 'sum(rate(http_requests_total{job="$job"}[20s])) / avg(up{job="$job"})'}],
        }
    ]
}
NOW = 1002.0
SCRAPES = (998.9, 999.9, 1000.9, 1001.9)


@pytest.mark.parametrize(
    ("last", "sample", "found"),
    [(1000, 1001.9, []), (1000, 999.95, []), (1000, 998.8, ["RPS"]), (995, 1001.9, ["RPS"])],
    ids=["now", "two scrapes old", "an older sample", "a range that ended before"],
)
def test_a_number_that_outlives_its_data_is_found(
    monkeypatch: pytest.MonkeyPatch, last: float, sample: float, found: list[str]
) -> None:
    """By the last value of its range, and by the oldest sample that it reads as it is."""
    answers: dict[str, list[dict[str, Any]]] = {
        'up{job="chaosapi"}[1m]': [{"values": [[at, "1"] for at in SCRAPES]}],
        'min(timestamp(up{job="chaosapi"}))': [{"value": [NOW, str(sample)]}],
    }

    def result(_prometheus: str, expr: str, _now: float) -> list[dict[str, Any]]:
        return answers[expr]

    monkeypatch.setattr(drawing, "_result", result)
    drawn = {1: [{"result": [{"values": [[990, "1"], [last, "1"]]}]}]}
    assert drawing.outliving(BOARD, drawn, "", NOW, "shop-availability") == found
