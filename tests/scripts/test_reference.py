"""The public names in docs/reference: OpenAPI documents, settings, metrics, commands."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import patience

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_the_checked_in_reference_is_fresh(tmp_path: Path) -> None:
    """`make gen` would write exactly the files that are checked in: no public name changes by accident."""
    subprocess.run(
        [sys.executable, ROOT / "scripts" / "reference.py", tmp_path], check=True, cwd=tmp_path, timeout=patience(120)
    )
    made = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert made == {name: (ROOT / "docs" / "reference" / name).read_text() for name in made}
    assert len(made) == 5
