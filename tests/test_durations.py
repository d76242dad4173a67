import pytest

from chaosapi import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("1m30s", 90), ("1h", 3600), ("1.5h", 5400), ("3d", 259200), ("2w", 1209600), ("0s", 0)],
)
def test_text_with_units_is_read_as_go_and_prometheus_do(text: str, seconds: float) -> None:
    """Every unit from ms to w is understood, also in sums."""
    assert durations.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize(("number", "seconds"), [(0, 0.0), (2, 2.0), (0.25, 0.25)])
def test_a_bare_number_is_seconds(number: float, seconds: float) -> None:
    """JSON numbers need no unit."""
    assert durations.parse(number) == seconds


@pytest.mark.parametrize(
    "value",
    ["", "5", "abc", "-1s", "1 m", -1, float("nan"), float("inf"), 1e300, "99999999999999h", True, None, [], {}],
)
def test_anything_else_is_refused_with_what_would_be_right(value: object) -> None:
    """The error shows the form that is meant."""
    with pytest.raises(ValueError, match="250ms"):
        durations.parse(value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.000123, "123us"), (0.0015, "1.5ms"), (0.25, "250ms"), (90.5, "1m30.5s"), (900, "15m"), (3600, "1h")],
)
def test_seconds_are_written_the_way_go_does(seconds: float, text: str) -> None:
    """What is written can be read again."""
    assert durations.format(seconds) == text
    assert durations.parse(text) == pytest.approx(seconds)
