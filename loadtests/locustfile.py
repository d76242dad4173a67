"""Traffic for the shop: `locust -f loadtests/ --scenario NAME`; `--scenario-help` lists scenarios and options."""

import logging
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import _metrics
import _options
import _shape
import _signals
import flask
from _answers import Answers
from _closedloop import ShopUser
from _coordinator import Coordinator
from _customer import Customer
from _openloop import OpenLoop
from _reports import FOLDER, LostMaster, Reports
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


class FixedParts(UsersDispatcher):
    """A dispatcher that gives a worker that joins late no part of the current run: all parts are assigned."""

    def add_worker(self, worker_node: WorkerNode) -> None:
        """Let the worker wait for the next run."""


def prepare(environment: Environment, runner: Runner, web_ui: WebUI | None, **_: Any) -> None:
    """Set up the scenario of the command line, and let the web form change it; a wrong option ends Locust with code 2.

    Locust runs the first shape class that it finds among the public names of a file, and then ignores -u, -r and -t.
    So no public name here is a shape class: the instance is set when a scenario is chosen.
    """
    options = vars(environment.parsed_options)
    registry = CollectorRegistry()
    coordinator = OpenLoop.coordinator = Coordinator(environment, runner)
    metrics = Customer.metrics = _metrics.ClientMetrics(registry)
    metrics.show_rate(lambda: coordinator.run)
    environment.events.request.add_listener(metrics.count_request)  # type: ignore[no-untyped-call]
    environment.events.test_start.add_listener(lambda **_: metrics.show_scenario(_options.read(options)))  # type: ignore[no-untyped-call]
    environment.user_classes = [OpenLoop, ShopUser]
    apply = partial(_apply, environment, runner, coordinator)
    try:
        chosen = _options.from_command_line(options)
        if not isinstance(runner, WorkerRunner):  # there the master decides
            apply(chosen)
        if not isinstance(runner, MasterRunner):  # which sends nothing
            _serve(registry, options)
    except (ValueError, OSError) as problem:
        logging.getLogger(__name__).error("%s", problem)  # noqa: TRY400 - a wrong option needs no traceback
        sys.exit(2)
    metrics.show_scenario(chosen)
    answers = Answers(environment)
    if isinstance(runner, WorkerRunner):
        LostMaster(environment, runner)
    else:
        reports = options["reports"]
        Reports(environment, coordinator, answers, None if reports == "none" else Path(reports) if reports else FOLDER)
    _signals.RunEnd(environment, runner, coordinator)
    if web_ui and web_ui.app:
        web_ui.app.before_request(lambda: _apply_form(environment, runner, apply))


def _serve(registry: CollectorRegistry, options: Mapping[str, Any]) -> None:
    port = _options.whole_number(options, "metrics_port", most=65535)
    if port:
        taken = _metrics.serve(registry, options["metrics_host"] or "127.0.0.1", port, options["processes"] or 1)
        logging.getLogger(__name__).info("metrics: http://%s:%s/metrics", options["metrics_host"], taken)


def _apply_form(environment: Environment, runner: Runner, apply: Any) -> flask.Response | None:
    """Read the scenario from the form that starts a run, before Locust reads the rest; respond only to a wrong one.

    With a field `check` nothing is started. Without a scenario, users, rate and time may be edited during a run; any
    other change would break the run.
    """
    if not flask.request.path.endswith("/swarm"):
        return None
    try:
        chosen = _options.read({**vars(environment.parsed_options), **flask.request.form})
        if "check" in flask.request.form:  # of a program that would stop the present run for this one
            return flask.jsonify(success=True, message="The options are right.", host=environment.host)
        if chosen or environment.shape_class or runner.state not in (STATE_SPAWNING, STATE_RUNNING):
            _check_idle(runner)
            apply(chosen)
    except ValueError as problem:
        return flask.jsonify(success=False, message=str(problem), host=environment.host)
    return None


def _check_idle(runner: Runner) -> None:
    if runner.state in (STATE_CLEANUP, STATE_STOPPING):
        raise ValueError("the last run is still ending: start this one when it has stopped")
    if runner.shape_greenlet or runner.state not in (STATE_INIT, STATE_STOPPED):
        raise ValueError("a run is in progress: stop it first")


def _apply(environment: Environment, runner: Runner, coordinator: Coordinator, choice: Choice | None) -> None:
    coordinator.prepare(choice)
    is_open = choice is not None and choice.model == "open"
    environment.user_classes = [OpenLoop if is_open else ShopUser]
    environment.dispatcher_class = FixedParts if is_open else UsersDispatcher
    environment.shape_class = None
    if choice:
        environment.shape_class = _shape.OpenShape(coordinator) if is_open else _shape.ClosedShape(choice.load())
        environment.shape_class.runner = runner


_signals.exit_before_start()
events.init_command_line_parser.add_listener(_options.add_to)  # type: ignore[no-untyped-call]  # Locust's is untyped
events.init.add_listener(prepare)  # type: ignore[no-untyped-call]  # Locust's is untyped
