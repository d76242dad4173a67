import pytest

from chaosapi.console.panels.alerts import runbook


@pytest.mark.parametrize("url", ["ErrorBudgetBurn.md", "https://wiki.example/runbooks/ErrorBudgetBurn.md"])
def test_chaosapis_runbooks_are_shown(url: str) -> None:
    """At any URL of a copy."""
    assert (runbook(url) or "").startswith("# ErrorBudgetBurn")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x" * 300,
        "https://wiki.example/runbooks/" + "x" * 70_000,
        "/runbooks/\0",
        "../../README",
        "/runbooks/..%2f..%2fREADME",
        "javascript:alert(1)//runbooks/x",
        "https://[::1/runbooks/x",
        "/runbooks/\ud800",
        "*",
        ".",
    ],
)
def test_other_runbooks_are_external(url: str) -> None:
    """No file path is built from an alert's value."""
    assert runbook(url) is None
