"""The checks of kustomize/smoke.sh before its changes; the rest needs a cluster."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kustomize.conftest import ROOT
from tests.patience import patience

SCRIPT = ROOT / "kustomize/smoke.sh"

RENDERED = """\
kind: Namespace
metadata:
  name: game-day
---
kind: Secret
data:
  CHAOSAPI_ADMIN_TOKEN: dG9rZW4=
metadata:
  name: chaosapi-token
"""
KUBECTL = """\
#!/bin/sh
echo "$*" >>"$CALLS"
case "$*" in
kustomize*) cat "$RENDERED" ;;
"get namespace game-day"*)
    [ "$THERE" != error ] || { echo "Error from server (Forbidden)" >&2; exit 1; }
    echo "$THERE" ;;
apply*) exit 1 ;;
esac
"""


def run(script: Path, *words: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script in a folder, with no cluster in reach."""
    given = {**os.environ, "KUBECONFIG": "/dev/null", **environment}
    command = [str(script), *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=given, cwd=folder, timeout=patience(60)
    )


@pytest.fixture
def stub(tmp_path: Path) -> Path:
    """Return a folder with an overlay, and a kubectl that notes its calls and fails to apply anything."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/kubectl").write_text(KUBECTL)
    (tmp_path / "bin/kubectl").chmod(0o755)
    (tmp_path / "rendered.yaml").write_text(RENDERED)
    for name in ("mine", "local"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kustomization.yaml").touch()
    return tmp_path


def calls(stub: Path, overlay: str, *, there: str, rendered: str = "rendered.yaml") -> tuple[list[str], str]:
    """Run the script with the stub's namespace in the state `there`; return kubectl's calls and the output."""
    log = stub / "calls"
    environment = {"CALLS": str(log), "THERE": there, "RENDERED": str(stub / rendered)}
    done = run(SCRIPT, overlay, folder=stub, PATH=f"{stub / 'bin'}:{os.environ['PATH']}", **environment)
    assert done.returncode == 1
    return log.read_text().splitlines(), done.stderr


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
    """An unknown overlay, a missing token, an unreachable cluster."""
    script = tree / "kustomize/smoke.sh"
    assert "no overlay at" in run(script, "staging").stderr
    assert "kubectl reaches no cluster" in run(script).stderr
    token = tree / "kustomize/components/token/token.env"
    aside = token.rename(token.with_suffix(".aside"))
    try:
        assert "no token: echo" in run(script).stderr
    finally:
        aside.rename(token)


def test_help_is_the_header() -> None:
    """And nothing is asked of a cluster."""
    done = run(SCRIPT, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Prove an overlay")
    assert done.stdout.rstrip().endswith("leave everything running")


@pytest.mark.parametrize(
    ("there", "changes"),
    [
        ("error", []),
        ("namespace/game-day", ["apply --kustomize mine"]),
        ("", ["apply --kustomize mine", "delete --kustomize mine --ignore-not-found"]),
    ],
)
def test_it_deletes_only_where_the_namespace_is_known_to_be_new(there: str, changes: list[str], stub: Path) -> None:
    """An error does not count as a missing namespace: nothing is applied, nothing deleted."""
    done, said = calls(stub, "mine", there=there)
    assert [call for call in done if call.startswith(("apply", "delete"))] == changes
    assert ("Forbidden" in said and "cannot tell whether game-day is there" in said) == (there == "error")


def test_the_name_of_an_overlay_comes_before_a_folder_of_that_name(stub: Path) -> None:
    """Wherever the script is started."""
    done, _ = calls(stub, "local", there="error")
    assert done[0] == f"kustomize {ROOT / 'kustomize/overlays/local'}"


def test_an_overlay_without_a_token_is_refused(stub: Path) -> None:
    """The token is the one that the overlay renders, wherever it stands."""
    (stub / "bare.yaml").write_text(RENDERED.partition("---")[0])
    done, said = calls(stub, "mine", there="", rendered="bare.yaml")
    assert done == ["kustomize mine"]
    assert "mine has no Secret with CHAOSAPI_ADMIN_TOKEN" in said
