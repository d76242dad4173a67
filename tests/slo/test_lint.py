from pathlib import Path

import pytest

from chaosapi import errors
from chaosapi.slo import lint, windows
from chaosapi.slo.feasibility import Conditions

KUBERNETES = """\
apiVersion: sloth.slok.dev/v1
kind: PrometheusServiceLevel
metadata: {name: shop}
spec:
  service: shop
  slos:
    - name: availability
      objective: 90
      sli:
        events:
          errorQuery: sum(rate(requests{code="500"}[{{.window}}]))
          totalQuery: sum(rate(requests[{{.window}}]))
      alerting: {}
"""
PRODUCTION = windows.load("production")


def _lint(tmp_path: Path, text: str, where: Conditions | None = None) -> list[str]:
    path = tmp_path / "slo.yaml"
    path.write_text(text)
    found = lint.lint(path, PRODUCTION, "production", where or Conditions())
    return [str(each).removeprefix(f"{tmp_path}/") for each in found]


def test_findings_use_the_files_spelling_of_fields(tmp_path: Path) -> None:
    """Errors and warnings come in the order of the file, with the envelope and the camelCase of Kubernetes."""
    found = _lint(tmp_path, KUBERNETES)
    assert [each.split(": ")[:3] for each in found] == [
        ["slo.yaml:8", "error", "spec.slos.0.objective"],
        ["slo.yaml:10", "warning", "spec.slos.0.sli.events"],
    ]


def test_every_document_is_checked(tmp_path: Path) -> None:
    """An unreadable document hides no finding of the others, and line numbers are those of the whole file."""
    found = _lint(tmp_path, f"kind: Pod\n---\n{KUBERNETES}---\n{KUBERNETES.replace('90', '99.9')}")
    assert [each.split(": ")[:3] for each in found] == [
        ["slo.yaml:1", "error", "kind"],
        ["slo.yaml:10", "error", "spec.slos.0.objective"],
        ["slo.yaml:12", "warning", "spec.slos.0.sli.events"],
        ["slo.yaml:23", "error", "spec.slos.0.name"],  # the same SLO again
        ["slo.yaml:26", "warning", "spec.slos.0.sli.events"],
    ]


@pytest.mark.parametrize(
    ("error", "total", "says"),
    [
        (
            'sum by (code) (rate(requests{code="500"}[W]))',
            "sum(rate(requests[W]))",
            "error_query leaves the labels code, total_query leaves no labels",
        ),
        (
            'rate(requests{code="500"}[W])',
            "sum(rate(requests[W]))",
            "error_query leaves all labels of the series, total_query leaves no labels",
        ),
        (
            'sum without (code) (rate(requests{code="500"}[W]))',
            "sum without (pod) (rate(requests[W]))",
            "error_query leaves all labels but code, total_query leaves all labels but pod",
        ),
        (
            'sum by (code) (rate(requests{code="500"}[W]))',
            "sum by (code) (rate(requests[W]))",
            "error_query selects bad events by the label code and keeps it",
        ),
        (
            'rate(requests{code="500"}[W])',
            "rate(requests[W])",
            "error_query selects bad events by the label code and keeps it",
        ),
        (
            "sum(rate(requests[W])) - sum by (le) (rate(bucket[W]))",
            "sum(rate(requests[W]))",
            "the two sides of an operator have different labels, so they match nothing: no labels, and the labels le",
        ),
        (
            'sum by (code) (rate(requests{code="500"}[W])) or vector(0)',
            "sum(rate(requests[W]))",
            "error_query leaves the labels code, total_query leaves no labels",
        ),
        (
            'sum by (le) (rate(b{le="1"}[W])) - ignoring(le) sum by (le) (rate(b{le="2"}[W]))',
            'sum by (le) (rate(b{le="1"}[W]))',
            "error_query leaves no labels, total_query leaves the labels le",
        ),
        ('vector(0) or sum(rate(requests{code="500"}[W]))', "sum(rate(requests[W]))", "is always the vector"),
        ('sum(increase(requests{code="500"}[W]))', "sum(rate(requests[W]))", "increase() and total_query rate()"),
        (
            'sum(rate(requests{code="500"}[W]))',
            'sum(rate(requests{code="200"}[W]))',
            "total_query does not count the bad events that error_query selects",
        ),
        ("sum(rate(requests[W]))", 'sum(rate(requests{code=~"5.."}[W]))', "all of them would be bad"),
    ],
)
def test_queries_whose_ratio_is_always_wrong_are_errors(tmp_path: Path, error: str, total: str, says: str) -> None:
    """Most would read every failure as no error; the message has both sides."""
    text = KUBERNETES.replace("90", "99.9")
    text = text.replace('sum(rate(requests{code="500"}[{{.window}}]))', error.replace("W", "{{.window}}"))
    text = text.replace(
        "totalQuery: sum(rate(requests[{{.window}}]))", f"totalQuery: {total}".replace("W", "{{.window}}")
    )
    errors_found = [each for each in _lint(tmp_path, text) if ": error: " in each]
    assert len(errors_found) == 1
    assert says in errors_found[0]


def test_the_profile_is_checked_first(tmp_path: Path) -> None:
    """A finding about its windows has no line in the file."""
    found = _lint(tmp_path, KUBERNETES.replace("90", "99.9"), Conditions(retention=86400))
    assert found[0].startswith("production: error: profile: retention: Prometheus forgets after 1d")


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("a: [", "slo.yaml:1: error: document: not YAML: "),
        ("a: 1\na: 2\n", "slo.yaml:2: error: document: not YAML: the key a is there twice"),
        ("", "slo.yaml:1: error: document: "),
    ],
)
def test_a_malformed_document_is_a_finding(tmp_path: Path, text: str, finding: str) -> None:
    """Malformed YAML, a duplicate key, an empty file."""
    assert _lint(tmp_path, text)[0].startswith(finding)


def test_a_missing_file_is_an_error_and_no_finding(tmp_path: Path) -> None:
    """The command fails."""
    with pytest.raises(errors.Invalid, match="cannot be read"):
        lint.lint(tmp_path / "nowhere.yaml", PRODUCTION, "production", Conditions())
