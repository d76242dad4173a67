"""Reference cycles: what the count of references alone does not free waits for a garbage collection, which is rare."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_off() -> Iterator[None]:
    """Collect what there is, and nothing until the block ends."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def alive(kind: type) -> int:
    """Return how many objects of this very class exist, garbage that is not collected included."""
    return sum(type(each) is kind for each in gc.get_objects())
