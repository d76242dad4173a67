import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.kustomize import tool
from tests.kustomize.manifests import Object, load

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-of-the-tests"  # noqa: S105 - of no service

Render = Callable[[Path], list[Object]]


@pytest.fixture(scope="session")
def kustomize() -> list[str]:
    """Return the command that renders a folder."""
    command = tool.find()
    if command is None:
        pytest.skip("no kustomize: install it or kubectl, or let apt reach a Debian mirror")
    return command


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of all that kustomize reads, with a token."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("kustomize", "alerts", "dashboards"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("token.env", "__pycache__"))
    (folder / "kustomize/components/token/token.env").write_text(f"CHAOSAPI_ADMIN_TOKEN={TOKEN}\n")
    return folder


@pytest.fixture(scope="session")
def render(kustomize: list[str]) -> Render:
    """Return a function that renders a folder, each one once."""
    kept: dict[Path, list[Object]] = {}

    def once(folder: Path) -> list[Object]:
        if folder not in kept:
            kept[folder] = load(tool.render(kustomize, folder))
        return kept[folder]

    return once


@pytest.fixture
def overlay(tree: Path) -> Callable[[str, str, list[str]], Path]:
    """Return a function that makes an overlay like another one (`base`), of other components."""

    def make(name: str, base: str, components: list[str]) -> Path:
        settings = yaml.safe_load((tree / "kustomize/overlays" / base / "kustomization.yaml").read_text())
        settings["components"] = components
        settings.pop("replicas", None)  # the component of that name decides
        folder = tree / "kustomize/overlays" / f"of-{name}"
        folder.mkdir()
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(settings))
        return folder

    return make
