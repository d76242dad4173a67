"""`chaosapi slo prometheus|alertmanager`: what a Prometheus and an Alertmanager of your own need for a service."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
import yaml

from chaosapi import assets, errors
from chaosapi.lab.prometheus import ScrapeTarget, TruthTarget, job_of
from chaosapi.slo import burn_alerts, spec, windows
from chaosapi.slo.spec import Spec
from chaosapi.terminal import echo, print_error

SpecOption = Annotated[
    Path | None, typer.Option("--spec", help="SLOs as a Sloth file.", show_default="the shop's alerts/slo.yaml")
]


def prometheus(
    url: Annotated[str, typer.Argument(help="The URL of the service's metrics, such as http://127.0.0.1:8000.")],
    *,
    spec_file: SpecOption = None,
    rules: Annotated[str, typer.Option(help="Path of the rule file, as `chaosapi slo rules --out` wrote it.")],
    interval: Annotated[
        str | None, typer.Option(help="Scrape interval, such as 15s.", show_default="your Prometheus' own")
    ] = None,
    admin_url: Annotated[
        str | None,
        typer.Option(help="The URL of the admin API, to scrape the metrics of faults too, for instructors."),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="The file on Prometheus' side with the admin token; with --admin-url.")
    ] = None,
) -> None:
    """Print what your prometheus.yml needs: the scrape job that the SLOs name, and the rule file."""
    try:
        target = ScrapeTarget.of_url(_with_path(url, "/metrics"), job_of(_load(spec_file)))
    except (errors.Invalid, OSError) as error:
        print_error(error)
        raise typer.Exit(1) from None
    jobs = [target.scrape_config]
    if admin_url:
        jobs.append(TruthTarget(_with_path(admin_url), target, token_file).scrape_config)
    pace = {"scrape_interval": interval} if interval else {}
    _print(
        "Add both entries to your prometheus.yml.",
        {"rule_files": [rules], "scrape_configs": [job | pace for job in jobs]},
    )


def alertmanager(
    url: Annotated[str, typer.Argument(help="The URL of the service's admin API, such as http://127.0.0.1:8001.")],
    *,
    spec_file: SpecOption = None,
    receiver: Annotated[str, typer.Option(help="Your own receiver, which still gets every alert.")] = "yours",
    token_file: Annotated[
        str | None, typer.Option(help="The file on Alertmanager's side with the admin token.")
    ] = None,
) -> None:
    """Print what your alertmanager.yml needs: a route to the service's webhook, its receiver, and the inhibition."""
    try:
        specs = spec.load_all(spec_file or assets.path("alerts") / "slo.yaml")
        source = yaml.safe_load((assets.path("alerts") / "alertmanager.yml").read_text(encoding="utf-8"))
    except (errors.Invalid, OSError) as error:
        print_error(error)
        raise typer.Exit(1) from None
    hook: dict[str, Any] = {"url": _with_path(url, "/hooks/alertmanager"), "send_resolved": True}
    if token_file:
        hook["http_config"] = {"authorization": {"type": "Bearer", "credentials_file": token_file}}
    pace = {name: source["route"][name] for name in ("group_by", "group_wait", "group_interval", "repeat_interval")}
    route = {"matchers": [_matcher(specs)], "receiver": "chaosapi", "continue": True, **pace}
    data = {
        "route": {"receiver": receiver, "routes": [route, {"receiver": receiver}]},
        "receivers": [{"name": receiver}, {"name": "chaosapi", "webhook_configs": [hook]}],
        "inhibit_rules": source["inhibit_rules"],
    }
    advice = "Put the first route before your own, which still get every alert; add the receiver and the inhibition."
    _print(advice, data)


def _matcher(specs: Sequence[Spec]) -> str:
    """Return the matcher of all alerts of these specs: by `service`, unless a file overrides that label."""
    names = [each.service for each in specs]
    pairs = [(each, slo, pair) for each in specs for slo in each.slos for pair in windows.load("production").pairs]
    kept = all(burn_alerts.labels(*each)["service"] == each[0].service for each in pairs)
    label = "service" if kept else "sloth_service"
    if len(set(names)) == 1:
        return f'{label} = "{names[0]}"'
    return f'{label} =~ "{"|".join(re.escape(name) for name in dict.fromkeys(names))}"'


def _load(given: Path | None) -> Spec:
    return spec.load(given or assets.path("alerts") / "slo.yaml")


def _with_path(url: str, path: str = "") -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise typer.BadParameter(f"{url}: write a URL with its scheme, such as http://127.0.0.1:8000", param_hint="URL")
    return url if parts.path.strip("/") else f"{url.rstrip('/')}{path}"


def _print(advice: str, data: dict[str, Any]) -> None:
    echo(f"# {advice}\n{yaml.safe_dump(data, sort_keys=False).rstrip()}")
