"""SLO files from other projects: promtool accepts the rules, or the file is refused for a stated reason."""

import subprocess
from pathlib import Path

import pytest
import yaml

from chaosapi import errors
from chaosapi.slo import document, files, lint, spec, windows
from chaosapi.slo.feasibility import Conditions

SPECS = Path(__file__).with_name("specs")
REFUSALS = {
    "refused-plugins.yaml": [(3, "slo_plugins"), (8, "slos.0.plugins"), (10, "slos.0.sli.plugin")],
    "refused-kubernetes.yaml": [
        (5, "spec.service"),
        (6, "spec.sloPlugins"),
        (11, "spec.slos.0.sli.events.errorQuery"),
        (12, "spec.slos.0.sli.events.error_query"),
    ],
    "refused-openslo.yaml": [(1, "apiVersion")],
    "refused-other-dialect.yaml": [
        (8, "slos.0.sli.events.error_query"),
        (9, "slos.0.sli.events.total_query"),
        (19, "slos.0.sli.events.error_query"),
        (20, "slos.0.sli.events.total_query"),
    ],
}


@pytest.mark.parametrize("profile", windows.NAMES)
@pytest.mark.parametrize("name", sorted({path.name for path in SPECS.iterdir()} - set(REFUSALS)))
def test_promtool_accepts_the_rules_of_every_loaded_file(
    name: str, profile: str, tmp_path: Path, promtool: Path
) -> None:
    """Several documents, Kubernetes objects, subqueries, comments, raw ratios, odd alert names, disabled alerts."""
    rules = tmp_path / "rules.yml"
    rules.write_text(files.rule_file(spec.load_all(SPECS / name), profile, 1))
    result = subprocess.run([promtool, "check", "rules", rules], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "duplicate" not in result.stdout + result.stderr


@pytest.mark.parametrize("name", REFUSALS)
def test_refused_files_have_errors_by_line_and_field(name: str) -> None:
    """Plugins, OpenSLO, other PromQL dialects and mixed spellings: every error in all documents is listed."""
    found = lint.lint(SPECS / name, windows.load("production"), "production", Conditions())
    assert [(each.line, each.field) for each in found] == REFUSALS[name]
    assert {each.level for each in found} == {"error"}


def test_a_kubernetes_object_gives_the_same_rules_as_the_plain_form() -> None:
    """Only the label with the name of the form differs, as in Sloth."""
    resource = yaml.safe_load((SPECS / "kubernetes.yaml").read_text())["spec"]
    snake = {"errorQuery": "error_query", "totalQuery": "total_query", "errorRatioQuery": "error_ratio_query"}
    snake |= {"pageAlert": "page_alert", "ticketAlert": "ticket_alert"}

    def plainly(data: object) -> object:
        if isinstance(data, dict):
            return {snake.get(key, key): plainly(value) for key, value in data.items()}
        return [plainly(each) for each in data] if isinstance(data, list) else data

    text = document.write({"version": "prometheus/v1", **resource}, "a test")
    plain = spec.parse(document.write(plainly(yaml.safe_load(text)), "a test"), "plain.yaml")  # type: ignore[arg-type]
    kubernetes = spec.load_all(SPECS / "kubernetes.yaml")
    one, other = (files.rule_file(each, "production", 1) for each in (plain, kubernetes))
    assert one.replace("sloth_spec: prometheus/v1", "sloth_spec: sloth.slok.dev/v1") == other


def test_slos_of_two_documents_are_separate() -> None:
    """Two services may share an objective's name; the same service with it twice is an error in both commands."""
    two = spec.load_all(SPECS / "two-services.yaml")
    groups = files.groups(two, windows.load("production"))["groups"]
    assert {"slo-cart-answers", "slo-search-answers"} <= {group["name"] for group in groups}
    with pytest.raises(errors.Invalid, match=r"slo-cart-answers.*there twice"):
        files.groups([two[0], two[0]], windows.load("production"))
