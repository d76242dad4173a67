"""The admin API client with the real service."""

import asyncio
import inspect
import re
import subprocess
import sys
import typing
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient

from chaosapi.clients import admin_calls, answers
from chaosapi.clients.admin import AdminClient, AsyncAdminClient, RefusedError, UnauthorizedError, UnreachableError
from chaosapi.clients.errors import NoAnswerError
from tests.conftest import Clock, MakeClient, Serve

APP = """
import chaosapi
from fastapi import FastAPI

app = FastAPI()
chaosapi.install(app, points=["db"])


@app.get("/items")
async def items() -> dict[str, object]:
    try:
        async with chaosapi.point("db"):
            return {"items": ["a"], "stale": False}
    except chaosapi.DependencyError:
        return {"items": [], "stale": True}
"""
ERROR: dict[str, Any] = {"effect": {"type": "error"}, "rate": 1}


def test_the_life_of_a_fault(client: TestClient) -> None:
    """Create, show, patch, count and end."""
    with AdminClient(client, actor="a test") as admin:
        made = admin.create_fault({**ERROR, "name": "down"}, wait="1s")
        assert client.get("/api/products").status_code == 503
        assert admin.get_fault("down")["receipt"]["injected"] == 1
        changed = admin.change_fault("down", {"effect": {"status": 500}}, if_revision=made["revision"])
        assert changed["revision"] > made["revision"]
        assert client.get("/api/products").status_code == 500
        ended = admin.end_fault("down", reason="enough")
        assert (ended["state"], ended["receipt"]["matched"], ended["receipt"]["injected"]) == ("ended", 2, 2)
        assert [fault["name"] for fault in admin.list_faults("ended")["faults"]] == ["down"]
        entries = [(entry["action"], entry["actor"], entry["reason"]) for entry in admin.audit()["entries"]]
        assert entries[0] == ("end", "a test (unverified)", "enough")


def test_replace_and_a_stale_revision(client: TestClient) -> None:
    """412 means that another change came first."""
    admin = AdminClient(client)
    first = admin.replace_fault("down", ERROR)
    second = admin.replace_fault("down", {**ERROR, "rate": 0.5}, if_revision=first["revision"])
    with pytest.raises(RefusedError) as refused:
        admin.replace_fault("down", ERROR, if_revision=first["revision"])
    assert refused.value.status == 412
    assert admin.get_fault("down")["revision"] == second["revision"]
    with pytest.raises(RefusedError):
        admin.end_fault("down", if_revision=first["revision"])


def test_kill_switch_halt_and_resume(client: TestClient) -> None:
    """New faults are refused during the halt."""
    admin = AdminClient(client)
    admin.create_fault(ERROR)
    assert admin.end_all_faults(reason="lunch")["ended"] == 1
    assert admin.halt(reason="freeze")["halt"] is not None
    with pytest.raises(RefusedError, match="freeze") as refused:
        admin.create_fault(ERROR)
    assert refused.value.problem["status"] == refused.value.status
    assert admin.resume()["halt"] is None
    admin.create_fault(ERROR)


def test_the_read_calls(client: TestClient, clock: Clock) -> None:
    """Effects, replicas, forecasts, scores and delivered alerts."""
    admin = AdminClient(client)
    assert "latency" in {effect["type"] for effect in admin.effects()["effects"]}
    assert [replica["lag"] for replica in admin.replicas()["replicas"]] == [0]
    assert admin.forecast({**ERROR, "traffic": {"rps": 50}})["alerts"]
    assert admin.openapi()["info"]["title"] == "chaosapi"
    made = admin.create_fault(ERROR, forecast=True)
    assert made["forecast"] is not None
    clock.now += 60
    assert admin.score(made["name"])["alerts"]
    assert admin.alerts()["alerts"] == admin.alerts(limit=5)["alerts"] == []


def test_an_error_has_the_apis_message(client: TestClient) -> None:
    """Also the messages of fields."""
    with pytest.raises(RefusedError, match=r"did you mean 0\.05") as refused:
        AdminClient(client).create_fault({"effect": {"type": "error"}, "rate": 5})
    assert "did you mean 0.05" in refused.value.fields["rate"]
    assert refused.value.status == 422


def test_a_name_is_quoted_as_one_path_segment(client: TestClient) -> None:
    """No name can reach another endpoint: this one would be the kill switch."""
    admin = AdminClient(client)
    admin.create_fault(ERROR)
    with pytest.raises(RefusedError):
        admin.end_fault("../faults")
    assert len(admin.list_faults("active")["faults"]) == 1


def test_a_token_is_sent(make_client: MakeClient) -> None:
    """Without it, or with a wrong one, the request is refused."""
    service = make_client(admin_token="secret")
    for token in (None, "wrong"):
        with pytest.raises(UnauthorizedError):
            AdminClient(service, token=token).replicas()
    assert AdminClient(service, token="secret").replicas()["replicas"]


def test_an_unreachable_service_has_its_own_error() -> None:
    """Its cause is httpx2's error."""
    with pytest.raises(UnreachableError) as failure, AdminClient("http://127.0.0.1:9") as admin:
        admin.replicas()
    assert isinstance(failure.value.__cause__, httpx2.ConnectError)


@pytest.mark.slow
def test_both_clients_over_a_real_connection(serve: Serve) -> None:
    """Created from the URL."""
    url = serve()
    with AdminClient(url) as admin:
        admin.create_fault({**ERROR, "name": "down"}, wait="2s")

    async def end() -> answers.FaultView:
        async with AsyncAdminClient(url) as admin:
            return await admin.end_fault("down", wait=2)

    assert asyncio.run(end())["state"] == "ended"
    assert httpx2.get(f"{url}/api/products").status_code == 200


def calls() -> dict[str, Any]:
    """Return every call by its name."""
    found = inspect.getmembers(admin_calls, inspect.isfunction)
    return {name: call for name, call in found if call.__module__ == admin_calls.__name__ and name[0] != "_"}


@pytest.mark.parametrize("kind", [AdminClient, AsyncAdminClient])
def test_both_clients_have_every_call_with_a_docstring(kind: type) -> None:
    """And with the same parameters."""
    for name, call in calls().items():
        method = getattr(kind, name)
        assert method.__doc__ == call.__doc__
        assert [*inspect.signature(method).parameters] == ["self", *inspect.signature(call).parameters]


def test_every_operation_of_the_admin_api_has_a_call(client: TestClient) -> None:
    """Every operation of the OpenAPI document."""
    seen: set[tuple[str, str]] = set()

    def heard(request: httpx2.Request) -> httpx2.Response:
        seen.add((request.method, request.url.path))
        return httpx2.Response(200, json={})

    with httpx2.Client(transport=httpx2.MockTransport(heard), base_url="http://service") as http:
        admin = AdminClient(http)
        for name, call in calls().items():
            given = {
                "name": "{name}",
                "fault": {},
                "changes": {},
                "question": {},
                "role": "operator",
                "token_id": "{token_id}",
            }
            needed = [given[each] for each in inspect.signature(call).parameters if each in given]
            with suppress(NoAnswerError):  # it was asked, and that is what counts here
                getattr(admin, name)(*needed)
    described = {
        (method.upper(), path)
        for path, methods in admin_paths(client).items()
        for method in methods
        if path.startswith("/admin")
    }
    assert seen == described | {("GET", "/admin/openapi.json")}


def admin_paths(client: TestClient) -> dict[str, Any]:
    """Return the paths of the OpenAPI document."""
    paths: dict[str, Any] = AdminClient(client).openapi()["paths"]
    return paths


def test_the_types_of_responses_equal_the_openapi_schemas(client: TestClient) -> None:
    """Field by field: they are repeated for clients without the service's packages."""
    schemas = AdminClient(client).openapi()["components"]["schemas"]
    described = {name: each for name, each in vars(answers).items() if name[0] != "_" and typing.is_typeddict(each)}
    for name, answer in described.items():
        fields = schemas[name]["properties"]
        hints = typing.get_type_hints(answer)
        assert set(hints) == set(fields), name
        assert [field for field, hint in hints.items() if not fits(hint, fields[field])] == [], name


JSON_TYPES = {"integer": int, "number": float, "string": str, "boolean": bool, "object": dict, "null": type(None)}


def fits(hint: Any, schema: dict[str, Any]) -> bool:
    """Return whether a type hint says what the JSON schema does; a plain object stands for any schema of an object."""
    if "anyOf" in schema:
        return all(map(fits, typing.get_args(hint), schema["anyOf"]))
    if schema.get("$ref", "").endswith("/JsonValue"):
        return hint is Any
    if "$ref" in schema or "oneOf" in schema:
        return hint in (answers.Json, getattr(answers, schema.get("$ref", "").rpartition("/")[2], None))
    if schema["type"] == "array":
        return typing.get_origin(hint) is list and fits(typing.get_args(hint)[0], schema["items"])
    if "enum" in schema:
        return hint is str or set(typing.get_args(hint)) == set(schema["enum"])
    return (typing.get_origin(hint) or hint) is JSON_TYPES[schema["type"]]


@pytest.mark.slow
def test_the_documented_pytest_example_runs(tmp_path: Path) -> None:
    """The example is in the docs page about your own app."""
    page = (Path(__file__).parents[2] / "docs" / "own-app.md").read_text(encoding="utf-8")
    example = next(code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "AdminClient" in code)
    (tmp_path / "test_example.py").write_text(example, encoding="utf-8")
    (tmp_path / "myapp.py").write_text(APP, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_example.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
