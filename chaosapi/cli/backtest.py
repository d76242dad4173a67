"""`chaosapi slo backtest`: when each alert would have fired, computed from the samples of a real Prometheus."""

import time
from datetime import timedelta
from itertools import groupby
from typing import Annotated

import numpy as np
import typer
from pydantic import AwareDatetime, TypeAdapter, ValidationError
from rich.console import Group
from rich.table import Table
from rich.text import Text

from chaosapi import assets, errors
from chaosapi.cli import here, parse
from chaosapi.cli.prometheus_reader import PrometheusReader, Url
from chaosapi.cli.render_faults import empty_table
from chaosapi.cli.slo import FailuresOption, JsonOption, ProfileOption, SpecOption
from chaosapi.forecast import identity
from chaosapi.forecast.backtest import Recording, selectors
from chaosapi.forecast.backtest import backtest as run
from chaosapi.forecast.comparison import Backtest, BacktestedAlert, Comparison, FiringSpan
from chaosapi.forecast.monitoring import Monitoring, default_monitoring
from chaosapi.forecast.promql import Times
from chaosapi.forecast.recording import RecordedSeries
from chaosapi.slo import burn_alerts, spec, windows
from chaosapi.slo.spec import Objective, Spec
from chaosapi.slo.windows import Profile
from chaosapi.terminal import Terminal, print_error, styled

_out = Terminal()
_EPISODES = 10


def backtest(
    *,
    prometheus: Url = None,
    start: Annotated[
        str,
        typer.Option("--from", metavar="TIME", help="Start of the backtest: 2026-01-31T08:00:00Z, -2h or now."),
    ] = "-1h",
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="End of the backtest, as --from.")] = "now",
    spec_file: SpecOption = None,
    profile: ProfileOption = "production",
    step: Annotated[
        str | None,
        typer.Option(help="Evaluation interval of the rules.", show_default="as recorded, else the profile's"),
    ] = None,
    pending_for: Annotated[str, typer.Option("--for", help="The `for` of the alerts.")] = "0s",
    min_failures: FailuresOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Show when each alert would have fired and resolved, and compare with the recorded ALERTS series."""
    now = time.time()
    try:
        span = (_moment(start, now, "--from"), _moment(end, now, "--to"))
        if not span[0] < span[1]:
            raise errors.Invalid.field("--to", f"{end} does not come after --from {start}")
        chosen = windows.load(profile)
        source = PrometheusReader(prometheus or here.prometheus_url())
        known = default_monitoring(chosen).model_dump() | {"prometheus": source.version(), "min_failures": min_failures}
        known |= {"pending_for": parse.seconds(pending_for)} | ({"evaluation": parse.seconds(step)} if step else {})
        monitoring = Monitoring.model_validate(known)
        shop = spec.load(spec_file or assets.path("alerts") / "slo.yaml")
        found = _recordings(source, shop, chosen, span)
        tested = run(shop, chosen, monitoring, found[0], span)
        tested = tested.model_copy(update={"missing": [*found[1], *tested.missing]})
    except (ValueError, errors.Invalid, OSError) as error:
        print_error(error)
        raise typer.Exit(1) from None
    if as_json:
        _out.print_json(tested.model_dump_json())
    else:
        _out.print(_shown(tested))


def _recordings(
    source: PrometheusReader, spec: Spec, profile: Profile, span: tuple[float, float]
) -> tuple[dict[str, Recording], list[str]]:
    """Return the recording of each SLO, and why other SLOs cannot be tested; each selector is queried once."""
    start, end = span
    known: dict[str, list[RecordedSeries]] = {}

    def read(terms: list[tuple[int, str]]) -> list[tuple[int, RecordedSeries]]:
        for _, selector in terms:
            if selector not in known:
                known[selector] = source.series(selector, start - profile.windows[-1] - 1, end)
        return [(sign, series) for sign, selector in terms for series in known[selector]]

    rules = source.alerts()
    recordings = {}
    refused = []
    for slo in spec.slos:
        try:
            error, total = selectors(slo)
        except errors.Invalid as reason:
            refused.append(str(reason))
            continue
        names = [identity.alert_labels(spec, slo, pair) for pair in burn_alerts.enabled_pairs(slo, profile)]
        alerts = [series for each in names for series in source.series("ALERTS" + burn_alerts.selector(each), *span)]
        ruled = bool(alerts) or any(name.items() <= rule.items() for name in names for rule in rules)
        evaluated = _evaluated(source, spec, slo, profile, span)
        recordings[slo.name] = Recording(read(error), read(total), evaluated, alerts, ruled)
    return recordings, refused


def _evaluated(
    source: PrometheusReader, spec: Spec, slo: Objective, profile: Profile, span: tuple[float, float]
) -> Times:
    """Return when the SLO's rules were evaluated: each evaluation records a ratio."""
    name = burn_alerts.ratio_metric(profile.windows[0])
    found = source.series(name + burn_alerts.selector(spec.identity_labels(slo)), *span)
    return np.unique(np.concatenate([np.array([], dtype=np.int64), *(each.times for each in found)]))


def _moment(text: str, now: float, option: str) -> float:
    """Return Unix seconds for RFC 3339, `-2h` (before now) or `now`."""
    if text == "now":
        return now
    try:
        if text.startswith("-"):
            return now - parse.seconds(text[1:])
        return TypeAdapter(AwareDatetime).validate_strings(text).timestamp()
    except (ValidationError, ValueError):
        raise typer.BadParameter(
            f"{text!r} is not a time such as 2026-01-31T08:00:00Z, -2h or now", param_hint=option
        ) from None


def _shown(found: Backtest) -> Group:
    loud = [alert for alert in found.alerts if alert.episodes]
    parts: list[Table | Text] = (
        [_episodes(loud, days=found.end - found.start > timedelta(days=1))]
        if loud
        else [Text("No alert fired, and none would have.", "bold")]
    )
    if silent := [alert for alert in found.alerts if not alert.episodes]:
        parts.append(_silent(silent))
    if blind := sorted({alert.slo for alert in found.alerts if not alert.compared}):
        parts.append(styled(f"not compared: there are no alerts for the window pairs of {', '.join(blind)}", "yellow"))
    return Group(*parts, *(styled(f"not tested: {reason}", "yellow") for reason in found.missing))


def _episodes(alerts: list[BacktestedAlert], *, days: bool) -> Table:
    table = empty_table("fired, or would have", "bold red", "alert", "predicted (UTC)", "recorded", "off, s")
    for slo, own in groupby(alerts, key=lambda alert: alert.slo):
        table.add_row(Text(slo, "bold", overflow="ignore"))
        for alert in own:
            for number, each in enumerate(alert.episodes[:_EPISODES]):
                name = " again" if number else f"{alert.severity} {alert.long_window}/{alert.short_window}"
                recorded = _span(each.recorded, days=days) if alert.compared else "?"
                table.add_row(name, _span(each.predicted, days=days), recorded, _off(each))
            if (more := len(alert.episodes) - _EPISODES) > 0:
                table.add_row(f" and {more} times more")
    return table


def _silent(alerts: list[BacktestedAlert]) -> Table:
    table = empty_table("silent", "bold", "alert", "peak burn rate", "of")
    for alert in alerts:
        name = f"{alert.slo} {alert.severity} {alert.long_window}/{alert.short_window}"
        table.add_row(name, f"{alert.peak:.3g}", f"{alert.burn_rate:g} ({alert.peak / alert.burn_rate:.0%})")
    return table


def _span(span: FiringSpan | None, *, days: bool) -> str:
    form = "%d. %H:%M" if days else "%H:%M:%S"
    return "-" if span is None else f"{span.firing:{form}}…{span.resolved.strftime(form) if span.resolved else ''}"


def _off(each: Comparison) -> str:
    known = [f"{off:+g}" for off in (each.firing_off, each.resolved_off) if off is not None]
    return ", ".join(known) or "-"
