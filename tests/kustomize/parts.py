"""Policies: the parts that an overlay must have."""

from collections.abc import Iterator
from typing import Final

from tests.kustomize.manifests import Object, pods, title

ALWAYS: Final = {"Deployment/chaosapi", "Service/chaosapi", "Service/chaosapi-admin", "PodDisruptionBudget/chaosapi"}
_REDIS: Final = {"Deployment/chaosapi-redis", "Service/chaosapi-redis", "NetworkPolicy/chaosapi-redis"}
_OPERATOR: Final = {
    "ServiceMonitor/chaosapi",
    "ServiceMonitor/chaosapi-truth",
    "PrometheusRule/slo-shop",
    "AlertmanagerConfig/chaosapi",
}
_LOCUST: Final = {"Deployment/chaosapi-locust-master", "Deployment/chaosapi-locust-worker"}
_STANDALONE: Final = {f"Deployment/chaosapi-{name}" for name in ("prometheus", "alertmanager", "grafana")}
_CLOSED: Final = {"NetworkPolicy/chaosapi-default-deny", "NetworkPolicy/chaosapi"}

OVERLAYS: Final = {
    "local": _LOCUST | _STANDALONE,
    "training": _LOCUST | _REDIS | _OPERATOR | {"ServiceMonitor/chaosapi-loadtest"},
    "production": _REDIS | _OPERATOR | _CLOSED | {"HorizontalPodAutoscaler/chaosapi", "Ingress/chaosapi"},
}


def complete(objects: list[Object], overlay: str) -> Iterator[str]:
    """Require every part of an overlay, and a spread of the service's pods."""
    missing = (ALWAYS | OVERLAYS.get(overlay, set())) - {title(item) for item in objects}
    yield from (f"{name} is missing" for name in sorted(missing))
    for pod in pods(objects, {"matchLabels": {"app.kubernetes.io/name": "chaosapi"}}):
        if not pod["spec"].get("topologySpreadConstraints"):
            yield "Deployment/chaosapi may have all its pods on one node"
