"""Candles with the volume-weighted average price (VWAP) of their session, quotes and gaps."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from crypto_predict.market.interval import EPOCH, Interval, Span

DAY_SECONDS = 86_400


class Candle(NamedTuple):
    """What a market did in one interval. A tuple, because minutes come in millions.

    Prices are in the quote currency, volumes in the base currency unless they say otherwise. Fields that the source
    does not have are None.
    """

    open_time: datetime  # UTC
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float | None = None  # in the quote currency
    trades: int | None = None
    taker_base_volume: float | None = None  # bought by takers
    taker_quote_volume: float | None = None  # the same, in the quote currency

    def faults(self) -> list[str]:
        """Return every reason why a market cannot have made this candle."""
        # Written out, because this is the only check of millions of sound candles.
        if (
            0 < self.low <= self.open <= self.high < math.inf
            and self.low <= self.close <= self.high
            and 0 <= self.volume < math.inf
            and (self.quote_volume is None or 0 <= self.quote_volume < math.inf)
            and (self.trades is None or 0 <= self.trades < math.inf)
            and (self.taker_base_volume is None or 0 <= self.taker_base_volume < math.inf)
            and (self.taker_quote_volume is None or 0 <= self.taker_quote_volume < math.inf)
        ):
            return []
        prices = {"open": self.open, "high": self.high, "low": self.low, "close": self.close}
        defects = [
            f"{name} {price} is not a positive number" for name, price in prices.items() if not 0 < price < math.inf
        ]
        defects += [
            f"{name.replace('_', ' ')} {volume} is not zero or a positive number"
            for name, volume in zip(self._fields[5:], self[5:], strict=True)
            if volume is not None and not 0 <= volume < math.inf
        ]
        bounds = f"low {self.low} and high {self.high}"
        return defects or [f"open {self.open} and close {self.close} do not lie between {bounds}"]


class StoredCandle(NamedTuple):
    """A candle in a database, with the volume-weighted average price (VWAP) of its session up to its end.

    A session is a UTC day. ``VWAP = sum(typical price * volume) / sum(volume)`` over the candles of the session so far,
    where the typical price is ``(high + low + close) / 3``. A candle without volume keeps the VWAP before it; None
    before the first volume of a session.
    """

    candle: Candle
    vwap: float | None


@dataclass(frozen=True, slots=True)
class Quote:
    """The top of the order book at one instant. Prices are in the quote currency, sizes in the base currency."""

    time: datetime  # UTC
    bid: float
    bid_size: float
    ask: float
    ask_size: float


@dataclass(frozen=True, slots=True)
class Gap:
    """Candles that a source does not have."""

    start: datetime  # the first missing opening, included
    end: datetime  # the next opening that exists, not included
    missing: int  # candles


@dataclass(frozen=True, slots=True)
class StoredGap(Gap):
    """A gap of a database. Its end can also be that of the span for which the source was asked.

    What lies beyond that span is not covered.
    """

    cause: str  # why the candles are missing
    attempts: int = 0  # how often the source has been asked for them
    verdict: str = ""  # whether they can still come
    found_at: datetime = EPOCH  # UTC


def aggregate(candles: Iterable[Candle], interval: Interval) -> Iterator[Candle]:
    """Join ascending candles into longer ones: first open, highest high, lowest low, last close, summed volumes.

    An optional volume is summed if every part has it. Openings without a part stay missing. The first and the last
    result may be incomplete; see `resample`.
    """
    for opening, group in groupby(candles, key=lambda candle: interval.floor(candle.open_time)):
        parts = list(group)
        yield Candle(
            opening,
            parts[0].open,
            max(part.high for part in parts),
            min(part.low for part in parts),
            parts[-1].close,
            _total([part.volume for part in parts]),
            _total_or_none([part.quote_volume for part in parts]),
            None if any(part.trades is None for part in parts) else sum(part.trades or 0 for part in parts),
            _total_or_none([part.taker_base_volume for part in parts]),
            _total_or_none([part.taker_quote_volume for part in parts]),
        )


def resample(candles: Iterable[Candle], span: Span, interval: Interval) -> Iterator[Candle]:
    """Join the ascending candles of `span` into longer ones, as `aggregate` does, without incomplete ends.

    `span` is what is known of the market: a longer candle that begins before its start or ends after its end is left
    out. Gaps stay gaps: where candles are missing inside, the longer one is made of the others.
    """
    whole = span.whole(interval)
    return aggregate((candle for candle in candles if candle.open_time in whole), interval)


class Session:
    """The sums of a session, from which its VWAP follows as `StoredCandle` says; the next session begins by itself.

    None also where a sum is too large for a number.
    """

    __slots__ = ("end", "turnover", "volume")

    def __init__(self, opening: int | None = None, turnover: float = 0.0, volume: float = 0.0) -> None:
        """Continue a session after the candle that opens at `opening`, in seconds since 1970; None: begin one."""
        self.end = -math.inf if opening is None else session_end(opening)  # seconds since 1970, not included
        self.turnover, self.volume = turnover, volume

    def add(self, opening: int, candle: Sequence[Any]) -> float | None:
        """Add the next candle, or a tuple with its fields, and return the VWAP up to its end.

        `opening` is in seconds since 1970, after those before.
        """
        if opening >= self.end:
            self.end = session_end(opening)
            self.turnover = self.volume = 0.0
        volume = candle[5]
        if volume:
            self.turnover += (candle[2] + candle[3] + candle[4]) / 3 * volume
            self.volume += volume
        if not self.volume:
            return None
        vwap = self.turnover / self.volume
        return vwap if vwap < math.inf else None


def session_end(opening: int) -> int:
    """Return the end of the session of a candle, in seconds since 1970."""
    return opening - opening % DAY_SECONDS + DAY_SECONDS


def differ(values: Sequence[object], other_values: Sequence[object]) -> bool:
    """Return whether the values of two candles with one opening differ where both have one."""
    pairs = zip(values, other_values, strict=True)
    return any(value != other for value, other in pairs if value is not None and other is not None)


def digest(candles: Iterable[Candle], interval: Interval) -> str:
    """Return the SHA-256 of candles, so that two histories can be compared.

    It is taken over UTF-8 text: one line with the interval in seconds, then one line a candle, each ended by a line
    feed: ``2024-05-17T00:00:00Z,open,high,low,close,volume`` with numbers as Python's ``repr`` writes floats.
    """
    checksum = hashlib.sha256(f"{interval.seconds}\n".encode())
    for candle in candles:
        numbers = (candle.open, candle.high, candle.low, candle.close, candle.volume)
        checksum.update(f"{candle.open_time:%Y-%m-%dT%H:%M:%SZ},{','.join(map(repr, numbers))}\n".encode())
    return checksum.hexdigest()


def price_decimals(price: float) -> int:
    """Return the number of decimals that a price is written with: five significant digits, at least cents."""
    return max(2, 4 - math.floor(math.log10(price)))


def _total(values: Iterable[float]) -> float:
    """Return the sum, correctly rounded: a plain one differs in its last bits from one Python version to the next."""
    try:
        return math.fsum(values)
    except OverflowError:
        return math.inf


def _total_or_none(values: Sequence[float | None]) -> float | None:
    """Return the sum, or None if a value is missing."""
    numbers = [value for value in values if value is not None]
    return _total(numbers) if len(numbers) == len(values) else None
