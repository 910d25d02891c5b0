"""Numbers as people write them: ``$107,146.50``, ``107.146,50``, ``1.23K``, ``1,5E+08``.

One mark, point or comma, separates the decimals in the whole of a file. The other one, an apostrophe or a space groups
the digits by three.
"""

import math
import re

_PLAIN = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE)
_MISSING = frozenset({"", ".", "-", "--", "na", "n/a", "null", "none", "#n/a"})  # in lower case
_CURRENCIES = "$\u20ac\u00a3\u00a5\u20bf \u00a0"
_GROUPED = {  # by the decimal mark; digits in groups of three
    ".": re.compile(r"[+-]?\d{1,3}(?:([,'\u2019 \u00a0\u202f])\d{3})(?:\1\d{3})*(\.\d*)?", re.ASCII),
    ",": re.compile(r"[+-]?\d{1,3}(?:([.'\u2019 \u00a0\u202f])\d{3})(?:\1\d{3})*(,\d*)?", re.ASCII),
}
_THOUSANDS = re.compile(r"[^\d.,]*[1-9]\d{0,2},\d{3}[^\d.,]*", re.ASCII)  # or three decimals
_SHORT = {"K": "e3", "M": "e6", "B": "e9", "T": "e12"}


class DecimalMark:
    """Find the decimal mark of a file from all of its numbers."""

    def __init__(self) -> None:
        self._points = self._commas = self._either = 0  # numbers that have a decimal point, a comma, or one of them

    def see(self, text: str) -> None:
        """Take one number into account. A single point is the usual mark, and says nothing."""
        commas, points = text.count(","), text.count(".")
        if commas == 0 and points < 2:
            return
        if commas and points:
            is_comma = text.rfind(",") > text.rfind(".")
        elif commas == 1 and _THOUSANDS.fullmatch(text):
            self._either += 1
            return
        else:
            is_comma = commas == 1 or points > 1  # what stands twice groups digits
        self._commas += is_comma
        self._points += not is_comma

    def mark(self, delimiter: str) -> str:
        """Return the mark. Fields are separated by `delimiter`, which is another one than the decimal comma."""
        if self._commas == self._points == 0:
            return "," if self._either and delimiter != "," else "."
        return "," if self._commas > self._points else "."

    def notice(self, delimiter: str) -> str | None:
        """Return what is assumed; None if every number is written as in Python."""
        if self.mark(delimiter) == ",":
            return "',' is the decimal mark"
        return "',' groups the digits of thousands" if self._points or self._either else None


def number(text: str, mark: str = ".", *, short: bool = False) -> float:
    """Read a number with this decimal `mark`: NaN for a missing one. ``1.23K`` is allowed if `short`.

    Raises:
        ValueError: It is not a number.
    """
    if mark == "." and _PLAIN.fullmatch(text):
        return float(text)
    if text.lower() in _MISSING:
        return math.nan
    body = text.strip(_CURRENCIES)
    power = _SHORT.get(body[-1:].upper(), "") if short else ""
    if power:
        body = body[:-1].rstrip()
    if grouped := _GROUPED[mark].fullmatch(body):
        body = body.replace(grouped[1], "")
    elif mark == "," and "." in body:
        raise ValueError(f"{text[:40]!r} is not a number with the decimal mark ','")
    body = f"{body.replace(',', '.') if mark == ',' else body}{power}"
    if not _PLAIN.fullmatch(body):
        raise ValueError(f"{text[:40]!r} is not a number")
    return float(body)
