from typing import Literal

Severity = Literal["page", "ticket"]
