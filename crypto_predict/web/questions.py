"""Parse query strings and paths into questions.

Pure functions. A client may send any text: messages repeat it shortened.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple
from urllib.parse import parse_qsl

from crypto_predict.baked.evaluation import COMBINED, MODELS
from crypto_predict.errors import CryptoPredictError, InvalidValue, UnknownPair
from crypto_predict.market import Pair

# These patterns mean the same in Python and in ECMAScript, which OpenAPI uses.
DAY_PATTERN = "(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
TIME_PATTERN = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
# A plus sign in a query string means a space, so a space before an offset was meant as a plus sign.
OFFSET_PATTERN = "[Zz]|[+ -]([01][0-9]|2[0-3])(:?[0-5][0-9])?"
MOMENT_PATTERN = f"^{DAY_PATTERN}([Tt ]{TIME_PATTERN}({OFFSET_PATTERN})?)?$"

DAY_EXPECTED = "an ISO date such as 2024-06-01"
MOMENT_EXPECTED = f"{DAY_EXPECTED} or an ISO date-time such as 2024-06-01T12:00:00Z"

# The requests whose body is used, by method and path, and the number of bytes than which it is shorter.
BODIES = {("POST", "/pairs"): 4_096}

_MOMENT = re.compile(f"(?P<day>{DAY_PATTERN})([Tt ](?P<time>{TIME_PATTERN})(?P<offset>{OFFSET_PATTERN})?)?")
_DAY = re.compile(DAY_PATTERN)
_LONGEST = 80  # characters of a client's text that a message repeats


class BadParameter(CryptoPredictError):
    """The parameter `parameter` is missing, repeated or unknown, or contradicts another one, as `fault` explains."""

    def __init__(self, parameter: str, fault: str) -> None:
        super().__init__(fault)
        self.parameter = parameter


class BitcoinQuestion(NamedTuple):
    """The parameters of ``/bitcoin``."""

    moment: date | datetime  # a day stands for its close; an instant is aware of its time zone
    model: str = COMBINED


class ForecastQuestion(NamedTuple):
    """The parameters of ``/forecast/{pair}``; a day that was not given is None."""

    pair: Pair
    start: date | None = None  # included
    end: date | None = None  # included
    model: str = COMBINED


def bitcoin(query: str) -> BitcoinQuestion:
    """Parse the query of ``/bitcoin``.

    Raises:
        BadParameter, InvalidValue: A parameter is missing, repeated, unknown or malformed.
    """
    given = parameters(query, ("date", "model"))
    if "date" not in given:
        raise BadParameter("date", f"date is missing: it must be {MOMENT_EXPECTED}")
    return BitcoinQuestion(moment("date", given["date"]), _model(given))


def forecast(pair: str, query: str, held: Sequence[Pair]) -> ForecastQuestion:
    """Parse the path and the query of ``/forecast/{pair}``, where the model holds the pairs `held`.

    Raises:
        BadParameter, InvalidValue: The pair is malformed, or a parameter is repeated, unknown or malformed.
        UnknownPair: The pair is not one of `held`.
    """
    known = Pair.parse(pair)
    if known not in held:
        raise UnknownPair(str(known), list(map(str, held)))
    given = parameters(query, ("start", "end", "model"))
    model = _model(given)
    days = {name: day(name, text) for name, text in given.items() if name != "model"}
    return ForecastQuestion(known, days.get("start"), days.get("end"), model)


def parameters(query: str, known: tuple[str, ...]) -> dict[str, str]:
    """Return the parameters of a query string by their names.

    Raises:
        BadParameter: One is not `known`, or given more than once.
    """
    given = parse_qsl(query, keep_blank_values=True, errors="replace")
    found = dict(given)
    for name in found:
        if name not in known:
            shown = shortened(name)
            taken = f"which takes {' and '.join(known)}" if known else "which takes no parameters"
            raise BadParameter(shown, f"{shown!r} is not a parameter of this address, {taken}")
    if len(found) < len(given):
        name = next(name for name in found if [other for other, _ in given].count(name) > 1)
        raise BadParameter(name, f"{name} is given more than once")
    return found


def moment(name: str, text: str) -> date | datetime:
    """Parse a day or an instant. An instant without an offset is in UTC.

    Returns:
        A date, or a date-time in UTC; with its offset if UTC places it outside the years 1 to 9999.

    Raises:
        InvalidValue: The text is neither, or names a day or an hour that does not exist.
    """
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise InvalidValue(name, text, MOMENT_EXPECTED)
    try:
        if match["time"] is None:
            return date.fromisoformat(match["day"])
        offset = (match["offset"] or "Z").upper().replace(" ", "+")
        instant = datetime.fromisoformat(f"{match['day']}T{match['time']}{offset}")
    except ValueError as error:
        raise InvalidValue(name, text, MOMENT_EXPECTED) from error
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        return instant


def day(name: str, text: str) -> date:
    """Parse a day.

    Raises:
        InvalidValue: The text is not an ISO date, or the day does not exist.
    """
    if _DAY.fullmatch(text):
        with contextlib.suppress(ValueError):
            return date.fromisoformat(text)
    raise InvalidValue(name, text, DAY_EXPECTED)


def shortened(text: str) -> str:
    """Return the text, cut after 80 characters."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _model(given: dict[str, str]) -> str:
    name = given.get("model", COMBINED)
    if name not in MODELS:
        raise InvalidValue("model", name, f"one of {', '.join(MODELS)}")
    return name
