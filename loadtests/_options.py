"""Options of a scenario, on the command line and in the web form.

All options are text, since a web form sends text; `read` parses them.
"""

from argparse import ArgumentTypeError
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from _expect import parse
from _retries import POLICIES
from _run import Choice
from _scenarios import SCENARIOS
from locust.argument_parser import LocustArgumentParser
from locust.util.timespan import parse_timespan

NONE = "none"
NAMES = [NONE, *SCENARIOS]
MODELS = ["open", "closed"]
STORIES = [
    f"{NONE}: -u, -r and -t decide, as in any Locust run.",
    *(f"{name}: {scenario.story}" for name, scenario in SCENARIOS.items()),
]
_RETRIES = ", ".join(f"{name} ({policy.story})" for name, policy in POLICIES.items())
_DEFAULT = "The scenario's own unless given."


def add_to(parser: LocustArgumentParser) -> None:
    """Add the scenario options; each can be set in the environment too.

    Locust answers --help before it reads any locustfile, so these options need a help option of their own.
    (An argument group would keep them out of the web form.)
    """

    def add(option: str, what: str, text: str, default: str = "", **more: Any) -> None:
        word = option.removeprefix("--").removeprefix("scenario-")
        variable = f"CHAOSAPI_SCENARIO_{word.replace('-', '_').upper()}"
        parser.add_argument(option, default=default, metavar=f"<{what}>", env_var=variable, help=text, **more)

    parser.add_argument(
        "--scenario",
        type=_name,
        choices=NAMES,
        default=NONE,
        env_var="CHAOSAPI_SCENARIO",
        metavar="<name>",
        help=f"The traffic pattern. {' '.join(STORIES)} Default: {NONE}",
    )
    add("--rate", "requests/s", f"The usual rate. {_DEFAULT}")
    add("--peak", "requests/s", "The rate at the top, where there is one. The scenario's multiple of the rate.")
    add("--duration", "time string", f"How long, e.g. 90s, 3m, 1h30m. {_DEFAULT}")
    add("--scale", "factor", "Multiplies rate and peak. Default: 1", "1")
    add(
        "--model",
        "open|closed",
        "open: requests start on time whatever the latency; closed: users wait for answers. Default: open",
        "open",
        choices=MODELS,
        type=lambda text: text or "open",
    )
    choices = ["", *POLICIES]
    add("--retries", "policy", f"What clients do about failures (open model): {_RETRIES}. {_DEFAULT}", choices=choices)
    add("--budget-after", "time string", "From then on retries are at most a tenth of the requests. Default: never")
    add(
        "--scenario-seed", "number", "The same seed sends the same requests with the same x-request-id. Default: 0", "0"
    )
    add("--inflight", "number", "Requests in flight of one process; more are missed. Default: 1000", "1000")
    hidden: dict[str, Any] = {"include_in_web_ui": False}
    add(
        "--expect",
        "conditions",
        "Exit with 1 unless all hold, over a whole run: 'p95<300ms,errors<0.01,missed<0.001'.",
        **hidden,
    )
    add(
        "--metrics-port",
        "port",
        "Serve the clients' metrics to Prometheus there. Default: 0, not at all",
        "0",
        **hidden,
    )
    add("--metrics-host", "address", "Where. Default: 127.0.0.1", "127.0.0.1", **hidden)
    add("--reports", "folder", "Where HTML reports go, or none. Default: reports/ next to the locustfile", **hidden)
    # Requests under way may finish when users leave: cut off, they would count as failures that no fault made.
    parser.set_defaults(stop_timeout=5)
    parser.add_argument("--scenario-help", action="help", help="Show this help, which --help does not reach.")


def from_command_line(options: Mapping[str, Any]) -> Choice | None:
    """Return the options of a run; raises ValueError as `read` does, and for -u, -r or -t with a scenario."""
    chosen = read(options)
    if chosen and any(options[key] is not None for key in ("num_users", "spawn_rate", "run_time")):
        raise ValueError("a scenario sets the users and the run time: give --rate and --duration instead of -u, -r, -t")
    return chosen


def read(options: Mapping[str, Any]) -> Choice | None:
    """Return the options of a run, None without a scenario.

    Raises ValueError, with a remedy, for an unknown name, a bad number, a bad condition or a host that is no URL.
    """
    name = options["scenario"]
    parse(options["expect"])
    _check_host(options["host"])
    if name == NONE:
        return None
    if name not in SCENARIOS:
        raise ValueError(_unknown(name))
    for option, known in (("model", MODELS), ("retries", ["", *POLICIES])):
        if options[option] not in known:
            raise ValueError(f"the {option} {options[option]!r} is none of {', '.join(filter(None, known))}")
    chosen = Choice(
        name=name,
        model=options["model"],
        rate=_number(options, "rate"),
        peak=_number(options, "peak"),
        duration=_seconds(options, "duration"),
        scale=1.0 if (scale := _number(options, "scale")) is None else scale,
        seed=whole_number(options, "scenario_seed"),
        retries=options["retries"] or None,
        budget_after=_seconds(options, "budget_after"),
        inflight=whole_number(options, "inflight", default=1000, least=1),
    )
    planned = chosen.load().total
    if planned < 1:
        raise ValueError(f"the run would send {planned:g} requests; rate times duration must be at least 1")
    return chosen


def whole_number(
    options: Mapping[str, Any], option: str, *, default: int = 0, least: int = 0, most: int | None = None
) -> int:
    """Return a whole number, or the default if none is given; raises ValueError outside the inclusive bounds."""
    text = "" if options[option] is None else str(options[option])
    number = int(text) if text.isdecimal() else -1 if text else default
    if number < least or (most is not None and number > most):
        bounds = f"from {least} {f'to {most}' if most is not None else 'on'}"
        raise ValueError(f"the {option.replace('_', ' ')} is {text!r}; it must be a whole number {bounds}")
    return number


def _check_host(text: str | None) -> None:
    """Raise ValueError unless the host is a URL; without one it is the locustfile's."""
    try:
        url = urlsplit(text or "http://127.0.0.1")
        known = url.scheme in ("http", "https") and url.hostname
    except ValueError:
        known = None
    if not known:
        raise ValueError(f"the host {text!r} is no URL such as http://127.0.0.1:8000")


def _number(options: Mapping[str, Any], option: str) -> float | None:
    text = options[option]
    try:
        return float(text) if text else None
    except ValueError:
        raise ValueError(f"the {option} {text!r} is no number such as 20 or 0.5") from None


def _seconds(options: Mapping[str, Any], option: str) -> float | None:
    text = options[option]
    try:
        return float(parse_timespan(text)) if text else None
    except ValueError:
        raise ValueError(f"the {option.replace('_', ' ')} {text!r} is no time such as 90s, 3m or 1h30m") from None


def _name(text: str) -> str:
    """Return the scenario's name; empty text, from an unset variable of compose, is `none`."""
    if text and text not in NAMES:
        raise ArgumentTypeError(_unknown(text))
    return text or NONE


def _unknown(name: str) -> str:
    return f"there is no scenario {name!r}; choose one of\n  " + "\n  ".join(STORIES)
