"""Policies: every reference must resolve."""

import re
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

from tests.kustomize.manifests import WORKLOADS, Object, of, pods, ports, selected, templates, title

GUARDED = {"admin", "redis"}
"""The ports through which faults can be changed: the API, with its token, and the store, without one."""
NAMING = {"configMapRef": "ConfigMap", "configMapKeyRef": "ConfigMap", "configMap": "ConfigMap"} | dict.fromkeys(
    ("secretRef", "secretKeyRef", "secret"), "Secret"
)
ADDRESS = re.compile(r"(?:\b[a-z]+://)?\b(chaosapi[a-z-]*)(?:\.[\w.-]*)?:(\d+)")


def selecting(objects: list[Object]) -> Iterator[str]:
    """Require workloads to select their own pods and no others, budgets and spreads to select some."""
    for item in of(objects, *WORKLOADS):
        own = item["spec"]["template"]
        if pods(objects, item["spec"]["selector"]) != [own]:
            yield f"{title(item)} does not select its own pods alone"
        for spread in own["spec"].get("topologySpreadConstraints", ()):
            if not selected(own["metadata"]["labels"], spread["labelSelector"]):
                yield f"{title(item)} spreads other pods than its own"
    for item in of(objects, "PodDisruptionBudget"):
        if not pods(objects, item["spec"]["selector"]):
            yield f"{title(item)} selects no pod"


def served(objects: list[Object]) -> Iterator[str]:
    """Require a Service to select the pods of one workload, with its target ports."""
    for item in of(objects, "Service"):
        found = pods(objects, {"matchLabels": item["spec"]["selector"]})
        if len(found) != 1:
            yield f"{title(item)} selects the pods of {len(found)} workloads"
        for port in item["spec"]["ports"]:
            if not all(port["targetPort"] in {*ports(pod), *ports(pod).values()} for pod in found):
                yield f"{title(item)} sends {port['name']} to a port that its pods lack: {port['targetPort']}"


def addressed(objects: list[Object]) -> Iterator[str]:
    """Require every service URL in a setting to be a Service with that port, in the named namespace."""
    known = {item["metadata"]["name"]: item for item in of(objects, "Service")}
    for item in of(objects, "ConfigMap", "AlertmanagerConfig"):
        for text in _texts(item.get("data", item.get("spec"))):
            for name, port in ADDRESS.findall(text):
                if name not in known or int(port) not in {each["port"] for each in known[name]["spec"]["ports"]}:
                    yield f"{title(item)} speaks of {name}:{port}, which is no Service here"
            for name, namespace in re.findall(r"//([a-z-]+)\.([a-z-]+)\.svc\b", text):
                if namespace != item["metadata"]["namespace"]:
                    yield f"{title(item)} looks for {name} in {namespace}"


def referenced(objects: list[Object]) -> Iterator[str]:
    """Require every ConfigMap, Secret and ServiceAccount that something names to be there."""
    known = {title(item) for item in objects}
    for item in objects:
        for kind, name in _references(item):
            if f"{kind}/{name}" not in known:
                yield f"{title(item)} names {kind}/{name}, which is not there"


def routed(objects: list[Object]) -> Iterator[str]:
    """Require an Ingress to lead to a Service by a port that it has, and never to the admin API."""
    services = {item["metadata"]["name"]: item for item in of(objects, "Service")}
    for item in of(objects, "Ingress"):
        for rule in item["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                name = path["backend"]["service"]["name"]
                port = path["backend"]["service"]["port"]["name"]
                if port not in {each["name"] for each in services.get(name, {"spec": {"ports": ()}})["spec"]["ports"]}:
                    yield f"{title(item)} leads to {name}:{port}, which is not there"
                if port == "admin" or not path["path"].startswith("/api"):
                    yield f"{title(item)} opens {path['path']} of {port}: only the shop may be reached from outside"


def scaled(objects: list[Object]) -> Iterator[str]:
    """Require an autoscaler to have a target, which leaves the number of replicas to it."""
    for item in of(objects, "HorizontalPodAutoscaler"):
        target = item["spec"]["scaleTargetRef"]
        found = [each for each in of(objects, target["kind"]) if each["metadata"]["name"] == target["name"]]
        if not found:
            yield f"{title(item)} scales {target['kind']}/{target['name']}, which is not there"
        if any("replicas" in each["spec"] for each in found):
            yield f"{title(item)} and its target both set the number of replicas"


def closed(objects: list[Object]) -> Iterator[str]:
    """Require a network policy for Redis, for all pods if there are policies, and few peers for the fault ports."""
    policies = of(objects, "NetworkPolicy")
    specs = [item["spec"] for item in policies]
    others = [item for item in policies if item["metadata"]["name"] != "chaosapi-redis"]
    if others and {"podSelector": {}, "policyTypes": ["Ingress"]} not in specs:
        yield "no policy closes all pods by default"
    for name, pod in templates(objects):
        if "redis" in ports(pod) and not any(pod in pods(objects, spec["podSelector"]) for spec in specs):
            yield f"{name} is open to everyone"
    for item in policies:
        found = pods(objects, item["spec"]["podSelector"])
        known = {name: number for pod in found for name, number in ports(pod).items()}
        for rule in item["spec"].get("ingress", ()):
            opened = _opened(rule, known)
            if known and (unknown := opened - known.keys()):
                yield f"{title(item)} opens {unknown}, which its pods lack"
            if opened & GUARDED and not (rule.get("from") and all(_narrow(peer) for peer in rule["from"])):
                yield f"{title(item)} opens {opened & GUARDED} to everyone"


def _opened(rule: Object, known: dict[str, int]) -> set[str]:
    """Name the ports that a rule opens; one that the pods lack stands there as the rule has it."""
    opened: set[str] = set()
    for entry in rule.get("ports") or [{}]:
        port = entry.get("port")
        if port is None:
            opened |= known.keys()
        elif isinstance(port, str):
            opened.add(port)
        else:
            span = range(port, entry.get("endPort", port) + 1)
            opened |= {name for name, number in known.items() if number in span} or {str(port)}
    return opened


def _narrow(peer: Object) -> bool:
    """Return whether a peer leaves anyone out: an empty selector finds all, and so does a network /0."""
    selectors = [peer[part] for part in ("podSelector", "namespaceSelector") if part in peer]
    everywhere = "ipBlock" in peer and ip_network(peer["ipBlock"]["cidr"]).prefixlen == 0
    return all(any(selector.values()) for selector in selectors) and not everywhere


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str) and not value.lstrip().startswith("{"):  # a dashboard is JSON and names no Service
        yield value


def _references(item: Object) -> Iterator[tuple[str, str]]:
    for _, template in templates([item]):
        spec = template["spec"]
        if name := spec.get("serviceAccountName"):
            yield "ServiceAccount", name
        sources = [source for each in spec["containers"] for source in each.get("envFrom", ())]
        sources += [entry.get("valueFrom", {}) for each in spec["containers"] for entry in each.get("env", ())]
        volumes = list(spec.get("volumes", ()))
        volumes += [source for volume in volumes for source in volume.get("projected", {}).get("sources", ())]
        for source in [*sources, *volumes]:
            for key, kind in NAMING.items():
                if key in source:  # a projected volume calls a Secret's name `name`, a plain one `secretName`
                    yield kind, source[key].get("name") or source[key]["secretName"]
    if item["kind"] == "AlertmanagerConfig":
        for receiver in item["spec"]["receivers"]:
            for hook in receiver.get("webhookConfigs", ()):
                yield "Secret", hook["httpConfig"]["authorization"]["credentials"]["name"]
