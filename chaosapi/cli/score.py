"""`chaosapi score`: compare the forecast of a fault with the alerts that fired."""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from chaosapi import assets, durations, errors
from chaosapi.cli import fault, here, parse, recorded_traffic, render_score
from chaosapi.cli.past import read_past
from chaosapi.cli.place import place_of
from chaosapi.cli.prometheus_reader import PrometheusReader, Url
from chaosapi.cli.slo import JsonOption, KnownProfileOption, SpecOption
from chaosapi.faults.fault import Fault, Record
from chaosapi.forecast import replay
from chaosapi.forecast import score as scoring
from chaosapi.forecast.model import ForecastModel
from chaosapi.forecast.monitoring import Monitoring, default_monitoring
from chaosapi.forecast.observed import Observed
from chaosapi.forecast.presence import acted
from chaosapi.forecast.traffic import Traffic
from chaosapi.slo import spec, windows
from chaosapi.terminal import Terminal, print_error

_out = Terminal()


def score(
    name: Annotated[
        str | None, typer.Argument(help="The fault's name.", show_default="the latest fault that has begun")
    ] = None,
    *,
    url: fault.Url = None,
    token: fault.Token = None,
    prometheus: Url = None,
    spec_file: SpecOption = None,
    profile: KnownProfileOption = None,
    group_wait: Annotated[
        str | None, typer.Option(help="Alertmanager's group_wait.", show_default="the lab's, or 10s")
    ] = None,
    group_interval: Annotated[
        str | None, typer.Option(help="Alertmanager's group_interval.", show_default="the lab's, or 1m")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a fault's forecast with the alerts that fired, and split each detection time into its parts."""
    now = time.time()
    with fault.admin_client(url, token) as admin:
        records = [_record(each) for each in admin.list_faults()["faults"]]
        delivered = admin.alerts()["alerts"]
        place = place_of(admin) if any(each.spec.differs_by_replica for each in records) else None
    try:
        record = _latest_begun(records, name, now)
        usual = spec.load(assets.path("alerts") / "slo.yaml")
        shop = spec.load(spec_file) if spec_file else usual
        source = PrometheusReader(prometheus or here.prometheus_url())
        chosen = windows.load(profile or recorded_traffic.profile(source, shop) or here.profile(prometheus))
        waits = {"group_wait": group_wait, "group_interval": group_interval}
        settings = default_monitoring(chosen).model_dump(context=durations.EXACT)
        settings |= {key: parse.seconds(value) for key, value in waits.items() if value}
        known = Observed()
        traffic = Traffic.of_shop()
        missing = []
        past = None
        try:
            until = min(now, record.ends_at)
            settings |= recorded_traffic.intervals(source, shop, chosen, record.starts_at - 120, now) | {
                "prometheus": source.version()
            }
            known = recorded_traffic.recorded_alerts(source, shop, record.starts_at - 60, now, settings["evaluation"])
            traffic = recorded_traffic.measure_traffic(
                source, shop, max(until - record.starts_at, 5 * settings["scrape"]), until
            )
            past = read_past(source, shop, chosen, settings["scrape"], record.starts_at)
        except errors.Invalid as error:
            if shop != usual:
                raise  # the shop's traffic says nothing about another service
            missing = [str(error), f"the traffic was not measured: {traffic.rps:g} requests/s are assumed"]
        known = known.model_copy(update={"delivered": [recorded_traffic.delivery(each) for each in delivered]})
        record, left_out = acted(record, place)
        records = [acted(each, place)[0] for each in records if each.name != record.name]
        missing += left_out
        model = ForecastModel([record.spec], traffic, shop, chosen, Monitoring.model_validate(settings), past=past)
        missing += [f"{name} was not forecast: {reason}" for name, reason in model.refused.items()]
        found = scoring.score(record.name, replay.replay_fault(record, records, model), known, now)
        found = found.model_copy(update={"missing": [*missing, *found.missing]})
    except (ValueError, errors.Invalid, OSError) as error:
        print_error(error)
        raise typer.Exit(1) from None
    if as_json:
        _out.print_json(found.model_dump_json())
    else:
        _out.print(render_score.score(found))


def _latest_begun(records: list[Record], name: str | None, now: float) -> Record:
    begun = [each for each in records if each.starts_at <= now and name in {None, each.name}]
    if not begun:
        raise errors.Invalid.field("fault", f"no fault {name or 'at all'} has begun yet: see `chaosapi fault list`")
    return max(begun, key=lambda each: each.starts_at)


def _record(view: Mapping[str, Any]) -> Record:
    times = {each: datetime.fromisoformat(view[each]).timestamp() for each in ("created_at", "ends_at")}
    sent = Fault.model_validate({name: view[name] for name in Fault.names()})
    return Record(
        name=view["name"],
        spec=sent,
        created_at=times["created_at"],
        revision=view["revision"],
        ended_at=times["ends_at"],
    )
