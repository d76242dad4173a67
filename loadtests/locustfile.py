"""Traffic for the shop: `locust -f loadtests/`, with `--scenario` for a pattern; `--scenario-help` tells the rest."""

import logging
import sys
from typing import Any

import _options
import _shape
import flask
from _scenarios import Scenario
from _users import ShopUser
from locust import events
from locust.env import Environment
from locust.runners import Runner, WorkerRunner
from locust.web import WebUI

__all__ = ["ShopUser"]


def prepare(environment: Environment, runner: Runner, web_ui: WebUI | None, **_: Any) -> None:
    """Put the chosen scenario into force, and let the web form choose again; a bad choice ends Locust with code 2.

    Locust runs the first shape class it finds among a public file's names, whatever was asked for, and then ignores
    -u, -r and -t. So no name here is a shape class, and its instance is set only when a scenario is chosen.
    """
    if isinstance(runner, WorkerRunner):
        return  # the master decides
    try:
        _follow(_options.from_command_line(vars(environment.parsed_options)), environment, runner)
    except ValueError as problem:
        logging.getLogger(__name__).error("%s", problem)  # noqa: TRY400 - a wrong option needs no traceback
        sys.exit(2)
    if web_ui and web_ui.app:
        web_ui.app.before_request(lambda: _follow_form(environment, runner))


def _follow_form(environment: Environment, runner: Runner) -> flask.Response | None:
    """Read the scenario from the form that starts a run, before Locust reads the rest; answer only if it is wrong."""
    if not flask.request.path.endswith("/swarm") or runner.shape_greenlet:
        return None  # a scenario that is under way is not exchanged: Locust refuses the edit
    try:
        choice = {**vars(environment.parsed_options), **flask.request.form}
        _follow(_options.scenario(choice), environment, runner)
    except ValueError as problem:
        return flask.jsonify(success=False, message=str(problem), host=environment.host)
    return None


def _follow(scenario: Scenario | None, environment: Environment, runner: Runner) -> None:
    environment.shape_class = _shape.ScenarioShape(scenario) if scenario else None
    if environment.shape_class:
        environment.shape_class.runner = runner


events.init_command_line_parser.add_listener(_options.add_to)  # type: ignore[no-untyped-call]  # Locust's is untyped
events.init.add_listener(prepare)  # type: ignore[no-untyped-call]  # Locust's is untyped
