"""A host app with chaosapi in it, asked without a server: runs wherever nothing but the base install is there.

`python guest_program.py REPORT [BLOCKED…]` writes a JSON report to a file; modules that are BLOCKED cannot be imported.
"""

import asyncio
import gc
import json
import logging
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

REPORT = Path(sys.argv[1])
BLOCKED = sys.argv[2:]
HEAVY = ("numpy", "yaml", "rich", "typer", "uvicorn", "promql_parser", "httpx2", "structlog", "plotly", "uvloop")
for name in BLOCKED:
    sys.modules[name] = None  # type: ignore[assignment]  # an import of it raises ModuleNotFoundError

import fastapi  # noqa: E402 - after the packages to hide are hidden


def interpreter() -> dict[str, str]:
    """Return the process-wide state that belongs to the host."""
    root = logging.getLogger()
    return {
        "thresholds": str(gc.get_threshold()),
        "frozen": str(gc.get_freeze_count()),
        "switch interval": str(sys.getswitchinterval()),
        "handlers": str(root.handlers),
        "levels": str([root.level, logging.getLogger("chaosapi").level, logging.root.manager.disable]),
        "logger class": str(logging.getLoggerClass()),
        "signals": str({number: signal.getsignal(number) for number in signal.valid_signals()}),
        "streams": str([id(sys.stdin), id(sys.stdout), id(sys.stderr)]),
        "hooks": str([sys.excepthook, sys.unraisablehook, threading.excepthook, warnings.showwarning]),
        "event loops": str(type(asyncio.get_event_loop_policy())),
    }


def loaded() -> list[str]:
    """Return the loaded heavy modules."""
    return [name for name in HEAVY if sys.modules.get(name)]


async def ask(app: Any, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Send a request; return the status and the parsed JSON."""
    content = json.dumps(body).encode()
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    sent = False
    answer: list[Any] = []

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            await asyncio.Event().wait()
        sent = True
        return {"type": "http.request", "body": content if body is not None else b"", "more_body": False}

    async def send(message: Any) -> None:
        answer.append(message)

    await app(scope, receive, send)
    said = b"".join(message.get("body", b"") for message in answer[1:])
    try:
        return answer[0]["status"], json.loads(said)
    except ValueError:
        return answer[0]["status"], said.decode()


async def asked(app: fastapi.FastAPI, questions: list[tuple[str, str, object]]) -> list[tuple[int, Any]]:
    """Start the app, send requests, and stop it."""
    received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    sent: asyncio.Queue[Any] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    life = asyncio.ensure_future(app(scope, received.get, sent.put))
    await received.put({"type": "lifespan.startup"})
    assert (started := await sent.get())["type"] == "lifespan.startup.complete", started
    answers = [await ask(app, *question) for question in questions]
    await received.put({"type": "lifespan.shutdown"})
    await sent.get()
    await life
    return answers


def main() -> None:
    """Install chaosapi, use it, and report."""
    started = interpreter()
    before = loaded()

    import chaosapi

    app = fastapi.FastAPI()
    chaosapi.install(app, points=["db"])
    installed = {"interpreter": interpreter(), "loaded": sorted({*loaded()} - {*before})}
    router = fastapi.APIRouter(prefix="/shop")

    @router.get("/orders/{number}")
    async def order(number: int) -> int:
        async with chaosapi.point("db"):
            return number

    @app.get("/hello", status_code=202)
    async def hello() -> str:
        return "hello"

    app.include_router(router)
    error = {"effect": {"type": "error"}, "target": {"routes": ["/shop/orders/{number}"]}}
    burning = {"effect": {"type": "error"}, "rate": {"burn_rate": 14.4, "slo": "shop-availability"}}
    questions: list[tuple[str, str, object]] = [
        ("GET", "/shop/orders/7", None),
        ("PUT", "/admin/faults/f", error),
        ("GET", "/shop/orders/7", None),
        ("GET", "/hello", None),
        ("PATCH", "/admin/faults/f", {"target": {"points": ["db"], "routes": None}}),
        ("GET", "/admin/faults/f", None),
        ("DELETE", "/admin/faults", None),
        ("GET", "/shop/orders/7", None),
        ("POST", "/admin/faults", {"effect": {"type": "eror"}}),
        ("POST", "/hello", None),
        ("GET", "/metrics", None),
        ("GET", "/admin/openapi.json", None),
        ("GET", "/admin/docs", None),
        ("GET", "/readyz", None),
        ("GET", "/openapi.json", None),
    ]
    answers = asyncio.run(asked(app, questions))
    ended = {"interpreter": interpreter(), "loaded": sorted({*loaded()} - {*before})}
    late: list[tuple[str, str, object]] = [
        ("POST", "/admin/forecast", error),
        ("POST", "/admin/faults?forecast=true", error),
        ("POST", "/admin/faults", burning),
    ]
    forecasts = asyncio.run(asked(app, late))
    report = {"started": started, "installed": installed, "ended": ended, "answers": answers, "forecasts": forecasts}
    REPORT.write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main()
