"""`chaosapi world` against a real service."""

import json

import pytest
from typer.testing import CliRunner

from chaosapi.cli import app
from tests.conftest import Serve

pytestmark = pytest.mark.slow


def test_the_actions_of_an_operator_in_the_terminal(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each prints what has changed, and how to undo it; the feed has all of them."""
    monkeypatch.setenv("CHAOSAPI_URL", serve(CHAOSAPI_REPLICA="shop-1"))
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["world", *words])
        assert done.exit_code == code, done.output
        return " ".join(done.output.split())

    assert "settings.shop_retries: 2 → 0" in run("set", "shop_retries=0", "settings.shop_timeout=5m", "--note", "storm")
    assert "risk: settings.shop_timeout: 5m is outside the safe range" in run("set", "queue=1")
    assert run("set", "queue=1") == "Nothing to change: it is so already."
    assert "release.running: 1.0.0 → 2.4.1" in run("deploy", "2.4.1")
    assert "release.running: 2.4.1 → 1.0.0" in run("rollback")
    assert "release.by_replica.shop-1: none → 2.5" in run("deploy", "2.5", "--replica", "shop-1")
    assert "flags.new-pricing: off → on" in run("flag", "on", "new-pricing")
    assert "rotation.shop-1: none → drained" in run("drain", "shop-1")
    assert "rotation.shop-1: drained → none" in run("restore", "shop-1")
    assert "providers.payments: acme → bolt" in run("failover", "payments", "bolt")
    assert "limits: none → x-tenant=acme 5/s" in run("limit", "X-Tenant=acme", "5")
    assert "limits: x-tenant=acme 5/s → x-tenant=acme 0/s" in run("block", "x-tenant=acme")
    assert "limits: x-tenant=acme 0/s → none" in run("unblock", "x-tenant=acme")
    assert "shed.browse: none → 0.3" in run("shed", "browse", "30%")
    assert "quarantine: none → p-0042" in run("quarantine", "p-0042")
    assert "quarantine: p-0042 → none" in run("quarantine", "p-0042", "--undo")
    assert "settings.search: live → cached" in run("degrade", "search")
    assert "settings.search: cached → live" in run("undo")
    assert "settings.queue: 1 → 100" in run("undo", "2")
    assert "applied by 1 of 1 replicas; to undo it: chaosapi world undo" in run("set", "queue=2")
    shown = run("show")
    assert all(text in shown for text in ("payments bolt", "shop_timeout 5m", "browse 0.3", "risk"))
    feed = run("changes")
    assert all(text in feed for text in ("storm", "2 → 0", "undo of"))
    entries = json.loads(CliRunner().invoke(app, ["world", "changes", "--json"]).stdout)["changes"]
    assert len(entries) == 19
    assert "Did you mean" not in run("set", "shop_retries=99", code=1)
    assert "has changed since" in run("undo", "2", code=2)
    assert "Nothing to change" in run("shed", "browse", "0.3")
    assert "is not a share of requests such as 30% or 0.3" in run("shed", "browse", "30", code=2)
    assert "must be on or off" in run("flag", "new-pricing", "on", code=2)
