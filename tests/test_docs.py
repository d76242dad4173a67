"""Everything is documented, and everything documented exists."""

import re
from pathlib import Path

import pytest
import yaml
from fastapi.testclient import TestClient

from chaosapi import assets
from chaosapi.effects import EFFECTS
from chaosapi.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
REFERENCE = ROOT / "docs" / "reference"
MADE = {"loadtests/reports/", "benchmarks/out/", "fuzz/out/findings.jsonl"}


@pytest.mark.parametrize("setting", Settings.model_fields)
def test_every_setting_is_in_the_reference(setting: str) -> None:
    """With its environment variable."""
    assert f"`CHAOSAPI_{setting.upper()}`" in (REFERENCE / "settings.md").read_text()


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect.__name__)
def test_every_effect_and_parameter_is_in_the_reference(effect: type) -> None:
    """In the row of its table."""
    name = effect.model_fields["type"].default  # type: ignore[attr-defined]
    (row,) = re.findall(rf"^\| `{name}` .*$", (REFERENCE / "effects.md").read_text(), re.MULTILINE)
    assert f"`{name}`" in README
    for parameter in effect.model_fields.keys() - {"type"}:  # type: ignore[attr-defined]
        assert f"`{parameter}`" in row


def test_every_metric_is_in_the_reference_and_every_metric_there_exists(client: TestClient) -> None:
    """Except those that prometheus-client adds by itself."""
    client.post("/admin/faults", json={"effect": {"type": "error"}})
    shown = client.get("/metrics").text + client.get("/admin/metrics").text
    families = re.findall(r"^# TYPE ((?:http|chaosapi|shop)_\S+)", shown, re.MULTILINE)
    documented = set(re.findall(r"`((?:http|chaosapi|shop)_[a-z_]+)`", (REFERENCE / "metrics.md").read_text()))
    assert documented == set(families)


def test_every_alert_has_a_runbook_and_a_row(client: TestClient) -> None:
    """In every profile."""
    for rules in assets.path("alerts").glob("rules/*.yml"):
        groups = yaml.safe_load(rules.read_text())["groups"]
        for alert in {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}:
            assert f"| [{alert}](../alerts/runbooks/{alert}.md) |" in (ROOT / "docs" / "alerts.md").read_text()
            assert (assets.path("alerts") / "runbooks" / f"{alert}.md").is_file()


def test_every_admin_route_is_in_the_reference(client: TestClient) -> None:
    """With its method."""
    for path, methods in client.get("/admin/openapi.json").json()["paths"].items():
        if path.startswith(("/admin", "/hooks")):
            for method in methods:
                assert f"`{method.upper()} {path}`" in (REFERENCE / "api.md").read_text()


def test_every_room_is_on_the_architecture_page() -> None:
    """Each folder of the package; and every module that the page names exists."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    package = ROOT / "chaosapi"
    rooms = [room.name for room in package.iterdir() if room.is_dir() and not room.name.startswith("_")]
    assert [room for room in rooms if f"`{room}/`" not in page] == []
    named = re.findall(r"`([a-z_]+/[\w./]*|[a-z_]+\.py)`", page)
    assert [path for path in named if not (package / path).exists() and not (ROOT / path).exists()] == []


PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("kustomize/**/README.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_paths_in_the_docs_exist(page: Path) -> None:
    """Every relative link, and every named folder or file of the repo that is not generated."""
    text = page.read_text()
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    named = re.findall(
        r"`((?:alerts|benchmarks|chaosapi|dashboards|docs|fuzz|kustomize|loadtests|tests)/[\w./-]*)`", text
    )
    missing = [link for link in links if link and not (page.parent / link).exists()]
    missing += [path for path in named if not (ROOT / path).exists() and path not in MADE]
    assert missing == []
