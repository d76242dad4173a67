"""Optional parts of the package, and what a person installs to get them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def needed(what: str, extra: str, error: Callable[[str], Exception]) -> Iterator[None]:
    """Turn a package that an import in the block does not find into an error that says which extra has it."""
    try:
        yield
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] == "chaosapi":
            raise  # a fault of ours, which nothing that is installed would mend
        raise error(f"{what} needs the {extra} extra: pip install 'chaosapi[{extra}]'") from missing
