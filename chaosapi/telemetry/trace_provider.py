"""Where spans go: to the host's OpenTelemetry, to a collector as the variables OTEL_* say, to files, or nowhere."""

import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from chaosapi.extras import needed
from chaosapi.logger import get_logger
from chaosapi.settings import SettingsError

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from chaosapi.telemetry.tracing import Tracing

_SCOPE: Final = "chaosapi"
_FILE_DELAY_MS: Final = 500
"""How long a span waits for others before all are written to the file."""
_CLOSE_S: Final = 2.0
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

log = get_logger("chaosapi.telemetry")


class TracedService(NamedTuple):
    """What the spans of a process are about."""

    name: str
    """The name of the service; empty for that of OpenTelemetry's SDK. OTEL_SERVICE_NAME has precedence."""
    instance: str
    """The name of the replica."""


def create_tracing(
    service: TracedService,
    release: Callable[[], str],
    folder: Path | None,
    environment: Mapping[str, str] = os.environ,
) -> "Tracing | None":
    """Return what makes spans: with the provider of the host if it has set one, else with a provider of its own.

    A provider of its own exports to `folder` and to the OTLP endpoint of the environment; without both there are no
    spans, and OpenTelemetry is not imported. Raises SettingsError where the folder is given and the extra is missing.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    host = _host_provider()
    if host is not None:
        from chaosapi.telemetry.tracing import Tracing

        return Tracing(host.get_tracer(_SCOPE), release, lambda: None)
    endpoint = any(map(environment.get, _ENDPOINTS)) and environment.get("OTEL_TRACES_EXPORTER", "otlp") == "otlp"
    if not (folder or endpoint):
        return None
    try:
        with needed("CHAOSAPI_TRACE_DIR" if folder else "OTEL_EXPORTER_OTLP_ENDPOINT", "tracing", SettingsError):
            return _with_own_provider(service, release, folder, environment, endpoint=endpoint)
    except SettingsError as error:
        if folder:
            raise
        log.warning("no spans are exported", reason=str(error))  # the variable may be there for other services
        return None


def _host_provider() -> "TracerProvider | None":
    """Return the provider that the host has set; None without one."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    provider: TracerProvider = api.get_tracer_provider()
    return None if isinstance(provider, (api.ProxyTracerProvider, api.NoOpTracerProvider)) else provider


def _with_own_provider(
    service: TracedService,
    release: Callable[[], str],
    folder: Path | None,
    environment: Mapping[str, str],
    *,
    endpoint: bool,
) -> "Tracing":
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from chaosapi.telemetry.tracing import Tracing

    attributes = {"service.instance.id": service.instance}
    if service.name and "OTEL_SERVICE_NAME" not in environment:
        attributes["service.name"] = service.name
    # It samples and bounds spans as OTEL_TRACES_SAMPLER and OTEL_SPAN_* say.
    provider = TracerProvider(resource=Resource.create(attributes), shutdown_on_exit=False)
    if folder:
        from chaosapi.telemetry.span_file import SpanFile

        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = cast("Any", SpanFile(folder / f"{service.instance}-{os.getpid()}.jsonl"))
        provider.add_span_processor(BatchSpanProcessor(file, schedule_delay_millis=_FILE_DELAY_MS))
    if endpoint:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))

    def close() -> None:
        """Send the last spans; a collector that is away does not hold up the end of the process."""
        sending = threading.Thread(target=provider.shutdown, daemon=True)
        sending.start()
        sending.join(_CLOSE_S)

    return Tracing(provider.get_tracer(_SCOPE), release, close)
