import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette._utils import get_route_path
from starlette.routing import compile_path

from chaosapi.routes import Route, RouteTable, exempt, route_path

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


def paths(*segments: str) -> st.SearchStrategy[str]:
    """Give paths of these segments."""
    return st.lists(st.sampled_from(segments), max_size=4).map(lambda chosen: "/" + "/".join(chosen))


@given(
    st.lists(paths("a", "b", "a-{x}", "{y}", "{z:path}").filter(lambda path: path.count("{") < 2), max_size=8),
    paths("a", "b", "a-1", "c", ""),
)
def test_the_first_route_that_fits_counts(templates: list[str], path: str) -> None:
    """As with Starlette's router, whatever the table, which is not walked through from its start."""
    patterns = [(template, compile_path(template)[0]) for template in templates]
    table = RouteTable(tuple(Route(template, pattern, frozenset({"GET"}), 200) for template, pattern in patterns))
    first = next((template for template, pattern in patterns if pattern.match(path)), "none")
    assert table.template(path) == first


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


@given(st.text("/xy", max_size=8), st.text("/xy", max_size=4))
def test_the_route_path_is_that_of_the_framework(path: str, root: str) -> None:
    """Whether the path begins with the root path, with a part of it, or not."""
    scope = {"path": path, "root_path": root}
    assert route_path(scope) == get_route_path(scope)


def test_without_a_root_path_the_path_stays() -> None:
    """Servers may leave it out of the scope."""
    assert route_path({"path": "/x/y"}) == "/x/y"
