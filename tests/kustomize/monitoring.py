"""Policies: metrics are scraped, rules are loaded, alerts are delivered, and settings are valid."""

from collections.abc import Iterator
from typing import Final

from pydantic import ValidationError

from chaosapi import durations
from chaosapi.forecast.monitoring import default_monitoring
from chaosapi.settings import Settings
from chaosapi.slo import windows
from tests.kustomize.manifests import Object, amount, data, of, pods, ports, selected, title
from tests.kustomize.pods import limited

ENDING: Final = 15
"""Seconds for requests in progress and the shutdown: docs/containers.md, Stopping."""
RELEASE: Final = "monitoring"
GROUP: Final = "monitoring.coreos.com/"


def scraped(objects: list[Object]) -> Iterator[str]:
    """Require a ServiceMonitor to find one Service and port, and jobs to be those that rules and dashboards ask for."""
    jobs = []
    for item in of(objects, "ServiceMonitor"):
        services = of(objects, "Service")
        found = [each for each in services if selected(each["metadata"]["labels"], item["spec"]["selector"])]
        if len(found) != 1:
            yield f"{title(item)} selects {len(found)} Services"
            continue
        (service,) = found
        known = {port["name"] for port in service["spec"]["ports"]}
        for endpoint in item["spec"]["endpoints"]:
            if endpoint["port"] not in known:
                yield f"{title(item)} scrapes the port {endpoint['port']}, which {title(service)} lacks"
        label = item["spec"].get("jobLabel")
        jobs.append(service["metadata"]["labels"].get(label) if label else service["metadata"]["name"])
    expected = ["chaosapi", "chaosapi-admin", *(["loadtest"] if of(objects, "ServiceMonitor")[2:] else [])]
    if jobs and sorted(map(str, jobs)) != expected:
        yield f"the jobs are {jobs}, rules and dashboards ask for {expected}"


def picked(objects: list[Object]) -> Iterator[str]:
    """Require the label by which the release selects on all objects of the operator, and Grafana's on dashboards."""
    for item in objects:
        if item["apiVersion"].startswith(GROUP) and item["metadata"].get("labels", {}).get("release") != RELEASE:
            yield f"{title(item)} has no label release={RELEASE}"
    for item in of(objects, "ConfigMap"):
        if any(name.endswith(".json") for name in item["data"]):
            labels = item["metadata"].get("labels", {})
            if labels.get("grafana_dashboard") != "1":
                yield f"{title(item)} has no label grafana_dashboard=1"


def delivered(objects: list[Object]) -> Iterator[str]:
    """Require the alerts of this service only from a shared Alertmanager, and the label for it on every alert."""
    for item in of(objects, "AlertmanagerConfig"):
        services = [each["value"] for each in item["spec"]["route"].get("matchers", ()) if each["name"] == "service"]
        if not services:
            yield f"{title(item)} routes the alerts of the whole cluster"
        for rules in of(objects, "PrometheusRule"):
            for rule in (rule for group in rules["spec"]["groups"] for rule in group["rules"] if "alert" in rule):
                if rule["labels"].get("service") not in services:
                    yield f"{title(rules)} {rule['alert']} is not routed by {title(item)}"


def profiled(objects: list[Object]) -> Iterator[str]:
    """Require forecasts with the deployed rules, fast enough scrapes, and Alertmanager's group_wait."""
    profile = windows.load(data(objects, "chaosapi")["CHAOSAPI_PROFILE"])
    step = windows.format_window(profile.step)
    for item in of(objects, "PrometheusRule"):
        if step not in {group.get("interval") for group in item["spec"]["groups"]}:
            yield f"{title(item)} is not evaluated every {step}, as CHAOSAPI_PROFILE needs"
    for item in of(objects, "ServiceMonitor"):
        for endpoint in item["spec"]["endpoints"]:
            if durations.parse(endpoint["interval"]) * windows.MIN_SCRAPES_PER_WINDOW > profile.windows[0]:
                shortest = windows.format_window(profile.windows[0])
                yield f"{title(item)} scrapes every {endpoint['interval']}: too slow for {shortest}"
            if durations.parse(endpoint["scrapeTimeout"]) > durations.parse(endpoint["interval"]):
                yield f"{title(item)} waits longer for a scrape than until the next"
    told = default_monitoring(profile)
    for item in of(objects, "AlertmanagerConfig"):
        for name, expected in (("groupWait", told.group_wait), ("groupInterval", told.group_interval)):
            if durations.parse(found := item["spec"]["route"][name]) != expected:
                yield f"{title(item)} has {name}: {found}, forecasts take it to be {durations.format(expected)}"


def configured(objects: list[Object]) -> Iterator[str]:
    """Require settings with which the service starts, on the ports of its container, below its limits."""
    variables = data(objects, "chaosapi")
    fields = {name.removeprefix("CHAOSAPI_").lower(): value for name, value in variables.items()}
    if unknown := fields.keys() - Settings.model_fields.keys():
        yield f"ConfigMap/chaosapi sets {sorted(unknown)}, which the service does not know"
        return
    try:
        settings = Settings.model_validate({**fields, "admin_token": "given"})
    except ValidationError as error:
        yield f"ConfigMap/chaosapi is refused: {error}"
        return
    (pod,) = pods(objects, {"matchLabels": {"app.kubernetes.io/name": "chaosapi"}})
    if ports(pod) != {"http": settings.port, "admin": settings.admin_port}:
        listens = f"{settings.port} and {settings.admin_port}"
        yield f"Deployment/chaosapi declares {ports(pod)}, the service listens on {listens}"
    if list(limited(objects)):
        return  # that policy says it already
    limits = pod["spec"]["containers"][0]["resources"]["limits"]
    if settings.max_memory > 0.75 * amount(limits["memory"]) or settings.max_cpu >= amount(limits["cpu"]):
        yield "Deployment/chaosapi would be killed or throttled by its limits before a fault reaches its own"


def graceful(objects: list[Object]) -> Iterator[str]:
    """Require Kubernetes to wait until the service has drained and ended by itself."""
    try:
        delay = durations.parse(data(objects, "chaosapi").get("CHAOSAPI_DRAIN_DELAY", "0s"))
    except ValueError:
        return  # `configured` says it already
    for pod in pods(objects, {"matchLabels": {"app.kubernetes.io/name": "chaosapi"}}):
        given = pod["spec"].get("terminationGracePeriodSeconds", 30)
        if given <= delay + ENDING:
            yield f"Deployment/chaosapi is killed after {given} s: it may take {delay + ENDING:g} s to end"


def shared(objects: list[Object]) -> Iterator[str]:
    """Require several replicas to share their faults."""
    (own,) = [item for item in of(objects, "Deployment") if item["metadata"]["name"] == "chaosapi"]
    many = of(objects, "HorizontalPodAutoscaler") or own["spec"].get("replicas", 1) > 1
    if many and not data(objects, "chaosapi").get("CHAOSAPI_STORE", "memory://").startswith("redis"):
        yield "several replicas, and a fault reaches only one of them: CHAOSAPI_STORE is not shared"


def shown(objects: list[Object]) -> Iterator[str]:
    """Require the overlay's Grafana to mount every dashboard and need no password, without the operator."""
    for item in of(objects, "Deployment"):
        if item["metadata"]["name"] == "chaosapi-grafana":
            pod = item["spec"]["template"]["spec"]
            mounts = {
                source["configMap"]["name"]
                for each in pod["volumes"]
                for source in each.get("projected", {}).get("sources", ())
            }
            boards = {
                each["metadata"]["name"]
                for each in of(objects, "ConfigMap")
                if each["metadata"].get("labels", {}).get("grafana_dashboard")
            }
            if mounts != boards:
                yield f"{title(item)} shows {sorted(mounts)}, there are {sorted(boards)}"
            environment = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
            if environment.get("GF_AUTH_BASIC_ENABLED") != "false":
                yield f"{title(item)} takes admin:admin: set GF_AUTH_BASIC_ENABLED to false"
            if any(each["apiVersion"].startswith(GROUP) for each in objects):
                yield f"{title(item)} stands beside objects of the operator"
