"""docs/writing-an-effect.md, followed step by step."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import patience

ROOT = Path(__file__).parent.parent.parent


SHED = '''
"""Refuse requests, and keep count of those under way."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.effects.base import EffectMetric, Ending, MultiprocessMode, Permission, RequestEffect, Resource, Tools


class Shed(RequestEffect):
    """Close half of the connections, and answer the others with 504."""

    type: Literal["shed"] = "shed"
    bytes: float = 1000.0
    """The memory that the effect allocates."""

    ends_request: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = None
    demands: ClassVar[Mapping[Resource, str]] = {"memory": "bytes"}
    permission: ClassVar[Permission | None] = "allow_crash"
    metrics: ClassVar[Mapping[str, EffectMetric]] = {"shed_queued": EffectMetric("Requests that wait.", "livesum")}
    example: ClassVar[dict[str, Any]] = {"type": "shed"}

    def endings(self) -> Sequence[Ending]:
        return [Ending(504, 0.5), Ending(None, 0.5)]

    def readings(self, memory: Any) -> Mapping[str, float]:
        return {"shed_queued": 7}

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        tools.drop(reset=True)
'''
SHED_TESTS = """
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from chaosapi.faults import changes
from chaosapi.faults.fault import Fault
from chaosapi.injection.engine import Engine
from chaosapi.routing import RouteTable
from chaosapi.telemetry.faults import FaultMetrics
from chaosapi.telemetry.multiprocess import MultiprocessCollector

FAULT = {"name": "f", "effect": {"type": "shed"}, "rate": 0.5}


def test_the_api_and_its_documents_have_it(make_client):
    client = make_client(allow_crash=True)
    assert client.post("/admin/faults", json=FAULT).status_code == 201
    assert "shed" in [effect["type"] for effect in client.get("/admin/effects").json()["effects"]]
    assert "Shed" in client.get("/admin/openapi.json").json()["components"]["schemas"]


def test_the_policy_holds_it_to_its_setting_and_its_ceiling(make_client):
    refused = make_client().post("/admin/faults", json=FAULT)
    assert (refused.status_code, "CHAOSAPI_ALLOW_CRASH" in refused.text) == (422, True)
    client = make_client(allow_crash=True, max_memory=1500)
    large = client.post("/admin/faults", json={"effect": {"type": "shed", "bytes": 2000}})
    assert (large.status_code, large.json()["errors"][0]["field"]) == (422, "effect.bytes")
    assert client.post("/admin/faults", json=FAULT).status_code == 201
    crowded = client.post("/admin/faults", json={"effect": {"type": "shed"}})
    assert (crowded.status_code, "only 500 of 1500 bytes" in crowded.text) == (429, True)


def test_the_forecast_knows_what_users_get(make_client):
    client = make_client(allow_crash=True)
    told = client.post("/admin/forecast", json={**FAULT, "traffic": {"rps": 100}}).json()
    assert told["not_modelled"] == []
    assert any(alert["fires"] for alert in told["alerts"] if alert["slo"] == "availability")
    assert Fault.model_validate(FAULT).statuses == {"504", "000"}


def test_its_gauge_is_in_the_metrics_and_is_added_up_over_workers(make_client, tmp_path):
    client = make_client(allow_crash=True)
    client.post("/admin/faults", json=FAULT)
    assert 'chaosapi_shed_queued{fault="f"} 7.0' in client.get("/admin/metrics").text
    workers = []
    for slot in (0, 1):
        engine = Engine(RouteTable.of([]), lambda: 0.0)
        state = changes.create(Fault.model_validate(FAULT), 0.0)(engine.state)
        engine.load(state)
        workers.append(MultiprocessCollector(CollectorRegistry(), FaultMetrics(engine), tmp_path, slot))
        workers[-1].snapshot()
    assert 'chaosapi_shed_queued{fault="f"} 14.0' in generate_latest(workers[0]).decode()
    for worker in workers:
        worker.close()
"""


def with_effect(folder: Path, name: str, source: str, imported: str, member: str) -> None:
    """Copy the repository, and add an effect: one file, its import and its name."""
    for part in ("chaosapi", "tests", "alerts", "loadtests", "dashboards"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    effects = folder / "chaosapi" / "effects"
    (effects / f"{name}.py").write_text(source)
    union = (effects / "__init__.py").read_text()
    union = union.replace("from chaosapi.effects.reset", f"{imported}from chaosapi.effects.reset", 1)
    union = union.replace("    | Reset\n", f"{member}    | Reset\n", 1)
    (effects / "__init__.py").write_text(union)


def passes(folder: Path, name: str, tests: str) -> str:
    """Run tests of an effect in the copy, and return what pytest says."""
    (folder / "tests" / "effects" / name).write_text(tests)
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/effects/{name}"]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, timeout=patience(120), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_an_effect_is_one_file_and_its_name_in_the_union(tmp_path: Path) -> None:
    """On a copy of the repository, with the page's own test, and nothing else changed."""
    page = (ROOT / "docs" / "writing-an-effect.md").read_text()
    effect, imported, member, test = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    with_effect(tmp_path, "redirect", effect, imported, member)
    assert "2 passed" in passes(tmp_path, "test_redirect.py", test)


@pytest.mark.slow
def test_everything_about_an_effect_is_in_its_file(tmp_path: Path) -> None:
    """API, policy, forecast and metrics, also with several workers, use its declarations."""
    with_effect(tmp_path, "shed", SHED, "from chaosapi.effects.shed import Shed\n", "    | Shed\n")
    assert "4 passed" in passes(tmp_path, "test_shed.py", SHED_TESTS)
