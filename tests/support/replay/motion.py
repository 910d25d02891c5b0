"""A market in motion: what an exchange has traded up to now, and what its streams send as time passes.

The market is a cheap pure function of seed, pair and minute, so that a test knows every candle that a perfect collector
has (`Motion.truth`), also for a server in another process. A candle is made of the trades of its minute: the open is
the first one, the close the last one, and the volumes are their sums.
"""

import hashlib
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import Any, NamedTuple

from crypto_predict.market import EPOCH, Candle, Interval, Pair, Quote, Span, aggregate
from crypto_predict.market.clock import Clock

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
TRADES = 6  # in a minute with trades
OPEN_EVERY, QUOTE_EVERY = 2, 5  # seconds between two sendings of the open candle, and of a quote

_SLOT = 60_000 // TRADES  # milliseconds, in each of which one trade falls
_CACHED = 2**12  # minutes of trades
_CLOSED = 2**16  # candles
_WALK = 80 * 366  # days
CROWD = "AA"  # the beginning of the base currencies of pairs that make up a number


class Trade(NamedTuple):
    """One trade. Sizes are multiples of a power of two, so that sums are exact."""

    time: datetime  # UTC, of the exchange's clock
    price: float
    size: float
    is_bought: bool  # by a taker


class Traded(NamedTuple):
    """A trade, or the last price of a ticker."""

    pair: Pair
    trade: Trade


class Quoted(NamedTuple):
    """The top of the book has changed."""

    pair: Pair
    quote: Quote


class Candled(NamedTuple):
    """The candle of a minute so far, or the whole."""

    pair: Pair
    candle: Candle
    is_closed: bool
    time: datetime  # UTC, of the exchange's clock


Happening = Traded | Quoted | Candled


@dataclass(frozen=True, slots=True)
class Traits:
    """What a market is like."""

    quiet: float = 0.05  # the share of minutes without trades
    holes: float = 0.0  # the share of minutes that the exchange does not have
    skew: timedelta = timedelta()  # what its clock is ahead of the collector's


_TRAITS = Traits()


class Motion:
    """The market of `pairs` from `begin` on, as it is at ``now()``, the time of the exchange's clock.

    It begins with the current day unless `begin` is given. All methods may be called from any thread.
    """

    def __init__(
        self,
        clock: Clock,
        pairs: Sequence[Pair],
        seed: int = 0,
        begin: datetime | None = None,
        traits: Traits = _TRAITS,
    ) -> None:
        self.clock, self.pairs = clock, tuple(pairs)
        self.begin = begin or Interval.DAY_1.floor(clock.now())
        self._seed, self._traits = seed, traits
        self._missing: set[tuple[Pair, datetime]] = set()
        self._outages: list[tuple[Span, bool]] = []  # and whether it goes on trading
        self._delisted: dict[Pair, datetime] = {}
        self._mistaken: dict[tuple[Pair, datetime], Candle] = {}
        self._counted: dict[Pair, tuple[datetime, int]] = {}  # a minute, and the trades before it

    def now(self) -> datetime:
        """Return the time of the exchange's clock."""
        return self.clock.now() + self._traits.skew

    def hole(self, pair: Pair, opening: datetime) -> None:
        """Let the exchange not have this minute."""
        self._missing.add((pair, opening))

    def outage(self, span: Span, *, trading: bool = False) -> None:
        """Let the exchange not answer in `span`; what opens in it does not exist unless it goes on `trading`."""
        self._outages = [*self._outages, (span, trading)]

    def delist(self, pair: Pair, at: datetime) -> None:
        """Let the exchange not have the pair from `at` on, nor its history."""
        self._delisted = {**self._delisted, pair: at}

    def mistake(self, pair: Pair, opening: datetime, **changes: Any) -> None:
        """Let the streams send this closed candle with other values than REST has."""
        candle = self._candle(pair, opening)
        assert candle is not None
        self._mistaken[pair, opening] = candle._replace(**changes)

    def is_down(self) -> bool:
        """Return whether the exchange does not answer now."""
        now = self.now()
        return any(now in span for span, _ in self._outages)

    def is_listed(self, pair: Pair) -> bool:
        """Return whether the exchange has the pair now."""
        return pair in self.pairs and (pair not in self._delisted or self.now() < self._delisted[pair])

    def truth(self, pair: Pair, span: Span) -> list[Candle]:
        """Return the minutes of `span` as a collector has them that missed nothing; also those that are to come."""
        return self._minutes(pair, span)

    def candles(self, pair: Pair, interval: Interval, span: Span, *, with_open: bool = False) -> list[Candle]:
        """Return the candles that open in `span` as REST has them now: those that have closed, and the open one."""
        now = self.now()
        minutes = self._minutes(pair, Span(interval.floor(span.start), interval.ceil(span.end)), now)
        candles = list(minutes if interval is Interval.MINUTE_1 else aggregate(minutes, interval))
        if candles and not with_open and candles[-1].open_time + interval.length > now:
            candles.pop()
        return [candle for candle in candles if candle.open_time in span]

    def quote(self, pair: Pair) -> Quote | None:
        """Return the top of the book now, if there is one."""
        return self._quote(pair, self.now())

    def last_trade(self, pair: Pair, at: datetime) -> Trade | None:
        """Return the newest trade up to `at`, if there was one in the hour before."""
        minute = Interval.MINUTE_1.floor(at)
        for opening in (minute - number * MINUTE for number in range(60)):
            for trade in reversed(self._trades(pair, opening)):
                if trade.time <= at:
                    return trade
        return None

    def trade_number(self, pair: Pair, trade: Trade) -> int:
        """Return the place of a trade among all trades of the pair since `begin`; that of the first is 1."""
        opening = Interval.MINUTE_1.floor(trade.time)
        start, number = self._counted.get(pair, (self.begin, 0))
        if opening < start:
            start, number = self.begin, 0
        minutes = (start + count * MINUTE for count in range((opening - start) // MINUTE))
        number += sum(len(self._trades(pair, minute)) for minute in minutes)
        self._counted[pair] = opening, number
        return number + 1 + self._trades(pair, opening).index(trade)

    def happenings(self, start: datetime, end: datetime) -> Iterator[Happening]:
        """Yield what the streams send in the whole seconds after `start` up to `end` (UTC, the exchange's clock).

        Of a second come first the trades, then the candle, then the quote.
        """
        second = Interval.MINUTE_1.floor(start)
        second += (start - second) // SECOND * SECOND + SECOND
        while second <= end:
            if not any(second in span for span, _ in self._outages):
                for number, pair in enumerate(self.pairs):
                    if pair not in self._delisted or second < self._delisted[pair]:
                        yield from self._second(pair, number, second)
            second += SECOND

    def _second(self, pair: Pair, number: int, second: datetime) -> Iterator[Happening]:
        """Yield what a pair does in the second that ends with `second`. The pairs take turns, by their number."""
        opening = Interval.MINUTE_1.floor(second - SECOND)
        position = (second - opening) // SECOND
        trades = self._trades(pair, opening)
        for trade in trades:
            if second - SECOND < trade.time <= second:
                yield Traded(pair, trade)
        if position == 60:
            candle = self._mistaken.get((pair, opening)) or self._candle(pair, opening)
            if candle is not None:
                yield Candled(pair, candle, is_closed=True, time=second)
        elif (position + number) % OPEN_EVERY == 0:
            candle = self._candle(pair, opening, second)
            if candle is not None:
                yield Candled(pair, candle, is_closed=False, time=second)
        if (position + number) % QUOTE_EVERY == 0:
            yield Quoted(pair, self._quote(pair, second))

    def _minutes(self, pair: Pair, span: Span, now: datetime | None = None) -> list[Candle]:
        """Return the minutes of `span`: all, or those that have opened at `now`, with the last one as it is then."""
        first = max(Interval.MINUTE_1.ceil(span.start), self.begin)
        end = span.end if now is None else min(span.end, now + timedelta(microseconds=1))
        openings = (first + number * MINUTE for number in range(math.ceil((end - first) / MINUTE)))
        candles = (self._candle(pair, opening, now) for opening in openings)
        return [candle for candle in candles if candle is not None]

    def _candle(self, pair: Pair, opening: datetime, now: datetime | None = None) -> Candle | None:
        """Return the candle of a minute, or what it is at `now`; None if the exchange does not have it."""
        if not self._exists(pair, opening):
            return None
        quiet = self._traits.quiet
        if now is None or now >= opening + MINUTE:
            return _closed(self._seed, pair, opening, quiet)
        trades = _traded(self._seed, pair, opening, quiet)
        traded = trades[: bisect_right([trade.time for trade in trades], now)]
        return candle_of(traded, opening, price=_level(self._seed, pair, _minute(opening)))

    def _trades(self, pair: Pair, opening: datetime) -> Sequence[Trade]:
        return _traded(self._seed, pair, opening, self._traits.quiet) if self._exists(pair, opening) else ()

    def _exists(self, pair: Pair, opening: datetime) -> bool:
        return not (
            pair not in self.pairs
            or opening < self.begin
            or (pair, opening) in self._missing
            or any(opening in span for span, trading in self._outages if not trading)
            or (pair in self._delisted and opening + MINUTE > self._delisted[pair])
            or (self._traits.holes and _noise(self._seed, pair, _minute(opening))[-1] / 256 < self._traits.holes)
        )

    def _quote(self, pair: Pair, at: datetime) -> Quote:
        """Return the top of the book, which changes every second."""
        minute, second = _minute(at), at.second
        noise = _noise(self._seed, pair, minute)
        price = _level(self._seed, pair, minute) * (1 + (noise[second % 24] - 128) * 1e-5)
        digits = _digits(price)
        bid_size, ask_size = ((1 + noise[(second + shift) % 24]) / 64 for shift in (7, 11))
        return Quote(at, round(price * 0.9999, digits), bid_size, round(price * 1.0001, digits), ask_size)


def candle_of(trades: Sequence[Trade], opening: datetime, price: float) -> Candle:
    """Return the candle of these trades of a minute; without trades, a quiet one at `price`."""
    prices = [trade.price for trade in trades] or [price]
    bought = [trade for trade in trades if trade.is_bought]
    return Candle(
        opening,
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        sum(trade.size for trade in trades),
        _turnover(trades),
        len(trades),
        sum(trade.size for trade in bought),
        _turnover(bought),
    )


@lru_cache(_CLOSED)
def _closed(seed: int, pair: Pair, opening: datetime, quiet: float) -> Candle:
    return candle_of(_traded(seed, pair, opening, quiet), opening, price=_level(seed, pair, _minute(opening)))


def _turnover(trades: Sequence[Trade]) -> float:
    """Return a sum with the decimals that exchanges write, so that it stays the same when it is written and read."""
    return round(sum(trade.price * trade.size for trade in trades), 8)


@lru_cache(_CACHED)
def _traded(seed: int, pair: Pair, opening: datetime, quiet: float) -> tuple[Trade, ...]:
    """Return the trades of a minute, ascending, or none."""
    noise = _noise(seed, pair, _minute(opening))
    if noise[-2] / 256 < quiet:
        return ()
    level = _level(seed, pair, _minute(opening))
    digits = _digits(level)
    return tuple(
        Trade(
            opening + timedelta(milliseconds=number * _SLOT + 1 + noise[number] * (_SLOT - 2) // 255),
            round(level * (1 + (noise[number + TRADES] - 128) * 1e-5), digits),
            (1 + noise[number + 2 * TRADES]) / 64,
            noise[number + 2 * TRADES] % 2 == 0,
        )
        for number in range(TRADES)
    )


@lru_cache(_CACHED)
def _noise(seed: int, pair: Pair, minute: int) -> bytes:
    return hashlib.blake2b(f"{seed} {pair.base}/{pair.quote} {minute}".encode(), digest_size=32).digest()


def _level(seed: int, pair: Pair, minute: int) -> float:
    """Return the price around which a minute trades: a walk of days, with waves of a day and of five hours on it.

    Pairs that only make up a number do not walk: the walk of each takes 20 ms.
    """
    first, second, third, fourth = _noise(seed, pair, 0)[:4]
    base = math.pow(10, first / 64) * (1 + second / 256)  # 1 to 20,000
    waves = 0.03 * math.sin(minute / 229 + third) + 0.01 * math.sin(minute / 48 + fourth)
    if pair.base.startswith(CROWD):
        return round(base * (1 + waves), 6)
    walk, (day, passed) = _walk(seed, pair), divmod(minute, 1440)
    walked = walk[day] + (walk[day + 1] - walk[day]) * passed / 1440
    return round(base * math.exp(walked) * (1 + waves), 6)


@lru_cache(256)
def _walk(seed: int, pair: Pair) -> Sequence[float]:
    """Return the logarithm of the walk at the midnights since 1970, up to 2050. It returns to its mean in years."""
    random = Random(f"{seed} {pair.base}/{pair.quote}")
    return list(accumulate((random.gauss(0, 0.02) for _ in range(_WALK)), lambda at, step: 0.998 * at + step))


def _digits(price: float) -> int:
    return max(2, 5 - math.floor(math.log10(price)))


def _minute(instant: datetime) -> int:
    return (instant - EPOCH) // MINUTE


def numbered_pairs(count: int) -> list[Pair]:
    """Return so many pairs: the five that are followed by default, then AA000, AA001, ..."""
    defaults = ["BTC", "ETH", "BNB", "LTC", "SOL"]
    return [Pair(base, "USDT") for base in [*defaults, *(f"{CROWD}{number:03}" for number in range(count))][:count]]
