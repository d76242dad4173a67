"""What a browser remembers, with a browser that answers when the test lets it."""

import asyncio
from typing import Any

import pytest

pytest.importorskip("nicegui", reason="needs NiceGUI, of the extra `console`")

from nicegui import Client, ui
from nicegui.page import page

from chaosapi.console.access import Session
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.panels.preferences import Preferences
from chaosapi.console.sources import Addresses, Sources
from tests.conftest import Clock

INDIA = {"dark": False, "local": False, "zone": "Asia/Kolkata", "offset": 330}


def test_a_click_while_the_page_loads_acts_once_the_browser_is_known(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its zone and its theme are not known before."""

    async def click_first() -> str:
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        monkeypatch.setattr(ui, "run_javascript", lambda *_, **__: answer)
        context = PageContext(Sources(Addresses(), None, clock), Session())
        with Client(page("/canvas")) as client:
            preferences = Preferences(context, lambda: None)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(preferences.load())
                tasks.create_task(preferences.switch_zone())
                tasks.create_task(preferences.switch_theme())
                await asyncio.sleep(0)
                answer.set_result(INDIA)
        client.delete()
        return f"{context.zone.label(clock())} {context.dark}"

    assert asyncio.run(click_first()) == "IST True"
