import subprocess

from fuzz.findings import minimize, replay_command

REQUEST = b"POST /admin/faults?wait=1s HTTP/1.1\r\nhost: localhost\r\nx-a: b\r\ncontent-length: %d\r\n\r\n%s"


def request(body: bytes) -> bytes:
    """Return a request with this body."""
    return REQUEST % (len(body), body)


def test_a_request_is_minimized() -> None:
    """By removing parts one by one, also headers and the query."""
    data = request(b'{"effect": {"type": "error", "body": ["a", "b"]}, "rate": 0.5, "reason": "why not"}')
    small = minimize(data, lambda each: b'"body"' in each, 100)
    assert (
        small == b'POST /admin/faults HTTP/1.1\r\nhost: localhost\r\ncontent-length: 24\r\n\r\n{"effect": {"body": []}}'
    )


def test_minimizing_stops_after_the_maximum_of_tries() -> None:
    """A try may need a new service."""
    tries: list[bytes] = []

    def wrong(candidate: bytes) -> bool:
        tries.append(candidate)
        return False

    minimize(request(b'{"a": [1, 2, 3, 4], "b": 2}'), wrong, 3)
    assert len(tries) == 3


def test_a_command_sends_the_same_again() -> None:
    """With curl if possible, else as raw bytes."""
    assert replay_command(request(b"{}")).startswith("curl -isS --path-as-is -X POST localhost:$PORT/admin/faults")
    odd = b"GET /%00 HTTP/1.1\r\nx: \x00\xff'\\\r\n\r\n"
    command = replay_command(odd).partition(" | ")[0]
    assert subprocess.run(["bash", "-c", command], check=True, capture_output=True).stdout == odd
