"""Writes alerts/alertmanager.yml as a cluster needs it: `python kustomize/alertmanager.py [FOLDER]`."""

import re
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from chaosapi import assets
from chaosapi.lab import alertmanager

Object = dict[str, Any]
OPERATOR: Final = "components/monitoring/alertmanagerconfig.yaml"
STANDALONE: Final = "components/standalone-monitoring/alertmanager.yml"
HOOK: Final = "/hooks/alertmanager"
SECRET: Final = "chaosapi-token"  # noqa: S105 - its name, not what it holds
KEY: Final = "CHAOSAPI_ADMIN_TOKEN"

_MATCHER = re.compile(r'\s*(\w+)\s*(=~|!~|!=|=)\s*"?([^"]*?)"?\s*')
_TOP: Final = {"route": "route", "receivers": "receivers", "inhibit_rules": "inhibitRules"}
_INTERVALS: Final = ("time_intervals", "mute_time_intervals")


def standalone(source: str) -> Object:
    """Return the settings of the component standalone-monitoring: those of the lab, the token read from a file."""
    made: Object = yaml.safe_load(alertmanager.config(source, webhook=f"http://chaosapi-admin:8001{HOOK}", token=None))
    for hook in _hooks(made):
        hook["http_config"] = {
            "authorization": {"type": "Bearer", "credentials_file": f"/etc/alertmanager-token/{KEY}"}
        }
    return made


def operator(source: str, service: str) -> Object:
    """Return the settings as an AlertmanagerConfig; raises ValueError for what such an object cannot hold.

    Its names are those of alertmanager.yml in camelCase, and a matcher is an object. The Alertmanager is shared: routes
    and inhibitions are narrowed to alerts of `service`. It stands in another namespace: an overlay puts its own into
    the webhook's address.
    """
    settings: Object = yaml.safe_load(source)
    if unknown := sorted(settings.keys() - _TOP.keys() - set(_INTERVALS)):
        raise ValueError(f"alertmanager.yml: an AlertmanagerConfig has no {', '.join(unknown)}")
    for hook in _hooks(settings):
        hook["url"] = f"http://chaosapi-admin.chaosapi.svc:8001{HOOK}"
        hook["http_config"] = {"authorization": {"type": "Bearer", "credentials": {"name": SECRET, "key": KEY}}}
    spec = {new: _camel(settings[old]) for old, new in _TOP.items() if old in settings}
    mine = {"name": "service", "value": service, "matchType": "="}
    spec["route"]["matchers"] = [mine]
    for rule in spec.get("inhibitRules", ()):
        rule["sourceMatch"].append(mine)
        rule["targetMatch"].append(mine)
    if intervals := [each for key in _INTERVALS for each in settings.get(key, ())]:
        spec["muteTimeIntervals"] = _camel(intervals)
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "AlertmanagerConfig",
        "metadata": {"name": "chaosapi"},
        "spec": spec,
    }


def _hooks(settings: Object) -> list[Object]:
    return [hook for receiver in settings["receivers"] for hook in receiver.get("webhook_configs", ())]


def _camel(value: Any) -> Any:
    if isinstance(value, list):
        return [_camel(each) for each in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for key, inside in value.items():
        name = re.sub(r"_(\w)", lambda found: found[1].upper(), key)
        if key in {"source_matchers", "target_matchers", "matchers"}:
            made[name.replace("Matchers", "Match")] = [_matcher(each) for each in inside]
        else:
            made[name] = _camel(inside)
    return made


def _matcher(text: str) -> Object:
    if not (found := _MATCHER.fullmatch(text)):
        raise ValueError(f'alertmanager.yml: the matcher {text!r} is not of the form name = "value"')
    name, kind, value = found.groups()
    return {"name": name, "value": value, "matchType": kind}


class _Dumper(yaml.SafeDumper):
    """Writes what appears twice in full."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def write(folder: Path) -> None:
    """Write both files into `folder`; raises OSError where that is not possible."""
    alerts = assets.path("alerts")
    source = (alerts / "alertmanager.yml").read_text(encoding="utf-8")
    service = yaml.safe_load((alerts / "slo.yaml").read_text(encoding="utf-8"))["service"]
    for place, data in ((OPERATOR, operator(source, service)), (STANDALONE, standalone(source))):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=120)
        (folder / place).write_text(f"# Made from alerts/alertmanager.yml by `make gen`.\n{text}", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
