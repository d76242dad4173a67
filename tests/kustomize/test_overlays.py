from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.kustomize import schemas, tool
from tests.kustomize.conftest import TOKEN, Render
from tests.kustomize.manifests import Object, containers, of
from tests.kustomize.policies import broken

OVERLAYS = ["local", "training", "production"]
RULES = {"lab": ["../../components/lab", "../../../alerts/prometheusrules/lab"]} | {
    "production": ["../../../alerts/prometheusrules/production"]
}

needs_crds = pytest.mark.skipif(schemas.crds() is None, reason=schemas.HINT)


class Combination(NamedTuple):
    """Components that make sense together."""

    name: str
    base: str
    components: list[str]


def combinations() -> Iterator[Combination]:
    """Every store and number of replicas × policies × load test × monitoring; an ingress in every other one."""
    stores = {"": [], "redis": ["redis"], "replicas": ["redis", "replicas"]}
    for store, scaling in stores.items():
        for policies in (False, True):
            for load in (False, True):
                for watched in ("", "standalone", "lab", "production"):
                    if policies and watched == "standalone":
                        continue  # its README says so
                    words = [store, "closed" * policies, "loaded" * load, watched]
                    parts = ["token", *scaling, *["network-policy"] * policies, *["loadtest"] * load]
                    parts += ["ingress"] if load != policies else []
                    parts += {"": [], "standalone": ["standalone-monitoring"]}.get(watched, ["monitoring"])
                    parts += ["loadtest/monitoring"] if load and watched in RULES else []
                    components = [f"../../components/{part}" for part in parts]
                    components += [*RULES[watched], "../../../dashboards"] if watched in RULES else []
                    components += ["../../components/production-dashboards"] if watched == "production" else []
                    base = "training" if watched in RULES else "local"
                    yield Combination("-".join(filter(None, words)) or "alone", base, components)


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_keeps_every_policy(name: str, tree: Path, render: Render) -> None:
    """It is restricted, watched, limited, and all its parts find each other."""
    assert broken(render(tree / "kustomize/overlays" / name), name) == {}


@pytest.mark.parametrize("version", schemas.versions())
def test_every_version_of_kubernetes_takes_the_overlays(version: str, tree: Path, render: Render) -> None:
    """Known fields of the right types only, from the oldest supported version to the newest known."""
    for name in OVERLAYS:
        assert list(schemas.core(render(tree / "kustomize/overlays" / name), version)) == []


@needs_crds
@pytest.mark.parametrize("name", ["training", "production"])
def test_the_operator_takes_its_objects(name: str, tree: Path, render: Render) -> None:
    """ServiceMonitors, PrometheusRules and the AlertmanagerConfig fit their definitions, with no field to drop."""
    folder = schemas.crds()
    assert folder is not None
    objects = render(tree / "kustomize/overlays" / name)
    assert {item["kind"] for item in objects} >= {"ServiceMonitor", "PrometheusRule", "AlertmanagerConfig"}
    assert list(schemas.custom(objects, folder)) == []


@pytest.mark.parametrize("combination", list(combinations()), ids=lambda combination: combination.name)
def test_combinations_of_components_keep_every_policy(
    combination: Combination, overlay: Callable[[str, str, list[str]], Path], render: Render
) -> None:
    """Whatever is left out or added, the rest fits together: on the oldest Kubernetes, the newest, the operator."""
    objects = render(overlay(*combination))
    assert broken(objects) == {}
    for version in (schemas.versions()[0], schemas.versions()[-1]):
        assert list(schemas.core(objects, version)) == []
    if folder := schemas.crds():
        assert list(schemas.custom(objects, folder)) == []


@pytest.mark.parametrize("name", OVERLAYS)
def test_nothing_is_rendered_without_a_token(name: str, tree: Path, kustomize: list[str]) -> None:
    """The repository has no token: the error names the missing file."""
    token = tree / "kustomize/components/token/token.env"
    aside = token.rename(token.with_suffix(".aside"))
    try:
        with pytest.raises(tool.RefusedError, match=r"token\.env"):
            tool.render(kustomize, tree / "kustomize/overlays" / name)
    finally:
        aside.rename(token)


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_token_is_in_the_secret_alone(name: str, tree: Path, render: Render) -> None:
    """No other object has it."""
    objects = render(tree / "kustomize/overlays" / name)
    assert TOKEN not in str([item for item in objects if item["kind"] != "Secret"])
    assert len(of(objects, "Secret")) == 1


@pytest.mark.parametrize("name", OVERLAYS)
def test_namespace_and_image_change_in_one_place(name: str, tree: Path, render: Render) -> None:
    """An overlay's `namespace` and `images` reach everything: the webhook's address and Locust too."""
    source = tree / "kustomize/overlays" / name
    folder = tree / "kustomize/overlays" / f"{name}-elsewhere"
    folder.mkdir()
    text = (source / "kustomization.yaml").read_text()
    text = text.replace("namespace: chaosapi\n", "namespace: game-day\n").replace("newTag: 0.1.0", "newTag: 9.9.9")
    (folder / "kustomization.yaml").write_text(text)
    objects = render(folder)
    assert broken(objects, name) == {}
    assert of(objects, "Namespace")[0]["metadata"]["name"] == "game-day"
    assert "0.1.0" not in str(images(objects))


def images(objects: list[Object]) -> list[str]:
    """Return the images of all workloads."""
    return [container["image"] for _, container in containers(objects)]
