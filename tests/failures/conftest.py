from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.failures import networks
from tests.failures.world import World


@pytest.fixture(scope="session")
def no_networks() -> str:
    """Return why no network namespace can be created; empty if one can."""
    return networks.missing()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, no_networks: str) -> Iterator[World]:
    """Yield Redis and three replicas with clocks 30 s apart, each in its own network namespace if possible."""
    with ExitStack() as stack:
        yield World(tmp_path_factory.mktemp("world"), stack, networks=not no_networks)
