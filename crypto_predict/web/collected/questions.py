"""Parse queries and paths into questions to the database. Pure functions, as in `web.questions`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import NamedTuple

from crypto_predict.errors import InvalidValue
from crypto_predict.market import EPOCH, Interval, Pair
from crypto_predict.settings import whole_number
from crypto_predict.web.questions import MOMENT_EXPECTED, BadParameter, moment, parameters
from crypto_predict.web.questions import day as read_day

DEFAULT_LIMIT, MOST_CANDLES = 1_000, 10_000  # candles in one answer
LATEST = datetime(9999, 1, 1, tzinfo=UTC)  # later instants are read as this one: the calendar ends soon after

_limit = whole_number("limit", 1, MOST_CANDLES)


class CandlesQuestion(NamedTuple):
    """The parameters of ``/candles/{pair}``; what was not given is None."""

    pair: Pair
    interval: Interval | None = None
    start: datetime | None = None  # UTC, included
    end: datetime | None = None  # UTC, not included
    limit: int = DEFAULT_LIMIT
    source: str | None = None


class DigestQuestion(NamedTuple):
    """The parameters of ``/digest/{pair}``; what was not given is None."""

    pair: Pair
    day: date  # UTC
    interval: Interval | None = None
    source: str | None = None


def candles(pair: str, query: str) -> CandlesQuestion:
    """Parse the path and the query of ``/candles/{pair}``.

    Raises:
        BadParameter, InvalidValue: The pair is malformed, or a parameter is repeated, unknown, malformed or too large.
    """
    known = Pair.parse(pair)
    given = parameters(query, ("interval", "start", "end", "limit", "source"))
    start, end = (_instant(name, given[name]) if name in given else None for name in ("start", "end"))
    if start is not None and end is not None and end < start:
        raise BadParameter("end", f"end {given['end']} lies before start {given['start']}")
    limit = _limit(given["limit"]) if "limit" in given else DEFAULT_LIMIT
    return CandlesQuestion(known, _interval(given), start, end, limit, given.get("source"))


def digest(pair: str, query: str) -> DigestQuestion:
    """Parse the path and the query of ``/digest/{pair}``.

    Raises:
        BadParameter, InvalidValue: The pair is malformed, or a parameter is missing, repeated, unknown or malformed.
    """
    known = Pair.parse(pair)
    given = parameters(query, ("day", "interval", "source"))
    if "day" not in given:
        raise BadParameter("day", "day is missing: it must be an ISO date such as 2024-06-01")
    day = read_day("day", given["day"])
    if not EPOCH.date() <= day < LATEST.date():
        raise InvalidValue("day", given["day"], f"a day from {EPOCH:%Y-%m-%d} to the end of 9998")
    return DigestQuestion(known, day, _interval(given), given.get("source"))


def _interval(given: Mapping[str, str]) -> Interval | None:
    return Interval.parse(given["interval"]) if "interval" in given else None


def _instant(name: str, text: str) -> datetime:
    """Parse an instant, or a day for its beginning; those outside 1970 to 9998 are moved to these limits."""
    found = moment(name, text)
    if not isinstance(found, datetime):
        found = datetime.combine(found, time(), UTC)
    if found.tzinfo is not UTC:  # UTC places it outside the years 1 to 9999
        raise InvalidValue(name, text, MOMENT_EXPECTED)
    return min(max(found, EPOCH), LATEST)
