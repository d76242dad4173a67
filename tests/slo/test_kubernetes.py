import pytest

from chaosapi import errors
from chaosapi.slo import kubernetes


def test_rules_become_a_kubernetes_object() -> None:
    """The groups are its spec; name, namespace and labels are in its metadata."""
    made = kubernetes.prometheus_rule({"groups": []}, "slo-shop", "monitoring", {"release": "kube-prometheus-stack"})
    assert made == {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "slo-shop", "namespace": "monitoring", "labels": {"release": "kube-prometheus-stack"}},
        "spec": {"groups": []},
    }
    assert kubernetes.prometheus_rule({"groups": []}, "a")["metadata"] == {"name": "a"}


@pytest.mark.parametrize(
    ("name", "namespace", "labels", "complaint"),
    [
        ("Shop", None, {}, "name: 'Shop' must be lower case"),
        ("shop", "a_b", {}, "namespace: 'a_b' must be lower case"),
        ("shop", None, {"release": "a b"}, "label release"),
        ("shop", None, {"-x": "a"}, "label -x"),
        ("shop", None, {"a": "x" * 64}, "label a"),
    ],
)
def test_an_object_that_kubernetes_would_refuse_is_refused(
    name: str, namespace: str | None, labels: dict[str, str], complaint: str
) -> None:
    """With the valid form, before it is applied."""
    with pytest.raises(errors.Invalid, match=complaint):
        kubernetes.prometheus_rule({"groups": []}, name, namespace, labels)
