"""The values of a collection, as a database has them: its series, gaps, streams and records."""

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from crypto_predict.errors import InvalidValue
from crypto_predict.market.candle import Candle, StoredGap
from crypto_predict.market.forecast import MinuteForecast, MinuteScores
from crypto_predict.market.interval import Span
from crypto_predict.market.pair import Pair, SeriesKey

ACTIVE = "active"  # it is collected
STOPPED = "stopped"  # it was removed from collection; its candles stay
DELISTED = "delisted"  # the exchange no longer has the pair
SERIES_STATES = (ACTIVE, STOPPED, DELISTED)

QUARANTINED = "quarantined"  # the cause of a gap: what the source has there cannot be candles
MOST_ATTEMPTS = 4  # questions for the candles of a gap, after which it is final


class StreamState(Enum):
    """What was known of the live stream of a pair."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"  # the connection failed, or the collector did not run
    EXCHANGE_DOWN = "exchange down"  # the exchange has answered that it is not available


@dataclass(frozen=True, slots=True)
class StreamSpan:
    """A span in which the stream of a pair was in one state. Where nothing is stored, it was disconnected."""

    span: Span
    state: StreamState
    reason: str  # empty while connected


@dataclass(frozen=True, slots=True)
class BuiltCandle:
    """A candle built from the ticks of a stream, which are trades."""

    open_time: datetime  # UTC
    open: float
    high: float
    low: float
    close: float
    ticks: int  # of which it was built, more than 0
    late: int  # ticks that came after it was saved, and are not in it
    partial: bool  # the stream was not connected in all of its interval
    volume: float | None = None  # of these ticks, in the base currency; None if an earlier version has built it


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row that no market can have made, or that opens where no candle can."""

    candle: Candle
    reason: str


@dataclass(frozen=True, slots=True)
class CollectedSeries:
    """One series of a database, and how complete it is."""

    series: SeriesKey
    simulated: bool
    state: str  # one of `SERIES_STATES`
    first_open: datetime | None  # UTC; None before the first candle
    newest_close: datetime | None  # UTC; None before the first candle
    gaps: int
    missing: int  # candles in these gaps
    since: datetime | None = None  # UTC, how far back it shall be collected; None: from the pair's beginning
    compared: int = 0  # candles of the stream that were compared with those of REST
    mismatched: int = 0  # of these, those that differed
    version: int = 0  # grows with every change of its candles and its coverage
    candles: int = 0  # that are stored
    price: float | None = None  # the close of the newest candle; None before the first one, or if it was not read
    earlier: float | None = None  # the close of a candle before it; None if it is missing, or was not read
    is_rolled: bool = True  # whether its rollups lack no candle, so that a page of any interval has few parts

    def lag(self, now: datetime) -> timedelta | None:
        """Return the time from the newest close to the newest close that can exist; None before the first candle."""
        return None if self.newest_close is None else self.series.interval.floor(now) - self.newest_close


@dataclass(frozen=True, slots=True)
class StoredMonth:
    """What is stored of a month of one series, all as of one moment."""

    span: Span  # UTC: the openings of the month from the first candle of the series to the end of its newest one
    columns: Sequence[Sequence[Any]]  # of its candles, as `ColumnReader` returns them
    coverage: tuple[Span, ...]  # what the source was asked for, in the month, or before or after all candles
    gaps: tuple[StoredGap, ...]  # that overlap `span`
    streams: tuple[StreamSpan, ...]  # the states of the stream of the pair in `span`


@dataclass(frozen=True, slots=True)
class Difference:
    """How often the stream of a source has differed from REST, since its pairs are collected."""

    source: str
    compared: int  # candles
    mismatched: int  # of these, those that differed


@dataclass(frozen=True, slots=True)
class MinuteRecord:
    """The live record of the minute forecasts of one series."""

    since: datetime  # UTC, the first outcome
    until: datetime  # UTC: every outcome up to this close has been scored; it grows with each `write_forecasts`
    scores: tuple[MinuteScores, ...]  # by horizon, ascending


@dataclass(frozen=True, slots=True)
class ForecastStep:
    """What one closed candle adds to the minute forecasts of a series."""

    forecast: MinuteForecast | None  # made at its close; None if the candles cannot carry one
    until: datetime  # UTC, its close
    scores: tuple[MinuteScores, ...]  # of the forecasts whose outcome it is, at most one for each horizon


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several parts of all pairs, each collected, or trained, by its own process."""

    number: int = 1  # from 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read ``2/8``: the second of eight parts of all pairs."""
        match = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise InvalidValue("shard", text, "a part of all pairs such as 2/8")
        return cls(int(match[1]), int(match[2]))

    def __contains__(self, pair: Pair) -> bool:
        digest = hashlib.sha256(str(pair).encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def overlaps(self, other: "Shard") -> bool:
        """Whether a pair can be in both."""
        return (other.number - self.number) % math.gcd(other.of, self.of) == 0


@dataclass(frozen=True, slots=True)
class ShardState:
    """Who collects a shard. Processes are named with their host and start; an empty name: no process."""

    shard: Shard
    collector: str  # which collects its pairs
    claimed_by: str  # which was started for it
    is_guest: bool  # whether the collector was started for another shard, and gives this one back to who claims it
