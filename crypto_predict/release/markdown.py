"""Markdown as GitHub shows it, from untrusted text."""

import re
import unicodedata
from collections.abc import Sequence

# Every character that may begin markup somewhere: all but letters, digits and harmless ones, a full stop outside of a
# number (lists, addresses), and a hyphen in front (lists, lines).
_MARKUP = re.compile(r"""[^\w ,;:=?%'"(.-]|_|(?<![0-9])\.|\.(?![0-9])|^-""")


def escape(text: str, most: int = 300) -> str:
    """Return the text on one line, as text: without markup, links, mentions or invisible characters, cut at `most`."""
    line = _visible(text)
    cut = line if len(line) <= most else f"{line[: most - 3]}..."
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", cut)


def code(text: str) -> str:
    """Return the text as code; nothing in it can end the code."""
    return f"`{_visible(text)[:300].replace('`', chr(39)).replace('|', '/') or '?'}`"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], aligned: str) -> str:
    """Return a table; `aligned` has ``<`` or ``>`` for each column. Cells are Markdown already."""
    rule = ["---:" if side == ">" else "---" for side in aligned]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def bullets(items: Sequence[str]) -> str:
    """Return a list; items are Markdown already."""
    return "\n".join(f"- {item}" for item in items)


def _visible(text: str) -> str:
    """Return the text on one line, with ``?`` for every character of the Unicode categories C."""
    return "".join(
        "?" if unicodedata.category(character).startswith("C") else character for character in " ".join(text.split())
    )
