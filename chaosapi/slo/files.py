"""The generated files as text: the rules of each profile, plain and for an operator, and tests for each window pair."""

from collections.abc import Sequence
from pathlib import Path

from chaosapi import errors
from chaosapi.slo import cause_alerts, document, kubernetes, promtool, rules, windows
from chaosapi.slo.cause_alerts import Causes
from chaosapi.slo.promtool import TrafficFile
from chaosapi.slo.rules import Groups
from chaosapi.slo.spec import Spec, load_all
from chaosapi.slo.windows import Profile, WindowPair, text


def groups(specs: Sequence[Spec], profile: Profile, min_failures: int = 1, beside: Causes | None = None) -> Groups:
    """Return the rule groups of several specs as one, and of the causes beside them.

    Raises errors.Invalid, also for an SLO that is there twice.
    """
    made = [group for spec in specs for group in rules.groups(spec, profile, min_failures)["groups"]]
    made += [cause_alerts.group(beside, profile)] if beside else []
    names = [group["name"] for group in made]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise errors.Invalid(f"{', '.join(twice)}: there twice: every service needs SLO names of its own")
    return {"groups": made}


def rule_file(specs: Sequence[Spec], profile: str, min_failures: int = 1, beside: Causes | None = None) -> str:
    """Return the rule file for a profile (name or path); raises errors.Invalid."""
    made = groups(specs, windows.load(profile), min_failures, beside)
    return document.write(made, rules_command(profile, min_failures))


def prometheus_rule(
    specs: Sequence[Spec],
    profile: str,
    min_failures: int = 1,
    beside: Causes | None = None,
    *,
    name: str | None = None,
    namespace: str | None = None,
    labels: dict[str, str] | None = None,
) -> str:
    """Return the rules as an object of the Prometheus operator, called slo-SERVICE unless told; raises errors.Invalid.

    Its groups say how often they are evaluated: who runs the Prometheus of a cluster has chosen that for everybody.
    """
    chosen = windows.load(profile)
    made = groups(specs, chosen, min_failures, beside)["groups"]
    paced = [{"name": group["name"], "interval": text(chosen.step), **group} for group in made]
    title = name or f"slo-{specs[0].service}".lower().replace("_", "-")
    data = kubernetes.prometheus_rule({"groups": paced}, title, namespace, labels)
    return document.write(data, f"{rules_command(profile, min_failures)} --kind prometheusrule")


def rules_command(profile: str, min_failures: int = 1) -> str:
    """Return the command that makes the rules."""
    return f"chaosapi slo rules --profile {profile}" + _min_failures_option(min_failures)


def unit_tests(
    specs: Sequence[Spec], profile: str, pair: WindowPair, *, traffic: TrafficFile, rules: str, min_failures: int = 1
) -> str:
    """Return the promtool tests of one pair; `rules` is the rule file's path as seen from the test file."""
    data = promtool.suite(specs, windows.load(profile), pair, traffic, rules, min_failures)
    return document.write(
        data, f"chaosapi slo tests --profile {profile} --pair {pair}" + _min_failures_option(min_failures)
    )


def generated(folder: Path) -> dict[Path, str]:
    """Return every file made from slo.yaml, traffic.yaml and, if there is one, causes.yaml in `folder`: path → text.

    Nothing is written; raises errors.Invalid.
    """
    specs = load_all(folder / "slo.yaml")
    traffic = promtool.load(folder / "traffic.yaml")
    beside = cause_alerts.load_beside(folder / "slo.yaml")
    made = {}
    for profile in windows.NAMES:
        made[folder / "rules" / f"{profile}.yml"] = rule_file(specs, profile, beside=beside)
        made[folder / "prometheusrules" / profile / "rules.yml"] = prometheus_rule(specs, profile, beside=beside)
        for pair in windows.load(profile).pairs:
            tests = unit_tests(specs, profile, pair, traffic=traffic, rules=f"../rules/{profile}.yml")
            made[folder / "tests" / f"{profile}-{text(pair.long)}.yml"] = tests
        if beside:
            data = cause_alerts.suite(beside, windows.load(profile), f"../rules/{profile}.yml")
            made[folder / "tests" / f"{profile}-causes.yml"] = document.write(data, "chaosapi slo generate")
    return made


def _min_failures_option(min_failures: int) -> str:
    return f" --min-failures {min_failures}" if min_failures > 1 else ""
