"""Make text from outside (commit subjects, tag names, server answers) safe to show in logs and outputs."""

from __future__ import annotations


def one_line(text: str, most: int = 200) -> str:
    """Return the text on one line, cut after `most` characters; what is not printable becomes a space."""
    cut = text[: most + 1]
    line = "".join(letter if letter.isprintable() else " " for letter in cut[:most]).strip()
    # A runner executes `##[command]` wherever it stands in a line that a step prints.
    return line.replace("##[", "## [") + ("..." if len(cut) > most else "")
