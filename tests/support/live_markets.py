"""An exchange in motion, and a collector of it in this process, at a multiple of the speed of time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

from crypto_predict.collecting.live.collector import Collector
from crypto_predict.market import Candle, Interval, Pair, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import StreamState
from crypto_predict.store import open_reader
from tests.support.live import binance_of, collecting_here, minutes_of, states, stored, until
from tests.support.replay.binance import BinanceInMotion
from tests.support.replay.motion import MINUTE, Motion, Traits
from tests.support.replay.server import ReplayServer

START = datetime(2024, 5, 17, 12, 0, 20, tzinfo=UTC)
BEGIN = START - 30 * MINUTE
BTC, ETH, SOL = Pair("BTC", "USDT"), Pair("ETH", "USDT"), Pair("SOL", "USDT")
SPEED = 60.0
CALM = 20.0  # where a machine that is busy for a second must not look like a stream that is silent


class Market(NamedTuple):
    """An exchange in motion."""

    motion: Motion
    server: ReplayServer
    exchange: BinanceInMotion

    def truth(self, pair: Pair, end: datetime) -> list[Candle]:
        """Return every candle up to an instant."""
        return self.motion.truth(pair, Span(BEGIN, end))

    def close(self) -> datetime:
        """Return the newest close."""
        return Interval.MINUTE_1.floor(self.motion.now())


@contextmanager
def market(
    clock: Clock | None = None,
    pairs: tuple[Pair, ...] = (BTC, ETH),
    skew: timedelta = timedelta(0),
    begin: datetime = BEGIN,
) -> Iterator[Market]:
    """Serve a market with history from `begin` on, whose clock is ahead of the collector's by `skew`."""
    motion = Motion(clock or Clock(START, SPEED), pairs, 0, Interval.MINUTE_1.ceil(begin), Traits(skew=skew))
    exchange = BinanceInMotion(motion)
    with ReplayServer(exchange) as server:
        yield Market(motion, server, exchange)


def collecting(
    database: str, result: Market, *arguments: str, clock: Clock | None = None
) -> AbstractContextManager[Collector]:
    """Return a context in which two pairs are collected, unless others are named."""
    named = arguments or ("--pair", "BTC/USD,ETH/USD")
    return collecting_here(database, clock or result.motion.clock, binance_of(result.server), *named)


def is_whole(database: str, result: Market, pair: Pair, end: datetime) -> bool:
    return stored(database, minutes_of("binance", pair), Span(BEGIN, end)) == result.truth(pair, end)


def wait_whole(database: str, result: Market, *pairs: Pair, minutes: int = 2) -> datetime:
    """Wait until so many more minutes have closed and all is stored; return the last close."""
    end = result.close() + minutes * MINUTE
    until(lambda: result.motion.now() > end)
    for pair in pairs or (BTC, ETH):
        until(partial(is_whole, database, result, pair, end), f"every candle of {pair} up to {end} is stored")
    return end


def wait_connected(database: str, result: Market) -> datetime:
    """Wait until the stream is connected; return the start of the next minute."""
    span = Span(START, START + timedelta(days=1))
    until(
        lambda: any(state.state is StreamState.CONNECTED for state in states(database, "binance", BTC, span)),
        "connected",
    )
    return result.close() + MINUTE


def connected_until(database: str, pair: Pair, start: datetime) -> datetime:
    """Return up to when a stream is stored as connected that was so at `start`; `start` if it was not."""
    spans = [
        state
        for state in states(database, "binance", pair, Span(start, start + timedelta(days=1)))
        if state.state is StreamState.CONNECTED
    ]
    return max((span.span.end for span in spans if span.span.start <= start), default=start)


def interruptions(database: str, pair: Pair, start: datetime) -> list[str]:
    """Return the reasons of the interruptions since `start`, but for those that a machine which stalls has."""
    span = Span(start, start + timedelta(days=1))
    reasons = [
        state.reason for state in states(database, "binance", pair, span) if state.state is not StreamState.CONNECTED
    ]
    return [reason for reason in reasons if not re.search(r"nothing was received|not answer a ping|no data", reason)]


def quoted(database: str, pair: Pair, span: Span) -> set[datetime]:
    """Return the minutes of a span of which the top of the book is stored."""
    with open_reader(database) as reader:
        return {Interval.MINUTE_1.floor(quote.time) for quote in reader.quotes("binance", pair, span, 10**6)}
