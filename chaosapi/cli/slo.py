"""`chaosapi slo`: lint and explain an SLO file; generate rules, their promtool tests, and configuration."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich import box
from rich.table import Table

from chaosapi import assets, errors
from chaosapi.cli import here, parse
from chaosapi.cli.lazy import LazyCommand, lazy_group
from chaosapi.slo import cause_alerts, explain, files, promtool, spec, windows
from chaosapi.slo.annotations import LinkBases
from chaosapi.slo.feasibility import Conditions
from chaosapi.slo.lint import Finding
from chaosapi.slo.lint import lint as findings
from chaosapi.terminal import Terminal, echo, print_error, styled

_OTHERS: Final = {
    "prometheus": LazyCommand("chaosapi.cli.slo_monitoring", "prometheus", "slo"),
    "alertmanager": LazyCommand("chaosapi.cli.slo_monitoring", "alertmanager", "slo"),
    "backtest": LazyCommand("chaosapi.cli.backtest", "backtest", "forecast"),
}

app = typer.Typer(
    cls=lazy_group(_OTHERS),
    no_args_is_help=True,
    help="Check and explain an SLO file; generate rules, their tests, and configuration for your own Prometheus.",
)


class Kind(StrEnum):
    """The output format of the rules."""

    GROUPS = "groups"
    PROMETHEUSRULE = "prometheusrule"


_SPEC_HELP = "SLOs as a Sloth file: prometheus/v1, or the kind PrometheusServiceLevel."
_SHOP = "the shop's alerts/slo.yaml"
ProfileOption = Annotated[
    str, typer.Option("--profile", help=f"Alert windows: {', '.join(windows.NAMES)}, or a Sloth AlertWindows file.")
]
KnownProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        help=f"Alert windows: {', '.join(windows.NAMES)}, or a Sloth AlertWindows file.",
        show_default=here.PROFILE_DEFAULT,
    ),
]
SpecOption = Annotated[Path | None, typer.Option("--spec", metavar="FILE", help="The same as the argument FILE.")]
SpecArgument = Annotated[Path | None, typer.Argument(metavar="FILE", help=_SPEC_HELP, show_default=_SHOP)]
OutOption = Annotated[Path | None, typer.Option("--out", help="The file to write.", show_default="print")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ScrapeOption = Annotated[
    str | None, typer.Option(help="Your scrape interval, such as 15s; windows too short for it are errors.")
]
RetentionOption = Annotated[
    str | None, typer.Option(help="Retention of your Prometheus, such as 15d; a longer SLO period is an error.")
]
RequestsOption = Annotated[
    float | None, typer.Option(min=0, help="Traffic of each SLO's service; warn where one failure would fire an alert.")
]
GrafanaOption = Annotated[
    str, typer.Option(help="The URL of your Grafana with chaosapi's dashboards, to link alerts to them.")
]
RunbookOption = Annotated[
    str, typer.Option(help="The base URL of your runbooks, before paths such as alerts/runbooks/.")
]
FailuresOption = Annotated[
    int, typer.Option(min=1, help="Bad events in the long window before an alert may fire; for low traffic.")
]


@app.command()
def lint(
    *,
    file: SpecArgument = None,
    spec_file: SpecOption = None,
    profile: ProfileOption = "production",
    scrape_interval: ScrapeOption = None,
    retention: RetentionOption = None,
    requests_per_second: RequestsOption = None,
    min_failures: FailuresOption = 1,
    as_json: JsonOption = False,
) -> None:
    """List errors and warnings by line and field; the exit code is 1 if there is an error."""
    with _refusing():
        where = _conditions(scrape_interval, retention, requests_per_second, min_failures)
        source = _spec(file, spec_file)
        found = findings(source, windows.load(profile), profile, where)
    if as_json:
        echo(json.dumps([finding._asdict() for finding in found], indent=2))
    else:
        for finding in found:
            echo(str(finding))
        if not found:
            echo(f"{source}: no findings", err=True)
    raise typer.Exit(any(finding.level == "error" for finding in found))


@app.command("explain")
def explanation(
    *,
    file: SpecArgument = None,
    spec_file: SpecOption = None,
    profile: ProfileOption = "production",
    as_json: JsonOption = False,
) -> None:
    """Explain each alert by the formulas of the SRE Workbook: detection time, reset time and budget spent."""
    with _refusing():
        chosen = windows.load(profile)
        facts = [explain.explain(one, slo, chosen) for one in spec.load_all(_spec(file, spec_file)) for slo in one.slos]
    if as_json:
        echo(json.dumps([explain.as_json(each) for each in facts], indent=2))
        return
    console = Terminal()
    for each in facts:
        console.print(styled(f"{each.service} {each.slo}", "bold"))
        for sentence in explain.sentences(each):
            console.print(sentence)
        if each.pairs:
            console.print(_table(each))
    console.print("Add up to a scrape interval, an evaluation interval and Alertmanager's group_wait to these times.")


@app.command()
def rules(
    *,
    file: SpecArgument = None,
    spec_file: SpecOption = None,
    profile: ProfileOption = "production",
    out: OutOption = None,
    scrape_interval: ScrapeOption = None,
    retention: RetentionOption = None,
    requests_per_second: RequestsOption = None,
    min_failures: FailuresOption = 1,
    kind: Annotated[
        Kind, typer.Option(help="A rule file, or a PrometheusRule for the Prometheus operator.")
    ] = Kind.GROUPS,
    name: Annotated[str | None, typer.Option(help="Name of the PrometheusRule.", show_default="slo-SERVICE")] = None,
    namespace: Annotated[str | None, typer.Option(help="Namespace of the PrometheusRule.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="Label of the PrometheusRule, release=NAME for kube-prometheus-stack; repeatable."),
    ] = None,
    grafana_url: GrafanaOption = "",
    runbook_url: RunbookOption = "",
) -> None:
    """Generate recording rules and alerts, also from causes.yaml in the spec's folder if it exists."""
    with _refusing():
        where = _conditions(scrape_interval, retention, requests_per_second, min_failures)
        source = _spec(file, spec_file)
        links = LinkBases(grafana_url, runbook_url, shipped=files.has_runbooks(source))
        _guard(findings(source, windows.load(profile), profile, where))
        specs = spec.load_all(source)
        if kind is Kind.GROUPS:
            text = files.rule_file(specs, profile, min_failures, cause_alerts.load_from_folder_of(source), links)
        else:
            causes = cause_alerts.load_from_folder_of(source)
            meta = files.Metadata(name, namespace, _labels(label or []))
            text = files.prometheus_rule(specs, profile, min_failures, causes, meta, links)
        _put(text, out)


@app.command("tests")
def unit_tests(
    *,
    file: SpecArgument = None,
    profile: ProfileOption = "production",
    pair: Annotated[
        str | None, typer.Option(help="The window pair to test, such as 1h/5m.", show_default="the fastest")
    ] = None,
    spec_file: SpecOption = None,
    traffic: Annotated[
        Path | None,
        typer.Option(
            help="The series that one good and one bad event increment, by SLO.",
            show_default="traffic.yaml in the spec's folder; else derived from the queries",
        ),
    ] = None,
    rule_file: Annotated[
        str | None,
        typer.Option("--rules", help="Path of the rule file from the test file.", show_default="../rules/PROFILE.yml"),
    ] = None,
    min_failures: FailuresOption = 1,
    out: OutOption = None,
) -> None:
    """Generate tests for `promtool test rules` that check when each alert fires and resolves."""
    with _refusing():
        source = _spec(file, spec_file)
        _guard(findings(source, windows.load(profile), profile, Conditions(min_failures=min_failures)))
        text = files.unit_tests(
            spec.load_all(source),
            profile,
            windows.load(profile).pair(pair),
            traffic=promtool.load(traffic, source),
            rules=rule_file or f"../rules/{Path(profile).stem}.yml",
            min_failures=min_failures,
        )
        _put(text, out)


@app.command()
def generate(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="Folder with slo.yaml, traffic.yaml, optionally causes.yaml.", show_default="the shop's alerts/"
        ),
    ] = None,
) -> None:
    """Write rules/, prometheusrules/ and tests/ into the folder of slo.yaml, for all built-in profiles."""
    with _refusing():
        for path, text in files.generated(folder or assets.path("alerts")).items():
            _put(text, path)


def _spec(file: Path | None, option: Path | None) -> Path:
    if file and option:
        raise typer.BadParameter(f"two SLO files: {file}, and --spec {option}")
    return file or option or assets.path("alerts") / "slo.yaml"


def _conditions(
    scrape_interval: str | None, retention: str | None, requests_per_second: float | None, min_failures: int
) -> Conditions:
    return Conditions(
        _seconds(scrape_interval, "--scrape-interval"),
        _seconds(retention, "--retention"),
        requests_per_second,
        min_failures,
    )


def _seconds(text: str | None, option: str) -> float | None:
    try:
        return None if text is None else parse.seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _guard(found: list[Finding]) -> None:
    """Raise errors.Invalid if there are errors; print warnings."""
    if wrong := [str(finding) for finding in found if finding.level == "error"]:
        raise errors.Invalid("\n".join(wrong))
    for finding in found:
        echo(str(finding), err=True)


def _labels(given: list[str]) -> dict[str, str]:
    for label in given:
        if "=" not in label:
            raise errors.Invalid.field("--label", f"{label} has no value: write NAME=VALUE")
    return dict(label.split("=", 1) for label in given)


def _table(facts: explain.SloExplanation) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("windows")
    for pair in facts.pairs:
        table.add_column(
            f"{windows.format_window(pair.long)}/{windows.format_window(pair.short)}", justify="right", no_wrap=True
        )
    for title, cells in explain.rows(facts):
        table.add_row(title, *cells)
    return table


def _put(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text, nl=False)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    typer.echo(f"wrote {out}", err=True)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn errors.Invalid and OSError into a message and exit code 1."""
    try:
        yield
    except (errors.Invalid, OSError) as error:
        print_error(error)
        raise typer.Exit(1) from None
