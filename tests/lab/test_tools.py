import functools
import hashlib
import http.server
import tarfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import chaosapi
from chaosapi.lab import releases, tools
from chaosapi.lab.errors import ToolMissingError

SCRIPT = '#!/bin/sh\necho "promtool, version 3.5.0"\n'


@pytest.fixture
def no_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return an empty folder, which is the only one in PATH."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin")
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Serve a folder over HTTP; yield the folder and its URL."""
    folder = tmp_path / "site"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def program(path: Path, text: str = SCRIPT) -> Path:
    """Write an executable script."""
    path.write_text(text)
    path.chmod(0o755)
    return path


def never(names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Fail the test: a source that must not be used."""
    pytest.fail(f"asked for {names}")


def once(names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Return every tool, as a source does."""
    return {name: program(folder / name, SCRIPT.replace("promtool", name)) for name in names}


def release(site: tuple[Path, str], sha256: str | None = None) -> releases.Release:
    """Write a release tarball with a promtool to the site, pinned by its own digest or the given one."""
    folder, url = site
    inside = program(folder / "promtool")
    tarball = folder / "promtool.tar.gz"
    with tarfile.open(tarball, "w:gz") as archive:
        archive.add(inside, "promtool-3.5.0/promtool")
    digest = sha256 or hashlib.sha256(tarball.read_bytes()).hexdigest()
    return releases.Release(f"{url}/promtool.tar.gz", {"amd64": digest, "arm64": digest}, ("promtool",))


def test_path_comes_first(no_path: Path, tmp_path: Path) -> None:
    """A program on PATH is used, also under Debian's name, and nothing is downloaded."""
    own = program(no_path / "promtool")
    debian = program(no_path / "prometheus-alertmanager", SCRIPT.replace("promtool", "alertmanager"))
    found = tools.ensure_programs("promtool", "alertmanager", folder=tmp_path / "tools", sources=[("none", never)])
    assert found == {"promtool": own, "alertmanager": debian}


def test_another_program_of_the_same_name_is_ignored(no_path: Path, tmp_path: Path) -> None:
    """Its --version must name promtool."""
    program(no_path / "promtool", "#!/bin/sh\necho something else\n")
    found = tools.ensure_programs("promtool", folder=tmp_path / "tools", sources=[("site", once)])
    assert found == {"promtool": tmp_path / "tools" / "promtool"}


def test_a_second_call_downloads_nothing(no_path: Path, tmp_path: Path) -> None:
    """The download is kept, and no temporary files are left."""
    folder = tmp_path / "tools"
    first = tools.ensure_programs("promtool", "amtool", folder=folder, sources=[("site", once)])
    assert tools.ensure_programs("promtool", "amtool", folder=folder, sources=[("none", never)]) == first
    assert {path.name for path in folder.iterdir()} == {".lock", "promtool", "amtool"}


def test_concurrent_calls_download_once(no_path: Path, tmp_path: Path) -> None:
    """One caller downloads and the others wait for it."""
    calls: list[Sequence[str]] = []
    together = threading.Barrier(4)

    def counted(names: Sequence[str], folder: Path) -> dict[str, Path]:
        calls.append(names)
        return once(names, folder)

    def ask() -> None:
        together.wait()
        tools.ensure_programs("promtool", folder=tmp_path / "tools", sources=[("site", counted)])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [["promtool"]]


def test_a_release_with_the_pinned_digest_is_accepted(
    no_path: Path, tmp_path: Path, site: tuple[Path, str], capfd: pytest.CaptureFixture[str]
) -> None:
    """Its SHA-256 is the pinned one, and its program runs."""
    fetch = functools.partial(releases.fetch, releases=[release(site)])
    found = tools.ensure_programs("promtool", folder=tmp_path / "tools", sources=[("site", fetch)])
    assert found["promtool"].read_text() == SCRIPT


def test_another_digest_is_refused(
    no_path: Path, tmp_path: Path, site: tuple[Path, str], capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing is kept, and the error has both digests."""
    fetch = functools.partial(releases.fetch, releases=[release(site, sha256="0" * 64)])
    with pytest.raises(ToolMissingError, match=r"refused: its SHA-256 is [0-9a-f]{64}, pinned is 0{64}"):
        tools.ensure_programs("promtool", folder=tmp_path / "tools", sources=[("site", fetch)])
    assert [path.name for path in (tmp_path / "tools").iterdir()] == [".lock"]


def test_the_next_source_is_tried_after_a_failure(no_path: Path, tmp_path: Path) -> None:
    """An unreachable source is no error if another source has the program."""
    closed = releases.Release("http://127.0.0.1:9/promtool.tar.gz", {"amd64": "0", "arm64": "0"}, ("promtool",))
    fetch = functools.partial(releases.fetch, releases=[closed])
    found = tools.ensure_programs("promtool", folder=tmp_path / "tools", sources=[("closed", fetch), ("site", once)])
    assert found["promtool"].is_file()


def test_without_a_source_the_error_lists_all_attempts(no_path: Path, tmp_path: Path) -> None:
    """It names the package to install, the setting that helps and the failure of each source."""

    def nothing(names: Sequence[str], folder: Path) -> dict[str, Path]:
        raise releases.UnavailableError("the network is closed")

    with pytest.raises(ToolMissingError) as caught:
        tools.ensure_programs("prometheus", folder=tmp_path / "tools", sources=[("site", nothing)])
    for word in ("prometheus could not", "Install Prometheus", "CHAOSAPI_TOOLS_DIR", "site: the network is closed"):
        assert word in str(caught.value)


def test_the_folder_of_the_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """CHAOSAPI_TOOLS_DIR; by default .tools next to the pyproject.toml of a checkout."""
    monkeypatch.setenv("CHAOSAPI_TOOLS_DIR", str(tmp_path))
    assert tools.tools_folder() == tmp_path
    monkeypatch.delenv("CHAOSAPI_TOOLS_DIR")
    assert tools.tools_folder() == Path(__file__).parents[2] / ".tools"


def test_without_a_home_folder_the_error_names_the_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For an unknown user, with an installed chaosapi."""

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(chaosapi, "__file__", str(tmp_path / "chaosapi" / "__init__.py"))
    monkeypatch.setattr(Path, "home", nobody)
    for name in ("CHAOSAPI_TOOLS_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ToolMissingError, match="CHAOSAPI_TOOLS_DIR"):
        tools.tools_folder()
