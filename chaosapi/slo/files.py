"""The generated files as text: one rule file a profile, and its tests, one file a window pair."""

from collections.abc import Sequence
from pathlib import Path

from chaosapi import errors
from chaosapi.slo import document, promtool, rules, windows
from chaosapi.slo.promtool import Traffic
from chaosapi.slo.rules import Groups
from chaosapi.slo.spec import Spec, load_all
from chaosapi.slo.windows import Pair, Profile, text


def groups(specs: Sequence[Spec], profile: Profile, min_failures: int = 1) -> Groups:
    """Give the rule groups of several specs as one; raises errors.Invalid, also for an SLO that is there twice."""
    made = [group for spec in specs for group in rules.groups(spec, profile, min_failures)["groups"]]
    names = [group["name"] for group in made]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise errors.Invalid(f"{', '.join(twice)}: there twice: every service needs SLO names of its own")
    return {"groups": made}


def rule_file(specs: Sequence[Spec], profile: str, min_failures: int = 1) -> str:
    """Give the rule file for a profile (name or path); raises errors.Invalid."""
    made = groups(specs, windows.load(profile), min_failures)
    return document.write(made, rules_command(profile, min_failures))


def rules_command(profile: str, min_failures: int = 1) -> str:
    """Give the command that makes the rules."""
    return f"chaosapi slo rules --profile {profile}" + _if_more(min_failures)


def unit_tests(  # noqa: PLR0913 - what a test file depends on
    specs: Sequence[Spec], profile: str, pair: Pair, *, traffic: Traffic, rules: str, min_failures: int = 1
) -> str:
    """Give the promtool tests of one pair; `rules` is the rule file's path as seen from the test file."""
    data = promtool.suite(specs, windows.load(profile), pair, traffic, rules, min_failures)
    return document.write(data, f"chaosapi slo tests --profile {profile} --pair {pair}" + _if_more(min_failures))


def generated(folder: Path) -> dict[Path, str]:
    """Give every file made from `folder`/slo.yaml and `folder`/traffic.yaml: path → text, for all named profiles.

    Nothing is written; raises errors.Invalid.
    """
    specs, traffic = load_all(folder / "slo.yaml"), promtool.load(folder / "traffic.yaml")
    made = {}
    for profile in windows.NAMES:
        made[folder / "rules" / f"{profile}.yml"] = rule_file(specs, profile)
        for pair in windows.load(profile).pairs:
            tests = unit_tests(specs, profile, pair, traffic=traffic, rules=f"../rules/{profile}.yml")
            made[folder / "tests" / f"{profile}-{text(pair.long)}.yml"] = tests
    return made


def _if_more(min_failures: int) -> str:
    return f" --min-failures {min_failures}" if min_failures > 1 else ""
