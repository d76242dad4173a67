import pytest

from chaosapi.console.panels.alerts import runbook


@pytest.mark.parametrize("url", ["ErrorBudgetBurn.md", "https://wiki.example/runbooks/ErrorBudgetBurn.md"])
def test_a_runbook_of_ours_is_read(url: str) -> None:
    """Wherever a copy of it is said to be."""
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
def test_any_other_runbook_is_elsewhere(url: str) -> None:
    """Whatever an alert names: no path is made of it."""
    assert runbook(url) is None
