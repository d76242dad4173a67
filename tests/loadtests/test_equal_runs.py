"""The common and the different parts of two runs with the same seed."""

import pytest

from tests.loadtests.processes import locust
from tests.loadtests.shop import Shop, opened

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("workers", [(), ("--processes", "2")])
def test_ids_are_the_same_and_carts_are_not(workers: tuple[str, ...]) -> None:
    """The same ids, also before the start, meet the same faults again; the same carts would be bought already."""
    with opened() as first, opened() as second:
        for shop in (first, second):
            sale = ("--scenario", "flash-sale", "--rate", "10", "--duration", "2s", *workers)
            run = locust(*sale, host=shop.url)
            assert run.returncode == 0, run.stderr
        assert ids(first) == ids(second)
        assert len(ids(first)) > 50
        for kind in (carts, keys):
            assert kind(first)
            assert kind(second)
            assert not kind(first) & kind(second)


def ids(shop: Shop) -> set[str]:
    """Return the ids of all requests but purchases before the start, which a slow machine does not come to."""
    return {name for headers in shop.headers if not (name := headers["x-request-id"]).endswith("-pay")}


def carts(shop: Shop) -> set[str]:
    """Return the names of the carts that were filled."""
    return {path.split("/")[3] for path in shop.paths if path.startswith("/api/cart/")}


def keys(shop: Shop) -> set[str]:
    """Return the keys of the purchases."""
    return {headers["idempotency-key"] for headers in shop.headers if "idempotency-key" in headers}
