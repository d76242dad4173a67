"""Policies of every pod: restricted, probed, limited, versioned."""

import json
import re
from collections.abc import Iterator
from typing import Final

from tests.kustomize.manifests import CLUSTER_WIDE, Object, amount, containers, of, ports, templates, title

ANSWERS: Final = {"startupProbe": "/healthz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"}
"""The paths of the service's probes by port."""
VERSION: Final = re.compile(r"v?\d+\.\d+(\.\d+)?(-[a-z]+)?")
APPLY_LIMIT: Final = 256 * 1024
"""The highest size of the annotation of `kubectl apply`."""


def restricted(objects: list[Object]) -> Iterator[str]:
    """Require the Pod Security Standard `restricted`, a numeric user and nothing to write to but volumes."""
    for name, template in templates(objects):
        spec = template["spec"]
        user = spec.get("securityContext", {})
        if not (user.get("runAsNonRoot") and user.get("runAsUser", 0) > 0):
            yield f"{name} may run as root"
        if user.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{name} has no seccomp profile"
        if any(spec.get(field) for field in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{name} shares the host's namespaces"
        if any("hostPath" in volume for volume in spec.get("volumes", ())):
            yield f"{name} mounts a folder of the host"
    for name, container in containers(objects):
        yield from (f"{name} {fault}" for fault in _faults(container.get("securityContext", {})))


def confined(objects: list[Object]) -> Iterator[str]:
    """Require everything in one namespace, which enforces `restricted`."""
    (namespace,) = of(objects, "Namespace")
    if namespace["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
        yield f"{title(namespace)} does not enforce restricted pods"
    for item in objects:
        if item["kind"] not in CLUSTER_WIDE and item["metadata"].get("namespace") != namespace["metadata"]["name"]:
            yield f"{title(item)} is not in {title(namespace)}"


def credentialless(objects: list[Object]) -> Iterator[str]:
    """Require no token of the cluster in a pod, and no CHAOSAPI_PORT=tcp://… from the Service of that name."""
    for name, template in templates(objects):
        if template["spec"].get("automountServiceAccountToken") is not False:
            yield f"{name} mounts a token of the API server"
        if template["spec"].get("enableServiceLinks") is not False:
            yield f"{name} gets environment variables from Services"


def probed(objects: list[Object]) -> Iterator[str]:
    """Require all three probes of every container, on ports that it has, of the service where it answers."""
    for name, container in containers(objects):
        known = ports({"spec": {"containers": [container]}})
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            if not (probe := container.get(kind)):
                yield f"{name} has no {kind}"
                continue
            port = (probe.get("httpGet") or probe.get("tcpSocket") or {}).get("port")
            if port is not None and port not in {*known, *known.values()}:
                yield f"{name} has no port {port} for its {kind}"
            if name == "Deployment/chaosapi chaosapi" and probe.get("httpGet", {}).get("path") != ANSWERS[kind]:
                yield f"{name} does not ask {ANSWERS[kind]} for its {kind}"


def limited(objects: list[Object]) -> Iterator[str]:
    """Require every container to ask for processor time and memory, with limits that are not below."""
    for name, container in containers(objects):
        resources = container.get("resources", {})
        for kind in ("cpu", "memory"):
            try:
                asked, most = (amount(resources[part][kind]) for part in ("requests", "limits"))
            except (KeyError, ValueError) as reason:
                yield f"{name} has no request and limit of {kind}: {reason!r}"
                continue
            if asked > most:
                yield f"{name} asks for more {kind} than its limit"


def pinned(objects: list[Object]) -> Iterator[str]:
    """Require a version in the tag of every image, or a digest."""
    for name, container in containers(objects):
        tag = container["image"].rpartition("/")[2].partition(":")[2]
        if "@sha256:" not in container["image"] and not VERSION.fullmatch(tag):
            yield f"{name} runs whatever {container['image']} is today"


def mounted(objects: list[Object]) -> Iterator[str]:
    """Require every mount to name a volume of its pod, and every volume to be mounted."""
    for name, template in templates(objects):
        volumes = {volume["name"] for volume in template["spec"].get("volumes", ())}
        used = {mount["name"] for _, each in _of(template) for mount in each.get("volumeMounts", ())}
        for missing in volumes ^ used:
            yield f"{name} mounts {missing} without having it, or has it without mounting it"


def small(objects: list[Object]) -> Iterator[str]:
    """Require every object to fit into the annotation that `kubectl apply` makes of it."""
    for item in objects:
        if len(json.dumps(item)) > APPLY_LIMIT:
            yield f"{title(item)} is too large for kubectl apply"


def _faults(context: Object) -> Iterator[str]:
    if context.get("runAsNonRoot") is False or context.get("runAsUser") == 0:
        yield "may run as root, whatever its pod says"
    if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
        yield "may gain privileges"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield "keeps capabilities"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "may write to its root file system"


def _of(template: Object) -> Iterator[tuple[str, Object]]:
    yield from containers([{"kind": "Deployment", "metadata": {"name": ""}, "spec": {"template": template}}])
