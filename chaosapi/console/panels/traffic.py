"""The panel of Locust: its traffic, and its controls."""

from nicegui import ui

from chaosapi.clients.errors import ClientError, RefusedError
from chaosapi.console.feed import Feed
from chaosapi.console.locust import LoadState
from chaosapi.console.panels.page_context import PageContext
from chaosapi.text import count_noun

_NONE = "none"
_UNITS = {"rate": "requests/s", "peak": "requests/s", "duration": "such as 90s or 3m"}
_SHOWN = ("scenario", "rate", "peak", "duration", "scale", "model", "retries")


class TrafficPanel:
    """The statistics, a form of Locust's own options, and buttons that start and stop a run."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._now = ui.label().classes("wrap")
        self._form = ui.element("div")
        self._inputs: dict[str, ui.input | ui.select] = {}
        self._built = False

    def update(self) -> None:
        feed = self._context.sources.locust
        load = feed.answer
        up = load is not None and feed.state() == "up"
        self._form.set_visibility(up)
        if load is None or not up:
            self._now.set_text(describe_absence(feed, self._context.rate))
            return
        sent = f"{load.state}: {load.rps:.1f} requests/s, {count_noun(load.users, 'user')}"
        self._now.set_text(f"{sent}, {load.failing:.1%} failed as clients see it")
        if not self._built or set(self._inputs) != set(_offered(load)):
            self._build(load)

    def _build(self, load: LoadState) -> None:
        self._form.clear()
        self._inputs = {}
        self._built = True
        with self._form:
            if not load.options.get("scenario"):
                ui.label("This Locust offers no scenarios: control it on its own page.").classes("dim")
            with ui.element("div").classes("fields"):
                for name in _offered(load):
                    self._inputs[name] = self._input(name, load)
            self._trouble = ui.label().classes("bad small wrap").props("role=alert")
            with ui.element("div").classes("flow").style("margin-top:8px"):
                start = ui.button("Start or change", icon="play_arrow", on_click=self._start)
                start.set_visibility(bool(self._inputs))
                ui.button("Stop", icon="stop", on_click=self._stop).props("outline")
                ui.link("Locust's own page", self._context.sources.locust.source.url, new_tab=True)

    def _input(self, name: str, load: LoadState) -> ui.input | ui.select:
        option = load.options[name]
        default = str(option["default_value"] or "")
        choices = [str(each) for each in option.get("choices") or ()]
        if name == "scenario":
            choices = [each for each in choices if each != _NONE]  # it would need users and a spawn rate
            default = default if default in choices else choices[0]
        label = name.capitalize() + (f", {unit}" if (unit := _UNITS.get(name)) else "")
        made: ui.input | ui.select
        made = ui.select(choices, value=default, label=label) if choices else ui.input(label, value=default)
        made.props("outlined dense stack-label").classes("full-width").tooltip(str(option.get("help_text") or ""))
        return made

    async def _start(self) -> None:
        load = self._context.sources.load
        self._trouble.set_text("")
        form = {name: str(made.value or "") for name, made in self._inputs.items()}
        try:
            running = await load.running()
            await (load.change(form) if running else load.start(form))
        except RefusedError as refusal:
            self._trouble.set_text(str(refusal))
        except ClientError as trouble:
            ui.notify(str(trouble), type="negative", multi_line=True, close_button=True, timeout=8000)
        else:
            ui.notify("The run is replaced." if running else "Locust starts.", type="positive", timeout=3000)
        await self._context.sources.locust.poll()

    async def _stop(self) -> None:
        await self._context.run_action(self._context.sources.load.stop(), "Locust stops.")
        await self._context.sources.locust.poll()


def describe_absence(feed: Feed[LoadState], rate: float | None) -> str:
    """Return what is known without Locust's page; `rate` is that of the requests that the service answers."""
    if feed.seen is not None or rate is None:
        return feed.describe()
    if not rate:
        return f"No request reaches the service. {feed.source.advice}"
    return (
        f"{rate:.1f} requests/s reach the service. There is no page of Locust at {feed.source.url}, so this traffic is "
        "started and stopped where it was started, as that of chaosapi lab is."
    )


def _offered(load: LoadState) -> list[str]:
    return [name for name in _SHOWN if name in load.options]
