import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosapi import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("1m30s", 90), ("1h", 3600), ("1.5h", 5400), ("3d", 259200), ("2w", 1209600), ("0s", 0)],
)
def test_text_with_units_is_parsed_as_in_go_and_prometheus(text: str, seconds: float) -> None:
    """Every unit from ms to w, also in sums."""
    assert durations.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5.s", 5),
        (".5s", 0.5),
        ("1.0s", 1),
        ("1.00s", 1),
        ("1.004s", 1.004),
        ("100.00100s", 100.001),
        ("12us", 12e-6),
        ("12\u00b5s", 12e-6),
        ("12\u03bcs", 12e-6),
        ("1500ns", 0.000002),
        ("3h30m", 12600),
        ("10.5s4m", 250.5),
        ("1h2m3s4ms5us6ns", 3723.004005),
        ("39h9m14.425s", 140954.425),
        ("0.100000000000000000000h", 360),
        ("0.3333333333333333333h", 1200),
    ],
)
def test_text_is_parsed_by_the_rules_of_go(text: str, seconds: float) -> None:
    """Examples of its time.ParseDuration: any order of units, a point at either end, both letters for micro."""
    assert durations.parse(text) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    "text", ["0", "+5s", "-1s", ".", ".s", "1..5s", "1.5.5s", "s", "1", "1mo", "1m-1s", "1S", "1 s"]
)
def test_other_text_is_refused(text: str) -> None:
    """Go refuses it too, except signs and 0 without a unit."""
    with pytest.raises(ValueError, match="250ms"):
        durations.parse(text)


@pytest.mark.parametrize(("number", "seconds"), [(0, 0.0), (2, 2.0), (0.25, 0.25)])
def test_a_bare_number_is_seconds(number: float, seconds: float) -> None:
    """JSON numbers need no unit."""
    assert durations.parse(number) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        "5",
        "abc",
        "-1s",
        "1 m",
        -1,
        float("nan"),
        float("inf"),
        1e300,
        "99999999999999h",
        "98708489658548773.05917410w",
        True,
        None,
        [],
        {},
    ],
)
def test_other_values_are_refused_with_what_would_be_valid(value: object) -> None:
    """The error has a valid example."""
    with pytest.raises(ValueError, match="250ms"):
        durations.parse(value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.000123, "123us"),
        (0.0015, "1.5ms"),
        (0.25, "250ms"),
        (90.5, "1m30.5s"),
        (900, "15m"),
        (3600, "1h"),
        (3661.001, "1h1m1.001s"),
        (3599.9996, "1h"),
        (180_000, "50h"),
        (0.9999, "999.9ms"),
    ],
)
def test_seconds_are_formatted_as_in_go(seconds: float, text: str) -> None:
    """The text can be parsed again."""
    assert durations.format(seconds) == text
    assert durations.parse(text) == pytest.approx(seconds)


@given(st.floats(0, 3e9))
def test_formatted_durations_parse_to_the_same_value(seconds: float) -> None:
    """To the half microsecond below 1 s, to the half millisecond above."""
    assert durations.parse(durations.format(seconds)) == pytest.approx(seconds, abs=6e-7 if seconds < 0.9 else 6e-4)
