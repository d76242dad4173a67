"""The lab as a whole: its parts in the order in which they need each other."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from chaosapi import assets
from chaosapi.clients.admin import AdminClient
from chaosapi.clients.alertmanager import AlertmanagerClient
from chaosapi.clients.errors import ClientError
from chaosapi.clients.exchange import Client, ready, text
from chaosapi.clients.prometheus import PrometheusClient
from chaosapi.lab import (
    alertmanager,
    console,
    environment,
    folders,
    grafana,
    history,
    ports,
    prometheus,
    service,
    tools,
    traffic,
)
from chaosapi.lab.errors import LabError, NotReadyError
from chaosapi.lab.ports import Ports, address, url
from chaosapi.lab.processes import Programs
from chaosapi.settings import SettingsError, token_from_environment
from chaosapi.slo import windows
from chaosapi.slo.annotations import LinkBases
from chaosapi.slo.windows import Profile

_MAX_SCRAPE_INTERVAL_S: Final = 5.0  # seconds; the production profile could do with 60, but people are watching
_TIMEOUT_S: Final = 5.0  # seconds until a part that does not answer is taken for down


@dataclass(frozen=True)
class Options:
    """What can be chosen about a lab: where its data goes, its profile and ports, its traffic, and the console.

    `rate` is the traffic of the seeded past in requests/s; with `traffic` Locust goes on with it in the present.
    """

    folder: Path
    profile: str = "lab"
    ports: Ports = field(default_factory=Ports)
    rate: float = 20.0
    traffic: bool = False
    console: bool = False


@dataclass(frozen=True)
class Lab:
    """A lab: its parts and their ports, and clients of them; `interval` is that of scrapes and evaluations."""

    parts: Programs
    ports: Ports
    profile: Profile
    interval: float
    users: Client
    """Talks to the port that users see."""
    admin: AdminClient
    """Talks to the port that answers whatever a fault does to the other."""
    prometheus: PrometheusClient
    with_grafana: bool
    with_console: bool

    @property
    def links(self) -> dict[str, str]:
        """What a person opens, by its name."""
        links = {
            "service": f"{url(self.ports.service)}/docs",
            "admin API": f"{url(self.ports.admin)}/admin/docs",
            "Prometheus": url(self.ports.prometheus),
            "Alertmanager": url(self.ports.alertmanager),
        }
        if self.with_console:
            links = {"console": url(self.ports.console)} | links
        return links | ({"Grafana": url(self.ports.grafana)} if self.with_grafana else {})

    def first_problem(self) -> str:
        """Return what is not as it should be: a target that is not up, a rule that is not loaded or fails."""
        targets = prometheus.target_health(self.prometheus)
        down = [f"target {url} is {health}" for url, health in targets.items() if health != "up"]
        rules = prometheus.rules(self.prometheus)
        bad = [f"rule {rule.name} is {rule.health}" for rule in rules if not rule.fine(self.interval)]
        none = [f"no {what} yet" for what, found in (("targets", targets), ("rules", rules)) if not found]
        return next(iter(down + bad + none), "")


@contextmanager
def running(options: Options, say: Callable[[str], None]) -> Iterator[Lab]:
    """Start a lab, give it to the block once every target is up and every rule loaded, and stop it afterwards.

    Raises LabError when a tool or a free port is missing, or a part does not start; nothing is left running then.
    """
    profile = windows.load(options.profile)
    rules = _rules_file(options.profile)
    programs = tools.ensure_programs("prometheus", "promtool", "alertmanager", say=say)
    with_grafana = grafana.find() is not None
    with_console = options.console and console.is_installed()
    ports.check_free(
        options.ports.by_option(with_grafana=with_grafana, with_traffic=options.traffic, with_console=with_console)
    )
    folder = options.folder.resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    token = _token()
    with (
        Programs(folder / "logs") as parts,
        Client(url(options.ports.service), timeout_s=_TIMEOUT_S) as users,
        AdminClient(url(options.ports.admin), token=token, timeout_s=_TIMEOUT_S) as admin,
        PrometheusClient(url(options.ports.prometheus), timeout_s=_TIMEOUT_S) as store,
    ):
        interval = min(profile.step, _MAX_SCRAPE_INTERVAL_S)
        lab = Lab(parts, options.ports, profile, interval, users, admin, store, with_grafana, with_console)
        say("starting the service")
        command = service.command(options.ports.service, options.ports.admin)
        env = environment.service(os.environ)
        env |= {"CHAOSAPI_ADMIN_HOST": ports.HOST, "CHAOSAPI_PROFILE": options.profile}
        parts.start("service", command, env)
        parts.wait_until(lambda: users.run(ready("/readyz")), f"the service on port {options.ports.service}")
        if options.traffic:  # before Prometheus, so that its past goes over into its present without a gap
            say("starting Locust")
            parts.start("locust", traffic.command(options.ports, options.rate), environment.traffic(os.environ))
        say("starting Alertmanager")
        _start_alertmanager(lab, programs["alertmanager"], folder, token)
        if not (folder / "prometheus").exists():  # a store that was there before has its own past
            say("seeding a healthy past")
            _seed_history(lab, programs["promtool"], folder / "prometheus", options.rate)
        say("starting Prometheus")
        _start_prometheus(lab, programs["prometheus"], folder, rules)
        if with_grafana:
            say("starting Grafana")
            _start_grafana(lab, folder / "grafana")
        if with_console:  # it need not be waited for: it says itself what is not there yet
            say("starting the console")
            parts.start("console", console.command(options.ports), environment.console(os.environ))
        _wait_until_healthy(lab)
        yield lab


def _token() -> str | None:
    try:
        return token_from_environment(os.environ)
    except SettingsError as error:
        raise LabError(str(error)) from None


def _start_alertmanager(lab: Lab, program: Path, folder: Path, token: str | None) -> None:
    port = lab.ports.alertmanager
    config_file = folder / "alertmanager.yml"
    source = (assets.path("alerts") / "alertmanager.yml").read_text(encoding="utf-8")
    webhook = f"{url(lab.ports.admin)}/hooks/alertmanager"
    folders.write_private(config_file, alertmanager.config(source, webhook=webhook, token=token))
    data = folder / "alertmanager"
    command = alertmanager.command(program, config_file=config_file, data=data, listen=address(port))
    lab.parts.start("alertmanager", command)
    with AlertmanagerClient(url(port), timeout_s=_TIMEOUT_S) as client:
        lab.parts.wait_until(client.is_ready, f"Alertmanager on port {port}")


def _seed_history(lab: Lab, promtool: Path, data: Path, rate: float) -> None:
    past = history.healthy_series(lab.users.run(text("/metrics")), rate, prometheus.labels(address(lab.ports.service)))
    chunks = history.openmetrics(past, history.sample_times(lab.profile, time.time()))
    history.import_history(chunks, promtool, data)


def _start_prometheus(lab: Lab, program: Path, folder: Path, rules: Path) -> None:
    port = lab.ports.prometheus
    config_file = folder / "prometheus.yml"
    if lab.with_grafana:  # then the links of alerts lead there, wherever they are read
        whole = LinkBases(grafana=url(lab.ports.grafana)).complete_rules(rules.read_text(encoding="utf-8"))
        rules = folder / "rules.yml"
        rules.write_text(whole, encoding="utf-8")
    target = address(lab.ports.service)
    to_alertmanager = address(lab.ports.alertmanager)
    config = prometheus.config(
        target=target,
        alertmanager=to_alertmanager,
        rules=rules,
        interval=lab.interval,
        loadtest=address(lab.ports.loadtest),
    )
    config_file.write_text(config, encoding="utf-8")
    data = folder / "prometheus"
    command = prometheus.command(program, config_file=config_file, data=data, listen=address(port))
    lab.parts.start("prometheus", command)
    lab.parts.wait_until(lab.prometheus.is_ready, f"Prometheus on port {port}")


def _start_grafana(lab: Lab, folder: Path) -> None:
    port = lab.ports.grafana
    provisioning = folder / "provisioning"
    grafana.provision(
        provisioning,
        prometheus=url(lab.ports.prometheus),
        interval=lab.interval,
        dashboards=assets.path("dashboards"),
    )
    env = environment.grafana(os.environ)
    env |= grafana.environment(port=port, provisioning=provisioning, data=folder / "data")
    lab.parts.start("grafana", grafana.find() or [], env)
    with Client(url(port), timeout_s=_TIMEOUT_S) as client:
        lab.parts.wait_until(lambda: client.run(ready("/api/health")), f"Grafana on port {port}", timeout=90)


def _wait_until_healthy(lab: Lab) -> None:
    """Wait until nothing is wrong; the error says what last was."""
    troubles = ["nothing is known yet"]

    def settled() -> bool:
        troubles.append(lab.first_problem())
        return not troubles[-1]

    try:
        lab.parts.wait_until(settled, "all targets up and all rules loaded", every=0.2)
    except ClientError as error:
        raise LabError(f"Prometheus does not answer: {error}") from error
    except NotReadyError as error:
        raise NotReadyError(f"{error}: {troubles[-1]}") from error


def _rules_file(profile: str) -> Path:
    path = assets.path("alerts") / "rules" / f"{profile}.yml"
    if not path.is_file():
        raise LabError(f"there are no rules at {path}: make them with chaosapi slo rules --profile {profile}")
    return path
