"""What kustomize/smoke.sh says before it touches a cluster; the rest of it needs one."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kustomize.conftest import ROOT

SCRIPT = ROOT / "kustomize/smoke.sh"


def run(script: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script, with no cluster in reach."""
    given = {**os.environ, "KUBECONFIG": "/dev/null", **environment}
    return subprocess.run([script, *words], capture_output=True, text=True, check=False, env=given, timeout=60)


def test_it_is_clean() -> None:
    """ShellCheck finds nothing."""
    if not (shellcheck := shutil.which("shellcheck")):
        pytest.skip("shellcheck is not installed")
    done = subprocess.run([shellcheck, SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_it_names_the_program_that_is_missing(tmp_path: Path) -> None:
    """Before anything else."""
    for program in ("bash", "env", "dirname"):
        (tmp_path / program).symlink_to(str(shutil.which(program)))
    done = run(SCRIPT, PATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "smoke: kubectl is not installed\n")


@pytest.mark.skipif(not shutil.which("kubectl") or not shutil.which("curl"), reason="kubectl or curl is not installed")
def test_it_names_what_is_missing_before_it_changes_anything(tree: Path) -> None:
    """An overlay that is none, a token that nobody gave, a cluster out of reach."""
    script = tree / "kustomize/smoke.sh"
    assert "no overlay at" in run(script, "staging").stderr
    assert "kubectl reaches no cluster" in run(script).stderr
    token = tree / "kustomize/components/token/token.env"
    aside = token.rename(token.with_suffix(".aside"))
    try:
        assert "no token: echo" in run(script).stderr
    finally:
        aside.rename(token)
