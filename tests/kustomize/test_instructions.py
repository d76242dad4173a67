"""docs/kubernetes.md: what its commands name is in the repository and in what an overlay renders."""

import re
from pathlib import Path

import pytest

from tests.kustomize.conftest import ROOT, Render
from tests.kustomize.manifests import containers, of

TEXT = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
FORWARD = re.compile(r"-n (\S+) port-forward service/(\S+) (\d+)(?::(\d+))?")


def part(number: int) -> str:
    """Return a numbered part of the text."""
    return re.split(r"^## ", TEXT, flags=re.MULTILINE)[number + 1]


def commands(text: str) -> str:
    """Return the lines that are to be copied."""
    return "\n".join(line for line in text.splitlines() if line.startswith("    "))


def test_the_paths_in_its_commands_are_there(tree: Path) -> None:
    """The token's file too, once its command has run."""
    named = set(re.findall(r"\bkustomize/[\w./-]+", commands(TEXT)))
    assert named
    assert [path for path in named if not (tree / path).exists()] == []


@pytest.mark.parametrize(("number", "overlay"), [(1, "local"), (2, "training"), (3, "production")])
def test_the_services_and_ports_in_its_commands_are_there(
    number: int, overlay: str, tree: Path, render: Render
) -> None:
    """In the overlay of the part; the stack's own are the chart's, and every address of this machine is a door."""
    text = part(number)
    objects = render(tree / "kustomize/overlays" / overlay)
    namespace = of(objects, "Namespace")[0]["metadata"]["name"]
    services = of(objects, "Service")
    known = {(item["metadata"]["name"], port["port"]) for item in services for port in item["spec"]["ports"]}
    doors = FORWARD.findall(commands(text))
    ours = {(service, int(there or here)) for place, service, here, there in doors if place == namespace}
    assert ours <= known
    assert set(re.findall(r"-n (\S+) ", commands(text))) <= {namespace, "monitoring"}
    assert set(re.findall(r"localhost:(\d+)", text)) <= {here for _, _, here, _ in doors}
    assert f"apply -k kustomize/overlays/{overlay}\n" in text


def test_its_images_are_those_of_the_overlays(tree: Path, render: Render) -> None:
    """What part 0 builds runs in each of them."""
    built = set(re.findall(r"docker build --tag (\S+)", part(0)))
    rendered = [render(tree / "kustomize/overlays" / name) for name in ("local", "training", "production")]
    used = {container["image"] for objects in rendered for _, container in containers(objects)}
    assert built == {image for image in used if image.startswith("chaosapi")}
