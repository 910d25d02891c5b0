"""The whole collector against an exchange in motion: streams, REST and a real database, at a multiple of the speed."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from crypto_predict.collecting.live.collector import Collector
from crypto_predict.errors import SeriesHeld
from crypto_predict.market import Candle, Interval, Pair, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.ports import DELISTED, STOPPED, Shard, StreamState
from crypto_predict.store import open_reader, open_writer
from tests.support.databases import KINDS, new_database, new_postgresql, stopped_server
from tests.support.live import binance_of, collecting_here, minutes_of, states, stored, until
from tests.support.replay import streams
from tests.support.replay.binance import BinanceInMotion
from tests.support.replay.motion import MINUTE, Motion, Traits
from tests.support.replay.server import ReplayServer, refused

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
def market(clock: Clock | None = None, pairs: tuple[Pair, ...] = (BTC, ETH), **traits: object) -> Iterator[Market]:
    motion = Motion(clock or Clock(START, SPEED), pairs, 0, Interval.MINUTE_1.ceil(BEGIN), Traits(**traits))  # type: ignore[arg-type]
    exchange = BinanceInMotion(motion)
    with ReplayServer(exchange) as server:
        yield Market(motion, server, exchange)


def collecting(
    database: str, found: Market, *arguments: str, clock: Clock | None = None
) -> AbstractContextManager[Collector]:
    """Return a context in which two pairs are collected, unless others are named."""
    named = arguments or ("--pair", "BTC/USD,ETH/USD")
    return collecting_here(database, clock or found.motion.clock, binance_of(found.server), *named)


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


def wait_connected(database: str, found: Market) -> datetime:
    """Wait until the stream is connected; return the start of the next minute."""
    span = Span(START, START + timedelta(days=1))
    until(
        lambda: any(one.state is StreamState.CONNECTED for one in states(database, "binance", BTC, span)), "connected"
    )
    return found.close() + MINUTE


@pytest.mark.parametrize("kind", KINDS)
def test_a_fresh_database_has_every_candle_of_history_and_stream_once(kind: str, tmp_path: Path) -> None:
    """Both are joined without a hole, a double or a revision."""
    database = new_database(kind, tmp_path)
    with (
        market() as found,
        collecting(database, found),
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
        market(Clock(START, CALM)) as found,
        collecting(database, found),
    ):
        first = wait_connected(database, found)
        end = wait_whole(database, found, minutes=3)
    with open_reader(database) as reader:
        for pair in (BTC, ETH):
            quotes = reader.quotes("binance", pair, Span(first, end), 100)
            minutes = {Interval.MINUTE_1.floor(quote.time) for quote in quotes}
            assert minutes == {first + number * MINUTE for number in range((end - first) // MINUTE)}
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
        collecting(database, found),
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


def test_an_outage_of_the_exchange_is_waited_for_and_then_filled(tmp_path: Path) -> None:
    """Five minutes in which it answers 503, and goes on trading."""
    database = new_database("sqlite", tmp_path)
    with market() as found:
        outage = Span(START + 2 * MINUTE, START + 7 * MINUTE)
        found.motion.outage(outage, trading=True)
        with collecting(database, found):
            until(lambda: found.motion.now() > outage.end)
            end = wait_whole(database, found, minutes=1)
    inside = Span(outage.start + MINUTE, outage.end - MINUTE)
    assert {one.state for one in states(database, "binance", BTC, inside)} == {StreamState.EXCHANGE_DOWN}
    assert states(database, "binance", BTC, Span(end - MINUTE / 2, end))[-1].state is StreamState.CONNECTED


def test_refused_handshakes_are_an_exchange_that_is_down(tmp_path: Path) -> None:
    """REST goes on meanwhile."""
    database = new_database("sqlite", tmp_path)
    with market() as found:
        found.server.inject(refused(451, "not from here"), times=3, when=lambda request: request.path == "/stream")
        with collecting(database, found):
            wait_whole(database, found)
    first, *_, last = states(database, "binance", BTC, Span(START, found.motion.now()))
    assert first.state is not StreamState.CONNECTED
    assert last.state is StreamState.CONNECTED


def test_a_database_that_goes_away_is_waited_for() -> None:
    """What arrives meanwhile is stored when it is back, and REST has the rest."""
    database = new_postgresql()
    with (
        market(Clock(START, CALM)) as found,
        collecting(database, found),
    ):
        first = wait_connected(database, found)
        with stopped_server():
            gone = found.motion.now()
            until(lambda: found.motion.now() > gone + 3 * MINUTE)
        end = wait_whole(database, found, minutes=1)
    with open_reader(database) as reader:
        quotes = reader.quotes("binance", BTC, Span(first, end), 100)
        minutes = {Interval.MINUTE_1.floor(quote.time) for quote in quotes}
        assert minutes == {first + number * MINUTE for number in range((end - first) // MINUTE)}
        (connected,) = reader.streams("binance", BTC, Span(first, end))
        assert connected.state is StreamState.CONNECTED


def test_a_pair_that_is_added_to_the_database_is_followed_beside_the_others(tmp_path: Path) -> None:
    """They do not miss anything, and are connected throughout."""
    database = new_database("sqlite", tmp_path)
    with (
        market(Clock(START, CALM), pairs=(BTC, ETH, SOL)) as found,
        collecting(database, found, "--pair", "BTC/USD"),
    ):
        first = wait_connected(database, found)
        with open_writer(database) as writer:
            writer.follow(minutes_of("binance", SOL), simulated=False)
        added = found.motion.now()
        until(lambda: is_whole(database, found, SOL, found.close() - MINUTE), "the new pair is whole")
        assert found.motion.now() - added < 3 * MINUTE
        found.exchange.streams.wait_open(opened=2)
        end = wait_whole(database, found, BTC, SOL)
    (connected,) = states(database, "binance", BTC, Span(first, end))
    assert connected.state is StreamState.CONNECTED


def test_a_pair_that_is_removed_is_left_alone(tmp_path: Path) -> None:
    database = new_database("sqlite", tmp_path)
    with market() as found:
        with collecting(database, found):
            wait_whole(database, found, minutes=1)
            with open_writer(database) as writer:
                writer.set_state(minutes_of("binance", ETH), STOPPED)
            stopped = found.motion.now() + MINUTE  # the database is looked at every 20 s
            wait_whole(database, found, BTC, minutes=4)
        assert stored(database, minutes_of("binance", ETH), Span(stopped, found.motion.now())) == []


def test_a_pair_that_is_delisted_does_not_harm_the_others(tmp_path: Path) -> None:
    database = new_database("sqlite", tmp_path)
    with market() as found:
        with collecting(database, found):
            end = wait_whole(database, found, minutes=1)
            found.motion.delist(ETH, found.motion.now())
            until(lambda: state_of(database, ETH) == DELISTED, "the pair is delisted")
            assert wait_whole(database, found, BTC) > end
        assert is_whole(database, found, ETH, end), "its candles stay"


def state_of(database: str, pair: Pair) -> str:
    with open_reader(database) as reader:
        return next(one.state for one in reader.collected() if one.series.pair == pair)


class SetClock(Clock):
    """A clock that can be set, as that of a machine."""

    def __init__(self, start: datetime, speed: float) -> None:
        super().__init__(start, speed)
        self.offset = timedelta(0)

    def now(self) -> datetime:
        """Return what it was set to, and the time since."""
        return super().now() + self.offset


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1)], ids=["forward", "back"])
def test_a_clock_that_jumps_an_hour_loses_nothing(jump: timedelta, tmp_path: Path) -> None:
    """The clock of this machine is set while the exchange's runs on."""
    database = new_database("sqlite", tmp_path)
    with market() as found:
        clock = SetClock(START, SPEED)
        with collecting(database, found, clock=clock):
            wait_whole(database, found, minutes=1)
            clock.offset = jump
            wait_whole(database, found, minutes=3)
            clock.offset = timedelta(0)
            wait_whole(database, found)


@pytest.mark.parametrize("skew", [timedelta(minutes=7), timedelta(minutes=-7)], ids=["behind", "ahead"])
def test_a_clock_that_is_wrong_from_the_start_loses_nothing_of_the_stream(skew: timedelta, tmp_path: Path) -> None:
    database = new_database("sqlite", tmp_path)
    with market(skew=skew) as found, collecting(database, found):
        until(lambda: found.exchange.streams.opened)
        first = found.close() + MINUTE
        until(lambda: found.close() >= first + 4 * MINUTE)
        span = Span(first, first + 3 * MINUTE)
        until(lambda: stored(database, minutes_of("binance", BTC), span) == found.motion.truth(BTC, span))


def test_a_revised_candle_is_stored_with_what_it_replaces(tmp_path: Path) -> None:
    """A stream that sends a candle again with other values is right the second time."""
    database = new_database("sqlite", tmp_path)
    with market() as found:
        with collecting(database, found):
            opening = wait_whole(database, found, minutes=1)
            found.motion.mistake(BTC, opening + MINUTE, volume=123.0)
            end = wait_whole(database, found, BTC, minutes=4)
        with open_reader(database) as reader:
            (revision,) = reader.revisions(minutes_of("binance", BTC), Span(BEGIN, end))
            assert (revision.candle.open_time, revision.candle.volume) == (opening + MINUTE, 123.0)
            (compared,) = [one for one in reader.collected() if one.series.pair == BTC]
            assert compared.mismatched == 1


def test_impossible_candles_of_a_stream_are_quarantined(tmp_path: Path) -> None:
    """REST has sound ones, which are stored."""
    database = new_database("sqlite", tmp_path)
    with market() as found:
        with collecting(database, found):
            opening = wait_whole(database, found, minutes=1)
            found.motion.mistake(BTC, opening + MINUTE, low=-1.0)
            end = wait_whole(database, found, BTC, minutes=4)
        with open_reader(database) as reader:
            (row,) = reader.quarantine(minutes_of("binance", BTC), Span(BEGIN, end))
            assert (row.candle.open_time, row.candle.low) == (opening + MINUTE, -1.0)
            assert row.reason


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_collector_is_refused_and_names_the_first(kind: str, tmp_path: Path) -> None:
    database = new_database(kind, tmp_path)
    with (
        market() as found,
        open_writer(database) as writer,
        writer.hold_collector(Shard()),
        pytest.raises(SeriesHeld, match=r"process \d+ on "),
        collecting(database, found),
    ):
        pass


def test_two_shards_collect_all_pairs_of_one_database() -> None:
    database = new_postgresql()
    pairs = (BTC, ETH, SOL)
    assert {pair in Shard(1, 2) for pair in pairs} == {True, False}
    with market(pairs=pairs) as found:
        names = ("--pair", "BTC/USD,ETH/USD,SOL/USD")
        first = collecting(database, found, *names, "--shard", "1/2")
        with first, collecting(database, found, *names, "--shard", "2/2"):
            wait_whole(database, found, *pairs)
