"""The colours of the page; every state is also shown as a word."""

from pathlib import Path
from typing import Final

OK = "ok"
WARN = "warn"
BAD = "bad"
FAULT = "fault"
TONES: Final = {
    "up": OK, "waiting": "dim", "stale": WARN, "down": BAD, "locked": WARN,
    "inactive": "dim", "pending": WARN, "firing": BAD, "silenced": "calm", "inhibited": "calm",
    "ok": OK, "burning": BAD, "recovering": WARN, "budget gone": BAD, "no traffic": "dim", "no data": WARN,
    "active": FAULT, "scheduled": WARN, "ended": "dim",
}  # fmt: skip
"""The tone of each state."""

COLORS: Final = {"primary": "#0072b2", "negative": "#b83b00", "positive": "#00795a", "warning": "#8f5a00"}
"""Of buttons and messages."""
INK: Final = {True: "#9aa5b1", False: "#5b6672"}
GRID: Final = {True: "#2c343d", False: "#e3e7eb"}
LINES: Final = {True: ("#56b4e9", "#e69f00", "#2cc295"), False: ("#0072b2", "#b35900", "#00795a")}
PALETTE: Final = {
    True: (*LINES[True], "#cc79a7", "#f0e442", "#d55e00", "#9aa5b1", "#b07aa1"),
    False: (*LINES[False], "#9c3f77", "#7a6a00", "#c44500", "#5b6672", "#5b3f8c"),
}
"""Of any number of curves."""
LIMIT: Final = {True: "#ff8a5c", False: "#c44500"}
SHADES: Final = ("#cc79a7", "#8c8c8c", "#c9a227", "#3aa6a6")
"""Of the areas where faults act, one after the other; their opacity is that of `SHADE_OPACITY`."""
SHADE_OPACITY: Final = 0.22
"""Colours by dark mode, after the palette of Okabe and Ito, which is safe for colour-blind people."""

STYLE: Final = Path(__file__).with_name("style.css")
