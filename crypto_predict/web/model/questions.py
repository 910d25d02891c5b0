"""Parse query strings and paths into questions.

Pure functions. A client may send any text: messages repeat it shortened.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import NamedTuple
from urllib.parse import parse_qsl

from crypto_predict.baked.evaluation import COMBINED, MODELS
from crypto_predict.errors import InvalidValue, UnknownPair, shortened
from crypto_predict.market import Pair
from crypto_predict.web.http.errors import BadParameter
from crypto_predict.wording import listed

# These patterns mean the same in Python and in ECMAScript, which OpenAPI uses.
DAY_PATTERN = "(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
TIME_PATTERN = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
# A plus sign in a query string means a space, so a space before an offset was meant as a plus sign.
OFFSET_PATTERN = "[Zz]|[+ -]([01][0-9]|2[0-3])(:?[0-5][0-9])?"
MOMENT_PATTERN = f"^{DAY_PATTERN}([Tt ]{TIME_PATTERN}({OFFSET_PATTERN})?)?$"

DAY_EXPECTED = "an ISO date such as 2024-06-01"
MOMENT_EXPECTED = f"{DAY_EXPECTED} or an ISO date-time such as 2024-06-01T12:00:00Z"

FORMAT, FORMATS = "format", ("csv", "json")  # a parameter of every address that answers with a table, and its values

LEAST_LEVEL, MOST_LEVEL = 0.01, 0.99  # of a quantile: beyond them hardly any outcome has been
MOST_LEVELS = 20  # in one question
PRICE_EXPECTED = "a number above 0 without thousands separators, such as 100000"
LEVELS_EXPECTED = f"a list of levels between {LEAST_LEVEL} and {MOST_LEVEL}, such as 0.05,0.5,0.95"

# The requests whose body is used, by method and path, and the number of bytes than which it is shorter.
BODIES = {("POST", "/pairs"): 4_096}

_MOMENT = re.compile(f"(?P<day>{DAY_PATTERN})([Tt ](?P<time>{TIME_PATTERN})(?P<offset>{OFFSET_PATTERN})?)?")
_DAY = re.compile(DAY_PATTERN)
# As for an offset: a space before an exponent was meant as a plus sign.
_NUMBER = re.compile(r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([Ee][+ -]?[0-9]+)?")


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
    levels: tuple[float, ...] = ()  # of the quantiles, ascending


class ProbabilityQuestion(NamedTuple):
    """The parameters of ``/probability/{pair}``: the price above the one, below the other, or between both."""

    pair: Pair
    moment: date | datetime  # a day stands for its close; an instant is aware of its time zone
    above: float | None
    below: float | None  # more than `above`; not both are None
    model: str = COMBINED


def bitcoin(query: str, today: date) -> BitcoinQuestion:
    """Parse the query of ``/bitcoin``; without a date it asks for the close of `today` (UTC).

    Raises:
        BadParameter, InvalidValue: A parameter is repeated, unknown or malformed.
    """
    given = parameters(query, ("date", "model"))
    return BitcoinQuestion(_date({"date": str(today), **given}), _model(given))


def forecast(pair: str, query: str, names: Mapping[Pair, Pair]) -> ForecastQuestion:
    """Parse the path and the query of ``/forecast/{pair}``, with the pairs of the model by all their `names`.

    Raises:
        BadParameter, InvalidValue: The pair is malformed, or a parameter is repeated, unknown or malformed.
        UnknownPair: The pair is not one of `names`.
    """
    known = _pair(pair, names)
    given = parameters(query, ("start", "end", "model", "quantiles", FORMAT))
    model = _model(given)
    days = {name: day(name, text) for name, text in given.items() if name in {"start", "end"}}
    asked = levels("quantiles", given["quantiles"]) if "quantiles" in given else ()
    return ForecastQuestion(known, days.get("start"), days.get("end"), model, asked)


def probability(pair: str, query: str, names: Mapping[Pair, Pair]) -> ProbabilityQuestion:
    """Parse the path and the query of ``/probability/{pair}``, with the pairs of the model by all their `names`.

    Raises:
        BadParameter, InvalidValue: The pair is malformed, or a parameter is missing, repeated, unknown or malformed, or
            `below` is not more than `above`.
        UnknownPair: The pair is not one of `names`.
    """
    known = _pair(pair, names)
    given = parameters(query, ("date", "above", "below", "model"))
    when = _date(given)
    above, below = (price(name, given[name]) if name in given else None for name in ("above", "below"))
    if above is None and below is None:
        raise BadParameter("above", f"above and below are missing: give one of them or both, each {PRICE_EXPECTED}")
    if above is not None and below is not None and below <= above:
        fault = (
            f"below ({below:,.12g}) must be more than above ({above:,.12g}): both together ask for a price between them"
        )
        raise BadParameter("below", fault)
    return ProbabilityQuestion(known, when, above, below, _model(given))


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
            taken = f"which takes {listed(known)}" if known else "which takes no parameters"
            raise BadParameter(shown, f"{shown!r} is not a parameter of this address, {taken}")
    if len(found) < len(given):
        name = next(name for name in found if [other for other, _ in given].count(name) > 1)
        raise BadParameter(name, f"{name} is given more than once")
    return found


def file_format(pair: str, query: str) -> tuple[str, str | None]:
    """Return the pair of a path without the ending ``.csv``, and the format that path or query ask for, if one does.

    Raises:
        BadParameter, InvalidValue: The format is unknown, or path and query contradict each other.
    """
    chosen = dict(parse_qsl(query, keep_blank_values=True, errors="replace")).get(FORMAT)
    if chosen is not None and chosen not in FORMATS:
        raise InvalidValue(FORMAT, chosen, " or ".join(FORMATS))
    stem = pair.removesuffix(".csv")
    if stem == pair:
        return pair, chosen
    if chosen == "json":
        raise BadParameter(FORMAT, "format is json, but the path ends with .csv: leave out one of them")
    return stem, "csv"


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


def price(name: str, text: str) -> float:
    """Parse a price.

    Raises:
        InvalidValue: The text is not a decimal number, or the number is 0 or larger than every float.
    """
    number = _number(text)
    if number is None or not 0 < number < math.inf:
        raise InvalidValue(name, text, PRICE_EXPECTED)
    return number


def levels(name: str, text: str) -> tuple[float, ...]:
    """Parse the levels of quantiles, in any order.

    Raises:
        InvalidValue: The text is not a list of levels in the accepted range.
        BadParameter: A level is given more than once, or there are too many.
    """
    texts = text.split(",")
    if len(texts) > MOST_LEVELS:
        raise BadParameter(name, f"{name}: {len(texts)} levels are more than the {MOST_LEVELS} of one request")
    found = set()
    for one in texts:
        level = _number(one.strip(" "))
        if level is None or not LEAST_LEVEL <= level <= MOST_LEVEL:
            raise InvalidValue(name, text, LEVELS_EXPECTED)
        if level in found:
            raise BadParameter(name, f"{name}: the level {level} is given more than once")
        found.add(level)
    return tuple(sorted(found))


def _pair(text: str, names: Mapping[Pair, Pair]) -> Pair:
    known = Pair.parse(text)
    if known not in names:
        raise UnknownPair(str(known), list(dict.fromkeys(map(str, names.values()))))
    return names[known]


def _date(given: dict[str, str]) -> date | datetime:
    if "date" not in given:
        raise BadParameter("date", f"date is missing: it must be {MOMENT_EXPECTED}")
    return moment("date", given["date"])


def _number(text: str) -> float | None:
    return float(text.replace(" ", "+")) if _NUMBER.fullmatch(text) else None


def _model(given: dict[str, str]) -> str:
    name = given.get("model", COMBINED)
    if name not in MODELS:
        raise InvalidValue("model", name, f"one of {', '.join(MODELS)}")
    return name
