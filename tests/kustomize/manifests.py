"""Rendered objects, read strictly, and the questions that several policies ask of them."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

Object = dict[str, Any]

WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet"}
CLUSTER_WIDE = {"Namespace"}
UNITS = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


class DuplicateKeyError(Exception):
    """A YAML mapping has a duplicate key; the message has the key and its place."""


class _Loader(yaml.CSafeLoader):
    """Reads `matchType: =` as text, as Kubernetes does, and takes no key twice, where it and PyYAML take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise DuplicateKeyError(f"{twice[0]} is there twice, at line {node.start_mark.line + 1} or below")
        return super().construct_mapping(node, deep)


_Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)


def load(text: str) -> list[Object]:
    """Read every document; raises DuplicateKeyError."""
    return [each for each in yaml.load_all(text, Loader=_Loader) if each]


def title(item: Object) -> str:
    """Name an object as kubectl does."""
    return f"{item['kind']}/{item['metadata']['name']}"


def of(objects: list[Object], *kinds: str) -> list[Object]:
    """Return the objects of these kinds."""
    return [item for item in objects if item["kind"] in kinds]


def templates(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Yield the name and the pod template of each workload."""
    for item in of(objects, *WORKLOADS):
        yield title(item), item["spec"]["template"]


def containers(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Yield the name and the settings of each container."""
    for name, template in templates(objects):
        for container in [*template["spec"].get("initContainers", ()), *template["spec"]["containers"]]:
            yield f"{name} {container['name']}", container


def selected(labels: Mapping[str, str], selector: Object) -> bool:
    """Return whether a label selector finds these labels; an empty one finds everything."""
    assert set(selector) <= {"matchLabels"}, "the policies read matchLabels only"
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return labels.items() >= wanted.items()


def pods(objects: list[Object], selector: Object) -> list[Object]:
    """Return the pod templates that a selector finds."""
    return [pod for _, pod in templates(objects) if selected(pod["metadata"].get("labels", {}), selector)]


def ports(pod: Object) -> dict[str, int]:
    """Return a pod's container ports by name."""
    return {port["name"]: port["containerPort"] for each in pod["spec"]["containers"] for port in each.get("ports", ())}


def data(objects: list[Object], prefix: str) -> dict[str, str]:
    """Return the data of the ConfigMap whose name is `prefix`, with or without a hash; nothing where there is none."""
    for item in of(objects, "ConfigMap"):
        name = item["metadata"]["name"]
        if name == prefix or name.rpartition("-")[0] == prefix:
            return dict(item["data"])
    return {}


def amount(quantity: str) -> float:
    """Read a quantity of Kubernetes, such as 250m or 64Mi; raises ValueError for what is none."""
    number = quantity.rstrip("mkMGi" + "K")
    unit = quantity[len(number) :]
    if unit not in UNITS:
        raise ValueError(f"{quantity} is no quantity")
    return float(number) * UNITS[unit]
