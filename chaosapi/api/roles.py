"""Which role each route of the control plane needs: the one table, which docs/reference/roles.md repeats.

A route without a row is for instructors alone, so that a forgotten row shuts a route and opens none.
"""

import re
from typing import Final

from starlette.routing import compile_path

from chaosapi.access import Role
from chaosapi.routes import PROBES

ROUTES: Final[dict[str, Role]] = {
    "GET /metrics": Role.PUBLIC,
    **dict.fromkeys((f"GET {path}" for path in PROBES), Role.PUBLIC),
    # The API docs hold nothing that the source does not, and a browser cannot send a token with them.
    "GET /admin/docs": Role.PUBLIC,
    "GET /admin/docs/oauth2-redirect": Role.PUBLIC,
    "GET /admin/openapi.json": Role.PUBLIC,
    "GET /admin/world": Role.OBSERVER,
    "PATCH /admin/world": Role.OPERATOR,
    "GET /admin/changes": Role.OBSERVER,
    "GET /admin/alerts": Role.OBSERVER,
    "POST /admin/faults": Role.INSTRUCTOR,
    "GET /admin/faults": Role.INSTRUCTOR,
    "DELETE /admin/faults": Role.INSTRUCTOR,
    "GET /admin/faults/{name}": Role.INSTRUCTOR,
    "PUT /admin/faults/{name}": Role.INSTRUCTOR,
    "PATCH /admin/faults/{name}": Role.INSTRUCTOR,
    "DELETE /admin/faults/{name}": Role.INSTRUCTOR,
    "GET /admin/faults/{name}/score": Role.INSTRUCTOR,
    "POST /admin/halt": Role.INSTRUCTOR,
    "DELETE /admin/halt": Role.INSTRUCTOR,
    "POST /admin/forecast": Role.INSTRUCTOR,
    "GET /admin/effects": Role.INSTRUCTOR,
    "GET /admin/audit": Role.INSTRUCTOR,
    # Replicas say which revision of the faults they have applied.
    "GET /admin/replicas": Role.INSTRUCTOR,
    "GET /admin/metrics": Role.INSTRUCTOR,
    "POST /admin/tokens": Role.INSTRUCTOR,
    "GET /admin/tokens": Role.INSTRUCTOR,
    "DELETE /admin/tokens/{token_id}": Role.INSTRUCTOR,
    "POST /hooks/alertmanager": Role.INSTRUCTOR,
}

_STATIC: Final = re.compile(r"/admin/static/[\w.-]{1,100}", re.ASCII)
"""Files of the API docs. The search for a file of a path of 4,000 directories takes 10 ms."""
_OPEN: Final = frozenset(route.partition(" ")[2] for route, role in ROUTES.items() if role is Role.PUBLIC)
_PATTERNS: Final = [
    (route.partition(" ")[0], compile_path(route.partition(" ")[2])[0], role) for route, role in ROUTES.items()
]


def needed(method: str, path: str) -> Role:
    """Return the role that a request needs; of a public path every method is public."""
    if path in _OPEN or _STATIC.fullmatch(path):
        return Role.PUBLIC
    asked = "GET" if method == "HEAD" else method
    found = (role for known, pattern, role in _PATTERNS if known == asked and pattern.match(path))
    return next(found, Role.INSTRUCTOR)
