"""The HTTP client of both models."""

from time import perf_counter
from typing import Any, ClassVar

from _metrics import NO_ANSWER, ClientMetrics, status_of
from _shop import Request, read_body
from _trace import traceparent
from geventhttpclient.client import HTTPClient, HTTPClientPool
from geventhttpclient.url import URL
from locust import FastHttpUser
from locust.env import Environment


class SingleAttemptPool(HTTPClientPool):
    """A connection pool that never resends a request.

    geventhttpclient resends a GET once for each connection of its pool when one is closed before the answer: a reset
    would reach the service eleven times and the statistics once.
    """

    def get_client(self, url: str | URL) -> HTTPClient:
        """Return the client of a host; its number of retries is the size of its pool."""
        client = super().get_client(url)
        client._connection_pool.size = -1  # noqa: SLF001 - there is no setting for it
        return client


class Customer(FastHttpUser):
    """A client of the shop that counts its requests."""

    abstract = True
    host = "http://127.0.0.1:8000"
    connection_timeout = 5.0
    network_timeout = 30.0
    metrics: ClassVar[ClientMetrics]

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        agent = self.client.client
        agent.clientpool = SingleAttemptPool(**agent.clientpool.client_args)

    def send(self, request: Request, headers: dict[str, str], due: float | None = None) -> tuple[int, dict[str, Any]]:
        """Send a request and return its status (0: no answer) and body; latency is measured from `due` if given."""
        headers = {**headers, "traceparent": traceparent(headers["x-request-id"])}
        if request.key:
            headers["idempotency-key"] = request.key
        with (
            self.metrics.inflight.track_inprogress(),
            self.client.request(
                request.method,
                request.path,
                name=request.name,
                json=request.body,
                headers=headers,
                catch_response=True,
            ) as answer,
        ):
            if due is not None:
                answer.request_meta["response_time"] = 1000 * (perf_counter() - due)
            if original := getattr(answer.request_meta["exception"], "original", None):
                answer.failure(original)  # the outer exception has the URL in its text: each URL would be another error
            status = status_of(answer, answer.request_meta["exception"])
            body: Any = {}
            if status.startswith("2"):
                try:
                    body = read_body(answer.content or b"", answer.headers.get("content-type", ""))
                except ValueError:  # raised, it would keep the request out of the statistics
                    answer.failure("unreadable body")
                    status = NO_ANSWER
            return (0 if status == NO_ANSWER else int(status)), (body if isinstance(body, dict) else {})
