"""Outages of every kind: afterwards everything is whole again. The exchange and the databases are real parts."""

import logging
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from crypto_predict.collecting.registry import open_registry
from crypto_predict.errors import Unreachable
from crypto_predict.market import Interval, Pair, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import StreamState
from crypto_predict.sources.binance import EXCHANGE
from crypto_predict.sources.binance.rest import Binance
from crypto_predict.store import open_writer
from tests.support.databases import new_database, new_postgresql, stopped_server
from tests.support.disks import full, small_disk
from tests.support.live import binance_of, collecting_here, minutes_of, states, stored, until
from tests.support.live_markets import (
    BTC,
    CALM,
    SPEED,
    START,
    collecting,
    interruptions,
    market,
    quoted,
    wait_connected,
    wait_whole,
)
from tests.support.replay import streams
from tests.support.replay.binance import BinanceInMotion
from tests.support.replay.motion import MINUTE, SECOND, Motion
from tests.support.replay.server import Ban, ReplayServer


@pytest.mark.parametrize(
    "fault",
    [streams.drop, streams.silence, streams.mute, streams.closed(1000, "after 24 hours")],
    ids=["dropped", "half open", "mute", "closed"],
)
def test_after_any_end_of_a_connection_everything_is_whole_again(fault: streams.StreamFault, tmp_path: Path) -> None:
    database = new_database("sqlite", tmp_path)
    with (
        market() as result,
        collecting(database, result) as collector,
    ):
        wait_whole(database, result, minutes=1)
        wait_connected(database, result)
        broken = result.motion.now()
        result.exchange.streams.apply(fault)

        def has_come_back() -> bool:
            """Return whether a connection was stored, an interruption that outlasts the fault, and another one."""
            kinds = states(database, "binance", BTC, Span(START, result.motion.now()))
            return any(
                [span.state for span in three]
                == [StreamState.CONNECTED, StreamState.DISCONNECTED, StreamState.CONNECTED]
                and three[1].span.end > broken
                and three[1].reason
                for three in zip(kinds, kinds[1:], kinds[2:], strict=False)
            )

        until(has_come_back, "the stream is stored as connected, interrupted and connected again")
        wait_whole(database, result)
        figures = collector.figures()
        assert figures is not None
        assert figures[1]["binance",]["reconnects_total"]


def test_an_outage_of_the_exchange_is_waited_for_and_then_filled(tmp_path: Path) -> None:
    """Five minutes in which it answers 503, and goes on trading."""
    database = new_database("sqlite", tmp_path)
    with market() as result:
        outage = Span(START + 2 * MINUTE, START + 7 * MINUTE)
        afterwards = Span(outage.end, outage.end + timedelta(days=1))
        result.motion.outage(outage, trading=True)
        with collecting(database, result):
            until(lambda: result.motion.now() > outage.end)
            wait_whole(database, result, minutes=1)
            until(
                lambda: any(
                    state.state is StreamState.CONNECTED for state in states(database, "binance", BTC, afterwards)
                )
            )
    found_states = states(database, "binance", BTC, Span(outage.start, outage.end))
    down = [state for state in found_states if state.state is StreamState.EXCHANGE_DOWN]
    assert down[-1].span.end > outage.end - SECOND, "up to the next connection"
    assert all(state.span.start < down[0].span.start for state in found_states if state.state is StreamState.CONNECTED)


def test_a_database_that_goes_away_is_waited_for() -> None:
    """What arrives meanwhile is stored when it is back, and REST has the rest."""
    database = new_postgresql()
    with (
        market(Clock(START, CALM)) as result,
        collecting(database, result),
    ):
        first = wait_connected(database, result)
        with stopped_server():
            gone = result.motion.now()
            until(lambda: result.motion.now() > gone + 3 * MINUTE)
        wait_whole(database, result, minutes=1)
    away = Span(Interval.MINUTE_1.ceil(gone), Interval.MINUTE_1.ceil(gone) + 2 * MINUTE)
    assert quoted(database, BTC, away), "a minute in which this machine stands still has no quote, and both do not"
    assert interruptions(database, BTC, first) == []


def test_a_full_disk_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Until somebody makes room."""
    with small_disk(tmp_path / "disk", megabytes=4) as folder, market() as result:
        database = new_database("sqlite", folder)
        with collecting(database, result):
            wait_whole(database, result, minutes=1)
            with full(folder):
                until(lambda: "the database is away" in caplog.text)
            wait_whole(database, result, minutes=1)


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
    with market() as result:
        clock = SetClock(START, SPEED)
        with collecting(database, result, clock=clock):
            wait_whole(database, result, minutes=1)
            clock.offset = jump
            wait_whole(database, result, minutes=3)
            clock.offset = timedelta(0)
            wait_whole(database, result)


@pytest.mark.parametrize("skew", [timedelta(minutes=7), timedelta(minutes=-7)], ids=["behind", "ahead"])
def test_a_clock_that_is_wrong_from_the_start_loses_nothing_of_the_stream(skew: timedelta, tmp_path: Path) -> None:
    database = new_database("sqlite", tmp_path)
    with market(skew=skew) as result, collecting(database, result):
        until(lambda: result.exchange.streams.opened)
        first = result.close() + MINUTE
        until(lambda: result.close() >= first + 4 * MINUTE)
        span = Span(first, first + 3 * MINUTE)
        until(lambda: stored(database, minutes_of("binance", BTC), span) == result.motion.truth(BTC, span))


def test_a_collector_asks_nothing_of_an_exchange_that_has_banned_this_machine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every request would make the ban longer, whoever of the process sends it."""
    caplog.set_level(logging.DEBUG, "crypto_predict")
    pairs = [Pair(base, "USDT") for base in ("BTC", "ETH", "LTC")]
    database, motion = new_database("sqlite", tmp_path), Motion(Clock(START, 2 * SPEED), pairs)
    with open_writer(database) as writer:
        for pair in pairs:
            writer.follow(minutes_of("binance", pair), simulated=False)
    with ReplayServer(BinanceInMotion(motion)) as server, server.failing(ban := Ban(418, 3600)):
        environ = binance_of(server)
        with pytest.raises(Unreachable, match="it has banned this machine"):
            Binance(EXCHANGE.settings(environ)).quote(pairs[0])
        with collecting_here(database, motion.clock, environ, "--pair", "BTC/USD"):
            for sign in ("stream interrupted", "is asked again until it answers", "no quote of LTC/USDT"):
                until(lambda sign=sign: sign in caplog.text, sign)  # type: ignore[misc] # mypy cannot infer a default of a lambda
            with open_writer(database) as writer, pytest.raises(Unreachable, match="is not asked before 20"):
                open_registry(writer, environ).add(Pair("ADA", "USD"))
        assert (len(server.requests), ban.early) == (1, [])
