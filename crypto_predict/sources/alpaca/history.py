"""Alpaca's crypto bars, through the official SDK and without keys.

The SDK builds the address, the headers and the request; paging, waiting and judging the answer are done here, since its
own follow an empty page token for ever, keep duplicates, ignore ``Retry-After`` and know no timeout.

Wire format::

    GET /v1beta3/crypto/us/bars?symbols=BTC/USD&timeframe=1Day&start=…&end=…&limit=10000[&page_token=…]
    {"bars": {"BTC/USD": [{"t": "2024-05-17T00:00:00Z", "o": 1.5, "h": 1.5, "l": 1.5, "c": 1.5, "v": 0.5}]},
     "next_page_token": "…" | null}
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from alpaca.common.enums import BaseURL
from alpaca.data.historical.crypto import CryptoHistoricalDataClient

from crypto_predict.errors import InvalidValue, SourceError, Unreachable
from crypto_predict.market import Candle, Interval, Pair, Span
from crypto_predict.settings import SourceSettings, masked
from crypto_predict.sources.retry import Allowance, Failure, Limits, Pace, RetryPolicy
from crypto_predict.sources.session import BoundedSession, host_of

LIMITS = Limits(page=10_000, per_minute=100)

_TIMEFRAMES = {
    Interval.MINUTE_1: "1Min",
    Interval.MINUTE_5: "5Min",
    Interval.MINUTE_10: "10Min",
    Interval.HOUR_1: "1Hour",
    Interval.DAY_1: "1Day",
}
_MOST_IDLE = 10  # pages in a row without a new candle, after which a page token is not followed any more
_LONGEST_TOKEN = 2_000  # characters; all of them are remembered
_PRODUCTION = RetryPolicy()

_log = logging.getLogger(__name__)


class Alpaca:
    """Candles of Alpaca's own venue, from about April 2021 on; hours without a trade may be missing.

    Keys are sent only when both are set. They raise Alpaca's limit on requests and give the same candles.
    """

    id = "alpaca"
    simulated = False
    intervals = frozenset(_TIMEFRAMES)

    def __init__(self, settings: SourceSettings, policy: RetryPolicy = _PRODUCTION) -> None:
        """Read the settings; nothing is asked yet.

        Raises:
            InvalidValue: The address is none, or a key holds what no key can.
        """
        keys = _keys(settings)
        address = _address(settings.alpaca_data_url or BaseURL.DATA.value)
        self._bounds = settings
        self._policy = policy
        self._pace = Pace(LIMITS.per_minute)
        self._session = BoundedSession(policy, keys, address)
        self._client = _Client(address, tuple(keys.values()), self._session)
        self._host = host_of(address)

    def newest_close(self, pair: Pair, interval: Interval, limit: datetime) -> datetime:  # noqa: ARG002 the port's signature
        """`limit` rounded down to the interval: the exchange trades day and night."""
        return interval.floor(limit)

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:
        """Every candle that opens in `span`, in ascending order, each opening once: the last copy wins.

        Two pages of candles at most are held at a time. A pair that Alpaca does not know has none.

        Raises:
            SourceError: Alpaca cannot be reached, refuses, or answers nonsense, after every retry; or it takes longer
                or sends more candles than the settings allow.
        """
        return _in_order(self._pages(pair, interval, span), hold=LIMITS.page)

    def _pages(self, pair: Pair, interval: Interval, span: Span) -> Iterator[list[Candle]]:
        """The pages as they come, each cut to `span`."""
        query = {"symbols": str(pair), "timeframe": _TIMEFRAMES[interval], "limit": LIMITS.page}
        cursor = _Cursor(span, interval.length, start=span.start)
        allowance = self._session.allowance = Allowance(self.id, self._bounds)
        while not cursor.exhausted:
            policy = self._policy.within(allowance.seconds())
            page = policy.run(self.id, lambda: self._ask({**query, **cursor.position()}, str(pair), allowance))
            allowance.take(len(page.candles))
            candles = [candle for candle in page.candles if candle.open_time in span]
            cursor.advance(candles, page.next_token)
            yield candles

    def _ask(self, query: dict[str, object], symbol: str, allowance: Allowance) -> _Page:
        """One attempt at one page.

        Raises:
            Failure: No answer, a refusal, or something that is not in Alpaca's format.
        """
        self._pace.wait(allowance.seconds)
        try:
            return _read_page(self._answer(query), symbol)
        except _Malformed as error:
            reason = f"{self._host} answered 200, but not in Alpaca's format: {error}; try later or another source"
            becomes = Unreachable if isinstance(error, _NotJson) else SourceError
            raise Failure(reason, again=True, becomes=becomes) from error

    def _answer(self, query: dict[str, object]) -> object:
        try:
            return self._client.get("/crypto/us/bars", query)
        except (ValueError, RecursionError) as error:  # from reading JSON; everything of HTTP is a Failure by now
            raise _NotJson("no JSON, perhaps a page of a proxy in between") from error


class _Client(CryptoHistoricalDataClient):
    """The SDK's client on a session of ours, which raises before the SDK's own retries could begin."""

    def __init__(self, address: str, keys: Sequence[str], session: BoundedSession) -> None:
        api_key, secret_key = keys or (None, None)
        super().__init__(api_key, secret_key, url_override=address)
        self._session = session


class _Malformed(ValueError):
    """An answer is not in Alpaca's format; says what is wrong with it, without quoting it."""


class _NotJson(_Malformed):
    """An answer does not have Alpaca's format."""


@dataclass(frozen=True, slots=True)
class _Page:
    candles: list[Candle]  # as received
    next_token: str | None  # None: this was the last page


@dataclass(slots=True)
class _Cursor:
    """Where the next page begins: at a page token, or at an instant where tokens lead nowhere."""

    span: Span
    length: timedelta  # of one candle
    start: datetime  # UTC, included
    token: str | None = None
    exhausted: bool = False
    newest: datetime | None = None  # opening of the newest candle received
    idle: int = 0  # pages in a row that brought no newer candle
    followed: set[str] = field(default_factory=set)  # tokens

    def position(self) -> dict[str, object]:
        """The parameters that ask for the next page."""
        token = {} if self.token is None else {"page_token": self.token}
        return {"start": self.start.isoformat(), "end": self.span.end.isoformat(), **token}

    def advance(self, candles: Sequence[Candle], next_token: str | None) -> None:
        """Go on behind a page that brought `candles` and `next_token`."""
        self._note(candles)
        if next_token is None:
            self.exhausted = True
        elif next_token and next_token not in self.followed and self.idle < _MOST_IDLE:
            self.followed.add(next_token)
            self.token = next_token
        else:
            self._continue_by_time()

    def _note(self, candles: Sequence[Candle]) -> None:
        latest = max((candle.open_time for candle in candles), default=None)
        if latest is not None and (self.newest is None or latest > self.newest):
            self.newest, self.idle = latest, 0
        else:
            self.idle += 1

    def _continue_by_time(self) -> None:
        """Ask for what comes after the newest candle; where that has been asked already, there is nothing more."""
        resume = self.start if self.newest is None else self.newest + self.length
        self.exhausted = not self.start < resume < self.span.end
        self.start, self.token = resume, None
        if not self.exhausted:
            _log.warning("alpaca sent a page token that leads nowhere; continuing from %s", resume.isoformat())


def _in_order(pages: Iterable[Sequence[Candle]], hold: int) -> Iterator[Candle]:
    """The candles of overlapping pages in ascending order, each opening once: the last copy wins.

    The newest `hold` are kept back, since the next page may bring them again.
    """
    held: dict[datetime, Candle] = {}  # opening to candle
    given: datetime | None = None
    for page in pages:
        held.update((candle.open_time, candle) for candle in page if given is None or candle.open_time > given)
        for given in sorted(held)[:-hold]:
            yield held.pop(given)
    yield from (held[opening] for opening in sorted(held))


def _read_page(answer: object, symbol: str) -> _Page:
    """Read one answer.

    Raises:
        _Malformed: It is not in Alpaca's format.
    """
    if answer is None:
        raise _NotJson("an empty answer")
    bars = answer.get("bars") if isinstance(answer, dict) else None
    rows = bars.get(symbol, []) if isinstance(bars, dict) else None
    if not isinstance(answer, dict) or not isinstance(rows, list):
        raise _Malformed("no list of bars")
    if len(rows) > LIMITS.page:
        raise _Malformed(f"{len(rows):,} bars, and no more than {LIMITS.page:,} were asked for")
    token = answer.get("next_page_token")
    if not (token is None or (isinstance(token, str) and len(token) <= _LONGEST_TOKEN)):
        raise _Malformed("a page token that is not text, or is too long")
    return _Page([_read_candle(row) for row in rows], token)


def _read_candle(row: object) -> Candle:
    if not isinstance(row, dict):
        raise _Malformed("a bar that is no object")
    return Candle(_opening(row), *(_number(row, key) for key in ("o", "h", "l", "c", "v")))


def _opening(row: dict[str, object]) -> datetime:
    text = row.get("t")
    try:
        instant = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        instant = None
    if instant is None or instant.utcoffset() is None:
        raise _Malformed("a bar whose time 't' is missing or no RFC 3339 time")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise _Malformed("a bar whose time 't' no calendar knows") from None


def _number(row: dict[str, object], key: str) -> float:
    """A number as it is, be it NaN or negative: judging prices is the history's part."""
    value = row.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _Malformed(f"a bar whose {key!r} is missing or no number")
    try:
        return float(value)
    except OverflowError:
        raise _Malformed(f"a bar whose {key!r} is beyond every number") from None


def _keys(settings: SourceSettings) -> dict[str, str]:
    """Both keys by their variables, or none.

    Raises:
        InvalidValue: One holds a character that no HTTP header may hold.
    """
    named = {"ALPACA_API_KEY": settings.alpaca_api_key, "ALPACA_SECRET_KEY": settings.alpaca_secret_key}
    given = {name: key for name, key in named.items() if key}
    for name, key in given.items():
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise InvalidValue(name, "(not shown)", "a key as Alpaca gives it: letters and digits alone")
    if len(given) == 1:
        _log.warning("only %s is set, and Alpaca wants both keys or none: asking without", *given)
    return given if len(given) == 2 else {}


def _address(url: str) -> str:
    """The base address without the slash that the SDK adds itself.

    Raises:
        InvalidValue: It is no http or https address.
    """
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
        # A password with a slash in it would end the host, and the rest of it stand in every message.
        sound = sound and url.isprintable() and not (parts.query or parts.fragment or "@" in parts.path)
    except ValueError:
        sound = False
    if not sound:
        raise InvalidValue("ALPACA_DATA_URL", masked(url), "an address such as https://data.alpaca.markets")
    return url.rstrip("/")
