"""Reading questions: query strings to parameters, and text to days and instants.

Pure functions, shared by every way in. Text is a stranger's: it may be anything, and is only ever quoted shortened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from urllib.parse import parse_qsl

from crypto_predict.errors import CryptoPredictError, InvalidValue

# In the part of the pattern language that Python and ECMAScript, which OpenAPI speaks, have in common.
DAY_PATTERN = "(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
TIME_PATTERN = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
# A plus sign in a query string means a space, so a space before an offset was meant as a plus sign.
OFFSET_PATTERN = "[Zz]|[+ -]([01][0-9]|2[0-3])(:?[0-5][0-9])?"
MOMENT_PATTERN = f"^{DAY_PATTERN}([Tt ]{TIME_PATTERN}({OFFSET_PATTERN})?)?$"

MOMENT_EXPECTED = "an ISO date such as 2024-06-01 or an ISO date-time such as 2024-06-01T12:00:00Z"
DAY_EXPECTED = "an ISO date such as 2024-06-01"

_MOMENT = re.compile(f"(?P<day>{DAY_PATTERN})([Tt ](?P<time>{TIME_PATTERN})(?P<offset>{OFFSET_PATTERN})?)?")
_DAY = re.compile(DAY_PATTERN)

_SHOWN = 80  # characters of a stranger's text that are worth repeating


class BadParameter(CryptoPredictError):
    """The parameter `parameter` is missing, repeated or unknown, or contradicts another; `fault` says so in words."""

    def __init__(self, parameter: str, fault: str) -> None:
        super().__init__(fault)
        self.parameter = parameter


def parameters(query: str, known: tuple[str, ...]) -> dict[str, str]:
    """The parameters in a query string, each of them known and given once.

    Raises:
        BadParameter: One is unknown or repeated.
    """
    given = parse_qsl(query, keep_blank_values=True, errors="replace")
    found = dict(given)
    for name in found:
        if name not in known:
            raise BadParameter(shortened(name), _unknown(name, known))
    if len(found) < len(given):
        name = next(name for name in found if [other for other, _ in given].count(name) > 1)
        raise BadParameter(name, f"{name} is given more than once")
    return found


def required(given: Mapping[str, str], name: str, expected: str) -> str:
    """The text of a parameter.

    Raises:
        BadParameter: It is missing.
    """
    if name not in given:
        raise BadParameter(name, f"{name} is missing: it must be {expected}")
    return given[name]


def choice(name: str, text: str, choices: tuple[str, ...]) -> str:
    """Read one of several words.

    Raises:
        InvalidValue: The text is none of them.
    """
    if text not in choices:
        raise InvalidValue(name, text, f"one of {', '.join(choices)}")
    return text


def moment(name: str, text: str) -> date | datetime:
    """Read a day, or an instant, which is in UTC unless it says otherwise and always aware of its time zone.

    Raises:
        InvalidValue: The text is neither, or names a day or an hour that does not exist.
    """
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise InvalidValue(name, text, MOMENT_EXPECTED)
    day_text, time, offset = match["day"], match["time"], match["offset"]
    try:
        if time is None:
            return date.fromisoformat(day_text)
        return datetime.fromisoformat(f"{day_text}T{time}{(offset or 'Z').upper().replace(' ', '+')}")
    except ValueError as error:
        raise InvalidValue(name, text, MOMENT_EXPECTED) from error


def day(name: str, text: str) -> date:
    """Read a day.

    Raises:
        InvalidValue: The text is no ISO date, or names a day that does not exist.
    """
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidValue(name, text, DAY_EXPECTED) from error
    raise InvalidValue(name, text, DAY_EXPECTED)


def shortened(text: str) -> str:
    """The text, cut where it is too long to be worth repeating."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _unknown(name: str, known: tuple[str, ...]) -> str:
    taken = f"this address takes {' and '.join(known)}" if known else "this address takes no parameters"
    return f"{shortened(name)!r} is no parameter here: {taken}"
