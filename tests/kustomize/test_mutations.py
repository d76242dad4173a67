"""Mutated manifests: each class of error is found by its policy."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.kustomize import schemas
from tests.kustomize.conftest import Render
from tests.kustomize.manifests import DuplicateKeyError, Object, load, title
from tests.kustomize.policies import POLICIES, broken

APP = "Deployment/chaosapi"
POLICY = "NetworkPolicy/chaosapi"
CONTAINER = "spec.template.spec.containers.0"


class Mutation(NamedTuple):
    """A change of an overlay, and the policy that finds it; without a path the object is removed."""

    policy: str
    overlay: str
    item: str
    path: str
    value: object = None  # None: it is taken away

    def __str__(self) -> str:
        return f"{self.policy}: {self.item} {self.path}"


MUTATIONS = [
    Mutation("restricted", "training", APP, "spec.template.spec.securityContext.runAsNonRoot"),
    Mutation("restricted", "training", APP, "spec.template.spec.securityContext.runAsUser", 0),
    Mutation("restricted", "training", APP, "spec.template.spec.securityContext.seccompProfile"),
    Mutation("restricted", "training", APP, "spec.template.spec.hostNetwork", value=True),
    Mutation("restricted", "training", APP, f"{CONTAINER}.securityContext.readOnlyRootFilesystem"),
    Mutation("restricted", "training", APP, f"{CONTAINER}.securityContext.allowPrivilegeEscalation", value=True),
    Mutation("restricted", "training", APP, f"{CONTAINER}.securityContext.capabilities.drop", []),
    Mutation("restricted", "training", APP, "spec.template.spec.volumes.0", {"name": "tmp", "hostPath": {"path": "/"}}),
    Mutation("confined", "training", "Service/chaosapi", "metadata.namespace", "default"),
    Mutation("confined", "training", "Namespace/chaosapi", "metadata.labels", {}),
    Mutation("restricted", "training", APP, f"{CONTAINER}.securityContext.runAsUser", 0),
    Mutation("credentialless", "training", APP, "spec.template.spec.automountServiceAccountToken", value=True),
    Mutation("credentialless", "training", APP, "spec.template.spec.enableServiceLinks"),
    Mutation("probed", "training", APP, f"{CONTAINER}.startupProbe"),
    Mutation("probed", "training", APP, f"{CONTAINER}.livenessProbe.httpGet.port", "https"),
    Mutation("probed", "training", APP, f"{CONTAINER}.livenessProbe.httpGet.path", "/nope"),
    Mutation("probed", "training", APP, f"{CONTAINER}.readinessProbe", {"exec": {"command": ["true"]}}),
    Mutation("limited", "training", APP, f"{CONTAINER}.resources.limits.memory"),
    Mutation("limited", "training", APP, f"{CONTAINER}.resources.requests.memory", "1Gi"),
    Mutation("limited", "training", APP, f"{CONTAINER}.resources.limits.cpu", "1 core"),
    Mutation("pinned", "training", APP, f"{CONTAINER}.image", "chaosapi:latest"),
    Mutation("pinned", "training", APP, f"{CONTAINER}.image", "chaosapi:latest-3"),
    Mutation("pinned", "training", APP, f"{CONTAINER}.image", "chaosapi:python3"),
    Mutation("pinned", "training", APP, f"{CONTAINER}.image", "localhost:5000/chaosapi"),
    Mutation("mounted", "training", APP, f"{CONTAINER}.volumeMounts.0.name", "temp"),
    Mutation("small", "training", "ConfigMap/chaosapi-dashboard-golden-signals", "data", {"a.json": "x" * 2**18}),
    Mutation("selecting", "training", APP, "spec.selector.matchLabels", {"app.kubernetes.io/name": "shop"}),
    Mutation("selecting", "training", APP, "spec.selector.matchLabels", {"app.kubernetes.io/part-of": "chaosapi"}),
    Mutation("selecting", "training", "PodDisruptionBudget/chaosapi", "spec.selector.matchLabels", {"app": "chaosapi"}),
    Mutation("served", "training", "Service/chaosapi", "spec.selector", {"app": "chaosapi"}),
    Mutation("served", "training", "Service/chaosapi", "spec.ports.0.targetPort", "web"),
    Mutation("addressed", "training", "Service/chaosapi-redis", "spec.ports.0.port", 6380),
    Mutation("addressed", "training", "AlertmanagerConfig/chaosapi", "metadata.namespace", "elsewhere"),
    Mutation("referenced", "training", APP, f"{CONTAINER}.envFrom.1.secretRef.name", "chaosapi-token"),
    Mutation("referenced", "training", APP, "spec.template.spec.serviceAccountName", "shop"),
    Mutation("referenced", "training", APP, f"{CONTAINER}.env", [{"valueFrom": {"secretKeyRef": {"name": "lost"}}}]),
    Mutation("routed", "production", "Ingress/chaosapi", "spec.rules.0.http.paths.0.path", "/"),
    Mutation("routed", "production", "Ingress/chaosapi", "spec.rules.0.http.paths.0.backend.service.name", "shop"),
    Mutation("scaled", "production", APP, "spec.replicas", 3),
    Mutation("scaled", "production", "HorizontalPodAutoscaler/chaosapi", "spec.scaleTargetRef.name", "shop"),
    Mutation("closed", "production", "NetworkPolicy/chaosapi-default-deny", "spec.podSelector.matchLabels", {"a": "b"}),
    Mutation("closed", "production", POLICY, "spec.ingress.1.from"),
    Mutation("closed", "production", POLICY, "spec.ingress.1.from.0", {"namespaceSelector": {}}),
    Mutation("closed", "production", POLICY, "spec.ingress.0.ports"),
    Mutation("closed", "production", POLICY, "spec.ingress.0.ports.0.port"),
    Mutation("closed", "production", POLICY, "spec.ingress.0.ports.0", {"port": 8000, "endPort": 9000}),
    Mutation("closed", "production", POLICY, "spec.ingress.1.from.0", {"ipBlock": {"cidr": "0.0.0.0/0"}}),
    Mutation("closed", "production", POLICY, "spec.ingress.1.from.0.namespaceSelector.matchLabels", {}),
    Mutation("closed", "training", "NetworkPolicy/chaosapi-redis", "spec.ingress.0.from"),
    Mutation("closed", "training", "NetworkPolicy/chaosapi-redis", "spec.podSelector.matchLabels", {"app": "redis"}),
    Mutation("closed", "production", POLICY, "spec.ingress.0.ports.0.port", "web"),
    Mutation("scraped", "training", "ServiceMonitor/chaosapi", "spec.endpoints.0.port", "metrics"),
    Mutation("scraped", "training", "ServiceMonitor/chaosapi", "spec.selector.matchLabels", {"app": "chaosapi"}),
    Mutation("scraped", "training", "ServiceMonitor/chaosapi-loadtest", "spec.jobLabel"),
    Mutation("picked", "training", "PrometheusRule/slo-shop", "metadata.labels", {"release": "prometheus"}),
    Mutation("picked", "training", "ConfigMap/chaosapi-dashboard-golden-signals", "metadata.labels"),
    Mutation("delivered", "training", "AlertmanagerConfig/chaosapi", "spec.route.matchers"),
    Mutation("profiled", "training", "ServiceMonitor/chaosapi", "spec.endpoints.0.interval", "15s"),
    Mutation("profiled", "training", "ConfigMap/chaosapi", "data.CHAOSAPI_PROFILE", "production"),
    Mutation("profiled", "training", "AlertmanagerConfig/chaosapi", "spec.route.groupWait", "10s"),
    Mutation("profiled", "production", "AlertmanagerConfig/chaosapi", "spec.route.groupInterval", "5m"),
    Mutation("configured", "training", "ConfigMap/chaosapi", "data.CHAOSAPI_STROE", "redis://chaosapi-redis:6379/0"),
    Mutation("configured", "training", "ConfigMap/chaosapi", "data.CHAOSAPI_PORT", "tcp://10.0.0.1:8000"),
    Mutation("configured", "training", "ConfigMap/chaosapi", "data.CHAOSAPI_ADMIN_PORT", "8002"),
    Mutation("configured", "training", "ConfigMap/chaosapi", "data.CHAOSAPI_MAX_MEMORY", "1GiB"),
    Mutation("configured", "training", APP, f"{CONTAINER}.resources.limits.cpu", "1"),
    Mutation("graceful", "training", APP, "spec.template.spec.terminationGracePeriodSeconds", 5),
    Mutation("graceful", "training", "ConfigMap/chaosapi", "data.CHAOSAPI_DRAIN_DELAY", "60s"),
    Mutation("complete", "training", APP, "spec.template.spec.topologySpreadConstraints"),
    Mutation("complete", "training", "PodDisruptionBudget/chaosapi", ""),
    Mutation("complete", "training", "PrometheusRule/slo-shop", ""),
    Mutation("complete", "training", "AlertmanagerConfig/chaosapi", ""),
    Mutation("complete", "production", "NetworkPolicy/chaosapi-default-deny", ""),
    Mutation("complete", "production", "HorizontalPodAutoscaler/chaosapi", ""),
    Mutation("complete", "local", "Deployment/chaosapi-grafana", ""),
    Mutation("shared", "training", "ConfigMap/chaosapi", "data.CHAOSAPI_STORE"),
    Mutation("shown", "local", "Deployment/chaosapi-grafana", f"{CONTAINER}.env.2.value", "true"),
    Mutation("shown", "local", "Deployment/chaosapi-grafana", "spec.template.spec.volumes.1.projected.sources", []),
]


def change(item: Object, path: str, value: object) -> None:
    """Set or remove the value at the path."""
    *way, last = [int(word) if word.isdigit() else word for word in path.split(".")]
    if path.startswith("data.") or path == "metadata.labels":
        way = way[:1]
        last = path.partition(".")[2]
    place = item
    for step in way:
        place = place[step]  # type: ignore[index]  # a list takes numbers
    if value is None:
        del place[last]  # type: ignore[arg-type]
    else:
        place[last] = value  # type: ignore[index]


@pytest.fixture
def broken_by(tree: Path, render: Render) -> Callable[[Mutation], list[Object]]:
    """Return a function that renders an overlay and breaks it."""

    def apply(mutation: Mutation) -> list[Object]:
        objects = copy.deepcopy(render(tree / "kustomize/overlays" / mutation.overlay))
        found = [each for each in objects if _plain(title(each)) == mutation.item]
        assert len(found) == 1, mutation.item
        if mutation.path:
            change(found[0], mutation.path, mutation.value)
        else:
            objects.remove(found[0])
        return objects

    return apply


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_mistake_is_caught(mutation: Mutation, broken_by: Callable[[Mutation], list[Object]]) -> None:
    """By its policy."""
    assert mutation.policy in broken(broken_by(mutation), mutation.overlay)


def test_every_policy_has_a_mutation() -> None:
    """Each policy is violated by a mutation."""
    assert {"complete", *(policy.__name__ for policy in POLICIES)} == {mutation.policy for mutation in MUTATIONS}


@pytest.mark.parametrize(
    ("item", "path", "value"),
    [
        (APP, "spec.replica", 3),
        (APP, "spec.replicas", "three"),
        (APP, f"{CONTAINER}.name", None),
        (APP, "apiVersion", "apps/v1beta1"),
        ("Service/chaosapi", "spec.ports.0.port", "http"),
        ("NetworkPolicy/chaosapi-default-deny", "spec.policyTypes", "Ingress"),
    ],
)
def test_a_field_that_kubernetes_does_not_know_is_caught(
    item: str, path: str, value: object, broken_by: Callable[[Mutation], list[Object]]
) -> None:
    """Unknown, missing, of the wrong type, of an API version that is gone."""
    objects = broken_by(Mutation("", "production", item, path, value))
    assert [found for found in schemas.core(objects, schemas.versions()[-1]) if item in found]


@pytest.mark.skipif(schemas.crds() is None, reason=schemas.HINT)
@pytest.mark.parametrize(
    ("item", "path", "value"),
    [
        ("ServiceMonitor/chaosapi", "spec.endpoint", []),
        ("ServiceMonitor/chaosapi", "spec.endpoints.0.interval", "1 second"),
        ("ServiceMonitor/chaosapi", "spec.selector", None),
        ("PrometheusRule/slo-shop", "spec.groups.0.rules.0.expression", "1"),
        ("PrometheusRule/slo-shop", "apiVersion", "monitoring.coreos.com/v2"),
        ("AlertmanagerConfig/chaosapi", "spec.route.group_by", ["slo"]),
        ("AlertmanagerConfig/chaosapi", "spec.route.routes.0.repeat_interval", "1h"),
        ("AlertmanagerConfig/chaosapi", "spec.inhibitRules.0.sourceMatch.0.matchType", "=="),
        ("AlertmanagerConfig/chaosapi", "spec.receivers.0.webhookConfigs.0.httpConfig.bearerToken", "abc"),
    ],
)
def test_a_field_that_the_operator_does_not_know_is_caught(
    item: str, path: str, value: object, broken_by: Callable[[Mutation], list[Object]]
) -> None:
    """The API server would drop it silently."""
    folder = schemas.crds()
    assert folder is not None
    objects = broken_by(Mutation("", "training", item, path, value))
    assert [found for found in schemas.custom(objects, folder) if item in found]


def test_a_key_that_is_there_twice_is_caught() -> None:
    """Kubernetes would take the last one."""
    with pytest.raises(DuplicateKeyError, match="replicas is there twice, at line 3"):
        load("kind: Deployment\nspec:\n  replicas: 1\n  replicas: 3\n")


def _plain(name: str) -> str:
    """Take the hash from a generated name."""
    kind, _, rest = name.partition("/")
    head, _, tail = rest.rpartition("-")
    return f"{kind}/{head}" if kind in {"ConfigMap", "Secret"} and len(tail) == 10 else name
