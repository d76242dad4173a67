"""The Locust file that the lab generates for a user's service."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from fastapi import Cookie, FastAPI, Header, Query
from fastapi import Path as PathParameter

from chaosapi.lab import locustfile
from chaosapi.lab.errors import LabError
from chaosapi.lab.locustfile import Visit


def visits(app: FastAPI) -> list[Visit]:
    """Return the visits of an app's OpenAPI document."""
    return locustfile.visits_of(app.openapi())


def test_every_get_route_is_visited_and_no_other() -> None:
    """Other methods might change data."""
    app = FastAPI()
    app.get("/items")(lambda: None)
    app.head("/items/{item_id}")(lambda: None)
    app.post("/items")(lambda: None)
    app.delete("/items/{item_id}")(lambda: None)
    assert [visit.route for visit in visits(app)] == ["/items"]


@pytest.mark.parametrize(
    ("annotation", "written"),
    [
        (int, "1"),
        (Annotated[int, PathParameter(ge=1000)], "1000"),
        (Annotated[int, PathParameter(gt=5, le=9)], "6"),
        (Annotated[int, PathParameter(le=0)], "0"),
        (Annotated[float, PathParameter(ge=0.5)], "1"),
        (bool, "true"),
        (str, "1"),
        (Annotated[str, PathParameter(min_length=3)], "111"),
        (Annotated[str, PathParameter(examples=["a lamp/ä"])], "a%20lamp%2F%C3%A4"),
        (Annotated[str, PathParameter(openapi_examples={"lamp": {"value": "lamp"}})], "lamp"),
        (Literal["red", "blue"], "red"),
        (UUID, "00000000-0000-4000-8000-000000000001"),
    ],
)
def test_a_path_parameter_has_an_example_or_a_valid_value(annotation: Any, written: str) -> None:
    """Examples come first, then enumerations, formats, types and bounds."""

    def show(key: Any) -> None:
        """Take the key."""

    show.__annotations__["key"] = annotation
    app = FastAPI()
    app.get("/items/{key}")(show)
    assert visits(app) == [Visit("/items/{key}", f"/items/{written}", {})]


def test_required_parameters_and_those_with_an_example_are_sent() -> None:
    """In query, headers and cookies; other parameters keep the app's defaults."""

    def search(
        q: str,
        tags: Annotated[list[str], Query()],
        x_tenant: Annotated[str, Header()],
        session: Annotated[str, Cookie()],
        page: int = 1,
        sort: Annotated[str, Query(examples=["name"])] = "id",
    ) -> None:
        """Search."""

    app = FastAPI()
    app.get("/search")(search)
    assert visits(app) == [Visit("/search", "/search?q=1&tags=1&sort=name", {"x-tenant": "1", "cookie": "session=1"})]


def test_circular_references_are_cut() -> None:
    """The document may be malformed."""
    loop = {"$ref": "#/components/schemas/Loop"}
    document: dict[str, Any] = {
        "paths": {"/a/{b}": {"get": {"parameters": [{"name": "b", "in": "path", "required": True, "schema": loop}]}}},
        "components": {"schemas": {"Loop": loop}},
    }
    assert locustfile.visits_of(document) == [Visit("/a/{b}", "/a/1", {})]
    nested = {"type": "array", "items": loop}
    document["components"] = {"schemas": {"Loop": nested}}
    assert locustfile.visits_of(document)[0].route == "/a/{b}"


def test_routes_that_appear_only_in_metrics_are_visited() -> None:
    """Routes of mounted apps are missing in the OpenAPI document; a catch-all route is not visited."""
    document: dict[str, Any] = {"paths": {"/files/{path}": {"get": {}}}}
    made = locustfile.write(
        "http://h", {"": document}, ["/files/{path:path}", "/inner/{item_id:int}", "/static/{path:path}"]
    )
    assert '("/files/{path}", "/files/1", {}),' in made
    assert '("/inner/{item_id}", "/inner/1", {}),' in made
    assert "static" not in made
    assert "from its OpenAPI document" in made
    assert "from its metrics" in locustfile.write("http://h", {}, ["/a"])


def test_a_mounted_app_has_a_document_of_its_own() -> None:
    """Its routes are visited below its path; FastAPI's own pages are not."""
    templates = ["/a", "/inner/b/{c}", "/d"]
    outer: dict[str, Any] = {"paths": {"/d": {"get": {}}}}
    assert locustfile.undescribed({"": outer}, templates) == ["/a", "/inner/b/{c}"]
    assert locustfile.mounts(["/a", "/inner/b/{c}", "/inner/b/{c}/{d}"]) == ["/inner", "/inner/b"]
    example = {"name": "c", "in": "path", "required": True, "example": "lamp"}
    inner: dict[str, Any] = {"paths": {"/b/{c}": {"get": {"parameters": [example]}}}}
    made = locustfile.write("http://h", {"": outer, "/inner": inner}, templates)
    visited = [line.strip() for line in made.splitlines() if line.startswith("        (")]
    assert visited == ['("/d", "/d", {}),', '("/inner/b/{c}", "/inner/b/lamp", {}),', '("/a", "/a", {}),']


def test_probes_are_not_visited() -> None:
    """Neither described ones nor others: no fault hits them, and they would water down the share of failures."""
    made = locustfile.write("http://h", {"": {"paths": {"/health": {"get": {}}, "/a": {"get": {}}}}}, ["/inner/livez"])
    assert [line.strip() for line in made.splitlines() if line.startswith("        (")] == ['("/a", "/a", {}),']


def test_a_service_without_a_get_route_needs_a_locustfile() -> None:
    """The error names the option."""
    with pytest.raises(LabError, match="--locustfile"):
        locustfile.write("http://h", {"": {"paths": {"/a": {"post": {}}}}}, ["/{path:path}"])


def test_locust_reads_the_file(tmp_path: Path) -> None:
    """With any names of routes and parameters."""
    document: dict[str, Any] = {"paths": {'/quoted"\\{a}': {"get": {}}, "/ünicode": {"get": {}}}}
    file = tmp_path / "locustfile.py"
    file.write_text(locustfile.write("http://h", {"": document}, []))
    command = [sys.executable, "-m", "locust", "-f", str(file), "--list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Visitor" in done.stdout
