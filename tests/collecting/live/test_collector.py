"""The whole collector against an exchange in motion: streams, REST and a real database, at 60 times the speed of time."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from crypto_predict.errors import SeriesHeld
from crypto_predict.market import Candle, Interval, Pair, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.ports import DELISTED, Shard, StreamState
from crypto_predict.store import open_reader, open_writer
from tests.support.databases import KINDS, new_database, new_postgresql, stopped_server
from tests.support.live import binance_of, collecting_here, minutes_of, states, stored, until
from tests.support.replay import streams
from tests.support.replay.binance import BinanceInMotion
from tests.support.replay.motion import MINUTE, Motion, Traits
from tests.support.replay.server import ReplayServer

START = datetime(2024, 5, 17, 12, 0, 20, tzinfo=UTC)
BEGIN = START - 30 * MINUTE
BTC, ETH, SOL = Pair("BTC", "USDT"), Pair("ETH", "USDT"), Pair("SOL", "USDT")
SPEED = 60.0


class Market(NamedTuple):
    """An exchange in motion."""

    motion: Motion
    server: ReplayServer
    exchange: BinanceInMotion

    def truth(self, pair: Pair, end: datetime) -> list[Candle]:
        return self.motion.truth(pair, Span(BEGIN, end))

    def close(self) -> datetime:
        """Return the newest close."""
        return Interval.MINUTE_1.floor(self.motion.now())


@contextmanager
def market(clock: Clock | None = None, pairs: tuple[Pair, ...] = (BTC, ETH), **traits: object) -> Iterator[Market]:
    motion = Motion(clock or Clock(START, SPEED), pairs, 0, Interval.MINUTE_1.ceil(BEGIN), Traits(**traits))  # type: ignore[arg-type]
    exchange = BinanceInMotion(motion)
    with ReplayServer(exchange) as server:
        yield Market(motion, server, exchange)


def is_whole(database: str, found: Market, pair: Pair, until_: datetime) -> bool:
    """Return whether every candle of the market up to an instant is stored, once and unaltered."""
    return stored(database, minutes_of("binance", pair), Span(BEGIN, until_)) == found.truth(pair, until_)


def wait_whole(database: str, found: Market, *pairs: Pair, minutes: int = 2) -> datetime:
    """Wait until so many more minutes have closed and all is stored; return the last close."""
    end = found.close() + minutes * MINUTE
    until(lambda: found.motion.now() > end)
    for pair in pairs or (BTC, ETH):
        until(lambda: is_whole(database, found, pair, end), f"every candle of {pair} up to {end} is stored")  # noqa: B023
    return end


@pytest.mark.parametrize("kind", KINDS)
def test_a_fresh_database_has_every_candle_of_history_and_stream_once(kind: str, tmp_path: Path) -> None:
    """Both are joined without a hole, a double or a revision."""
    database = new_database(kind, tmp_path)
    with (
        market() as found,
        collecting_here(database, found.motion.clock, binance_of(found.server), "--pair", "BTC/USD,ETH/USD"),
    ):
        end = wait_whole(database, found, minutes=4)
    with open_reader(database) as reader:
        for pair in (BTC, ETH):
            series = minutes_of("binance", pair)
            assert reader.revisions(series, Span(BEGIN, end)) == []
            assert reader.gaps(series, Span(BEGIN, end)) == []


def test_the_top_of_the_book_and_the_state_of_the_stream_are_stored_for_each_minute(tmp_path: Path) -> None:
    database = new_database("sqlite", tmp_path)
    with (
        market() as found,
        collecting_here(database, found.motion.clock, binance_of(found.server), "--pair", "BTC/USD,ETH/USD"),
    ):
        first = wait_whole(database, found, minutes=1)
        end = wait_whole(database, found, minutes=3)
    with open_reader(database) as reader:
        for pair in (BTC, ETH):
            quotes = reader.quotes("binance", pair, Span(first, end), 100)
            assert {Interval.MINUTE_1.floor(quote.time) for quote in quotes} == {first + n * MINUTE for n in range(3)}
            (connected,) = states(database, "binance", pair, Span(first, end))
            assert connected.state is StreamState.CONNECTED
            assert connected.span.start <= first
            assert connected.span.end >= end


@pytest.mark.parametrize(
    "fault",
    [streams.drop, streams.silence, streams.mute, streams.closed(1000, "after 24 hours")],
    ids=["dropped", "half open", "mute", "closed"],
)
def test_after_any_end_of_a_connection_everything_is_whole_again(fault: streams.StreamFault, tmp_path: Path) -> None:
    database = new_database("sqlite", tmp_path)
    with (
        market() as found,
        collecting_here(database, found.motion.clock, binance_of(found.server), "--pair", "BTC/USD,ETH/USD"),
    ):
        wait_whole(database, found, minutes=1)
        found.exchange.streams.apply(fault)
        found.exchange.streams.wait_open(opened=2)
        wait_whole(database, found)
    found_states = states(database, "binance", BTC, Span(START, found.motion.now()))
    assert [one.state for one in found_states][-3:] == [
        StreamState.CONNECTED,
        StreamState.DISCONNECTED,
        StreamState.CONNECTED,
    ]
    assert found_states[-2].reason
