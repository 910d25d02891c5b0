"""Markdown as GitHub shows it, out of text that anybody may have written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

Row = Sequence[str]

# Every character that may begin something somewhere: all but letters, digits and the harmless, a full stop outside of a
# number (lists, addresses), and a hyphen in front (lists, lines).
_MARKUP = re.compile(r"""[^\w ,;:=?%'"(.-]|_|(?<![0-9])\.|\.(?![0-9])|^-""")


def escape(text: str, most: int = 300) -> str:
    """The text as text on one line: it forms no markup, link, mention or row, whatever is in it.

    What is invisible, such as a control character or one that turns the reading direction, is shown as a question mark.
    Longer text than `most` characters is cut.
    """
    line = _visible(text)
    shown = line if len(line) <= most else f"{line[: most - 3]}..."
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", shown)


def code(text: str, most: int = 300) -> str:
    """The text as code; nothing in it can end that."""
    return f"`{_visible(text)[:most].replace('`', chr(39)).replace('|', '/') or '?'}`"


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


def _visible(text: str) -> str:
    """The text on one line, without characters of the Unicode categories C."""
    return "".join("?" if unicodedata.category(one).startswith("C") else one for one in " ".join(text.split()))
