"""What commit messages mean for the version: Conventional Commits 1.0.0, https://www.conventionalcommits.org."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum
from itertools import groupby

from crypto_predict.release.sanitize import one_line

# Type, scope in parentheses, "!" for a breaking change, colon and space, description.
_HEADER = re.compile(r"(?P<type>[^\W\d_][\w-]*)(?:\([^()]+\))?(?P<breaking>!)?: +\S")
# A footer is a token, then ": " or " #", then its value; a paragraph that begins with one may hold several.
_FOOTER = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:: | #)\S")
# Its value may begin on the next line.
_BREAK = re.compile(r"BREAKING[ -]CHANGE:(?:\s|$)")


class Bump(IntEnum):
    """Which number of a version is raised; the greatest wins."""

    PATCH = 1
    MINOR = 2
    MAJOR = 3


def bump_of(messages: Iterable[str]) -> Bump:
    """Return what these commits ask for together: whatever is neither a feature nor a breaking change is a patch."""
    return max(map(_bump_of_one, messages), default=Bump.PATCH)


def subject_of(message: str) -> str:
    """Return the first line of a message, safe to show."""
    return one_line(message.strip().partition("\n")[0])


def _bump_of_one(message: str) -> Bump:
    first, *body = message.strip().split("\n")
    header = _HEADER.match(first)
    if (header and header["breaking"]) or _names_a_break([first]) or _names_a_break(body):
        return Bump.MAJOR
    # The specification ignores case, except in BREAKING CHANGE.
    return Bump.MINOR if header and header["type"].lower() == "feat" else Bump.PATCH


def _names_a_break(lines: Iterable[str]) -> bool:
    """Return whether a footer does; the same words inside a paragraph of prose do not count."""
    paragraphs = (list(group) for has_text, group in groupby(lines, lambda line: bool(line.strip())) if has_text)
    footers = (lines for lines in paragraphs if _FOOTER.match(lines[0]) or _BREAK.match(lines[0]))
    return any(any(map(_BREAK.match, lines)) for lines in footers)
