from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosapi import durations, errors
from chaosapi.slo import windows

LAB = (windows.FOLDER / "lab.yaml").read_text()


def test_the_production_profile_is_the_sre_workbooks_table() -> None:
    """Four pairs with burn rates and severities, page-quick first."""
    assert [(p.severity, str(p), p.factor) for p in windows.load("production").pairs] == [
        ("page", "1h/5m", 14.4),
        ("page", "6h/30m", 6.0),
        ("ticket", "1d/2h", 3.0),
        ("ticket", "3d/6h", 1.0),
    ]


def test_the_lab_profile_is_production_sixty_times_faster() -> None:
    """Every window and the period are divided by 60, so the burn rates are equal."""
    lab = windows.load("lab")
    production = windows.load("production")
    assert [w * 60 for w in lab.windows] == production.windows
    assert (lab.period * 60, lab.step * 60) == (production.period, production.step)
    assert [p.factor for p in lab.pairs] == [p.factor for p in production.pairs]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5, "5s"),
        (60, "1m"),
        (4320, "1h12m"),
        (86400, "1d"),
        (604800, "1w"),
        (2592000, "30d"),
        (0.25, "250ms"),
        (0, "0s"),
    ],
)
def test_windows_are_formatted_as_prometheus_prints_them(seconds: float, text: str) -> None:
    """Sloth's rule names use that notation, and dashboards rely on them."""
    assert windows.format_window(seconds) == text


@settings(deadline=None, derandomize=True)
@given(st.integers(min_value=0, max_value=10**10))
def test_a_formatted_window_parses_to_the_same_value(milliseconds: int) -> None:
    """To the millisecond."""
    assert durations.parse(windows.format_window(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


def test_a_window_with_too_few_scrapes_is_refused_with_the_slowest_interval() -> None:
    """Five seconds have four scrapes at 1.25 s, and not at 2 s."""
    lab = windows.load("lab")
    lab.check(1.25)
    with pytest.raises(errors.Invalid, match=r"5s needs 4 scrapes: scrape every 1s250ms or faster, not every 2s"):
        lab.check(2)


def test_a_pair_is_selected_by_name() -> None:
    """The default is the quickest pair; an unknown name lists all."""
    lab = windows.load("lab")
    assert (lab.pair("24m/2m"), lab.pair()) == (lab.pairs[2], lab.pairs[0])
    with pytest.raises(errors.Invalid, match="5m/1m is none of 1m/5s, 6m/30s, 24m/2m, 1h12m/6m"):
        lab.pair("5m/1m")


def test_a_custom_profile_is_a_file(tmp_path: Path) -> None:
    """Any AlertWindows file is accepted, here one with a 7-day period."""
    path = tmp_path / "week.yaml"
    path.write_text(LAB.replace("sloPeriod: 12h", "sloPeriod: 7d"))
    assert windows.load(path).pairs[0].factor == pytest.approx(0.02 * 7 * 86400 / 60)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("shortWindow: 5s", "shortWindow: 2m", "spec.page.quick: shortWindow must be shorter than longWindow"),
        ("longWindow: 72m", "longWindow: 12h", "spec: ticket.slow.longWindow must be shorter than sloPeriod"),
        (
            "shortWindow: 30s\n      longWindow: 6m",
            "shortWindow: 5s\n      longWindow: 1m",
            "spec: page.slow has the windows of page.quick: alerts are distinguished by their windows",
        ),
        (
            "shortWindow: 2m\n      longWindow: 24m",
            "shortWindow: 5s\n      longWindow: 60s",
            "spec: ticket.quick has the windows of page.quick: alerts are distinguished by their windows",
        ),
        ("errorBudgetPercent: 2", "errorBudgetPercent: 0", ":9: spec.page.quick.errorBudgetPercent: "),
        ("errorBudgetPercent: 2", "errorBudgetPercent: 101", ":9: spec.page.quick.errorBudgetPercent: "),
        ("shortWindow: 5s", "shortWindow: soon", ":10: spec.page.quick.shortWindow: a duration is text with units"),
        ("shortWindow: 5s", "shortWindow: 0s", ":10: spec.page.quick.shortWindow: "),
        ("kind: AlertWindows", "kind: Alerts", ":4: kind: "),
        ("sloPeriod", "period", ":6: spec.period: unknown field"),
    ],
)
def test_an_error_in_a_profile_is_reported_with_line_and_field(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    """Inconsistent windows are refused."""
    path = tmp_path / "windows.yaml"
    path.write_text(LAB.replace(old, new, 1))
    with pytest.raises(errors.Invalid) as refusal:
        windows.load(path)
    assert complaint in str(refusal.value)


def test_an_unknown_profile_lists_the_known_ones() -> None:
    """A name that is neither a profile nor a file is refused."""
    with pytest.raises(errors.Invalid, match="nowhere is neither one of lab, production nor a file"):
        windows.load("nowhere")
