import re

import pytest

from chaosapi.routes import Route, RouteTable, exempt

TABLE = RouteTable.of(
    Route(template, re.compile(pattern), frozenset({"GET"}), 200)
    for template, pattern in (
        ("/api/products", "^/api/products$"),
        ("/api/products/{id}", "^/api/products/(?P<id>[^/]+)$"),
        ("/metrics", "^/metrics$"),
    )
)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/api/products", "/api/products"),
        ("/api/products/p-1", "/api/products/{id}"),
        ("/api/products/p-1/x", "none"),
        ("/metrics", "none"),
        ("/", "none"),
    ],
)
def test_paths_become_templates_before_any_router_sees_them(path: str, template: str) -> None:
    """Unknown ones share one label; exempt ones are not in the table."""
    assert TABLE.template(path) == template


@pytest.mark.parametrize(
    ("path", "left_alone"),
    [
        ("/metrics", True),
        ("/admin/faults/x", True),
        ("/hooks/alertmanager", True),
        ("/docs/oauth2-redirect", True),
        ("/", False),
        ("/api/products", False),
        ("/administrator", False),
    ],
)
def test_whole_first_segments_are_exempt(path: str, left_alone: bool) -> None:  # noqa: FBT001 - a table
    """/administrator is not /admin."""
    assert exempt(path) is left_alone
