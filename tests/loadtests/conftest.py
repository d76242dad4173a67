from collections.abc import Iterator

import pytest

from tests.conftest import Serve
from tests.loadtests.shop import Shop, opened


@pytest.fixture
def shop() -> Iterator[Shop]:
    """Yield a shop that records its requests."""
    with opened() as server:
        yield server


@pytest.fixture
def service(serve: Serve) -> str:
    """Return the URL of the real service, in a process of its own."""
    return serve()
