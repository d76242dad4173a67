"""The program that serves a user's app for the lab."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

import chaosapi
from chaosapi.installation import ChaosMiddleware, is_installed
from chaosapi.lab import app_server
from chaosapi.lab.app_server import BadReferenceError


async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    """Send no response: an ASGI app as a function."""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the name of a module in the current folder, with an app and other objects."""
    name = "a_module_of_a_user"
    (tmp_path / f"{name}.py").write_text(
        "from starlette.applications import Starlette\n"
        "web = Starlette()\n"
        "def create_app(): return web\n"
        "def wsgi(environ, start_response): return []\n"
        "number = 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield name
    sys.modules.pop(name, None)


def test_an_app_is_imported_by_its_name(module: str) -> None:
    """From the current folder."""
    assert isinstance(app_server.load(f"{module}:web"), Starlette)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("no_such_module:app", 'Could not import module "no_such_module"'),
        ("{module}", "must be in format"),
        ("{module}:app", "It has: web."),
        (
            "{module}:create_app",
            "function is not an ASGI app, such as FastAPI or Starlette make; a function that makes",
        ),
        ("{module}:wsgi", "function is not an ASGI app"),
        ("{module}:Starlette", "type is not an ASGI app"),
        ("{module}:number", "int is not an ASGI app, such as FastAPI or Starlette make"),
    ],
)
def test_an_invalid_app_reference_is_refused(reference: str, said: str, module: str) -> None:
    """With the valid form, on one line."""
    with pytest.raises(BadReferenceError) as refused:
        app_server.load(reference.format(module=module))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_error_inside_the_module_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its traceback: a failed import inside the module does not mean a missing module."""
    (tmp_path / "a_broken_module.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        app_server.load("a_broken_module:app")


def test_chaos_is_installed_once() -> None:
    """Inside a Starlette app, around other apps, and not if the app has installed it itself."""
    app = FastAPI()
    assert app_server.with_chaos(app) is app
    assert is_installed(app)
    assert app_server.with_chaos(app) is app
    wrapped = CORSMiddleware(app)
    assert app_server.with_chaos(wrapped) is wrapped
    around = app_server.with_chaos(raw)
    assert isinstance(around, ChaosMiddleware)
    assert app_server.with_chaos(around) is around


def test_an_app_without_chaos_is_recognized() -> None:
    """A plain app, and an app under another middleware."""
    assert not is_installed(Starlette())
    assert not is_installed(CORSMiddleware(Starlette()))
    assert not is_installed(raw)
    app = Starlette()
    chaosapi.install(app)
    assert is_installed(app)
