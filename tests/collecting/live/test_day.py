"""A day of faults: the collector against an exchange that fails in every way, at 60 times the speed.

Fifteen minutes of the market by default; ``HOURS=24`` lives through a day, which takes 24 minutes.
"""

import os
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random

import pytest

from crypto_predict.market import Interval, Pair, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import StreamSpan
from crypto_predict.market.verdict import Judged, Verdict, judge
from crypto_predict.store import open_reader
from tests.support.databases import KINDS, new_database, stopped_server
from tests.support.live import binance_of, collecting_here, minutes_of, stored, until
from tests.support.replay import streams
from tests.support.replay.binance import BinanceInMotion
from tests.support.replay.motion import MINUTE, SECOND, Motion, Traits, numbered_pairs
from tests.support.replay.server import Fault, ReplayServer, break_off, cut_json, refused, reset

LENGTH = timedelta(hours=float(os.environ["HOURS"])) if "HOURS" in os.environ else 15 * MINUTE
SPEED = 60.0
START = datetime(2024, 5, 17, 12, 0, 20, tzinfo=UTC)
BEGIN = Interval.MINUTE_1.ceil(START - 30 * MINUTE)
PAIRS = tuple(numbered_pairs(5))
SILENT, LOUD = 60, 150  # seconds of the market without a fault: the least and the most

STREAM_FAULTS: tuple[streams.StreamFault, ...] = (
    streams.drop,
    streams.silence,
    streams.mute,
    streams.closed(1000, "after 24 hours"),
    streams.closed(1012, "restart"),
    streams.doubled,
    streams.swapped,
    streams.burst("not JSON"),
    streams.burst('{"stream": "btcusdt@kline_1m", "data": {"e": "kline"}}'),
)
REST_FAULTS: tuple[Fault, ...] = (
    reset,
    break_off,
    cut_json,
    refused(429, "slowly", retry_after="1"),
    refused(502, "no"),
)


class Weather:
    """What goes wrong next, at random, on an exchange and its way to the collector."""

    def __init__(self, motion: Motion, exchange: BinanceInMotion, server: ReplayServer, seed: int) -> None:
        self._motion, self._exchange, self._server = motion, exchange, server
        self._random = Random(seed)
        self.seen: list[str] = []

    def change(self) -> None:
        """Let something go wrong now."""
        kinds: list[Callable[[], str]] = [self._stream] * 5 + [self._handshake] * 2 + [self._rest] * 2 + [self._outage]
        self.seen.append(self._random.choice(kinds)())

    def pause(self) -> None:
        """Wait until the next fault is due."""
        end = self._motion.now() + self._random.uniform(SILENT, LOUD) * SECOND
        until(lambda: self._motion.now() > end)

    def _stream(self) -> str:
        """Change the open connections, if there are any."""
        if not self._exchange.streams.connections:
            return "no connection"
        number = self._random.randrange(len(STREAM_FAULTS))
        self._exchange.streams.apply(STREAM_FAULTS[number])
        return f"stream {number}"

    def _handshake(self) -> str:
        self._server.inject(
            refused(self._random.choice((403, 451, 500, 503)), "not now", retry_after="1"),
            times=self._random.randint(1, 3),
            when=lambda request: request.path == "/stream",
        )
        if self._exchange.streams.connections:
            self._exchange.streams.apply(streams.drop)
        return "handshake"

    def _rest(self) -> str:
        fault = self._random.choice(REST_FAULTS)
        self._server.inject(fault, self._random.randint(1, 6), when=lambda request: request.path != "/stream")
        return "REST"

    def _outage(self) -> str:
        """Let the exchange be away for up to 5 minutes, in half of the cases without trading."""
        start = self._motion.now() + SECOND
        trading = self._random.random() < 0.5
        self._motion.outage(Span(start, start + self._random.uniform(20, 300) * SECOND), trading=trading)
        return "outage, trading" if trading else "outage"


@pytest.mark.timeout(300 + 2 * LENGTH.total_seconds() / SPEED)
@pytest.mark.parametrize("kind", KINDS)
def test_a_day_of_faults_leaves_every_minute_or_the_verdict_that_the_exchange_has_none(
    kind: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    database = new_database(kind, tmp_path)
    motion = Motion(Clock(START, SPEED), PAIRS, 0, BEGIN, Traits(quiet=0.1, holes=0.02))
    exchange = BinanceInMotion(motion)
    away = Random(2)
    with ExitStack() as stack:
        server = stack.enter_context(ReplayServer(exchange))
        weather = Weather(motion, exchange, server, seed=1)
        named = ",".join(map(str, PAIRS))
        stack.enter_context(collecting_here(database, motion.clock, binance_of(server), "--pair", named))
        while motion.now() < START + LENGTH:
            weather.pause()
            weather.change()
            if kind == "postgresql" and away.random() < 0.1:
                weather.seen.append("database")
                with stopped_server():
                    weather.pause()
        calm = motion.now() + 6 * MINUTE  # the last outage is over by then
        until(lambda: motion.now() > calm)
        end = Interval.MINUTE_1.floor(motion.now())
        for pair in PAIRS:
            until(partial(is_whole, database, motion, pair, end), f"{pair} is whole and was asked for")
    for pair in PAIRS:
        existing = {candle.open_time for candle in motion.truth(pair, Span(BEGIN, end))}
        for verdict in verdicts(database, pair, end):
            assert (verdict.stored is not None) == (verdict.open_time in existing)
            assert verdict.stored is None or verdict.verdict in {Verdict.TRADED, Verdict.QUIET}
    counts = [f"{name}: {count}" for name, count in sorted(Counter(weather.seen).items())]
    record_property("faults", "; ".join([f"{LENGTH} of the market, {len(weather.seen)} faults", *counts]))


def is_whole(database: str, motion: Motion, pair: Pair, end: datetime) -> bool:
    """Return whether all is stored, and each hole known as such: it was asked for again, some minutes later."""
    span = Span(BEGIN, end)
    is_stored = stored(database, minutes_of("binance", pair), span) == motion.truth(pair, span)
    return is_stored and all(verdict.is_asked for verdict in verdicts(database, pair, end))


def verdicts(database: str, pair: Pair, end: datetime) -> list[Judged]:
    series, span = minutes_of("binance", pair), Span(BEGIN, end)
    with open_reader(database) as reader:
        health: list[StreamSpan] = list(reader.streams("binance", pair, span))
        candles = reader.candles(series, span, 10**6)
        return list(judge(span, Interval.MINUTE_1, candles, health, reader.coverage(series)))
