"""Which paths the service answers, and which of them chaos never touches."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

EXEMPT = {
    "/metrics": "an alert must not go quiet because its source was hurt",
    "/healthz": "a killed pod is another experiment than a slow one; only the health effect touches probes",
    "/readyz": "as for /healthz",
    "/admin": "the way to stop the chaos",
    "/hooks": "alerts come back this way",
    "/docs": "people read these while the service burns",
    "/redoc": "as for /docs",
    "/openapi.json": "as for /docs",
    "/static-offline-docs": "the files of /docs",
}
"""Path prefixes that no effect and no service-level indicator ever sees, each with the reason."""

PROBES: Final[dict[str, Literal["readiness", "liveness"]]] = {"/healthz": "liveness", "/readyz": "readiness"}
"""Which question each probe answers."""

UNKNOWN = "none"
"""The route label of a path that no route matches."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route: its template (`/api/orders/{order_id}`), pattern, methods and the status of its success."""

    template: str
    pattern: re.Pattern[str]
    methods: frozenset[str]
    success: int


@dataclass(frozen=True)
class RouteTable:
    """The routes that carry user traffic; finds the template of a path before any router has seen it."""

    routes: tuple[Route, ...]
    own: frozenset[str] = frozenset()
    """Exempt paths that the app answers itself."""
    _static: dict[str, str] = field(init=False)
    _patterns: dict[str, list[tuple[int, re.Pattern[str], str]]] = field(init=False)
    """By the segments before the first parameter, so that none is tried in vain that begins otherwise."""

    def __post_init__(self) -> None:
        patterns = {route.template: route.pattern for route in self.routes}
        index: dict[str, list[tuple[int, re.Pattern[str], str]]] = {}
        object.__setattr__(self, "_patterns", index)
        static = {}
        for place, (template, pattern) in enumerate(patterns.items()):
            if "{" in template:
                start = template[: template.rfind("/", 0, template.index("{")) + 1]
                index.setdefault(start, []).append((place, pattern, template))
            else:
                earlier = self._matching(template)  # a router takes the first that fits
                static[template] = earlier if earlier != UNKNOWN else template
        object.__setattr__(self, "_static", static)

    @classmethod
    def of(cls, routes: Iterable[Route]) -> "RouteTable":
        """Make the table of all routes that are not exempt."""
        every = list(routes)
        own = frozenset(route.template for route in every if exempt(route.template))
        return cls(tuple(route for route in every if route.template not in own), own)

    @property
    def templates(self) -> list[str]:
        """Return every template once, in order."""
        return list(dict.fromkeys(route.template for route in self.routes))

    def template(self, path: str) -> str:
        """Return the template of `path`, or `"none"` where no route matches."""
        return self._static.get(path) or self._matching(path)

    def _matching(self, path: str) -> str:
        """Return the first template with parameters that fits."""
        found: list[tuple[int, str]] = []
        end = 0
        while end := path.find("/", end) + 1:
            for place, pattern, template in self._patterns.get(path[:end], ()):
                if pattern.match(path):
                    found.append((place, template))
                    break
        return min(found)[1] if found else UNKNOWN


def exempt(path: str) -> bool:
    """Tell whether chaos and service-level indicators leave `path` alone."""
    end = path.find("/", 1)
    return (path if end < 0 else path[:end]) in EXEMPT
