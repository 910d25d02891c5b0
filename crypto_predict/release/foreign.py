"""Text that strangers wrote, made fit for logs, outputs and messages: commit subjects, tag names, servers' answers."""

from __future__ import annotations

# A runner obeys this anywhere in a line that a step prints: `##[add-mask]x` would blank out every x from there on.
_COMMAND = "##["


def one_line(text: str, most: int = 200) -> str:
    """The text as one line of at most `most` characters and a mark where more was cut off.

    What is not printable, line breaks and marks that turn the writing direction among it, becomes a space.
    """
    cut = text[: most + 1]
    line = "".join(letter if letter.isprintable() else " " for letter in cut[:most]).strip()
    return line.replace(_COMMAND, "## [") + ("..." if len(cut) > most else "")
