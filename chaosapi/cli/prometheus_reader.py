"""Queries of Prometheus for the commands."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import numpy as np
import typer

from chaosapi import errors
from chaosapi.cli import here
from chaosapi.clients.errors import ClientError, InvalidURLError, NoAnswerError
from chaosapi.clients.prometheus import PrometheusClient
from chaosapi.forecast.recording import RecordedSeries

Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="CHAOSAPI_PROMETHEUS",
        help="The URL of Prometheus.",
        show_default=here.PROMETHEUS_DEFAULT,
    ),
]
_FIRST_SPAN_S = 3600.0
_SHORTEST_SPAN_S = 60.0
_SAMPLES_WANTED = 250_000
"""Samples per answer, some megabytes. Prometheus refuses more than fifty million."""
_TIMEOUT_S = 120.0


class PrometheusReader:
    """Reads one Prometheus; every method raises errors.Invalid where Prometheus refuses or does not answer."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def version(self) -> Literal[2, 3]:
        """Return the major version; later versions count as 3."""
        with self._client() as client:
            return client.major_version()

    def alerts(self) -> list[dict[str, str]]:
        """Return the labels of every alerting rule, with its name as `alertname`."""
        with self._client() as client:
            groups = client.groups("alert")
        return [{**rule["labels"], "alertname": rule["name"]} for group in groups for rule in group["rules"]]

    def vector(self, query: str, at: float | None = None) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of each result of a query, now or at a time (Unix seconds)."""
        with self._client() as client:
            result = client.query(query, at)
        return [(each["metric"], float(each["value"][1])) for each in result]

    def label_names(self, metric: str) -> list[str]:
        """Return the names of the labels that the series of a metric have had lately."""
        with self._client() as client:
            return client.label_names(metric)

    def steps(
        self, query: str, start: float, end: float, step: float
    ) -> list[tuple[frozenset[tuple[str, str]], list[tuple[float, float]]]]:
        """Return labels (without the name) and (time, value) of each result of a query, every `step` seconds."""
        with self._client() as client:
            result = client.query_range(query, start, end, step)
        return [
            (
                frozenset(item for item in each["metric"].items() if item[0] != "__name__"),
                [(float(time), float(value)) for time, value in each["values"]],
            )
            for each in result
        ]

    def series(self, selector: str, start: float, end: float) -> list[RecordedSeries]:
        """Return the recorded samples of every series that a selector finds from start to end (Unix seconds)."""
        found: dict[frozenset[tuple[str, str]], list[tuple[Any, Any]]] = {}
        for part in self._parts(selector, start, end):
            for each in part:
                times, values = zip(*each["values"], strict=True)
                stamps = np.rint(np.array(times, dtype=np.float64) * 1000).astype(np.int64)
                known = found.setdefault(frozenset(each["metric"].items()), [])
                new = stamps > known[-1][0][-1] if known else np.full(stamps.size, fill_value=True)
                if new.any():  # version 2 returns a sample on the border of two parts in both
                    known.append((stamps[new], np.array(values, dtype=np.float64)[new]))
        return [
            RecordedSeries(dict(labels), *(np.concatenate(each) for each in zip(*parts, strict=True)))
            for labels, parts in found.items()
        ]

    def _parts(self, selector: str, start: float, end: float) -> Iterator[list[Any]]:
        """Yield answers to consecutive spans; the span adapts to about `_SAMPLES_WANTED` samples per answer."""
        span = _FIRST_SPAN_S
        while start < end:
            until = min(end, start + span)
            milliseconds = max(1, round(1000 * (until - start)))
            with self._client() as client:
                result = client.query(f"{selector}[{milliseconds}ms]", until)
            got = sum(len(each["values"]) for each in result)
            span = max(_SHORTEST_SPAN_S, span * min(4.0, _SAMPLES_WANTED / max(1, got)))
            start = until
            yield result

    @contextmanager
    def _client(self) -> Iterator[PrometheusClient]:
        try:
            with PrometheusClient(self.url, timeout_s=_TIMEOUT_S) as client:
                yield client
        except ClientError as error:
            raise errors.Invalid.field("prometheus", self._explained(error)) from None

    def _explained(self, error: ClientError) -> str:
        if isinstance(error, InvalidURLError):
            return f"{self.url} is not a URL such as {here.PROMETHEUS}: {error.__cause__}"
        if error.status is None:
            return f"no answer from {self.url}: {error.__cause__ or error}"
        if isinstance(error, NoAnswerError):
            return f"{self.url}: {error}: is it a Prometheus?"
        return f"{self.url} refuses: {error}"
