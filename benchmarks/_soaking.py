"""The clients and the operators of the soak test."""

import asyncio
import contextlib
import random
from collections import Counter
from typing import Any

import aiohttp

from chaosapi.effects import EFFECTS, RequestEffect

OPERATORS = 4

SHORT: dict[str, dict[str, Any]] = {
    "latency": {"distribution": {"type": "exponential", "mean": "20ms"}, "cap": "200ms"},
    "hang": {"at_most": "300ms"},
    "throttle": {"bytes_per_second": 50_000},
    "rate_limit": {"requests_per_second": 200, "burst": 50},
    "capacity": {
        "concurrency": 8,
        "queue": 20,
        "queue_timeout": "100ms",
        "service_time": {"type": "constant", "value": "5ms"},
    },
}
"""Parameters with short requests; the other effects use their examples."""


class Soak:
    """The clients and the operators; seeded, so that every run sends the same requests."""

    def __init__(self, client: aiohttp.ClientSession, desk: aiohttp.ClientSession, seed: int) -> None:
        self._client = client
        self._desk = desk
        self._dice = random.Random(seed)
        self._operator = random.Random(seed + 1)
        self.seen: Counter[str] = Counter()
        self.changes: Counter[str] = Counter()

    async def run(self, requests: int, clients: int) -> None:
        """Send the requests while the operators change faults."""
        left = iter(range(requests))
        operators = [asyncio.create_task(self._operate()) for _ in range(OPERATORS)]
        await asyncio.gather(*(self._visit(left) for _ in range(clients)))
        for operator in operators:
            operator.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await operator
        await self._steer("DELETE", "/admin/halt")
        await self._steer("DELETE", "/admin/faults")

    async def _visit(self, left: Any) -> None:
        for _ in left:
            patience = self._dice.uniform(0.001, 0.05) if self._dice.random() < 0.1 else 30.0
            try:
                async with asyncio.timeout(patience):
                    self.seen[await self._request()] += 1
            except TimeoutError:
                self.seen["left" if patience < 1 else "waited in vain"] += 1
            except aiohttp.ClientError as error:
                self.seen[type(error).__name__] += 1

    async def _request(self) -> str:
        user = f"u-{self._dice.randrange(500)}"
        product = f"p-{self._dice.randrange(1, 100):04}"
        method, path, body = self._dice.choice(
            [
                ("GET", "/api/products", None),
                ("GET", f"/api/products/{product}", None),
                ("GET", "/api/search?q=red", None),
                ("POST", f"/api/cart/{user}/items", {"product_id": "p-0001"}),
                ("POST", "/api/checkout", {"cart_id": user}),
                ("GET", "/nothing/here", None),
            ]
        )
        async with self._client.request(method, path, json=body, headers={"x-user-id": user}) as answer:
            await answer.read()
            return str(answer.status)

    async def _operate(self) -> None:
        actions = {self._put: 10, self._patch: 5, self._end: 4, self._end_all: 1, self._halt: 1}
        while True:
            (action,) = self._operator.choices(list(actions), list(actions.values()))
            await action(f"f-{self._operator.randrange(8)}")
            await asyncio.sleep(self._operator.uniform(0, 0.2))

    async def _put(self, name: str) -> None:
        kind = self._operator.choice([effect for effect in EFFECTS if issubclass(effect, RequestEffect)])
        parameters = SHORT.get(kind.example["type"], kind.example)
        fault: dict[str, Any] = {
            "effect": {"type": kind.example["type"], **parameters},
            "rate": self._operator.choice([0.01, 0.1, 0.5, 1]),
            "schedule": {"duration": self._operator.uniform(0.1, 3), "start_after": self._operator.choice([0, 0, 0.5])},
            "target": {},
        }
        if kind.at_points and self._operator.random() < 0.3:
            fault["target"]["points"] = [self._operator.choice(["db", "payments"])]
        if self._operator.random() < 0.3:
            fault["target"]["routes"] = [self._operator.choice(["/api/products", "/api/*"])]
        if self._operator.random() < 0.2:
            fault["target"]["sticky_by"] = "x-user-id"
        if self._operator.random() < 0.2:
            fault["schedule"]["shape"] = {"type": "pulse", "on": "100ms", "off": "100ms"}
        await self._steer("PUT", f"/admin/faults/{name}", fault)

    async def _patch(self, name: str) -> None:
        changes: dict[str, Any] = {"rate": self._operator.uniform(0.01, 1), "target": {"sticky_by": None}}
        await self._steer("PATCH", f"/admin/faults/{name}", changes)

    async def _end(self, name: str) -> None:
        await self._steer("DELETE", f"/admin/faults/{name}")

    async def _end_all(self, _: str) -> None:
        await self._steer("DELETE", "/admin/faults")

    async def _halt(self, _: str) -> None:
        await self._steer("POST", "/admin/halt", {"reason": "soak"})
        await asyncio.sleep(0.1)
        await self._steer("DELETE", "/admin/halt")

    async def _steer(self, method: str, path: str, body: Any = None) -> None:
        async with self._desk.request(method, path, json=body) as answer:
            text = await answer.text()
            self.changes[f"{method} {answer.status}"] += 1
            if answer.status not in {200, 201, 404, 409}:  # a fault that is not there, or has just ended, is no mistake
                raise RuntimeError(f"{method} {path} {body}: {answer.status} {text}")
