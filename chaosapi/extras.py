"""Optional parts of the package, and the extras that install them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def needed(what: str, extra: str, error: Callable[[str], Exception]) -> Iterator[None]:
    """Raise `error` with the name of the extra to install if an import in the block finds no package."""
    try:
        yield
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] == "chaosapi":
            raise  # a bug in chaosapi, which no extra would fix
        raise error(f"{what} needs the {extra} extra: pip install 'chaosapi[{extra}]'") from missing
