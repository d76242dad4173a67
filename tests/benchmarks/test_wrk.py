from tests.benchmarks.pure import module

wrk = module("_wrk")

CALM = """Running 1s test @ http://127.0.0.1:8000/api/products/p-0001
  1 threads and 32 connections
  Latency Distribution
     50%  812.00us
     75%    2.10ms
     90%    4.00ms
     99%    1.02s
  4711 requests in 1.00s, 1.20MB read
Requests/sec:   4690.25
Transfer/sec:      1.20MB
"""
TROUBLES = """  Socket errors: connect 1, read 2, write 3, timeout 4
  Non-2xx or 3xx responses: 99
"""


def test_the_output_of_wrk_is_parsed_with_its_units() -> None:
    """Percentiles have various units, and are converted to milliseconds."""
    assert wrk.read(CALM) == wrk.Load(4711, 4690.25, 0.812, 1020.0, 0, 0)


def test_errors_and_lost_requests_are_counted() -> None:
    """Statuses above 399, and requests without a response."""
    assert wrk.read(CALM.replace("Requests/sec", f"{TROUBLES}Requests/sec"))[-2:] == (99, 10)
