"""Markdown as GitHub shows it, out of text that anybody may have written."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

Row = Sequence[str]

# What stays as it is beside letters, digits and spaces: of the rest, each may begin something somewhere.
_HARMLESS = frozenset(" ,;=?%'\"")


def escape(text: str, most: int = 300) -> str:
    """The text as text on one line: it forms no markup, link, mention or row, whatever is in it.

    What is invisible, such as a control character or one that turns the reading direction, is shown as a question mark.
    Longer text than `most` characters is cut.
    """
    line = " ".join(text.split())
    shown = line if len(line) <= most else f"{line[: most - 3]}..."
    return "".join(map(_escaped, shown))


def code(text: str, most: int = 300) -> str:
    """The text as code; nothing in it can end that."""
    visible = "".join(character if _is_visible(character) else "?" for character in " ".join(text.split()))
    return f"`{visible[:most].replace('`', chr(39)).replace('|', '/') or ' '}`"


def table(head: Row, rows: Sequence[Row], aligned: str) -> str:
    """A table of cells that are Markdown already.

    Args:
        head: The columns' names.
        rows: The cells below them.
        aligned: ``<`` or ``>`` for each column.
    """
    rule = ["---:" if side == ">" else "---" for side in aligned]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def bullets(items: Sequence[str]) -> str:
    """A list of items that are Markdown already."""
    return "\n".join(f"- {item}" for item in items)


def mermaid(diagram: str) -> str:
    """A diagram, which GitHub draws."""
    return f"```mermaid\n{diagram}\n```"


def _escaped(character: str) -> str:
    if not _is_visible(character):
        return "?"
    if character.isalnum() or character in _HARMLESS:
        return character
    return f"&#{ord(character)};" if character.isascii() else character


def _is_visible(character: str) -> bool:
    return not unicodedata.category(character).startswith("C")
