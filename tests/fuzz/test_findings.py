import subprocess

from fuzz.findings import minimize, replay_command

REQUEST = b"POST /admin/faults?wait=1s HTTP/1.1\r\nhost: localhost\r\nx-a: b\r\ncontent-length: %d\r\n\r\n%s"


def request(body: bytes) -> bytes:
    """Return a request with this body."""
    return REQUEST % (len(body), body)


def test_a_request_is_made_as_small_as_shows_the_mistake() -> None:
    """Parts are left out one by one, headers and the query too."""
    data = request(b'{"effect": {"type": "error", "body": ["a", "b"]}, "rate": 0.5, "reason": "why not"}')
    small = minimize(data, lambda each: b'"body"' in each, 100)
    assert (
        small == b'POST /admin/faults HTTP/1.1\r\nhost: localhost\r\ncontent-length: 24\r\n\r\n{"effect": {"body": []}}'
    )


def test_it_stops_after_so_many_tries() -> None:
    """A try may cost a service."""
    tries: list[bytes] = []

    def wrong(candidate: bytes) -> bool:
        tries.append(candidate)
        return False

    minimize(request(b'{"a": [1, 2, 3, 4], "b": 2}'), wrong, 3)
    assert len(tries) == 3


def test_a_command_sends_the_same_again() -> None:
    """By curl where curl can, else byte by byte."""
    assert replay_command(request(b"{}")).startswith("curl -isS --path-as-is -X POST localhost:$PORT/admin/faults")
    odd = b"GET /%00 HTTP/1.1\r\nx: \x00\xff'\\\r\n\r\n"
    command = replay_command(odd).partition(" | ")[0]
    assert subprocess.run(["bash", "-c", command], check=True, capture_output=True).stdout == odd
