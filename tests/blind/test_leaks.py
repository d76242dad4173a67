"""Two runs of one seed, with the fault and with its condition never holding, cannot be told apart by a learner."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from chaosapi import shop
from chaosapi.access import Role
from chaosapi.api import roles
from chaosapi.api.roles import needed
from chaosapi.effects import exception
from chaosapi.settings import Settings
from chaosapi.telemetry import tracebacks
from chaosapi.wiring import Chaos
from tests.blind import evidence
from tests.conftest import MakeClient

BLIND = {
    "blind": True,
    "audit_log": "off",
    "admin_token": evidence.INSTRUCTOR,
    "operator_token": evidence.OPERATOR,
}
ADMIN = {"authorization": f"Bearer {evidence.INSTRUCTOR}"}
EFFECTS: dict[str, dict[str, Any]] = {
    "error": {"type": "error", "status": {"503": 1, "500": 1, "504": 1}},
    "unusual": {"type": "error", "status": 418},
    "latency": {"type": "latency", "distribution": {"type": "constant", "value": "1ms"}},
    "exception": {"type": "exception", "message": "list index out of range", "raises": "IndexError"},
    "plain-exception": {"type": "exception", "message": "out of stock"},
    "capacity": {"type": "capacity", "concurrency": 1000},
}
UNUSUAL = "('status', '418')"
Run = Callable[[dict[str, Any], bool, dict[str, Any]], evidence.Evidence]


def fault(effect: dict[str, Any], *, acts: bool) -> dict[str, Any]:
    """Return a fault that acts on a half of the requests while a flag has its usual value, or never."""
    return {
        "name": "cause-of-all",
        "effect": effect,
        "rate": 0.5,
        "seed": 739_214_005,
        "while": {"flags": {"bulk-export": not acts}},
    }


@pytest.fixture
def run(make_client: MakeClient) -> Run:
    """Return a function that runs a service with a fault that acts or does not, and collects the evidence."""

    def play(effect: dict[str, Any], acts: bool, settings: dict[str, Any]) -> evidence.Evidence:  # noqa: FBT001
        client: TestClient = make_client(**{**BLIND, **settings})
        made = client.post("/admin/faults", json=fault(effect, acts=acts), headers=ADMIN)
        assert made.status_code == 201, made.text
        found = evidence.collect(client)
        receipt = client.get("/admin/faults/cause-of-all", headers=ADMIN).json()["receipt"]
        assert (receipt["spared"] == 0) == acts, receipt
        return found

    return play


def leaks(run: Run, effect: dict[str, Any], settings: dict[str, Any]) -> set[str]:
    """Return what tells the two runs apart, and what no learner may read at all."""
    acted = run(effect, True, settings)
    spared = run(effect, False, settings)
    words = set(evidence.forbidden(fault(effect, acts=True)))
    announced = {fact for fact in spared.series if UNUSUAL in fact}
    differences = {fact for fact in acted.differences(spared) if UNUSUAL not in fact}  # its count is an indicator
    return differences | acted.mentions(words) | spared.mentions(words) | announced


@pytest.mark.parametrize("name", EFFECTS)
def test_a_fault_shows_in_nothing_but_the_indicators(run: Run, name: str) -> None:
    assert leaks(run, EFFECTS[name], {}) == set()


def everything(self: Chaos) -> Collector:
    """Return all metrics, as /metrics once showed them."""
    both = CollectorRegistry()
    both.register(self.registry)
    both.register(self._fault_metrics)
    return both


def lenient(method: str, path: str) -> Role:
    """Let observers do everything."""
    return min(needed(method, path), Role.OBSERVER)


def no_detail(_: str, __: int) -> None:
    """Return nothing, as for an app that is not known."""


Patch = Callable[[pytest.MonkeyPatch], None]
REOPENED: dict[str, tuple[str, dict[str, Any], Patch]] = {
    "truth in /metrics": ("error", {}, lambda m: m.setattr(Chaos, "_public_metrics", everything)),
    "capacity by fault": ("capacity", {}, lambda m: m.setattr(Chaos, "_public_metrics", everything)),
    "marked responses": ("latency", {"blind": False, "mark_responses": True}, lambda _: None),
    "the body of an injected error": ("error", {}, lambda m: m.setattr(shop, "failure_detail", no_detail)),
    "frames of the injection": ("exception", {}, lambda m: m.setattr(tracebacks, "_INJECTING", ("/nowhere",))),
    "the class of the exception": (
        "plain-exception",
        {},
        lambda m: m.setattr(exception, "RuntimeError", type("InjectedError", (RuntimeError,), {}), raising=False),
    ),
    "the list of faults": ("error", {}, lambda m: m.setattr(roles, "needed", lenient)),
    "announced statuses": ("unusual", {"blind": False}, lambda _: None),
}


@pytest.mark.parametrize("leak", REOPENED)
def test_the_test_fails_when_a_leak_is_reopened(run: Run, monkeypatch: pytest.MonkeyPatch, leak: str) -> None:
    name, settings, reopen = REOPENED[leak]
    reopen(monkeypatch)
    assert leaks(run, EFFECTS[name], settings) != set()


@pytest.mark.parametrize("shown", [{"mark_responses": True, "audit_log": "off"}, {"audit_log": "stdout"}])
def test_what_names_faults_is_refused_while_blind(shown: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="with CHAOSAPI_BLIND"):
        Settings.model_validate({"blind": True, **shown})
