"""What a starting lab shows."""

import io

from chaosapi.lab.startup_progress import StartupProgress
from chaosapi.terminal import Terminal
from tests.conftest import Clock


def shown(*, terminal: bool) -> list[str]:
    """Return the lines of a short step, a long one and a short one."""
    clock = Clock()
    out = io.StringIO()
    console = Terminal(file=out, force_terminal=terminal, color_system=None, width=80)
    with StartupProgress(console, clock) as steps:
        for text, seconds in (("starting the service", 1), ("seeding [a past]", 24), ("starting Prometheus", 1)):
            steps.begin(text)
            clock.now += seconds
    return [line.strip() for line in out.getvalue().replace("\r", "\n").splitlines()]


def test_each_step_is_shown_when_it_begins_and_how_long_it_took_if_long() -> None:
    """Without a terminal, in lines."""
    assert shown(terminal=False) == ["starting the service", "seeding [a past]", "took 24 s", "starting Prometheus"]


def test_a_terminal_shows_the_running_step_with_its_time() -> None:
    """And then the step as a line."""
    lines = shown(terminal=True)
    assert any(line.endswith("seeding [a past]  24 s") for line in lines)
    assert any("starting Prometheus" in line and "0:00:0" in line for line in lines)
