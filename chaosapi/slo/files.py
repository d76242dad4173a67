"""The generated files as text: one rule file a profile, and its tests, one file a severity."""

from pathlib import Path

from chaosapi.slo import document, promtool, rules, windows
from chaosapi.slo.spec import Spec, load
from chaosapi.slo.windows import Severity


def rule_file(spec: Spec, profile: str) -> str:
    """Give the rule file for a profile (name or path); raises errors.Invalid."""
    data = rules.groups(spec, windows.load(profile))
    return document.write(data, f"chaosapi slo rules --profile {profile}")


def unit_tests(spec: Spec, profile: str, severity: Severity, *, traffic: Path, rules: str) -> str:
    """Give the promtool tests of one severity; `rules` is the rule file's path as seen from the test file."""
    data = promtool.suite(spec, windows.load(profile), promtool.load(traffic), severity, rules)
    return document.write(data, f"chaosapi slo tests --profile {profile} --severity {severity}")


def generated(folder: Path) -> dict[Path, str]:
    """Give every file made from `folder`/slo.yaml and `folder`/traffic.yaml: path → text, for all named profiles.

    Nothing is written; raises errors.Invalid.
    """
    spec, traffic = load(folder / "slo.yaml"), folder / "traffic.yaml"
    made = {}
    for profile in windows.NAMES:
        made[folder / "rules" / f"{profile}.yml"] = rule_file(spec, profile)
        for severity in promtool.GRID:
            text = unit_tests(spec, profile, severity, traffic=traffic, rules=f"../rules/{profile}.yml")
            made[folder / "tests" / f"{profile}-{severity}.yml"] = text
    return made
