"""Every effect under every kind of server and app: it does what it says, as a client sees it, or counts as skipped."""

import re
import socket
import subprocess
import sys
import time
import tomllib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from packaging.requirements import Requirement

from chaosapi.effects import EFFECTS, RequestEffect
from tests.patience import patience
from tests.servers import Served, serving

pytestmark = pytest.mark.slow

ROOT: Final = Path(__file__).parents[1]
APPS: Final = {"fastapi": "tests.guest:app", "starlette": "tests.guest_starlette:app", "plain": "tests.guest_plain:app"}
SERVERS: Final = ["uvicorn", "uvicorn-h11", "gunicorn", "gunicorn-asgi", "hypercorn", "granian"]
HIDING: Final = {"gunicorn-asgi", "granian"}
"""Servers whose connections no effect can reach."""
SHORT: Final = 0.25
"""What effects wait, in seconds."""
WAIT: Final = {"type": "constant", "value": SHORT}
VARIANTS: Final[dict[str, dict[str, Any]]] = {
    "error": {"status": 418},
    "latency": {"distribution": WAIT},
    "hang": {"at_most": SHORT},
    "reset": {},
    "truncate": {"keep": 0.5},
    "corrupt": {},
    "throttle": {"bytes_per_second": 8},
    "exception": {},
    "rate_limit": {"requests_per_second": 0.001, "burst": 1},
    "capacity": {"concurrency": 1, "service_time": WAIT},
}
"""The parameters of each effect on requests."""


@dataclass(frozen=True)
class Answer:
    """What a client saw."""

    status: str
    """Empty where there was none."""
    declared: int
    body: bytes
    seconds: float
    reset: bool


def ask(served: Served, method: str = "GET") -> Answer:
    """Send one request over a plain socket, and read until the server closes or resets the connection."""
    parts = urlsplit(served.url)
    started = time.perf_counter()
    data = b""
    reset = False
    with socket.create_connection((parts.hostname, parts.port), timeout=patience(20)) as connected:
        connected.sendall(f"{method} /pid HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
        try:
            while part := connected.recv(65536):
                data += part
        except ConnectionResetError:
            reset = True
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.match(rb"HTTP/1.1 (\d{3})", head)
    length = re.search(rb"(?i)content-length: (\d+)", head)
    status = found[1].decode() if found else ""
    return Answer(status, int(length[1]) if length else -1, body, time.perf_counter() - started, reset)


def shown(served: Served) -> Counter[str]:
    """Return how many requests to /pid there were, by status."""
    pattern = r'^http_requests_total\{handler="/pid",method="GET",status="(\d+)"\} (\S+)$'
    found = re.findall(pattern, served.get("/metrics").text, re.MULTILINE)
    return +Counter({status: int(float(count)) for status, count in found})


def outcome(effect: str, answers: list[Answer], usual: Answer, took: float) -> tuple[object, object]:
    """Return what the answers to two requests at once show, and what the effect promises; both took so many seconds."""
    statuses = sorted(each.status for each in answers)
    seconds = sorted(each.seconds for each in answers)
    bodies = {each.body for each in answers}
    whole = bodies == {usual.body}
    nothing = {(each.status, each.body) for each in answers} == {("", b"")}
    shown: dict[str, tuple[object, object]] = {
        "error": (statuses, ["418", "418"]),
        "exception": (statuses, ["500", "500"]),
        "rate_limit": (statuses, ["200", "429"]),
        "latency": ((whole, seconds[0] >= SHORT), (True, True)),
        "throttle": ((whole, seconds[0] >= (len(usual.body) - 1) / 16), (True, True)),
        "capacity": ((whole, seconds[0] >= SHORT, took >= 2 * SHORT), (True, True, True)),
        "hang": ((nothing, seconds[0] >= SHORT, any(each.reset for each in answers)), (True, True, False)),
        "reset": ((nothing, all(each.reset for each in answers)), (True, True)),
        "truncate": (bodies, {usual.body[: len(usual.body) // 2]}),
        "corrupt": ((usual.body in bodies, {len(body) for body in bodies}), (False, {len(usual.body)})),
    }
    return shown[effect]


def check_all_effects(served: Served, *, hides: bool) -> None:
    """Let each effect act on two requests, and compare what the client saw with the receipt and the metrics."""
    usual = ask(served)
    assert (usual.status, usual.declared) == ("200", len(usual.body))
    seen = Counter([usual.status])
    for effect, parameters in VARIANTS.items():
        name = effect.replace("_", "-")
        served.change("PUT", f"faults/{name}", json={"effect": {"type": effect, **parameters}})
        started = time.monotonic()
        with ThreadPoolExecutor() as pool:
            answers = list(pool.map(lambda _: ask(served), range(2)))
        took = time.monotonic() - started
        served.change("DELETE", f"faults/{name}")
        receipt = served.get(f"/admin/faults/{name}").json()["receipt"]
        seen += Counter(answer.status or "000" for answer in answers)
        if hides and effect in {"hang", "reset", "truncate"}:
            assert [(each.status, each.body) for each in answers] == 2 * [("200", usual.body)], effect
            assert (receipt["matched"], receipt["injected"], receipt["skipped"]) == (2, 0, 2), effect
            skipped = f'chaosapi_fault_skipped_total{{effect="{effect}",fault="{name}",reason="no_connection"}} 2.0'
            assert skipped in served.get("/admin/metrics").text
            continue
        found, promised = outcome(effect, answers, usual, took)
        assert found == promised, (effect, answers)
        hit = 1 if effect == "rate_limit" else 2
        assert (receipt["matched"], receipt["injected"]) == (2, hit), effect
    assert shown(served) == seen


def test_each_effect_on_requests_is_tried() -> None:
    """A new one needs a promise here."""
    assert {each.example["type"] for each in EFFECTS if issubclass(each, RequestEffect)} == VARIANTS.keys()


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("server", SERVERS)
def test_each_effect_does_what_it_says_or_counts_as_skipped(server: str, app: str, tmp_path: Path) -> None:
    """And the metrics count what clients got."""
    with serving(server, APPS[app], tmp_path) as served:
        check_all_effects(served, hides=server in HIDING)


@pytest.fixture(scope="module")
def lowest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the lowest FastAPI that chaosapi supports, for PYTHONPATH."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (needed,) = [each for each in map(Requirement, project["dependencies"]) if each.name == "fastapi"]
    (floor,) = [each.version for each in needed.specifier if each.operator == ">="]
    folder = tmp_path_factory.mktemp("lowest")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--target", str(folder)]
    subprocess.run([*command, f"fastapi=={floor}"], check=True, capture_output=True, timeout=240)
    return folder


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the oldest versions have no wheels for this Python")
@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
def test_the_lowest_fastapi_behaves_like_the_newest(server: str, lowest: Path, tmp_path: Path) -> None:
    """All others run with the newest."""
    with serving(server, APPS["fastapi"], tmp_path, PYTHONPATH=f"{lowest}:{ROOT}") as served:
        check_all_effects(served, hides=False)
