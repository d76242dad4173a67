"""Rules as a PrometheusRule of the Prometheus operator."""

import re
from typing import Any

from chaosapi import errors

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_KEY = re.compile(r"([a-z0-9][-a-z0-9.]{0,252}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def prometheus_rule(
    groups: dict[str, Any], name: str, namespace: str | None = None, labels: dict[str, str] | None = None
) -> dict[str, Any]:
    """Wrap `{"groups": [...]}` into a PrometheusRule (monitoring.coreos.com/v1).

    Without a namespace, `kubectl apply` chooses the namespace. An operator selects objects by label:
    kube-prometheus-stack by `release`, the name of its Helm release. Raises errors.Invalid for names and labels that
    Kubernetes would refuse.
    """
    for field, value in (("name", name), ("namespace", namespace)):
        if value is not None and not (len(value) <= 253 and _NAME.fullmatch(value)):
            raise errors.Invalid.field(field, f"{value!r} must be lower case letters, digits, `-` and `.`")
    for key, value in (labels or {}).items():
        if not (_KEY.fullmatch(key) and _VALUE.fullmatch(value)):
            raise errors.Invalid.field(
                f"label {key}", "a name, `=`, and at most 63 letters, digits and `-_.`: release=monitoring"
            )
    metadata: dict[str, Any] = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": metadata, "spec": groups}
