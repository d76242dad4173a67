"""The vocabulary of routes: their templates, the exempt paths, which no fault touches, and the usual probes."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal

EXEMPT: Final = {
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
"""Path prefixes that no effect and no service-level indicator ever sees, each with the reason.

Those of the docs are exempt unless the app's own schema has a route there: then it is a route like any other.
"""

DOCS: Final = frozenset({"/docs", "/redoc", "/openapi.json", "/static-offline-docs"})
"""Those of the exempt paths where an app may have something else than its docs."""

PROBES: Final[dict[str, Literal["readiness", "liveness"]]] = {"/healthz": "liveness", "/readyz": "readiness"}
"""The probe paths and what each of them checks."""

USUAL_PROBES: Final = frozenset(
    {
        "alive",
        "health",
        "health-check",
        "health_check",
        "healthcheck",
        "healthy",
        "healthz",
        "heartbeat",
        "isalive",
        "isready",
        "lbheartbeat",
        "live",
        "liveness",
        "livez",
        "ping",
        "readiness",
        "ready",
        "readyz",
        "startup",
        "startupz",
    }
)
"""The last segments of the paths at which services usually have a probe."""

PROBE_AGENTS: Final = (
    b"kube-probe/",
    b"ELB-HealthChecker/",
    b"GoogleHC/",
    b"Envoy/HC",
    b"Consul Health Check",
    b"Prometheus/",
)
"""How the User-Agent headers begin of the probes of Kubernetes, load balancers and meshes, and of scrapes."""

UNKNOWN = "none"
"""The route label of a path that no route matches."""

STATUS_CLOSED: Final = "000"
"""The status of a request whose client got no answer: the connection was closed by either side."""

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""The methods that faults may target and metrics name; others are counted together."""

COUNTED_FROM_START: Final = (STATUS_CLOSED, "200", "429", "500", "502", "503", "504")
"""Statuses that each route exports from 0 on, next to its success status; loadtests/_scenarios.py has the same list.

A series that first appears with a burst of errors hides that burst: increase() needs an earlier sample.
"""

LATENCY_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The upper bounds of the buckets of the request histogram, in seconds."""


def is_failure(status: str) -> bool:
    """Return whether an answer of this status fails its user: a server error (5xx), or no answer at all."""
    return status == STATUS_CLOSED or status.startswith("5")


@dataclass(frozen=True, slots=True)
class Route:
    """One route: its template (`/api/orders/{order_id}`), methods and the status of its success."""

    template: str
    methods: frozenset[str] = frozenset({"GET"})
    success: int = 200
    exempt: bool = False


def first_segment(path: str) -> str:
    """Return the first segment of `path` with its slash."""
    end = path.find("/", 1)
    return path if end < 0 else path[:end]


def exempt(path: str) -> bool:
    """Return whether `path`, a route path, is exempt from faults and service-level indicators."""
    return first_segment(path) in EXEMPT


def is_probe(template: str) -> bool:
    """Return whether a route, or a path, is usually a probe by its name: only a target that names it hits it."""
    return "{" not in template and template.strip("/_").rpartition("/")[2].strip("_").lower() in USUAL_PROBES


def covers(pattern: str, path: str) -> bool:
    """Return whether a path pattern, in which `*` stands for anything, fits `path` or a path above it."""
    below = pattern != "/" and path.startswith(f"{pattern.removesuffix('/')}/")
    return below or fits(pattern, path)


def fits(pattern: str, path: str) -> bool:
    """Return whether a path, or a template, is `pattern`, in which `*` alone is a wildcard."""
    return path == pattern or fnmatchcase(path, pattern.replace("[", "[[]").replace("?", "[?]"))
