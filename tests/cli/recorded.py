"""A real Prometheus with samples that the tests made."""

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chaosapi.clients.prometheus import PrometheusClient
from chaosapi.lab import history, prometheus
from chaosapi.lab.processes import Programs


@contextmanager
def recorded_prometheus(samples: Iterable[str], tools: dict[str, Path], folder: Path) -> Iterator[str]:
    """Yield the URL of a Prometheus that has the samples (OpenMetrics), and evaluates no rules."""
    history.import_history(samples, tools["promtool"], folder / "data")
    config = folder / "prometheus.yml"
    config.write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    command = prometheus.command(tools["prometheus"], config_file=config, data=folder / "data", listen=listen)
    with Programs(folder / "logs") as parts, PrometheusClient(f"http://{listen}") as source:
        parts.start("prometheus", command)
        parts.wait_until(source.is_ready, "Prometheus")
        yield f"http://{listen}"
