import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from chaosapi.cli import app

DEMO = ["error", "status=503", "--rate", "0.2", "--duration", "3m", "--profile", "lab"]


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["forecast", *arguments], env={"COLUMNS": "80"})


def test_the_timetable_fits_a_terminal() -> None:
    """Eighty columns show every alert that fires, whole; the others with their peaks; and the budgets."""
    shown = _run(*DEMO).stdout
    assert "availability: will fire" in shown
    assert "page 1m/5s" in shown
    assert "ticket 1h12m/6m" in shown
    assert "latency page 1m/5s" in shown
    assert "83.33%" in shown
    assert not [line for line in shown.splitlines() if line.rstrip().endswith("…")]


def test_json_is_the_answer_of_the_model() -> None:
    """Times as durations, None where something does not happen."""
    answer = json.loads(_run(*DEMO, "--json").stdout)
    page = answer["alerts"][0]
    assert (page["slo"], page["long_window"], page["fires"]) == ("availability", "1m", True)
    assert page["moments"][0]["firing"] == "5s"
    assert page["moments"][0]["resolved"] == "3m4s"


def test_faults_come_from_files_too(tmp_path: Path) -> None:
    """One or a list of them; a pulse's `on` and `off` are no booleans."""
    file = tmp_path / "faults.yaml"
    file.write_text("- {effect: {type: error}, schedule: {duration: 1m, shape: {type: pulse, on: 10s, off: 20s}}}\n")
    answer = json.loads(_run("--fault-file", str(file), "--profile", "lab", "--json").stdout)
    assert round(answer["budgets"][0]["bad"]) == 2000


def test_the_inverse_questions() -> None:
    """In a sentence, or as JSON."""
    assert "page 1m/5s of availability is notified after 20s" in " ".join(
        _run(*DEMO, "--page-within", "20s").stdout.split()
    )
    answer = json.loads(_run(*DEMO, "--budget", "10%", "--slo", "availability", "--json").stdout)
    assert answer["rate"] == pytest.approx(0.024, rel=1e-3)


@pytest.mark.parametrize("question", [("--page-within", "2m"), ("--budget", "10%")])
def test_which_rate_is_asked_about_errors_unless_a_fault_is_given(question: tuple[str, str]) -> None:
    """It says so, beside the same answer."""
    assumed, given = _run(*question, "--json"), _run("error", *question, "--json")
    assert "assumed: the effect is error" in assumed.stderr
    assert "assumed" not in given.stderr
    assert json.loads(assumed.stdout) == json.loads(given.stdout)


def test_the_page_holds_everything(tmp_path: Path) -> None:
    """Burn rates, thresholds and Plotly itself: nothing is loaded from elsewhere."""
    file = tmp_path / "forecast.html"
    assert _run(*DEMO, "--html", str(file)).exit_code == 0
    page = file.read_text()
    assert "1m\\u002f5s above 14.4" in page or "1m/5s above 14.4" in page
    assert 'src="http' not in page


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["error", "--rate", "5"], "did you mean 0.05"),
        (["errors"], "unknown type 'errors'"),
        ([], "no fault is given"),
        (["error", "--scrape", "2m"], "needs 4 scrapes"),
        (["error", "--scenario", "storm"], "one of steady, spike"),
        (["error", "--scenario", "spike", "--scale", "0"], "the scale is 0; it must be above 0"),
        (["error", "--scale", "2"], "it needs --scenario"),
        (["error", "--peak", "200"], "it needs --scenario"),
        (["error", "--scenario-duration", "5m"], "it needs --scenario"),
        (["error", "--page-within", "2m", "--budget", "10%"], "use either --page-within or --budget"),
        (["error", "--page-within", "2m", "--html", "f.html"], "cannot answer --page-within or --budget"),
        (["error", "--budget", "10%", "--html", "f.html"], "cannot answer --page-within or --budget"),
        (["error", "--slo", "availability"], "it needs --budget"),
        (["error", "--budget", "lots"], "is not a share of a budget"),
        (["error", "--budget", "inf"], "is not a share of a budget"),
        (["error", "--traffic-from", "http://foo:bar"], "is not a URL such as http://127.0.0.1:9090"),
        (["error", "--share", "/a=x"], "a share is a number"),
        (["error", "--page-within", "soon"], "a duration is"),
        (["error", "--evaluation", "0s"], "greater than or equal to 0.01"),
        (["error", "--horizon", "8760h", "--profile", "lab"], "choose a shorter horizon"),
    ],
)
def test_bad_input_is_refused_with_what_would_be_right(arguments: list[str], problem: str) -> None:
    """No traceback, and exit code 1 or 2."""
    result = _run(*arguments)
    assert result.exit_code in {1, 2}
    assert problem in " ".join((result.output + result.stderr).replace("│", " ").split())
