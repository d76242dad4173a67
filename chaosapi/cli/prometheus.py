"""Prometheus' HTTP API, as far as the commands read it."""

from collections.abc import Iterator
from typing import Any, Literal

import httpx2
import numpy as np

from chaosapi import errors
from chaosapi.forecast.recording import RecordedSeries

HERE = "http://127.0.0.1:9090"
_FIRST, _SHORTEST = 3600.0, 60.0
_ENOUGH = 250_000
"""Samples of an answer: some megabytes. Prometheus refuses more than fifty million."""
_PATIENCE = 120.0


class Prometheus:
    """A client; every method raises errors.Invalid, with Prometheus' words, where it refuses or does not answer."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def version(self) -> Literal[2, 3]:
        """Tell its major version; what comes after 3 is taken to be like it."""
        return 2 if self._get("/api/v1/status/buildinfo")["version"].startswith("2.") else 3

    def alerts(self) -> list[dict[str, str]]:
        """Give the labels of every alert that it has a rule for, with its name as `alertname`."""
        groups = self._get("/api/v1/rules", type="alert")["groups"]
        return [{**rule["labels"], "alertname": rule["name"]} for group in groups for rule in group["rules"]]

    def vector(self, query: str, at: float | None = None) -> list[tuple[dict[str, str], float]]:
        """Give labels and value of each result of a query, now or at a time (Unix seconds)."""
        result = self._get("/api/v1/query", query=query, time=at)["result"]
        return [(each["metric"], float(each["value"][1])) for each in result]

    def series(self, selector: str, start: float, end: float) -> list[RecordedSeries]:
        """Give the recorded samples of every series that a selector finds from start to end (Unix seconds)."""
        found: dict[frozenset[tuple[str, str]], list[tuple[Any, Any]]] = {}
        for part in self._parts(selector, start, end):
            for each in part:
                times, values = zip(*each["values"], strict=True)
                stamps = np.rint(np.array(times, dtype=np.float64) * 1000).astype(np.int64)
                known = found.setdefault(frozenset(each["metric"].items()), [])
                new = stamps > known[-1][0][-1] if known else np.full(stamps.size, fill_value=True)
                if new.any():  # version 2 gives what lies on the border of two parts twice
                    known.append((stamps[new], np.array(values, dtype=np.float64)[new]))
        return [
            RecordedSeries(dict(labels), *(np.concatenate(each) for each in zip(*parts, strict=True)))
            for labels, parts in found.items()
        ]

    def _parts(self, selector: str, start: float, end: float) -> Iterator[list[Any]]:
        """Ask for as long a span at a time as gives an answer of a bearable size."""
        span = _FIRST
        while start < end:
            until = min(end, start + span)
            milliseconds = max(1, round(1000 * (until - start)))
            result = self._get("/api/v1/query", query=f"{selector}[{milliseconds}ms]", time=until)["result"]
            got = sum(len(each["values"]) for each in result)
            span = max(_SHORTEST, span * min(4.0, _ENOUGH / max(1, got)))
            start = until
            yield result

    def _get(self, path: str, **query: Any) -> Any:
        given = {name: value for name, value in query.items() if value is not None}
        try:
            answer = httpx2.get(self._url + path, params=given, timeout=_PATIENCE)
            body = answer.json()
        except httpx2.InvalidURL as error:
            raise errors.Invalid.field("prometheus", f"{self._url} is no URL such as {HERE}: {error}") from None
        except httpx2.HTTPError as error:
            raise errors.Invalid.field("prometheus", f"no answer from {self._url}: {error}") from None
        except ValueError:
            raise errors.Invalid.field(
                "prometheus", f"{self._url} answered {answer.status_code}, but no JSON: is it a Prometheus?"
            ) from None
        if not isinstance(body, dict) or body.get("status") != "success":
            said = body.get("error", body) if isinstance(body, dict) else body
            raise errors.Invalid.field("prometheus", f"{self._url} refuses: {said}")
        return body["data"]
