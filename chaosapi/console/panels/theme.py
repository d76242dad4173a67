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
    "active": FAULT, "scheduled": WARN, "ended": "dim",
}  # fmt: skip
"""The tone of each state."""

INK: Final = {True: "#9aa5b1", False: "#5b6672"}
GRID: Final = {True: "#2c343d", False: "#e3e7eb"}
LINES: Final = {True: ("#56b4e9", "#e69f00", "#2cc295"), False: ("#0072b2", "#b35900", "#00795a")}
LIMIT: Final = {True: "#ff8a5c", False: "#c44500"}
SHADE: Final = {True: "rgba(204,121,167,.22)", False: "rgba(204,121,167,.20)"}
"""Colours by dark mode, after the palette of Okabe and Ito, which is safe for colour-blind people."""

STYLE: Final = Path(__file__).with_name("style.css")
