import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from chaosapi.cli import app

DEMO = ["error", "status=503", "--rate", "0.2", "--duration", "3m", "--profile", "lab"]


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["forecast", *arguments], env={"COLUMNS": "80", "CHAOSAPI_PROMETHEUS": "none"})


def test_the_timetable_fits_into_eighty_columns() -> None:
    """It has every firing alert in full, the others with their peaks, and the budgets."""
    shown = _run(*DEMO).stdout
    assert "availability: will fire" in shown
    assert "page 1m/5s" in shown
    assert "ticket 1h12m/6m" in shown
    assert "latency page 1m/5s" in shown
    assert "83.33%" in shown
    assert "detection + reset: by the formulas" in shown
    assert "expected range: of the first firing, in at least nine of ten runs" in shown
    assert not [line for line in shown.splitlines() if line.rstrip().endswith("…")]


def test_json_is_the_model_of_the_forecast() -> None:
    """Times as durations, null for events that do not happen."""
    answer = json.loads(_run(*DEMO, "--json").stdout)
    page = answer["alerts"][0]
    assert (page["slo"], page["long_window"], page["fires"]) == ("availability", "1m", True)
    assert page["moments"][0]["firing"] == "5s"
    assert page["moments"][0]["resolved"] == "3m4s"


def test_faults_come_from_files_too(tmp_path: Path) -> None:
    """One fault or a list; the `on` and `off` of a pulse are not booleans."""
    file = tmp_path / "faults.yaml"
    file.write_text("- {effect: {type: error}, schedule: {duration: 1m, shape: {type: pulse, on: 10s, off: 20s}}}\n")
    answer = json.loads(_run("--file", str(file), "--profile", "lab", "--json").stdout)
    assert round(answer["budgets"][0]["bad"]) == 2000
    old = _run("--fault-file", str(file), "--profile", "lab", "--json")
    assert json.loads(old.stdout) == answer
    assert "the old name of --file" in old.stderr


def test_the_inverse_questions() -> None:
    """The answer is a sentence, or JSON."""
    assert "page 1m/5s of availability is notified after 20s" in " ".join(
        _run(*DEMO, "--page-within", "20s").stdout.split()
    )
    answer = json.loads(_run(*DEMO, "--budget", "10%", "--slo", "availability", "--json").stdout)
    assert answer["rate"] == pytest.approx(0.024, rel=1e-3)


@pytest.mark.parametrize("question", [("--page-within", "2m"), ("--budget", "10%")])
def test_the_rate_question_is_about_errors_by_default(question: tuple[str, str]) -> None:
    """The output says so."""
    assumed = _run(*question, "--json")
    given = _run("error", *question, "--json")
    assert "assumed: the effect is error" in assumed.stderr
    assert "assumed" not in given.stderr
    assert json.loads(assumed.stdout) == json.loads(given.stdout)


@pytest.mark.parametrize("question", [(), ("--page-within", "20s"), ("--budget", "10%")])
def test_every_table_has_its_assumptions(question: tuple[str, ...]) -> None:
    """Requests/s, mix, source, windows, period, intervals and history; the JSON has them too."""
    shown = _run(*DEMO, *question).stdout
    for line in (
        "assumed: 100 requests/s (the shop's usual traffic)",
        "  mix: GET /api/products/{product_id} 0.35, GET /api/products 0.3",
        "  windows: lab: page 1m/5s, page 6m/30s, ticket 24m/2m, ticket 1h12m/6m; budgets",
        "  scraped every 1s, evaluated every 1s",
        "  past: the same traffic without a fault, scraped for longer than every window",
    ):
        assert line in shown
    assert shown.startswith("assumed: ")
    found = json.loads(_run(*DEMO, *question, "--json").stdout)["assumptions"]
    assert (found["requests_per_second"], found["profile"], found["period"]) == (100, "lab", "12h")
    assert found["mix"]["POST /api/checkout"] == 0.06


SLO = """\
version: prometheus/v1
service: items
slos:
  - name: reads
    objective: 99.9
    alerting: {}
    sli:
      events:
        error_query: sum(rate(http_requests_total{SELECTOR, status=~"5.."}[{{.window}}]))
        total_query: sum(rate(http_requests_total{SELECTOR}[{{.window}}]))
  - name: logins
    objective: 99
    alerting: {}
    sli:
      events:
        error_query: sum(rate(http_requests_total{handler="/login", status=~"5.."}[{{.window}}]))
        total_query: sum(rate(http_requests_total{handler="/login"}[{{.window}}]))
"""


def _own(tmp_path: Path, selector: str, *arguments: str) -> Result:
    file = tmp_path / "slo.yml"
    file.write_text(SLO.replace("SELECTOR", selector))
    return _run("error", "--profile", "lab", "--spec", str(file), "--slo", "reads", *arguments)


READS = ("--rps", "20", "--share", "/items/{item_id}=0.9", "--share", "POST /login=0.1")


@pytest.mark.parametrize(
    "selector", ['handler="/items/{item_id}"', 'job="items", handler=~"/items/.*", method!="POST"']
)
def test_an_own_slo_is_forecast_with_the_given_traffic(tmp_path: Path, selector: str) -> None:
    """All requests fail, so the page fires after the second scrape."""
    answer = json.loads(_own(tmp_path, selector, *READS, "--json").stdout)
    assert {alert["slo"] for alert in answer["alerts"]} == {"reads"}
    assert answer["alerts"][0]["moments"][0]["firing"] == "1s"


@pytest.mark.parametrize(
    ("selector", "arguments", "problem"),
    [
        ('handler="/items/{item_id}"', ["--service", "http://127.0.0.1:1"], "no metrics from http://127.0.0.1:1"),
        ('handler="/items/{item_id}"', ["--rps", "20", "--service", "http://127.0.0.1:1"], "no metrics from"),
        ('handler="/items/{id}"', READS, 'handler="/items/{item_id}",status="200"}'),
        ('handler="/items/{id}"', READS, "did you mean /items/{item_id}?"),
        (
            'handler=~"/thing.*"',
            READS,
            'its total_query gets no request. It selects http_requests_total{handler=~"/thing.*"}',
        ),
        ('team="a"', READS, "reads: the series have no label team"),
        (
            'handler="/items/{item_id}"',
            [*READS, "--route", "/nosuch"],
            "/nosuch gets no request: the traffic (as given)",
        ),
        ('handler="/items/{item_id}"', [*READS, "--method", "PUT"], "PUT gets no request"),
    ],
)
def test_an_own_slo_without_a_request_is_refused(
    tmp_path: Path, selector: str, arguments: Sequence[str], problem: str
) -> None:
    """With the selectors without requests and the available series, instead of the shop's default traffic."""
    result = _own(tmp_path, selector, *arguments)
    assert result.exit_code == 1
    assert problem in result.stderr
    assert result.stdout == ""


def test_an_error_in_one_slo_does_not_hide_the_others(tmp_path: Path) -> None:
    """Their forecast is printed, and the exit code is non-zero."""
    file = tmp_path / "slo.yml"
    file.write_text(SLO.replace("SELECTOR", 'handler="/nosuch"'))
    result = _run("error", "--profile", "lab", "--spec", str(file), *READS)
    assert result.exit_code == 1
    assert "logins: will fire" in result.stdout
    assert "no forecast of reads: its total_query gets no request" in result.stderr


def test_the_html_page_is_self_contained(tmp_path: Path) -> None:
    """Burn rates, thresholds and Plotly itself: nothing is loaded from other hosts."""
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
        (["error", "--slo", "uptime"], "choose one of availability, latency, checkout-availability"),
        (["error", "--budget", "lots"], "is not a share of a budget"),
        (["error", "--budget", "inf"], "is not a share of a budget"),
        (["error", "--prometheus", "http://foo:bar"], "is not a URL such as http://127.0.0.1:9090"),
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


def test_flapping_is_foretold() -> None:
    """A few checkouts a second: the page of theirs fires several times, and the JSON says how often."""
    question = (*DEMO, "--rps", "20", "--slo", "checkout-availability")
    assert " flaps " in _run(*question).stdout
    page = json.loads(_run(*question, "--json").stdout)["alerts"][0]
    assert len(page["moments"]) == 1
    assert page["firings"]["low"] > 1


def test_durations_without_a_unit_are_in_seconds() -> None:
    """As in `chaosapi fault add`."""
    with_units = ("--duration", "3m", "--start-after", "5s", "--horizon", "10m", "--for", "1s", "--json")
    without = ("--duration", "180", "--start-after", "5", "--horizon", "600", "--for", "1", "--json")
    answers = [json.loads(_run(*DEMO, *options).stdout) for options in (with_units, without)]
    assert answers[0] == answers[1]
    assert _run(*DEMO, "--page-within", "20").stdout == _run(*DEMO, "--page-within", "20s").stdout
