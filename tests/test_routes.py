import pytest

from chaosapi.routes import covers, exempt, is_probe


@pytest.mark.parametrize(
    ("path", "left_alone"),
    [
        ("/metrics", True),
        ("/admin/faults/x", True),
        ("/hooks/alertmanager", True),
        ("/docs/oauth2-redirect", True),
        ("/", False),
        ("/api/products", False),
        ("/administrator", False),
    ],
)
def test_exempt_paths_are_whole_first_segments(path: str, left_alone: bool) -> None:  # noqa: FBT001 - a table
    """/administrator is not /admin."""
    assert exempt(path) is left_alone


@pytest.mark.parametrize(
    ("template", "probe"),
    [
        ("/health", True),
        ("/api/v1/ping", True),
        ("/-/ready", True),
        ("/HealthCheck", True),
        ("/health/", True),
        ("/__lbheartbeat__", True),
        ("/health/{patient}", False),
        ("/healthy-food", False),
        ("/live/scores", False),
        ("/shipping", False),
    ],
)
def test_probes_are_known_by_their_last_segment(template: str, probe: bool) -> None:  # noqa: FBT001 - a table
    assert is_probe(template) is probe


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("/internal/*", "/internal/jobs/7", True),
        ("/internal", "/internal/jobs", True),
        ("/internal", "/internals", False),
        ("/internal/", "/internal/jobs", True),
        ("/", "/", True),
        ("/", "/internal", False),
        ("/jobs/{job}", "/jobs/{job}", True),
        ("/*/status", "/jobs/status", True),
        ("/a?c", "/abc", False),
        ("/a[bc]", "/ab", False),
    ],
)
def test_a_pattern_covers_what_fits_it_and_what_is_below(pattern: str, path: str, covered: bool) -> None:  # noqa: FBT001 - a table
    assert covers(pattern, path) is covered
