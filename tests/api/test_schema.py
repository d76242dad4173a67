"""The API conforms to its OpenAPI documents, and the documents are complete."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from fastapi.testclient import TestClient
from starlette.responses import JSONResponse

from chaosapi.api import descriptions
from chaosapi.effects import EFFECTS, ProcessEffect
from tests.conftest import MakeClient, Serve

HERE = Path(__file__).parent
DOCUMENTS = ["/openapi.json", "/admin/openapi.json"]
DENIED = [effect.model_fields["type"].default for effect in EFFECTS if issubclass(effect, ProcessEffect)]


@pytest.mark.slow
@pytest.mark.timeout(1200)  # thousands of requests take minutes on a busy machine
@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_response_is_described(document: str, serve: Serve, tmp_path: Path) -> None:
    """Thousands of requests, right and wrong: no server error, every status, header, type and body as documented.

    A service each, so that the faults which the fuzzer creates meet no shop; those that act on the process, and so on
    what is tested, are switched off.
    """
    url = serve(CHAOSAPI_ADMIN_TOKEN="token", CHAOSAPI_EFFECTS_DENIED=",".join(DENIED))
    command = ["--config-file", str(HERE / "schemathesis.toml"), "run", url + document, "--checks", "all"]
    run = subprocess.run(
        [Path(sys.executable).with_name("schemathesis"), *command, "--max-examples", "20"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(HERE), "SCHEMATHESIS_HOOKS": "schemathesis_hooks"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    generated, passed = re.findall(r"(\d+) generated, (\d+) passed", run.stdout)[0]
    assert int(generated) == int(passed) > 400
    assert "Traceback" not in (tmp_path / "serve-0.log").read_text()


def operations(client: TestClient, document: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the operations of a document by name."""
    for path, methods in client.get(document).json()["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_reference_resolves(client: TestClient, document: str) -> None:
    """Within the document, as generators of clients require."""
    text = client.get(document).text
    references = set(re.findall(r'"\$ref":"#/([^"]+)"', text))
    assert len(references) > 5
    for reference in references:
        found = json.loads(text)
        for part in reference.split("/"):
            found = found[part]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_refusal_is_described_as_a_problem(client: TestClient, document: str) -> None:
    """Not as FastAPI's own error; the 503 of a probe is not a refusal."""
    for name, operation in operations(client, document):
        for status, answer in operation["responses"].items():
            if status >= "400" and name not in {"GET /healthz", "GET /readyz"}:
                problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
                assert answer["content"] == {"application/problem+json": problem}, name
    assert "HTTPValidationError" not in client.get(document).text


def test_every_operation_describes_the_errors_of_its_body_and_parameters(make_client: MakeClient) -> None:
    """A malformed, too large or wrongly typed body; a missing token if one is configured."""
    for settings, refused in (({}, False), ({"admin_token": "t"}, True)):
        client = make_client(**settings)
        for name, operation in operations(client, "/admin/openapi.json"):
            assert ("requestBody" in operation) == ({"400", "413", "415", "422"} <= operation["responses"].keys())
            guarded = " /admin" in name or " /hooks" in name
            assert ("401" in operation["responses"]) == ("security" in operation) == (refused and guarded), name
            assert ("403" in operation["responses"]) == guarded


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_openapi_document_is_generated_once_outside_the_event_loop(
    client: TestClient, document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes 0.1 s in a thread."""
    makers: list[str] = []
    complete = descriptions.with_problems

    def with_problems(*arguments: Any) -> dict[str, Any]:
        makers.append(threading.current_thread().name)
        return complete(*arguments)

    monkeypatch.setattr(descriptions, "with_problems", with_problems)
    assert client.get(document).json() == client.get(document).json()
    (maker,) = makers
    assert maker.startswith("asyncio_")  # the event loop's own threads for work that blocks


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_openapi_document_is_written_as_json_once(
    client: TestClient, document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes 4 ms of the event loop: anybody may request it, and a thousand requests delayed the kill switch."""
    first = client.get(document)
    monkeypatch.setattr(JSONResponse, "render", Mock(side_effect=AssertionError))
    again = client.get(document)
    assert (again.json(), again.headers["content-type"]) == (first.json(), "application/json")
    assert client.head(document).headers["content-length"] == first.headers["content-length"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_schemas_have_limits_in_json_schema_keywords(client: TestClient, document: str) -> None:
    """Pydantic writes `gt` and `le` for types that it cannot map; tools ignore these."""
    assert set(re.findall(r'"(gt|ge|lt|le|min_length|max_length)":', json.dumps(client.get(document).json()))) == set()


def test_a_405_lists_the_allowed_methods(client: TestClient) -> None:
    """All methods of the path, also with a handler for each method (RFC 9110, 15.5.6)."""
    answer = client.put("/admin/faults")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, HEAD, POST")
    assert answer.json()["detail"] == "PUT does not work here: DELETE, GET, HEAD, POST do"
    assert client.delete("/api/products").json()["detail"] == "DELETE does not work here: GET, HEAD do"


@pytest.mark.parametrize(("path", "docs"), [("/nowhere", "/openapi.json"), ("/admin/nowhere", "/admin/openapi.json")])
def test_a_404_names_the_openapi_document(client: TestClient, path: str, docs: str) -> None:
    """The shop and the control plane each have their own document."""
    assert client.get(path).json()["detail"] == f"there is nothing at {path}: {docs} lists all paths"
