"""The answers of a page, as its test compares them with what Prometheus says."""

import pytest

from tests.docs.page import Row, Sample, answers

ROWS = [
    Row(1, frozenset({"/api/search", "200"}), 0.5, 1.4),
    Row(1, frozenset({"/api/search", "429"}), 1.5, 2.6),
]
SERVED: Sample = ({"handler": "/api/search", "status": "200"}, 1.0)
REFUSED: Sample = ({"handler": "/api/search", "status": "429"}, 2.0)


def test_each_series_has_its_row() -> None:
    """In any order; a query without rows has any answer."""
    assert answers(ROWS, [REFUSED, SERVED])
    assert answers([], [SERVED])


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param([], id="none"),
        pytest.param([SERVED], id="one is missing"),
        pytest.param([SERVED, (REFUSED[0], 0.0)], id="a value is out of its range"),
        pytest.param([SERVED, REFUSED, ({"handler": "/api/cart", "status": "500"}, 1.0)], id="one has no row"),
        pytest.param([SERVED, ({"handler": "/api/cart", "status": "429"}, 2.0)], id="another label"),
    ],
)
def test_another_answer_is_noticed(samples: list[Sample]) -> None:
    """As is none where the page expects any."""
    assert not answers(ROWS, samples)
    assert not answers([], [])
