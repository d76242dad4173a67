"""docs/writing-an-effect.md, followed step by step."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import patience

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_an_effect_is_one_file_and_its_name_in_the_union(tmp_path: Path) -> None:
    """On a copy of the repository, with the page's own test, and nothing else changed."""
    page = (ROOT / "docs" / "writing-an-effect.md").read_text()
    effect, imported, member, test = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    for folder in ("chaosapi", "tests", "alerts", "loadtests", "dashboards"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    effects = tmp_path / "chaosapi" / "effects"
    (effects / "redirect.py").write_text(effect)
    union = (effects / "__init__.py").read_text()
    union = union.replace("from chaosapi.effects.reset", f"{imported}from chaosapi.effects.reset", 1)
    union = union.replace("    | Reset\n", f"{member}    | Reset\n", 1)
    (effects / "__init__.py").write_text(union)
    (tmp_path / "tests" / "effects" / "test_redirect.py").write_text(test)
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/effects/test_redirect.py"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=patience(120), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
