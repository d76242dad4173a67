"""Show what a starting lab does, and for how long."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from chaosapi.terminal import Terminal

_WORTH_SHOWING_S: Final = 2.0


class StartupProgress:
    """Shows each step as a line: in a terminal, a spinner with its seconds until the next step, or the end, comes.

    Elsewhere the line comes first, and a step that took long gets a second one.
    """

    def __init__(self, console: Terminal, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._text = ""
        self._began = 0.0
        self._spinner: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def begin(self, text: str) -> None:
        """End the present step and begin another."""
        self.end()
        self._text = text
        self._began = self._clock()
        if not self._console.is_terminal:
            self._console.print(text, style="dim", soft_wrap=True)
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}", style="dim", markup=False), TimeElapsedColumn())
        self._spinner = Progress(*columns, console=self._console, transient=True)
        self._spinner.add_task(text, total=None)
        self._spinner.start()

    def end(self) -> None:
        """End the present step, if there is one."""
        if not self._text:
            return
        seconds = self._clock() - self._began
        took = f"{seconds:.0f} s" if seconds >= _WORTH_SHOWING_S else ""
        if self._spinner:
            self._spinner.stop()
            self._spinner = None
            self._console.print(f"{self._text}  {took}".rstrip(), style="dim", soft_wrap=True)
        elif took:
            self._console.print(f"  took {took}", style="dim")
        self._text = ""
