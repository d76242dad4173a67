"""Whatever an operator sends, no answer says anything of the fault that acts."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaosapi.access import Role
from chaosapi.api import roles
from chaosapi.api.roles import ROUTES
from chaosapi.app import create_app
from chaosapi.routes import METHODS
from chaosapi.settings import Settings
from tests.blind import evidence

FAULT = {
    "name": "cause-of-all",
    "effect": {"type": "latency", "distribution": {"type": "constant", "value": "1us"}},
    "seed": 739_214_005,
}
SECRETS = ("cause-of-all", "latency", "739214005", "constant")
TEMPLATES = sorted({route.partition(" ")[2] for route, role in ROUTES.items() if role is not Role.PUBLIC})
SEGMENTS = st.sampled_from(["cause-of-all", "x", "0123abcd", "%2e%2e", "a%2Fb", "%00"])
BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """Yield a client of a service with a fault that acts."""
    given_settings = Settings(
        access_log=False,
        blind=True,
        audit_log="off",
        admin_token=evidence.INSTRUCTOR,
        operator_token=evidence.OPERATOR,
    )
    with TestClient(create_app(given_settings), base_url="http://localhost:8000") as client:
        admin = {"authorization": f"Bearer {evidence.INSTRUCTOR}"}
        client.post("/admin/faults", json=FAULT, headers=admin).raise_for_status()
        yield client


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    template=st.sampled_from(TEMPLATES),
    method=st.sampled_from([method for method in METHODS if method != "HEAD"]),
    segment=SEGMENTS,
    suffix=st.sampled_from(["", "/", "/x", "?wait=1ms", "?forecast=true", "?limit=-1", "?state=active", "?before=x"]),
    body=BODIES,
)
def test_an_operator_is_refused_with_a_reason_and_reads_no_secret(
    client: TestClient, template: str, method: str, segment: str, suffix: str, body: object
) -> None:
    path = template.replace("{name}", segment).replace("{token_id}", segment) + suffix
    answer = client.request(method, path, json=body, headers={"authorization": f"Bearer {evidence.OPERATOR}"})
    asked = answer.request.url.path
    if roles.needed(method, asked) is Role.INSTRUCTOR:
        assert answer.status_code == 403, (method, path, answer.text)
        assert answer.json()["detail"] == "this needs the role instructor, and the token is for the role operator"
    said = answer.text.replace(segment, "")  # what the operator has said already
    assert [secret for secret in SECRETS if secret in said] == []
