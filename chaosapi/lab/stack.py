"""Start and stop a whole lab: its parts in the order of their dependencies."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from chaosapi import assets
from chaosapi.clients.admin import AdminClient
from chaosapi.clients.alertmanager import AlertmanagerClient
from chaosapi.clients.errors import ClientError
from chaosapi.clients.exchange import Client, asked, ready
from chaosapi.clients.prometheus import PrometheusClient
from chaosapi.lab import (
    alertmanager,
    console,
    coverage,
    environment,
    folders,
    grafana,
    history,
    locustfile,
    ports,
    prometheus,
    service,
    tools,
    traces,
    traffic,
)
from chaosapi.lab.errors import LabError, NotReadyError
from chaosapi.lab.ports import Ports, address, url
from chaosapi.lab.processes import Programs
from chaosapi.lab.prometheus import ScrapeTarget
from chaosapi.lab.service import DemoShop, Endpoints, Service
from chaosapi.lab_addresses import LabAddresses
from chaosapi.settings import SettingsError, token_from_environment
from chaosapi.slo import cause_alerts, files, spec, windows
from chaosapi.slo.annotations import LinkBases
from chaosapi.slo.spec import Spec
from chaosapi.slo.windows import Profile

LOCUSTFILE: Final = "locustfile.py"
"""The generated Locust file, in the folder of the lab."""
_MAX_SCRAPE_INTERVAL_S: Final = 5.0  # seconds; the production profile could do with 60, but people are watching
_MEASURED_S: Final = 10.0
"""Seconds of traffic that show how many requests each route of an own service gets."""
_SCRAPES: Final = 10
"""As many scrapes in a row show the traffic; two of them may be late."""
_SETTLING_S: Final = 2.0
"""Seconds in which Locust starts its users."""


@dataclass(frozen=True)
class Options:
    """The options of a lab: the folder of its data, its profile and ports, its service, traffic and console.

    With `traffic` Locust sends requests from the start, `rate` per second. To the shop it sends the steady scenario, to
    another service `locustfile`, whose users are `rate` in number, or one that is generated.
    """

    folder: Path
    profile: str = "lab"
    ports: Ports = field(default_factory=Ports)
    rate: float = 20.0
    traffic: bool = False
    console: bool = False
    service: Service = field(default_factory=DemoShop)
    locustfile: Path | None = None
    token: str | None = None
    """The admin token; that of the environment unless given."""


@dataclass(frozen=True)
class Lab:
    """A lab: its parts and their ports, and clients of them; `interval` is that of scrapes and evaluations."""

    parts: Programs
    options: Options
    ports: Ports
    profile: Profile
    interval: float
    endpoints: Endpoints
    target: ScrapeTarget
    admin: AdminClient
    """Talks to the port that answers whatever a fault does to the other."""
    prometheus: PrometheusClient
    with_grafana: bool
    with_console: bool
    token_file: Path | None

    @property
    def addresses(self) -> LabAddresses:
        """Return what the commands of this user read."""
        return LabAddresses(
            service=self.endpoints.users,
            admin=self.endpoints.admin,
            prometheus=url(self.ports.prometheus),
            alertmanager=url(self.ports.alertmanager),
            grafana=url(self.ports.grafana) if self.with_grafana else None,
            console=url(self.ports.console) if self.with_console else None,
            locust=url(self.ports.locust),
            locust_metrics=address(self.ports.loadtest) if isinstance(self.options.service, DemoShop) else None,
            job=self.target.job,
            profile=self.options.profile,
            slo=str(self.options.service.slo.resolve()),
            token_file=str(self.token_file) if self.token_file else None,
            log=str(self.parts.find(service.PROGRAM).log) if self.options.service.starts else None,
            traces=self._traces(),
        )

    def _traces(self) -> str | None:
        place = traces.folder(self.parts.logs) if self.options.service.starts else None
        return str(place) if place else None

    @property
    def links(self) -> dict[str, str]:
        """Return the URLs of the web pages by name."""
        docs = "/docs" if isinstance(self.options.service, DemoShop) else ""
        links = {
            "service": self.endpoints.users + docs,
            "admin API": f"{self.endpoints.admin}/admin/docs",
            "Prometheus": url(self.ports.prometheus),
            "Alertmanager": url(self.ports.alertmanager),
        }
        if self.with_console:
            links = {"console": url(self.ports.console)} | links
        return links | ({"Grafana": url(self.ports.grafana)} if self.with_grafana else {})

    def first_problem(self) -> str:
        """Return the first problem: a target that is not up, a rule that is not loaded or fails; empty without any."""
        targets = prometheus.target_health(self.prometheus)
        down = [f"target {url} is {health}" for url, health in targets.items() if health != "up"]
        rules = prometheus.rules(self.prometheus)
        bad = [f"rule {rule.name} is {rule.health}" for rule in rules if not rule.fine(self.interval)]
        none = [f"no {what} yet" for what, found in (("targets", targets), ("rules", rules)) if not found]
        return next(iter(down + bad + none), "")


@contextmanager
def running(options: Options, report: Callable[[str], None]) -> Iterator[Lab]:
    """Start a lab, yield it when every target is up and every rule loaded, and stop it afterwards.

    Raises LabError when a tool or a free port is missing, or a part does not start; nothing is left running then.
    """
    profile = windows.load(options.profile)
    promised = spec.load(options.service.slo)
    rules = _rules(options.service.slo, promised, options.profile)
    job = prometheus.job_of(promised)
    programs = tools.ensure_programs("prometheus", "promtool", "alertmanager", report=report)
    with_grafana = grafana.find() is not None
    with_console = options.console and console.is_installed()
    is_shop = isinstance(options.service, DemoShop)
    used = options.ports.by_option(
        with_grafana=with_grafana,
        with_traffic=options.traffic and is_shop,
        with_console=with_console,
        with_service=options.service.starts,
    )
    ports.check_free(used)
    folder = options.folder.resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    token = _token(options)
    with ExitStack() as cleanup:
        parts = cleanup.enter_context(Programs(folder / "logs"))
        report("starting the service" if options.service.starts else "looking for the service")
        endpoints = options.service.start(parts, options.ports, options.profile, token)
        target = ScrapeTarget.of_url(endpoints.metrics, job)
        _check_coverage(options.service.slo, promised, endpoints, target)
        admin = cleanup.enter_context(AdminClient(endpoints.admin, token=token, timeout_s=service.TIMEOUT_S))
        store = cleanup.enter_context(PrometheusClient(url(options.ports.prometheus), timeout_s=service.TIMEOUT_S))
        interval = min(profile.step, _MAX_SCRAPE_INTERVAL_S)
        lab = Lab(
            parts,
            options,
            options.ports,
            profile,
            interval,
            endpoints,
            target,
            admin,
            store,
            with_grafana,
            with_console,
            _write_token(folder, token, cleanup) if token else None,
        )
        if options.traffic:  # before Prometheus, so that there is no gap between its past and its present
            report("starting Locust")
            _start_traffic(lab, folder)
        report("starting Alertmanager")
        _start_alertmanager(lab, programs["alertmanager"], folder, token)
        if not (folder / "prometheus").exists():  # a store that was there before has its own past
            _seed_history(lab, programs["promtool"], folder / "prometheus", report)
        report("starting Prometheus")
        _start_prometheus(lab, programs["prometheus"], folder, rules)
        if with_grafana:
            report("starting Grafana")
            _start_grafana(lab, folder / "grafana")
        if with_console:  # it shows itself what is not up yet
            report("starting the console")
            command = console.command(options.ports, endpoints.admin, job)
            env = environment.console(os.environ) | ({"CHAOSAPI_ADMIN_TOKEN": token} if token else {})
            parts.start("console", command, env)
        report("waiting for the first scrape and evaluation")
        _wait_until_healthy(lab)
        if options.traffic:
            report(f"waiting until Prometheus has seen the traffic for {_SCRAPES} scrapes")
            _wait_until_traffic_is_seen(lab)
        yield lab


def _token(options: Options) -> str | None:
    try:
        return token_from_environment({"CHAOSAPI_ADMIN_TOKEN": options.token} if options.token else os.environ)
    except SettingsError as error:
        raise LabError(str(error)) from None


def _write_token(folder: Path, token: str, cleanup: ExitStack) -> Path:
    """Write the token into a file for the commands of this user; it is removed with the lab."""
    file = folder / "token"
    folders.write_private(file, token)
    cleanup.callback(file.unlink, missing_ok=True)
    return file


def _rules(source: Path, promised: Spec, profile: str) -> str:
    """Return the rules of an SLO file and of the causes.yaml in its folder; raises errors.Invalid."""
    return files.rule_file([promised], profile, causes=cause_alerts.load_from_folder_of(source))


def _check_coverage(source: Path, promised: Spec, endpoints: Endpoints, target: ScrapeTarget) -> None:
    """Raise LabError where an SLO selects what the service does not have."""
    known = coverage.series(endpoints.exposition(), target.labels)
    if missing := coverage.uncovered(promised, known):
        raise LabError("\n".join(f"{source}: {each}" for each in missing))


def _start_traffic(lab: Lab, folder: Path) -> None:
    options = lab.options
    if isinstance(options.service, DemoShop):
        command = traffic.shop_command(options.ports, options.rate)
        lab.parts.start("locust", command, environment.traffic(os.environ))
        return
    file = options.locustfile or _generate_locustfile(lab, folder)
    command = traffic.file_command(file, max(1, round(options.rate)), lab.endpoints.users)
    lab.parts.start("locust", command, environment.own_traffic(os.environ))


def _generate_locustfile(lab: Lab, folder: Path) -> Path:
    """Write a Locust file for the GET routes of the service."""
    users = lab.endpoints.users
    counted = history.counted_requests(lab.endpoints.exposition())
    templates = list(dict.fromkeys(handler for method, handler, _ in counted if method == "GET" and handler[0] == "/"))
    documents = _openapi_documents(users, templates)
    path = folder / LOCUSTFILE
    path.write_text(locustfile.write(users, documents, templates), encoding="utf-8")
    return path


def _openapi_documents(users: str, templates: list[str]) -> dict[str, Any]:
    """Return the OpenAPI documents of the app and of the apps mounted in it, by path; an app may have or show none."""
    documents: dict[str, Any] = {}
    with Client(users, timeout_s=service.TIMEOUT_S) as client:

        def read(mount: str) -> None:
            with suppress(ClientError):
                found = client.run(asked("GET", mount + locustfile.DOCUMENT, dict[str, Any]))
                if "openapi" in found:
                    documents[mount] = found

        read("")
        for mount in locustfile.mounts(locustfile.undescribed(documents, templates)):
            read(mount)
    return documents


def _start_alertmanager(lab: Lab, program: Path, folder: Path, token: str | None) -> None:
    port = lab.ports.alertmanager
    config_file = folder / "alertmanager.yml"
    source = (assets.path("alerts") / "alertmanager.yml").read_text(encoding="utf-8")
    webhook = f"{lab.endpoints.admin}/hooks/alertmanager"
    folders.write_private(config_file, alertmanager.config(source, webhook=webhook, token=token))
    data = folder / "alertmanager"
    command = alertmanager.command(program, config_file=config_file, data=data, listen=address(port))
    lab.parts.start("alertmanager", command)
    with AlertmanagerClient(url(port), timeout_s=service.TIMEOUT_S) as client:
        lab.parts.wait_until(client.is_ready, f"Alertmanager on port {port}")


def _seed_history(lab: Lab, promtool: Path, data: Path, report: Callable[[str], None]) -> None:
    if isinstance(lab.options.service, DemoShop):
        rates = history.shop_rates(lab.options.rate)
    else:
        report("measuring the traffic of each route")
        rates = _measure_traffic(lab, report)
        if not rates:
            report("no traffic: Prometheus starts without a past, and long windows see nothing but the fault")
            return
    report("seeding a healthy past")
    before = lab.endpoints.exposition()
    times = history.sample_times(lab.profile, time.time())
    past = history.healthy_series(before, rates, lab.target.labels, times[-1] - times[0])
    history.import_history(history.openmetrics(past, times), promtool, data)
    _seed_recent(lab, promtool, data, before, times[-1])


def _seed_recent(lab: Lab, promtool: Path, data: Path, before: str, since: float) -> None:
    """Add what the service has counted while its past was imported: a gap would look as if its traffic had paused."""
    after = lab.endpoints.exposition()
    until = time.time()
    steps = int((until - since) / lab.interval)
    if steps:
        times = [since + lab.interval * number for number in range(1, steps + 1)]
        recent = history.recent_series(before, after, lab.target.labels, until - since)
        history.import_history(history.openmetrics(recent, times, since), promtool, data)


def _measure_traffic(lab: Lab, report: Callable[[str], None]) -> history.Rates:
    """Return the rates of the service's requests over some seconds, from the first request on if Locust sends them.

    Reports routes that do not succeed: those who wrote the Locust file may not know.
    """
    before = lab.endpoints.exposition()
    if lab.options.traffic:
        idle = history.counted_requests(before)
        lab.parts.wait_until(
            lambda: history.counted_requests(lab.endpoints.exposition()) != idle,
            "a request from Locust that the service counts",
            every=0.5,
        )
        _pause(lab, _SETTLING_S)
        before = lab.endpoints.exposition()
    start = time.monotonic()
    _pause(lab, _MEASURED_S)
    seconds = time.monotonic() - start
    after = lab.endpoints.exposition()
    for method, handler, status in sorted(history.requests_between(before, after)):
        if not status.startswith(("2", "3")):
            report(f"{method} {handler} answers {status}")
    return history.measured_rates(before, after, seconds)


def _pause(lab: Lab, seconds: float) -> None:
    """Wait while all parts live."""
    end = time.monotonic() + seconds
    lab.parts.wait_until(lambda: time.monotonic() >= end, "the traffic", timeout=seconds + 1)


def _start_prometheus(lab: Lab, program: Path, folder: Path, rules: str) -> None:
    port = lab.ports.prometheus
    config_file = folder / "prometheus.yml"
    rules_file = folder / "rules.yml"
    if lab.with_grafana:  # then the links of alerts lead there, wherever they are read
        rules = LinkBases(grafana=url(lab.ports.grafana)).complete_rules(rules)
    rules_file.write_text(rules, encoding="utf-8")
    config = prometheus.config(
        target=lab.target,
        truth=prometheus.TruthTarget(lab.endpoints.admin, lab.target, lab.token_file),
        alertmanager=address(lab.ports.alertmanager),
        rules=rules_file,
        interval=lab.interval,
        loadtest=address(lab.ports.loadtest) if isinstance(lab.options.service, DemoShop) else None,
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
    with Client(url(port), timeout_s=service.TIMEOUT_S) as client:
        lab.parts.wait_until(lambda: client.run(ready("/api/health")), f"Grafana on port {port}", timeout=90)


def _wait_until_healthy(lab: Lab) -> None:
    """Wait until there is no problem; the error has the last one."""
    problems = ["nothing is known yet"]

    def settled() -> bool:
        problems.append(lab.first_problem())
        return not problems[-1]

    try:
        lab.parts.wait_until(settled, "all targets up and all rules loaded", every=0.2)
    except ClientError as error:
        raise LabError(f"Prometheus does not answer: {error}") from error
    except NotReadyError as error:
        raise NotReadyError(f"{error}: {problems[-1]}") from error


def _wait_until_traffic_is_seen(lab: Lab) -> None:
    """Wait until Prometheus has scrapes enough for a rate: forecasts ask it for the traffic since the last gap."""
    scraped = f'count_over_time(up{{job="{lab.target.job}"}}[{round(1000 * _SCRAPES * lab.interval)}ms])'
    lab.parts.wait_until(
        lambda: (lab.prometheus.value(scraped) or 0) >= _SCRAPES - 2, "traffic in Prometheus", timeout=60, every=0.2
    )
