"""The trace of a request: W3C Trace Context, by which the service's spans and log lines can be found."""

import os
import re
from hashlib import blake2b
from typing import Final

_SALT: Final = os.urandom(16)
"""Runs of the same seed send the same request ids, but the traces of each are its own."""
_RETRY: Final = re.compile(r"-r[0-9]+$")


def traceparent(request_id: str, salt: bytes = _SALT) -> str:
    """Return the header of a request, which the service may record; retries of a request belong to its trace."""
    trace = blake2b(_RETRY.sub("", request_id).encode(), digest_size=16, key=salt).hexdigest()
    span = blake2b(request_id.encode(), digest_size=8, key=salt).hexdigest()
    return f"00-{trace}-{span}-01"
