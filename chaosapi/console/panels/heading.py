"""Headings: a page has one of level 1, and no level is left out."""

from nicegui.elements.mixins.text_element import TextElement


class Heading(TextElement):
    """A heading of level 1 to 3; its look is that of its classes, whatever the level."""

    def __init__(self, level: int, text: str = "") -> None:
        super().__init__(tag=f"h{level}", text=text)
