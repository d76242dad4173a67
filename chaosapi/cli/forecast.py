"""`chaosapi forecast`: predict which alerts a fault will fire, and when; nothing is injected."""

import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError
from rich.console import RenderableType

from chaosapi import assets, durations, errors
from chaosapi.api import validation
from chaosapi.cli import here, parse, recorded_traffic, render_forecast
from chaosapi.cli.past import read_past
from chaosapi.cli.place import read_place
from chaosapi.cli.slo import KnownProfileOption, SpecOption
from chaosapi.cli.traffic_sources import TrafficSources, find_prometheus
from chaosapi.extras import needed
from chaosapi.faults.fault import Fault
from chaosapi.forecast import inverse, scenarios, timetable
from chaosapi.forecast.model import ForecastModel
from chaosapi.forecast.monitoring import Monitoring, default_monitoring
from chaosapi.forecast.presence import Place
from chaosapi.forecast.result import Forecast
from chaosapi.forecast.traffic import PartialTraffic
from chaosapi.slo import spec, windows
from chaosapi.terminal import Terminal, print_error

_FAULT = "The fault"
_TRAFFIC = "Traffic"
_MONITORING = "Prometheus and Alertmanager"
_OUTPUT = "Questions and output"
_INTERVALS_S = 300.0
"""The seconds of records from which intervals are read."""
_out = Terminal()
M = TypeVar("M", bound=BaseModel)


def forecast(
    effect: Annotated[str | None, typer.Argument(help="The effect's type, such as error or latency.")] = None,
    parameters: Annotated[list[str] | None, typer.Argument(help="Its parameters, as in `chaosapi fault add`.")] = None,
    *,
    rate: Annotated[
        float | None, typer.Option(help="Share of matching requests to hit.", rich_help_panel=_FAULT)
    ] = None,
    route: Annotated[
        list[str] | None, typer.Option(help="Hit only this route; repeatable.", rich_help_panel=_FAULT)
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="Hit only this HTTP method; repeatable.", rich_help_panel=_FAULT)
    ] = None,
    start_after: Annotated[
        str | None, typer.Option(help="Delay before the fault starts, such as 10s.", rich_help_panel=_FAULT)
    ] = None,
    duration: Annotated[
        str | None, typer.Option(help="How long the fault lasts.", show_default="15m", rich_help_panel=_FAULT)
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(help="How its strength changes, such as '{type: ramp, up: 2m}'.", rich_help_panel=_FAULT),
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            "--file",
            help="JSON or YAML file with faults, as in `chaosapi fault add`, oldest first; - reads stdin; repeatable.",
        ),
    ] = None,
    fault_file: Annotated[list[Path] | None, typer.Option(hidden=True)] = None,
    rps: Annotated[
        float | None,
        typer.Option(
            help="Requests per second.", show_default="as measured; 100, for the shop's SLOs", rich_help_panel=_TRAFFIC
        ),
    ] = None,
    share: Annotated[
        list[str] | None,
        typer.Option(
            help="A route's share of the traffic, such as /api/checkout=0.3 or 'POST /items 404=0.1'; repeatable.",
            show_default="as measured; the shop's, for its SLOs",
            rich_help_panel=_TRAFFIC,
        ),
    ] = None,
    scenario: Annotated[
        str | None,
        typer.Option(help="A Locust scenario of loadtests/; --rps sets its rate.", rich_help_panel=_TRAFFIC),
    ] = None,
    peak: Annotated[
        float | None, typer.Option(help="The scenario's peak, requests/s.", rich_help_panel=_TRAFFIC)
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Factor for the scenario's rate and peak.", rich_help_panel=_TRAFFIC)
    ] = None,
    scenario_duration: Annotated[
        str | None, typer.Option(help="How long the scenario runs.", rich_help_panel=_TRAFFIC)
    ] = None,
    prometheus: Annotated[
        str | None,
        typer.Option(
            "--prometheus",
            "--traffic-from",
            metavar="URL",
            envvar="CHAOSAPI_PROMETHEUS",
            help="The Prometheus that knows traffic and past; `none` asks none.",
            show_default="the running lab's, or port 9090 on 127.0.0.1, if it answers",
            rich_help_panel=_TRAFFIC,
        ),
    ] = None,
    traffic_window: Annotated[
        str | None,
        typer.Option(
            help="The time over which Prometheus measures the traffic.",
            show_default="1m, or the shortest alert window if longer",
            rich_help_panel=_TRAFFIC,
        ),
    ] = None,
    service: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A service with chaosapi, whose /metrics counts the traffic where no Prometheus does.",
            show_default=here.ADMIN_DEFAULT,
            rich_help_panel=_TRAFFIC,
        ),
    ] = None,
    spec_file: SpecOption = None,
    profile: KnownProfileOption = None,
    history: Annotated[
        str | None,
        typer.Option(
            help="How long Prometheus scraped before the fault, such as 0s.",
            show_default="long enough to fill every window",
            rich_help_panel=_MONITORING,
        ),
    ] = None,
    scrape: Annotated[
        str | None, typer.Option(help="Scrape interval.", show_default="the profile's", rich_help_panel=_MONITORING)
    ] = None,
    evaluation: Annotated[
        str | None,
        typer.Option(
            help="Evaluation interval of the rules.", show_default="the profile's", rich_help_panel=_MONITORING
        ),
    ] = None,
    pending_for: Annotated[
        str | None, typer.Option("--for", help="The `for` of the alerts.", rich_help_panel=_MONITORING)
    ] = None,
    min_failures: Annotated[
        int | None,
        typer.Option(
            help="Bad events in the long window before an alert may fire, as in `chaosapi slo rules`.",
            rich_help_panel=_MONITORING,
        ),
    ] = None,
    group_wait: Annotated[
        str | None, typer.Option(help="Alertmanager's group_wait.", rich_help_panel=_MONITORING)
    ] = None,
    group_interval: Annotated[
        str | None, typer.Option(help="Alertmanager's group_interval.", rich_help_panel=_MONITORING)
    ] = None,
    prometheus_version: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=3,
            help="Major version of Prometheus.",
            show_default="as asked, else 3",
            rich_help_panel=_MONITORING,
        ),
    ] = None,
    horizon: Annotated[
        str | None, typer.Option(help="How far to predict.", show_default="until every alert has resolved")
    ] = None,
    page_within: Annotated[
        str | None, typer.Option(help="Find the lowest rate that pages within this time.", rich_help_panel=_OUTPUT)
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Find the rate, and the duration, that spends this share of the error budget, such as 10%.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    slo: Annotated[str | None, typer.Option(help="Forecast this SLO alone.", rich_help_panel=_OUTPUT)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=_OUTPUT)] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write the forecast as a chart into this HTML file.", rich_help_panel=_OUTPUT)
    ] = None,
) -> None:
    """Predict which alerts a fault fires, and when: chaosapi forecast error status=503 --rate 0.2 --profile lab."""
    _refuse_combinations(
        ("--page-within", page_within and budget, "use either --page-within or --budget"),
        ("--html", html and (page_within or budget), "a chart cannot answer --page-within or --budget: leave them out"),
        ("--scale", scale is not None and not scenario, "it needs --scenario"),
        ("--peak", peak is not None and not scenario, "it needs --scenario"),
        ("--scenario-duration", scenario_duration and not scenario, "it needs --scenario"),
    )
    if fault_file:
        print_error("--fault-file is the old name of --file")
    given = {
        "effect": {"type": effect} if effect else None,
        "rate": rate,
        "target": parse.without_none({"routes": route, "methods": method}),
        "schedule": parse.without_none(
            {
                "start_after": parse.duration_text(start_after),
                "duration": parse.duration_text(duration),
                "shape": shape and parse.parse_value(shape),
            }
        ),
    }
    watching = {
        "history": parse.duration_text(history),
        "scrape": parse.duration_text(scrape),
        "evaluation": parse.duration_text(evaluation),
        "pending_for": parse.duration_text(pending_for),
        "min_failures": min_failures,
        "group_wait": parse.duration_text(group_wait),
        "group_interval": parse.duration_text(group_interval),
        "prometheus": prometheus_version,
        "horizon": parse.duration_text(horizon),
    }
    sent: dict[str, Any] = {"rps": rps, "shares": dict(map(_share, share or []))}
    try:
        shop = spec.load(assets.path("alerts") / "slo.yaml")
        promised = spec.load(spec_file) if spec_file else shop
        reader = find_prometheus(prometheus)
        chosen = windows.load(profile or recorded_traffic.profile(reader, promised) or here.profile(prometheus))
        if scenario:
            lasts = _seconds(scenario_duration, "--scenario-duration") if scenario_duration else None
            played = scenarios.traffic_fields(scenario, rate=rps, peak=peak, duration=lasts, scale=scale)
            sent |= {name: value for name, value in played.items() if name != "shares" or promised == shop}
            sent["shares"] = dict(map(_share, share or [])) or sent["shares"]
        bodies = _bodies(
            given, parameters or [], [*(fault_file or []), *(file or [])], which_rate=bool(page_within or budget)
        )
        faults = [validation.read(Fault, each) for each in bodies]
        partial = _checked(PartialTraffic, parse.without_none(sent))
        measured_over = _seconds(traffic_window, "--traffic-window") if traffic_window else max(60.0, chosen.windows[0])
        sources = TrafficSources(prometheus, service, measured_over, promised, is_shop=promised == shop)
        monitoring = default_monitoring(chosen).model_dump(context=durations.EXACT)
        now = time.time()
        if reader:
            monitoring |= recorded_traffic.intervals(reader, promised, chosen, now - _INTERVALS_S, now)
            monitoring |= {"prometheus": reader.version()}
        watched = _checked(Monitoring, monitoring | parse.without_none(watching))
        traffic = sources.complete(partial, reader)
        place = _place(faults, service, sought=bool(page_within or budget))
        asked = promised.only(slo) if slo else promised
        past = read_past(reader, asked, chosen, watched.scrape, now) if reader and watched.history is None else None
        model = ForecastModel.of(faults, place, traffic, asked, chosen, watched, past=past)
        model.check()
        chosen.check(model.monitoring.scrape)
        _answer(model, page_within=page_within, budget=budget, slo=slo, as_json=as_json, html=html)
    except (errors.Invalid, OSError) as error:
        print_error(error)
        raise typer.Exit(1) from None


def _refuse_combinations(*rules: tuple[str, object, str]) -> None:
    """Raise BadParameter for the first (option, condition, message) whose condition holds: the option has no effect."""
    for option, useless, message in rules:
        if useless:
            raise typer.BadParameter(message, param_hint=option)


def _answer(
    model: ForecastModel,
    *,
    page_within: str | None,
    budget: str | None,
    slo: str | None,
    as_json: bool,
    html: Path | None,
) -> None:
    answer: BaseModel
    shown: RenderableType
    if page_within:
        answer = inverse.page_within(model, _seconds(page_within, "--page-within"))
        shown = render_forecast.page(answer)
    elif budget:
        answer = inverse.spend(model, _ratio(budget), slo)
        shown = render_forecast.spend(answer, model.faults[0])
    else:
        answer = timetable.predict(model)
        shown = render_forecast.forecast(answer)
        if html:
            _draw(model, answer, html)
    if as_json:
        _out.print_json(answer.model_dump_json())
    else:
        _out.print(shown)
    if model.refused:
        raise errors.Invalid(
            "\n".join(f"no forecast of {name}: {reason}" for name, reason in model.refused.items())
            + "\nto forecast another SLO alone, name it with --slo"
        )


def _draw(model: ForecastModel, found: Forecast, path: Path) -> None:
    with needed("--html", "charts", errors.Invalid):
        from chaosapi.forecast import chart
    chart.write(model, found, path)
    typer.echo(f"wrote {path}", err=True)


def _bodies(given: dict[str, Any], parameters: list[str], files: list[Path], *, which_rate: bool) -> list[Any]:
    """Return the faults of the files and of the command line; a search for a rate defaults to the error effect."""
    own = parse.without_none(given)
    parse.set_parameters(own, parameters)
    read: list[Any] = [fault for file in files for fault in parse.read_faults(file)]
    if which_rate and not read and "effect" not in own:
        own["effect"] = {"type": "error"}
        typer.echo("assumed: the effect is error, since no fault is given", err=True)
    if not own and not read:
        raise typer.BadParameter("no fault is given: name an effect, such as error, or use --file")
    return read + ([own] if own else [])


def _place(faults: Iterable[Fault], service: str | None, *, sought: bool) -> Place | None:
    """Return what decides where the faults act; None where they act everywhere, or the service does not answer."""
    if not any(fault.differs_by_replica for fault in faults):
        return None
    if sought:
        raise errors.Invalid("a rate is found for all requests: leave out `while` and the target's replicas")
    return read_place(service)


def _checked(model: type[M], fields: dict[str, Any]) -> M:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise validation.invalid(error.errors(include_url=False), fields, model) from None


def _share(text: str) -> tuple[str, float]:
    route, share = parse.split_parameter(text)
    try:
        return route, float(share)
    except ValueError:
        raise typer.BadParameter(f"{text!r}: a share is a number such as 0.3", param_hint="--share") from None


def _ratio(text: str) -> float:
    try:
        ratio = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        ratio = 0.0
    if not 0 < ratio < math.inf:
        raise typer.BadParameter(f"{text!r} is not a share of a budget such as 10% or 0.1", param_hint="--budget")
    return ratio


def _seconds(text: str, option: str) -> float:
    try:
        return parse.seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
