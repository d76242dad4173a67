"""Schemas: those of Kubernetes by version, and those of the Prometheus operator's own kinds."""

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]  # ships no types
from kubernetes_validate import utils

from tests.kustomize.manifests import Object, load, title

OLDEST: Final = (1, 29)
VARIABLE: Final = "PROMETHEUS_OPERATOR_CRDS"
HINT: Final = (
    f"set {VARIABLE} to a folder with the operator's CRDs, as in example/prometheus-operator-crd "
    "of github.com/prometheus-operator/prometheus-operator"
)

_read = functools.cache(utils.schema_contents)


def versions() -> list[str]:
    """Return the versions of Kubernetes to check against, from the oldest supported to the newest known."""
    known = {utils.major_minor(version) for version in utils.all_versions()}
    numbers = {tuple(map(int, version.split("."))) for version in known}
    return [f"{major}.{minor}" for major, minor in sorted(numbers) if (major, minor) >= OLDEST]


def core(objects: list[Object], version: str) -> Iterator[str]:
    """Yield what a version of Kubernetes would refuse, strictly; kinds of the operator are left to `custom`."""
    utils.schema_contents = _read  # it would otherwise read megabytes for each object
    for item in objects:
        if not item["apiVersion"].startswith("monitoring.coreos.com/"):
            try:
                kubernetes_validate.validate(item, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                yield f"{title(item)} {error.json_path}: {error.message}"
            except kubernetes_validate.SchemaNotFoundError as error:
                yield f"{title(item)}: {error.message}"


def custom(objects: list[Object], folder: Path) -> Iterator[str]:
    """Yield what the operator's definitions in `folder` would refuse or silently drop."""
    definitions = _definitions(folder)
    for item in objects:
        if item["apiVersion"].startswith("monitoring.coreos.com/"):
            schema = definitions.get((item["apiVersion"].rpartition("/")[2], item["kind"]))
            if schema is None:
                yield f"{title(item)}: no definition of {item['apiVersion']}"
                continue
            route = schema["properties"]["spec"]["properties"].get("route")
            checks = [(schema, item), *((route, child) for child in _children(item["spec"].get("route", {})))]
            for part, value in checks:
                for error in jsonschema.Draft202012Validator(part).iter_errors(value):
                    yield f"{title(item)} {error.json_path}: {error.message}"


def crds() -> Path | None:
    """Return the folder of the operator's definitions, None where nobody has named one."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None


def _children(route: Object) -> Iterator[Object]:
    """Yield the routes below one; the definition says of them only that they are there."""
    for child in route.get("routes", ()):
        yield child
        yield from _children(child)


@functools.cache
def _definitions(folder: Path) -> dict[tuple[str, str], Any]:
    found = {}
    for path in sorted(folder.glob("*.yaml")):
        for item in load(path.read_text(encoding="utf-8")):
            for version in item["spec"]["versions"]:
                schema = _closed(version["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {"type": "object"}
                found[version["name"], item["spec"]["names"]["kind"]] = schema
    return found


def _closed(schema: Any) -> Any:
    """Refuse fields that a schema does not name; the API server would drop them without a word."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made
