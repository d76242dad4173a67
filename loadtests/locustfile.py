"""Traffic for the shop: `locust -f loadtests/`, with `--scenario` for a pattern; `--scenario-help` tells the rest."""

import logging
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import _metrics
import _options
import _shape
import flask
from _closedloop import ShopUser
from _conductor import Conductor
from _customer import Customer
from _openloop import OpenLoop
from _reports import FOLDER, Reports
from _run import Choice
from locust import events
from locust.dispatch import UsersDispatcher
from locust.env import Environment
from locust.runners import (
    STATE_CLEANUP,
    STATE_INIT,
    STATE_RUNNING,
    STATE_SPAWNING,
    STATE_STOPPED,
    STATE_STOPPING,
    MasterRunner,
    Runner,
    WorkerNode,
    WorkerRunner,
)
from locust.web import WebUI
from prometheus_client import CollectorRegistry

__all__ = ["OpenLoop", "ShopUser"]


class DealtOnce(UsersDispatcher):
    """Leaves a worker that comes late out of the run: the parts are dealt, and nobody's may be moved to it."""

    def add_worker(self, worker_node: WorkerNode) -> None:
        """Let it wait for the next run."""


def prepare(environment: Environment, runner: Runner, web_ui: WebUI | None, **_: Any) -> None:
    """Put the chosen scenario into force, and let the web form choose again; a bad choice ends Locust with code 2.

    Locust runs the first shape class it finds among a public file's names, whatever was asked for, and then ignores
    -u, -r and -t. So no name here is a shape class, and its instance is set only when a scenario is chosen.
    """
    options = vars(environment.parsed_options)
    registry = CollectorRegistry()
    conductor = OpenLoop.conductor = Conductor(environment, runner)
    metrics = Customer.metrics = _metrics.ClientMetrics(registry)
    metrics.follow(lambda: conductor.run)
    environment.events.request.add_listener(metrics.answered)  # type: ignore[no-untyped-call]
    environment.events.test_start.add_listener(lambda **_: metrics.tell(_options.choice(options)))  # type: ignore[no-untyped-call]
    environment.user_classes = [OpenLoop, ShopUser]
    follow = partial(_follow, environment, runner, conductor)
    try:
        chosen = _options.from_command_line(options)
        if not isinstance(runner, WorkerRunner):  # there the master decides
            follow(chosen)
        if not isinstance(runner, MasterRunner):  # which sends nothing
            _serve(registry, options)
    except (ValueError, OSError) as problem:
        logging.getLogger(__name__).error("%s", problem)  # noqa: TRY400 - a wrong option needs no traceback
        sys.exit(2)
    metrics.tell(chosen)
    if not isinstance(runner, WorkerRunner):
        reports = options["reports"]
        Reports(environment, conductor, None if reports == "none" else Path(reports) if reports else FOLDER)
    if web_ui and web_ui.app:
        web_ui.app.before_request(lambda: _follow_form(environment, runner, follow))


def _serve(registry: CollectorRegistry, options: Mapping[str, Any]) -> None:
    port = _options.whole(options, "metrics_port", most=65535)
    if port:
        taken = _metrics.serve(registry, options["metrics_host"] or "127.0.0.1", port, options["processes"] or 1)
        logging.getLogger(__name__).info("metrics: http://%s:%s/metrics", options["metrics_host"], taken)


def _follow_form(environment: Environment, runner: Runner, follow: Any) -> flask.Response | None:
    """Read the scenario from the form that starts a run, before Locust reads the rest; answer only if it is wrong.

    Users, rate and time of a run without a scenario may be edited. Any other exchange would wedge Locust or lose a run.
    """
    if not flask.request.path.endswith("/swarm"):
        return None
    try:
        chosen = _options.choice({**vars(environment.parsed_options), **flask.request.form})
        if chosen or environment.shape_class or runner.state not in (STATE_SPAWNING, STATE_RUNNING):
            _check_idle(runner)
            follow(chosen)
    except ValueError as problem:
        return flask.jsonify(success=False, message=str(problem), host=environment.host)
    return None


def _check_idle(runner: Runner) -> None:
    if runner.state in (STATE_CLEANUP, STATE_STOPPING):
        raise ValueError("the last run is still ending: start this one when it has stopped")
    if runner.shape_greenlet or runner.state not in (STATE_INIT, STATE_STOPPED):
        raise ValueError("a run is under way: stop it first")


def _follow(environment: Environment, runner: Runner, conductor: Conductor, choice: Choice | None) -> None:
    conductor.prepare(choice)
    is_open = choice is not None and choice.model == "open"
    environment.user_classes = [OpenLoop if is_open else ShopUser]
    environment.dispatcher_class = DealtOnce if is_open else UsersDispatcher
    environment.shape_class = None
    if choice:
        environment.shape_class = _shape.OpenShape(conductor) if is_open else _shape.ClosedShape(choice.load())
        environment.shape_class.runner = runner


events.init_command_line_parser.add_listener(_options.add_to)  # type: ignore[no-untyped-call]  # Locust's is untyped
events.init.add_listener(prepare)  # type: ignore[no-untyped-call]  # Locust's is untyped
