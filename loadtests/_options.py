"""The command line's and the web form's words for a scenario."""

from argparse import ArgumentTypeError
from collections.abc import Mapping
from typing import Any

from _scenarios import SCENARIOS, Scenario
from locust.argument_parser import LocustArgumentParser
from locust.util.timespan import parse_timespan

NONE = "none"
NAMES = [NONE, *SCENARIOS]
STORIES = [
    f"{NONE}: -u, -r and -t decide, as in any Locust run.",
    *(f"{name}: {kind.__doc__}" for name, kind in SCENARIOS.items()),
]


def add_to(parser: LocustArgumentParser) -> None:
    """Add the scenario options; each can be set in the environment too.

    Locust answers --help before it reads any locustfile, so these options need a help option of their own.
    (An argument group would keep them out of the web form.)
    """
    parser.add_argument(
        "--scenario",
        type=_name,
        choices=NAMES,
        default=NONE,
        env_var="CHAOSAPI_SCENARIO",
        metavar="<name>",
        help=f"The traffic pattern. {' '.join(STORIES)} Default: {NONE}",
    )
    parser.add_argument(
        "--rate",
        type=int,
        default=20,
        metavar="<requests/s>",
        env_var="CHAOSAPI_SCENARIO_RATE",
        help="The scenario's requests per second. Default: 20",
    )
    parser.add_argument(
        "--peak",
        type=int,
        default=100,
        metavar="<requests/s>",
        env_var="CHAOSAPI_SCENARIO_PEAK",
        help="The requests per second at the top of a spike. Default: 100",
    )
    parser.add_argument(
        "--duration",
        default="3m",
        metavar="<time string>",
        env_var="CHAOSAPI_SCENARIO_DURATION",
        help="How long the scenario runs, e.g. 90s, 3m, 1h30m. Default: 3m",
    )
    # Requests under way may finish when users leave: cut off, they would count as failures that no fault made.
    parser.set_defaults(stop_timeout=5)
    parser.add_argument("--scenario-help", action="help", help="Show this help, which --help does not reach.")


def from_command_line(options: Mapping[str, Any]) -> Scenario | None:
    """Return the chosen scenario; raises ValueError as `scenario` does, and for -u, -r or -t beside it."""
    chosen = scenario(options)
    if chosen and any(options[key] is not None for key in ("num_users", "spawn_rate", "run_time")):
        raise ValueError("a scenario sets the users and the run time: give --rate and --duration instead of -u, -r, -t")
    return chosen


def scenario(options: Mapping[str, Any]) -> Scenario | None:
    """Return the chosen scenario, None for none; values may be text, as a web form sends them.

    Raises ValueError, saying what would be right, for an unknown name or a bad number.
    """
    name = options["scenario"]
    if name == NONE:
        return None
    if name not in SCENARIOS:
        raise ValueError(_unknown(name))
    try:
        rate, peak = int(options["rate"]), int(options["peak"])
    except ValueError:
        raise ValueError("rate and peak are whole numbers of requests per second, such as 20") from None
    try:
        duration = parse_timespan(options["duration"])
    except ValueError:
        raise ValueError(f"the duration {options['duration']!r} is no time such as 90s, 3m or 1h30m") from None
    return SCENARIOS[name](rate=rate, peak=peak, duration=duration)


def _name(text: str) -> str:
    """Return the scenario's name; an empty text, as an unset compose variable gives, is none."""
    if text and text not in NAMES:
        raise ArgumentTypeError(_unknown(text))
    return text or NONE


def _unknown(name: str) -> str:
    return f"there is no scenario {name!r}; choose one of\n  " + "\n  ".join(STORIES)
