"""The files: one source for each fact, parsed strictly."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from chaosapi import assets
from chaosapi.lab import releases
from tests.kustomize.conftest import ROOT
from tests.kustomize.manifests import load
from tests.kustomize.monitoring import RELEASE
from tests.patience import patience

KUSTOMIZE = ROOT / "kustomize"
COMPONENTS = sorted(path.parent for path in KUSTOMIZE.glob("components/**/kustomization.yaml"))
YAML = sorted([*KUSTOMIZE.rglob("*.y*ml"), *(ROOT / "alerts").rglob("*.y*ml"), *(ROOT / "dashboards").glob("*.y*ml")])


@pytest.mark.parametrize("path", YAML, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_has_a_duplicate_key(path: Path) -> None:
    """The last one would win silently."""
    assert load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("folder", COMPONENTS, ids=lambda path: str(path.relative_to(KUSTOMIZE)))
def test_every_component_says_what_it_is_in_five_lines(folder: Path) -> None:
    """In the README of its folder."""
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 5
    assert all(lines)


def test_every_dashboard_is_listed() -> None:
    """A dashboard that is checked in has its ConfigMap; the policy `shown` has Grafana mount it."""
    folder = assets.path("dashboards")
    (listed,) = load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    files = {generator["name"]: generator["files"] for generator in listed["configMapGenerator"]}
    assert files == {f"chaosapi-dashboard-{path.stem}": [path.name] for path in folder.glob("*.json")}


def test_the_settings_of_alertmanager_are_up_to_date(tmp_path: Path) -> None:
    """`make gen` would write exactly the files that are checked in."""
    subprocess.run([sys.executable, KUSTOMIZE / "alertmanager.py", tmp_path], check=True, timeout=patience(60))
    made = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.y*ml")}
    assert len(made) == 2
    assert made == {path: (KUSTOMIZE / path).read_text() for path in made}


def test_settings_that_the_operator_lacks_are_refused() -> None:
    """A setting that an AlertmanagerConfig cannot express would be lost."""
    script = "import alertmanager; alertmanager.operator('{route: {}, receivers: [], templates: [a]}', 'shop')"
    done = subprocess.run([sys.executable, "-c", script], cwd=KUSTOMIZE, capture_output=True, text=True, check=False)
    assert "ValueError: alertmanager.yml: an AlertmanagerConfig has no templates" in done.stderr


def test_amtool_takes_the_settings_of_alertmanager(tools: dict[str, Path]) -> None:
    """Those of the component standalone-monitoring."""
    path = KUSTOMIZE / "components/standalone-monitoring/alertmanager.yml"
    done = subprocess.run([tools["amtool"], "check-config", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_settings_of_prometheus(tools: dict[str, Path]) -> None:
    """Those of the component standalone-monitoring; the rules are only there in the cluster."""
    path = KUSTOMIZE / "components/standalone-monitoring/prometheus.yml"
    command: list[str | Path] = [tools["promtool"], "check", "config", "--syntax-only", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_locust_takes_its_settings() -> None:
    """Every variable of the component loadtest is an option of Locust's or of ours, and the scenario can run."""
    variables = dict(line.split("=", 1) for line in (KUSTOMIZE / "components/loadtest/locust.env").read_text().split())
    # In a process of its own: importing Locust patches the standard library.
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import _options, locust.argument_parser as locust\n"
        "parser = locust.get_empty_argument_parser(); locust.setup_parser_arguments(parser); _options.add_to(parser)\n"
        "names = {action.env_var for action in parser._actions if getattr(action, 'env_var', None)}\n"
        "print(sorted(set(sys.argv[2:]) - names), _options.read(vars(parser.parse_args([]))).name)"
    )
    command = [sys.executable, "-c", script, str(assets.path("loadtests")), *variables]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    assert done.stdout == "[] steady\n", done.stderr


def test_the_images_are_the_versions_of_the_lab() -> None:
    """Prometheus and Alertmanager in the cluster are those that `chaosapi lab` fetches."""
    pinned = {re.sub(r".*/(\w+)-([\d.]+)\.linux.*", r"prom/\1:v\2", release.url) for release in releases.OFFICIAL}
    text = "".join(path.read_text() for path in (KUSTOMIZE / "components/standalone-monitoring").glob("*.yaml"))
    assert set(re.findall(r"image: (prom/\S+)", text)) == pinned


def test_the_stack_selects_by_the_label_that_the_overlays_set() -> None:
    """The values of the Helm chart and the overlays speak of the same release, and alerts need no namespace label."""
    values = yaml.safe_load((KUSTOMIZE / "helm/kube-prometheus-stack.yaml").read_text())
    alertmanager = values["alertmanager"]["alertmanagerSpec"]
    assert alertmanager["alertmanagerConfigSelector"] == {"matchLabels": {"release": RELEASE}}
    assert alertmanager["alertmanagerConfigMatcherStrategy"] == {"type": "None"}
    dashboards = values["grafana"]["sidecar"]["dashboards"]
    assert (dashboards["label"], dashboards["labelValue"]) == ("grafana_dashboard", "1")
