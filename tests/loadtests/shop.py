"""A shop that records its requests."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Shop(ThreadingHTTPServer):
    """Responds with 2xx to every request, and records its headers and path.

    While `held` is locked, it does not respond.
    """

    daemon_threads = True
    request_queue_size = 128  # beyond the usual 5 a connection waits a second: the kernel drops its first packet

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ShopHandler)
        self.headers: list[Mapping[str, str]] = []
        self.paths: list[str] = []
        self.held = threading.Lock()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.server_port}"


class ShopHandler(BaseHTTPRequestHandler):
    """Answers as the shop does."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer 200."""
        self._answer(200)

    def do_POST(self) -> None:
        """Answer 201."""
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(201)

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _answer(self, status: int) -> None:
        assert isinstance(self.server, Shop)
        self.server.paths.append(self.path)
        self.server.headers.append({key.lower(): value for key, value in self.headers.items()})
        with self.server.held:
            body = b'{"order_id": "o-1"}'
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def opened() -> Iterator[Shop]:
    """Run a shop until the block ends."""
    with Shop() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
