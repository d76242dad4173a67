"""The generated files as text: rules of each profile, plain and as PrometheusRule, and tests for each window pair."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from chaosapi import errors
from chaosapi.slo import cause_alerts, document, kubernetes, promtool, rules, windows
from chaosapi.slo.annotations import SHIPPED, LinkBases
from chaosapi.slo.cause_alerts import Causes
from chaosapi.slo.promtool import TrafficFile
from chaosapi.slo.rules import Groups
from chaosapi.slo.spec import Spec, load_all
from chaosapi.slo.windows import Profile, WindowPair, format_window


def groups(
    specs: Sequence[Spec],
    profile: Profile,
    min_failures: int = 1,
    causes: Causes | None = None,
    links: LinkBases = SHIPPED,
) -> Groups:
    """Return the rule groups of several specs, and of the alerts on causes, as one file.

    Raises errors.Invalid, also for a duplicate SLO.
    """
    made = [group for spec in specs for group in rules.groups(spec, profile, min_failures, links)["groups"]]
    made += [cause_alerts.group(causes, profile)] if causes else []
    names = [group["name"] for group in made]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise errors.Invalid(f"{', '.join(twice)}: there twice: every service needs SLO names of its own")
    return {"groups": made}


def rule_file(
    specs: Sequence[Spec],
    profile: str,
    min_failures: int = 1,
    causes: Causes | None = None,
    links: LinkBases = SHIPPED,
) -> str:
    """Return the rule file for a profile (name or path); raises errors.Invalid."""
    made = groups(specs, windows.load(profile), min_failures, causes, links)
    return links.complete_rules(document.write(made, rules_command(profile, min_failures)))


class Metadata(NamedTuple):
    """The metadata of a Kubernetes object."""

    name: str | None = None
    namespace: str | None = None
    labels: dict[str, str] | None = None


_NO_METADATA = Metadata()


def prometheus_rule(
    specs: Sequence[Spec],
    profile: str,
    min_failures: int = 1,
    causes: Causes | None = None,
    meta: Metadata = _NO_METADATA,
    links: LinkBases = SHIPPED,
) -> str:
    """Return the rules as a PrometheusRule of the Prometheus operator, by default named slo-SERVICE.

    Every group sets its interval, since the default interval of a cluster's Prometheus may be too long for the
    profile. Raises errors.Invalid.
    """
    chosen = windows.load(profile)
    made = groups(specs, chosen, min_failures, causes, links)["groups"]
    paced = [{"name": group["name"], "interval": format_window(chosen.step), **group} for group in made]
    title = meta.name or f"slo-{specs[0].service}".lower().replace("_", "-")
    data = kubernetes.prometheus_rule({"groups": paced}, title, meta.namespace, meta.labels)
    return links.complete_rules(document.write(data, f"{rules_command(profile, min_failures)} --kind prometheusrule"))


def rules_command(profile: str, min_failures: int = 1) -> str:
    """Return the command that generates the rules."""
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
    """Return every file generated from slo.yaml, traffic.yaml and the optional causes.yaml in `folder`: path → text.

    Writes nothing. Raises errors.Invalid.
    """
    specs = load_all(folder / "slo.yaml")
    traffic = promtool.load(None, folder / "slo.yaml")
    causes = cause_alerts.load_from_folder_of(folder / "slo.yaml")
    links = LinkBases(shipped=has_runbooks(folder / "slo.yaml"))
    made = {}
    for profile in windows.NAMES:
        made[folder / "rules" / f"{profile}.yml"] = rule_file(specs, profile, causes=causes, links=links)
        made[folder / "prometheusrules" / profile / "rules.yml"] = prometheus_rule(
            specs, profile, causes=causes, links=links
        )
        for pair in windows.load(profile).pairs:
            tests = unit_tests(specs, profile, pair, traffic=traffic, rules=f"../rules/{profile}.yml")
            made[folder / "tests" / f"{profile}-{format_window(pair.long)}.yml"] = tests
        if causes:
            data = cause_alerts.suite(causes, windows.load(profile), f"../rules/{profile}.yml")
            made[folder / "tests" / f"{profile}-causes.yml"] = document.write(data, "chaosapi slo generate")
    return made


def has_runbooks(source: Path) -> bool:
    """Return whether the folder of a spec has the runbooks that come with chaosapi, as the shop's has."""
    return source.with_name("runbooks").joinpath("TargetAbsent.md").exists()


def _min_failures_option(min_failures: int) -> str:
    return f" --min-failures {min_failures}" if min_failures > 1 else ""
