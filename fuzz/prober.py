"""An operator that probes and uses the kill switch: `python -m fuzz.prober ADMIN_PORT USERS_PORT`.

A separate process, so that the attackers' CPU time does not count as the service's latency. Twenty times a second it
sends one request on a new connection: two seconds of probes, then two of kill switches. Prints a line of JSON for each.
"""

import json
import sys
import time
from http.client import HTTPConnection, HTTPException
from typing import Final

_EVERY: Final = 0.05
_TURN: Final = 2.0
"""Seconds of probes, then seconds of kill switches; between them faults have time to act."""
_PATIENCE: Final = 30.0


def ask(port: int, method: str, path: str) -> tuple[int, float, str]:
    """Return status, milliseconds and, if it is not 200, the start of the body; status 0 without a response."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    begun = time.perf_counter()
    body = ""
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        status = answer.status
        text = answer.read()
        body = "" if status == 200 else text[:300].decode(errors="replace")
    except (OSError, HTTPException) as error:
        status = 0
        body = repr(error)
    took = 1000 * (time.perf_counter() - begun)
    connection.close()
    return status, took, body


def main() -> None:
    """Probe until the reader of the output disconnects."""
    admin = int(sys.argv[1])
    users = int(sys.argv[2])
    begun = time.monotonic()
    due = begun
    while True:
        time.sleep(max(0.0, due - time.monotonic()))
        late = 1000 * (time.monotonic() - due)
        kill = (time.monotonic() - begun) % (2 * _TURN) >= _TURN
        method, port, path = ("DELETE", admin, "/admin/faults") if kill else ("GET", users, "/healthz")
        status, took, body = ask(port, method, path)
        line = {"kill": kill, "status": status, "took": took, "late": late, "body": body, "at": time.time()}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        due = max(due + _EVERY, time.monotonic())


if __name__ == "__main__":
    main()
