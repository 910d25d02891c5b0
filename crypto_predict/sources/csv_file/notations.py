"""Times and numbers as people write them.

Times: ISO 8601, ``06/30/2025``, ``30.06.2025 14:00``, ``Jun 30, 2025``, seconds since 1970. ``01/02/2024`` is a day of
January or of February. All dates of a file have one order, and the file decides it: by a number above 12, or since its
rows are consecutive days in one order only. Otherwise both readings are reported.

Numbers: ``$107,146.50``, ``107.146,50``, ``1.23K``, ``1,5E+08``. One mark, point or comma, separates the decimals in
the whole of a file. The other one, an apostrophe or a space groups the digits by three.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import pairwise

from crypto_predict.errors import InvalidValue
from crypto_predict.market import DAY, EPOCH


class DayOrder(Enum):
    """The order of day and month in dates that are written in numbers, year last."""

    DAY_FIRST = "day/month/year"
    MONTH_FIRST = "month/day/year"


_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)
_SINCE_1970 = re.compile(r"(\d{9,19})(\.\d*)?", re.ASCII)  # fewer digits are a date: 20240102
_UNITS = (("seconds", 11, 1), ("milliseconds", 14, 10**3), ("microseconds", 17, 10**6), ("nanoseconds", 19, 10**9))
_ZONE = re.compile(r"\s*(?:UTC|GMT)$")
_YEAR_FIRST = re.compile(r"(\d{4})[./](\d\d)[./](\d\d)(?!\d)", re.ASCII)
_WITH_CLOCK = r"(?:,?[ T]+(?P<clock>.+))?"
_NUMERIC = {  # by the order of day and month
    order: re.compile(rf"{first}([./-]){second}\2(?P<year>\d{{4}}|\d\d){_WITH_CLOCK}", re.ASCII)
    for order in DayOrder
    for first, second in [[rf"(?P<{name}>\d{{1,2}})" for name in order.value.split("/")[:2]]]
}
_OTHER_DATES = [
    re.compile(date + _WITH_CLOCK)
    for date in (
        r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})",  # with a clock that is not ISO 8601: 01-PM
        r"(?:[^\W\d]+,? )?(?P<month>[^\W\d]{3,9})\.? (?P<day>\d{1,2}),? (?P<year>\d{4})",  # Mon, Jun 30, 2025
        r"(?:[^\W\d]+,? )?(?P<day>\d{1,2})\.?[ -](?P<month>[^\W\d]{3,9})\.?,?[ -](?P<year>\d{4}|\d\d)",
    )
]
_CLOCK = re.compile(  # 14:00, 02-PM, 00:00:00.000 GMT+0000
    r"(\d{1,2})(?::?(\d\d))?(?::?(\d\d)(?:[.,]\d+)?)?(?:[ -]?([AP])M)?(?: GMT\+00:?00)?", re.ASCII | re.IGNORECASE
)
_MONTHS = {  # the first three letters, in English and German
    name: number
    for number, names in enumerate(
        ("jan", "feb", "mar mrz", "apr", "may mai", "jun", "jul", "aug", "sep", "oct okt", "nov", "dec dez"), start=1
    )
    for name in names.split()
}
_PLAIN = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE)
_MISSING = frozenset({"", ".", "-", "--", "na", "n/a", "null", "none", "#n/a"})  # in lower case
_CURRENCIES = "$\u20ac\u00a3\u00a5\u20bf \u00a0"
_GROUPED = {  # by the decimal mark; digits in groups of three
    ".": re.compile(r"[+-]?\d{1,3}(?:([,'\u2019 \u00a0\u202f])\d{3})(?:\1\d{3})*(\.\d*)?", re.ASCII),
    ",": re.compile(r"[+-]?\d{1,3}(?:([.'\u2019 \u00a0\u202f])\d{3})(?:\1\d{3})*(,\d*)?", re.ASCII),
}
_THOUSANDS = re.compile(r"[^\d.,]*[1-9]\d{0,2},\d{3}[^\d.,]*", re.ASCII)  # or three decimals
_SHORT = {"K": "e3", "M": "e6", "B": "e9", "T": "e12"}


def day_order(texts: Iterable[str]) -> tuple[DayOrder, str] | None:
    """Return the order of day and month in the times of a file, and a time that has it.

    None if the order does not matter: dates are written in another way, or are the same in both. Raise `InvalidValue`
    if the file does not decide it.
    """
    dates = [text for text in texts if text[1:3].strip("0123456789") and _NUMERIC[DayOrder.DAY_FIRST].fullmatch(text)]
    readings = {order: [_instant_or_none(text, order) for text in dates] for order in DayOrder}
    worse, better = sorted(DayOrder, key=lambda order: len(dates) - readings[order].count(None))
    rows = list(zip(dates, readings[worse], readings[better], strict=True))
    if only := [text for text, other, reading in rows if reading and not other]:
        return better, only[0]  # rows that only the other order fits cannot be read
    unequal = [text for text, other, reading in rows if reading and other != reading]
    if not unequal:
        return None
    daily = [order for order in DayOrder if _is_daily(readings[order])]
    if len(daily) != 1:
        both = " and ".join(f"{instant(unequal[0], order):%Y-%m-%d} ({order.value})" for order in DayOrder)
        expected = f"one day: {both} fit every row. Write the dates of this file as 2025-06-30"
        raise InvalidValue("date", unequal[0], expected)
    return daily[0], unequal[0]


def instant(text: str, order: DayOrder, units: set[str] | None = None) -> datetime:
    """Read a time: UTC unless it has an offset; raise `ValueError` if it is not one.

    The unit of a time since 1970 is added to `units`.
    """
    if since := _SINCE_1970.fullmatch(text):
        unit, _, parts = next(unit for unit in _UNITS if len(since[1]) <= unit[1])
        if units is not None:
            units.add(unit)
        return EPOCH + timedelta(microseconds=int(since[1]) * 10**6 // parts)
    try:
        return _written(text if text[-1:].isdecimal() else _ZONE.sub("", text), order)
    except (ValueError, OverflowError) as error:
        readable = "a date that can be read: write 2025-06-30, or 2025-06-30T14:00Z"
        raise ValueError(f"time {text[:40]!r} is not {readable}") from error


def milliseconds(text: str) -> datetime:
    """Read a whole number of milliseconds since 1970, however small; raise `ValueError` if it is not one."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"time_ms {text[:40]!r} is not a whole number of milliseconds since 1970")
    try:
        return EPOCH + timedelta(milliseconds=int(text))
    except OverflowError as error:
        raise ValueError(f"time_ms {text} lies beyond the year 9999: write milliseconds since 1970") from error


def _written(text: str, order: DayOrder) -> datetime:
    """Return an instant in UTC. A year of two digits is of this century."""
    iso = _YEAR_FIRST.sub(r"\1-\2-\3", text)
    if text[:4].isdecimal():
        with suppress(ValueError):
            written = datetime.fromisoformat(iso)
            return written.replace(tzinfo=UTC) if written.tzinfo is None else written.astimezone(UTC)
    date = next(filter(None, (pattern.fullmatch(iso) for pattern in (_NUMERIC[order], *_OTHER_DATES))), None)
    time = date and _CLOCK.fullmatch(date["clock"] or "0")
    if not date or not time:
        raise ValueError
    letters = unicodedata.normalize("NFKD", date["month"]).encode("ascii", "ignore").decode()[:3].lower()
    month, hour = _MONTHS.get(letters) or int(date["month"]), int(time[1])
    if time[4]:
        if not 1 <= hour <= 12:
            raise ValueError
        hour = hour % 12 + (12 if time[4].upper() == "P" else 0)
    year = int(date["year"]) + (2000 if len(date["year"]) == 2 else 0)
    return datetime(year, month, int(date["day"]), hour, int(time[2] or 0), int(time[3] or 0), tzinfo=UTC)


def _instant_or_none(text: str, order: DayOrder) -> datetime | None:
    try:
        return instant(text, order)
    except ValueError:
        return None


def _is_daily(instants: Sequence[datetime | None]) -> bool:
    """Return whether most steps between different days are of one day."""
    days = sorted({time.date() for time in instants if time})
    steps = [later - earlier for earlier, later in pairwise(days)]
    return 2 * steps.count(DAY) > len(steps)


def decimal_mark(texts: Iterable[str], delimiter: str) -> tuple[str, str | None]:
    """Return the decimal mark of a file with these numbers, and what is assumed; None if Python writes them so, too.

    Fields are separated by `delimiter`, which is another one than the decimal comma.
    """
    points = commas = either = 0  # numbers that have a decimal point, a comma, or one of them
    for text in texts:
        comma, point = text.count(","), text.count(".")
        if comma == 0 and point < 2:
            continue  # a single point is the usual mark, and says nothing
        if comma == 1 and point == 0 and _THOUSANDS.fullmatch(text):
            either += 1
        elif text.rfind(",") > text.rfind(".") if comma and point else comma < 2:  # what stands twice groups digits
            commas += 1
        else:
            points += 1
    if commas > points or (commas == points == 0 and either and delimiter != ","):
        return ",", "',' is the decimal mark"
    return ".", "',' groups the digits of thousands" if points or either else None


def number(text: str, mark: str = ".", *, short: bool = False) -> float:
    """Read a number with this decimal `mark`; raise `ValueError` if it is not one.

    A missing one is NaN. ``1.23K`` is allowed if `short`.
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
