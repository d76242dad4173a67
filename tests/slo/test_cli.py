import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from chaosapi import assets
from chaosapi.cli.slo import app
from chaosapi.slo import files
from tests.patience import patience

RUN = CliRunner()
ALERTS = assets.path("alerts")


@pytest.mark.parametrize("profile", ["lab", "production"])
def test_rules_are_printed_or_written(profile: str, tmp_path: Path) -> None:
    """Without --out they are printed; with it they are written, and the folder is created."""
    out = tmp_path / "new" / "rules.yml"
    printed = RUN.invoke(app, ["rules", "--profile", profile])
    written = RUN.invoke(app, ["rules", "--profile", profile, "--out", str(out)])
    assert (printed.exit_code, written.exit_code) == (0, 0)
    assert printed.stdout == out.read_text() == (ALERTS / "rules" / f"{profile}.yml").read_text()


def test_the_generated_tests_are_those_checked_in() -> None:
    """The command in a file's first line generates that file."""
    result = RUN.invoke(app, ["tests", "--profile", "lab", "--pair", "24m/2m"])
    assert result.stdout == (ALERTS / "tests" / "lab-24m.yml").read_text()
    quickest = RUN.invoke(app, ["tests", "--profile", "lab"])
    assert quickest.stdout == (ALERTS / "tests" / "lab-1m.yml").read_text()


def test_generate_writes_every_file(tmp_path: Path) -> None:
    """All rules and tests come from slo.yaml, traffic.yaml and causes.yaml."""
    for name in ("slo.yaml", "traffic.yaml", "causes.yaml"):
        shutil.copy(ALERTS / name, tmp_path)
    assert RUN.invoke(app, ["generate", str(tmp_path)]).exit_code == 0
    assert {path: path.read_text() for path in tmp_path.rglob("*.yml")} == files.generated(tmp_path)


@pytest.mark.slow
def test_the_slo_that_is_off_works_once_its_lines_are_no_comments(tmp_path: Path, promtool: Path) -> None:
    """Its own alerts and those of the others fire and resolve as the generated tests say."""
    shutil.copy(ALERTS / "causes.yaml", tmp_path)
    for name, first in (("slo.yaml", "# - name: first-byte"), ("traffic.yaml", "# first-byte:")):
        before, _, rest = (ALERTS / name).read_text().partition(first)
        block, end, after = (first + rest).partition("\n\n")
        (tmp_path / name).write_text(before + re.sub("^( *)# ", "\\1", block, flags=re.MULTILINE) + end + after)
    assert RUN.invoke(app, ["generate", str(tmp_path)]).exit_code == 0
    assert "shop-first-byte" in (tmp_path / "rules" / "lab.yml").read_text()
    subprocess.run([promtool, "test", "rules", tmp_path / "tests" / "lab-1m.yml"], check=True, timeout=patience(60))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["rules", "--profile", "week"], "week is neither one of lab, production nor a file"),
        (["rules", "--spec", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["rules", "--profile", "lab", "--scrape-interval", "15s"], "the window 5s needs 4 scrapes"),
        (["rules", "--scrape-interval", "fast"], "a duration is text with units"),
        (["rules", "--retention", "15d"], "production: error: profile: retention: Prometheus forgets after 15d"),
        (["rules", "--kind", "prometheusrule", "--label", "release"], "release has no value: write NAME=VALUE"),
        (["rules", "--kind", "prometheusrule", "--name", "Shop"], "name: 'Shop' must be lower case"),
        (["rules", "--min-failures", "0"], "greater than or equal to 1"),
        (["rules", "--grafana-url", "grafana.example.com"], "--grafana-url: grafana.example.com: write a base address"),
        (["rules", "--grafana-url", "https://"], "such as https://example.com/shop"),
        (["rules", "--runbook-url", "ftp://example.com"], "--runbook-url: ftp://example.com: write a base address"),
        (["rules", "--runbook-url", "https://example.com/?page="], "such as https://example.com/shop"),
        (["tests", "--pair", "5m"], "5m is none of 1h/5m, 6h/30m, 1d/2h, 3d/6h"),
    ],
)
def test_an_error_ends_the_command_with_a_message(arguments: list[str], complaint: str, tmp_path: Path) -> None:
    """It has an exit code, and no file is written."""
    out = tmp_path / "out.yml"
    result = RUN.invoke(app, [*arguments, "--out", str(out)])
    assert result.exit_code in {1, 2}
    assert complaint in " ".join(result.stderr.replace("│", " ").split())
    assert not out.exists()


@pytest.mark.parametrize("command", ["rules", "tests"])
def test_an_slo_whose_alerts_cannot_fire_is_refused(command: str, tmp_path: Path) -> None:
    """At 90 % no burn rate reaches 14.4: no rules and no tests can be generated."""
    loose = (ALERTS / "slo.yaml").read_text().replace("objective: 99.9\n", "objective: 90\n")
    (tmp_path / "slo.yaml").write_text(loose)
    shutil.copy(ALERTS / "traffic.yaml", tmp_path)
    result = RUN.invoke(app, [command, "--spec", str(tmp_path / "slo.yaml")])
    assert result.exit_code == 1
    assert "promise more than 93.06%" in result.stderr


def test_stdout_is_yaml() -> None:
    """It has only the rules."""
    assert set(yaml.safe_load(RUN.invoke(app, ["rules", "--scrape-interval", "15s"]).stdout)) == {"groups"}


def test_a_kubernetes_object_has_the_same_groups() -> None:
    """It adds the envelope, the intervals, and the labels by which an operator selects it."""
    options = ["--kind", "prometheusrule", "--namespace", "monitoring", "--label", "release=kps"]
    made = yaml.safe_load(RUN.invoke(app, ["rules", *options]).stdout)
    assert made["metadata"] == {"name": "slo-shop", "namespace": "monitoring", "labels": {"release": "kps"}}
    plain = yaml.safe_load(RUN.invoke(app, ["rules"]).stdout)["groups"]
    assert made["spec"]["groups"] == [{"interval": "1m", **group} for group in plain]


@pytest.mark.parametrize("kind", ["groups", "prometheusrule"])
def test_links_are_absolute_if_their_base_urls_are_given(kind: str) -> None:
    """Only the links and the command in the first line change; with empty base URLs nothing changes."""
    plain = RUN.invoke(app, ["rules", "--kind", kind]).stdout
    grafana = "https://grafana.example.com"
    runbooks = "http://git.example.com:3000/shop/blob/main"
    told = ["--grafana-url", f"{grafana}/", "--runbook-url", runbooks]
    whole = RUN.invoke(app, ["rules", "--kind", kind, *told]).stdout
    assert whole.startswith(f"{plain.partition('`:')[0]} {' '.join(told)}`:")
    assert f"dashboard_url: {grafana}/d/chaosapi-slo?var-slo=" in whole
    assert f"runbook_url: {runbooks}/alerts/runbooks/StoreDown.md" in whole
    back = whole.replace(f"_url: {grafana}/d/", "_url: /d/").replace(f"_url: {runbooks}/", "_url: ")
    assert back.splitlines()[1:] == plain.splitlines()[1:]
    assert RUN.invoke(app, ["rules", "--kind", kind, "--grafana-url", "", "--runbook-url", ""]).stdout == plain


def test_an_absolute_link_is_kept(tmp_path: Path) -> None:
    """Also one from a template; the other links are made absolute."""
    path = tmp_path / "slo.yaml"
    for own in ("https://wiki.example.com/burn", "{{ $externalURL }}/burn"):
        runbook = "runbook_url: alerts/runbooks/ErrorBudgetBurn.md"
        path.write_text((ALERTS / "slo.yaml").read_text().replace(runbook, f'runbook_url: "{own}"'))
        result = RUN.invoke(app, ["rules", "--spec", str(path), "--runbook-url", "https://git.example.com"])
        rules = [rule for group in yaml.safe_load(result.stdout)["groups"] for rule in group["rules"]]
        links = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in rules if "alert" in rule}
        assert links == {
            "ErrorBudgetBurn": own,
            "TargetAbsent": "https://git.example.com/alerts/runbooks/TargetAbsent.md",
        }


def test_warnings_do_not_stop_the_rules() -> None:
    """They are printed to stderr, and the rules to stdout."""
    result = RUN.invoke(app, ["rules", "--requests-per-second", "0.01"])
    assert result.exit_code == 0
    assert "one failure pages below 69 requests in 1h" in result.stderr
    assert result.stdout == RUN.invoke(app, ["rules"]).stdout


def test_lints_exit_code_is_that_of_the_worst_finding(tmp_path: Path) -> None:
    """0 without errors, 1 with an error. With --json the output is JSON; that there is nothing is said on stderr."""
    clean = RUN.invoke(app, ["lint", str(ALERTS / "slo.yaml")])
    assert (clean.exit_code, clean.stdout, clean.stderr) == (0, "", f"{ALERTS / 'slo.yaml'}: no findings\n")
    assert RUN.invoke(app, ["lint", "--json"]).output == "[]\n"
    warned = RUN.invoke(app, ["lint", "--requests-per-second", "0.01", "--json"])
    assert warned.exit_code == 0
    assert {finding["level"] for finding in json.loads(warned.stdout)} == {"warning"}
    path = tmp_path / "slo.yaml"
    path.write_text((ALERTS / "slo.yaml").read_text().replace("objective: 99.5", "objective: 101"))
    wrong = RUN.invoke(app, ["lint", str(path)])
    assert wrong.exit_code == 1
    assert wrong.stdout == f"{path}:34: error: slos.2.objective: input should be less than 100\n"


def test_explain_shows_every_slo_in_eighty_columns() -> None:
    """Each has a heading, sentences and a table; --json has the same data."""
    shown = RUN.invoke(app, ["explain", "--profile", "production"], env={"COLUMNS": "80"})
    assert shown.exit_code == 0
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert " ".join(next(line for line in shown.stdout.splitlines() if "fires at 10%" in line).split()) == (
        "fires at 10% after 8m38s 21m36s 43m12s 43m12s"
    )
    facts = json.loads(RUN.invoke(app, ["explain", "--json"]).stdout)
    assert [each["slo"] for each in facts] == ["availability", "latency", "checkout-availability"]
