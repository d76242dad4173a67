from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.failures import networks
from tests.failures.world import World


@pytest.fixture(scope="session")
def no_networks() -> str:
    """Give the reason why no network can be made here; nothing where it can."""
    return networks.missing()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, no_networks: str) -> Iterator[World]:
    """Give Redis and three replicas whose clocks are 30 s apart, each on a network of its own where that can be."""
    with ExitStack() as stack:
        yield World(tmp_path_factory.mktemp("world"), stack, networks=not no_networks)
