"""The routes of an app, and the exempt paths, which no fault touches."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from starlette.types import Scope

EXEMPT = {
    "/metrics": "an alert must not resolve because its data source failed",
    "/healthz": "a slow service must not become a killed pod; only the health effect touches probes",
    "/readyz": "as for /healthz",
    "/admin": "the kill switch must always answer",
    "/hooks": "Alertmanager delivers alerts here",
    "/docs": "people read the docs during an incident",
    "/redoc": "as for /docs",
    "/openapi.json": "as for /docs",
    "/static-offline-docs": "the files of /docs",
}
"""Path prefixes that no effect and no service-level indicator ever sees, each with the reason."""

PROBES: Final[dict[str, Literal["readiness", "liveness"]]] = {"/healthz": "liveness", "/readyz": "readiness"}
"""The probe paths and what each of them checks."""

UNKNOWN = "none"
"""The route label of a path that no route matches."""

STATUS_CLOSED: Final = "000"
"""The status of a request whose client got no answer: the connection was closed by either side."""

COUNTED_FROM_START: Final = (STATUS_CLOSED, "200", "500", "503", "504")
"""Statuses that each route exports from 0 on, next to its success status; loadtests/_metrics.py has the same list.

A series that first appears with a burst of errors hides that burst: increase() needs an earlier sample.
"""

LATENCY_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The upper bounds of the buckets of the request histogram, in seconds."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route: its template (`/api/orders/{order_id}`), pattern, methods and the status of its success."""

    template: str
    pattern: re.Pattern[str]
    methods: frozenset[str]
    success: int


@dataclass(frozen=True)
class RouteTable:
    """The routes that carry user traffic; finds the template of a path before the router runs."""

    routes: tuple[Route, ...]
    own: frozenset[str] = frozenset()
    """Exempt paths that the app itself answers."""
    _static: dict[str, str] = field(init=False)
    _patterns: dict[str, list[tuple[re.Pattern[str], str]]] = field(init=False)
    """By the static prefix before the first parameter: the routes whose own prefix begins it, in router order."""

    def __post_init__(self) -> None:
        patterns = {route.template: route.pattern for route in self.routes}
        starts = {each: each[: each.rfind("/", 0, each.index("{")) + 1] for each in patterns if "{" in each}
        index = {
            start: [(patterns[each], each) for each, other in starts.items() if start.startswith(other)]
            for start in set(starts.values())
        }
        object.__setattr__(self, "_patterns", index)
        static = {}
        before = []
        for template, pattern in patterns.items():
            if template in starts:
                before.append((pattern, template))
            else:  # the router takes the first route that matches
                static[template] = next((each for pattern, each in before if pattern.match(template)), template)
        object.__setattr__(self, "_static", static)

    @classmethod
    def of(cls, routes: Iterable[Route]) -> "RouteTable":
        """Return the table of all routes that are not exempt."""
        every = list(routes)
        own = frozenset(route.template for route in every if exempt(route.template))
        return cls(tuple(route for route in every if route.template not in own), own)

    @property
    def templates(self) -> list[str]:
        """Return every template once, in order."""
        return list(dict.fromkeys(route.template for route in self.routes))

    def template(self, path: str) -> str:
        """Return the template of `path`, or `"none"` where no route matches."""
        if found := self._static.get(path):
            return found
        end = len(path)
        while end := path.rfind("/", 0, end) + 1:
            if (candidates := self._patterns.get(path[:end])) is not None:
                for pattern, template in candidates:
                    if pattern.match(path):
                        return template
                break
            end -= 1
        return UNKNOWN


def route_path(scope: Scope) -> str:
    """Return the path that the app's router matches: without the root path, under which the app is mounted.

    A proxy may have stripped the root path already. Starlette's own function for this is private.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if path == root or path.startswith(f"{root}/") else path


def first_segment(path: str) -> str:
    """Return the first segment of `path` with its slash."""
    end = path.find("/", 1)
    return path if end < 0 else path[:end]


def exempt(path: str) -> bool:
    """Return whether `path`, a route path, is exempt from faults and service-level indicators."""
    return first_segment(path) in EXEMPT
