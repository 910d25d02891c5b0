"""Parse queries, paths and bodies into questions to the database. Pure functions, as in `web.questions`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import NamedTuple

from crypto_predict.errors import InvalidValue, shortened
from crypto_predict.market import EPOCH, FIRST_DAY, FIRST_EXPECTED, Interval, Pair
from crypto_predict.market.forecast import MINUTES_AHEAD
from crypto_predict.settings import whole_number
from crypto_predict.web.http.errors import BadParameter, WebError
from crypto_predict.web.model.questions import (
    FORMAT,
    MOMENT_EXPECTED,
    file_format,
    moment,
    parameters,
)
from crypto_predict.web.model.questions import day as read_day

DEFAULT_LIMIT, MOST_CANDLES = 1_000, 10_000  # candles in one answer
LATEST = datetime(9999, 1, 1, tzinfo=UTC)  # later instants are read as this one: the calendar ends soon after

_PAGE = ("start", "end", "limit", "source", FORMAT)  # parameters
_BODY = (
    'expected an object such as {"pair": "SOL/USD", "source": "binance", "since": "2024-06-01"}, '
    "of which the last two members are optional"
)

_horizon = whole_number("horizon", 1, MINUTES_AHEAD)
_limit = whole_number("limit", 1, MOST_CANDLES)


class PageQuestion(NamedTuple):
    """The parameters of an address that answers in pages; what was not given is None."""

    pair: Pair
    interval: Interval | None = None
    start: datetime | None = None  # UTC, included
    end: datetime | None = None  # UTC, not included
    limit: int = DEFAULT_LIMIT
    source: str | None = None
    format: str | None = None  # that was asked for in the address


class DigestQuestion(NamedTuple):
    """The parameters of ``/digest/{pair}``; what was not given is None."""

    pair: Pair
    day: date  # UTC
    interval: Interval | None = None
    source: str | None = None


class MinutesQuestion(NamedTuple):
    """The parameters of ``/forecast/{pair}/minutes``; what was not given is None."""

    pair: Pair
    horizon: int = MINUTES_AHEAD  # the number of minutes
    source: str | None = None
    format: str | None = None  # that was asked for in the address


class PastQuestion(NamedTuple):
    """The parameters of ``/forecast/{pair}/minutes/past``."""

    page: PageQuestion  # of the closes that were forecast
    horizon: int = MINUTES_AHEAD  # minutes before each close, at which it was forecast


class NewPair(NamedTuple):
    """The body of ``POST /pairs``; what was not given is None."""

    pair: Pair
    source: str | None = None
    since: datetime | None = None  # UTC


class RemovedPair(NamedTuple):
    """The parameters of ``DELETE /pairs/{pair}``; what was not given is None."""

    pair: Pair
    source: str | None = None


class BadBody(WebError):
    """The body of a request cannot be read, as the message explains."""


def candles(pair: str, query: str) -> PageQuestion:
    """Parse the path and the query of ``/candles/{pair}``.

    Raises:
        BadParameter, InvalidValue: The pair is malformed, or a parameter is repeated, unknown, malformed or too large.
    """
    pair, given_format = file_format(pair, query)
    known = Pair.parse(pair)
    return _page(known, parameters(query, ("interval", *_PAGE)), given_format)


def page(pair: str, query: str) -> PageQuestion:
    """Parse the path and the query of ``/minutes/{pair}`` and ``/top-of-book/{pair}``, which have no interval.

    Raises:
        BadParameter, InvalidValue: The pair is malformed, or a parameter is repeated, unknown, malformed or too large.
    """
    pair, given_format = file_format(pair, query)
    known = Pair.parse(pair)
    return _page(known, parameters(query, _PAGE), given_format)


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


def minutes_ahead(pair: str, query: str) -> MinutesQuestion:
    """Parse the path and the query of ``/forecast/{pair}/minutes``.

    Raises:
        BadParameter, InvalidValue: The pair is malformed, or a parameter is repeated, unknown, malformed or too large.
    """
    pair, given_format = file_format(pair, query)
    known = Pair.parse(pair)
    given = parameters(query, ("horizon", "source", FORMAT))
    return MinutesQuestion(known, _minutes(given), given.get("source"), given_format)


def past_minutes(pair: str, query: str) -> PastQuestion:
    """Parse the path and the query of ``/forecast/{pair}/minutes/past``.

    Raises:
        BadParameter, InvalidValue: The pair is malformed, or a parameter is repeated, unknown, malformed or too large.
    """
    pair, given_format = file_format(pair, query)
    known = Pair.parse(pair)
    given = parameters(query, ("horizon", *_PAGE))
    return PastQuestion(_page(known, given, given_format), _minutes(given))


def new_pair(body: bytes, now: datetime) -> NewPair:
    """Parse the body of ``POST /pairs``: a JSON object. An optional member may be null.

    Raises:
        BadBody: The body is not a JSON object.
        BadParameter, InvalidValue: A member is missing, repeated, unknown or malformed, or `since` is before
            `FIRST_DAY` or ahead of `now`.
    """
    given = _members(body)
    for name in given:
        if name not in NewPair._fields:
            raise BadParameter(shortened(name), f"{shortened(name)!r} is not a member of the body: {_BODY}")
    if "pair" not in given:
        raise BadParameter("pair", f"pair is missing in the body: {_BODY}")
    texts = {name: _text(name, value) for name, value in given.items() if value is not None or name == "pair"}
    since = _instant("since", texts["since"]) if "since" in texts else None
    if since is not None and since.date() < FIRST_DAY:
        raise InvalidValue("since", texts["since"], FIRST_EXPECTED)
    if since is not None and since > now:
        raise InvalidValue("since", texts["since"], "a time in the past")
    return NewPair(Pair.parse(texts["pair"]), texts.get("source"), since)


def removed_pair(pair: str, query: str) -> RemovedPair:
    """Parse the path and the query of ``DELETE /pairs/{pair}``.

    Raises:
        BadParameter, InvalidValue: The pair is malformed, or a parameter is repeated or unknown.
    """
    known = Pair.parse(pair)
    return RemovedPair(known, parameters(query, ("source",)).get("source"))


def _page(pair: Pair, given: Mapping[str, str], given_format: str | None) -> PageQuestion:
    start, end = (_instant(name, given[name]) if name in given else None for name in ("start", "end"))
    if start is not None and end is not None and end < start:
        raise BadParameter("end", f"end {given['end']} lies before start {given['start']}")
    limit = _limit(given["limit"]) if "limit" in given else DEFAULT_LIMIT
    return PageQuestion(pair, _interval(given), start, end, limit, given.get("source"), given_format)


def _minutes(given: Mapping[str, str]) -> int:
    return _horizon(given["horizon"]) if "horizon" in given else MINUTES_AHEAD


def _members(body: bytes) -> dict[str, object]:
    """Return the members of a JSON object.

    Raises:
        BadBody: It is not one.
        BadParameter: A member is repeated.
    """

    def unique(members: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(members)
        if len(found) < len(members):
            name = next(name for name in found if [other for other, _ in members].count(name) > 1)
            raise BadParameter(shortened(name), f"{shortened(name)!r} is given more than once")
        return found

    try:
        found = json.loads(body.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:  # a hostile body is nested too deeply, or holds an endless number
        raise BadBody(f"the body is not JSON in UTF-8: {_BODY}") from error
    if not isinstance(found, dict):
        raise BadBody(f"the body is not a JSON object: {_BODY}")
    return found


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidValue(name, value, "text")
    return value


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
