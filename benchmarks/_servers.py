"""Run the service in a separate process, for the benchmarks."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

QUIET = {"CHAOSAPI_ACCESS_LOG": "false", "CHAOSAPI_LOG_FORMAT": "json"}
SERVE = (sys.executable, "-m", "chaosapi", "serve", "--port", "0")


class Server(NamedTuple):
    """A running service: the URLs of its ports, and its process id."""

    url: str
    admin: str
    pid: int


@contextmanager
def running(log: Path, command: Sequence[str] = SERVE, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run a service on free ports until the block ends; `log` is the file of its output."""
    with log.open("w") as out:
        own = {name: value for name, value in os.environ.items() if not name.startswith("CHAOSAPI_")}
        environment = {**own, **QUIET, **(settings or {})}  # the user's settings would be measured too
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
    try:
        while not (main := re.search(r"Uvicorn running on (http://127\.0\.0\.1:\d+)", text := log.read_text())):
            if process.poll() is not None:
                sys.exit(f"the service did not start: {text}")
            time.sleep(0.05)
        admin = re.search(r'"url": ?"(\S+?)"', text)
        yield Server(main[1], admin[1] if admin else main[1], process.pid)
    finally:
        process.terminate()
        process.wait(120)
