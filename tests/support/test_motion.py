"""The market in motion: what tests rely on that would not notice if it were missing."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crypto_predict.market import Interval, Pair, Span
from crypto_predict.market.clock import Clock
from crypto_predict.sources.binance.rest import Binance
from crypto_predict.sources.exchange import Settings
from tests.support.replay.motion import MINUTE, Candled, Motion, Quoted, Traded, Traits, candle_of, numbered_pairs
from tests.support.serving import ROOT

START = datetime(2024, 5, 17, 12, tzinfo=UTC)
BTC, ETH = Pair("BTC", "USDT"), Pair("ETH", "USDT")


def still(**traits: Any) -> Motion:
    """Return a market whose clock practically stands at `START`."""
    return Motion(Clock(START, 1e-6), [BTC, ETH], 0, START - 600 * MINUTE, Traits(**traits))


def test_every_candle_is_made_of_the_trades_that_the_streams_send() -> None:
    """Candles that are built of ticks can be compared with the official ones."""
    motion = still(quiet=0.2)
    happened = list(motion.happenings(START - 100 * MINUTE, START))
    for candle in motion.truth(BTC, Span(START - 100 * MINUTE, START)):
        minute = Span(candle.open_time, candle.open_time + MINUTE)
        trades = [each.trade for each in happened if isinstance(each, Traded) and each.pair == BTC]
        result = [trade for trade in trades if trade.time in minute]
        assert candle_of(result, candle.open_time, candle.open) == candle
        assert candle.faults() == []
        assert [trade.time for trade in result] == sorted(trade.time for trade in result)
    assert {each.pair for each in happened if isinstance(each, Quoted)} == {BTC, ETH}


def test_a_market_has_quiet_minutes_and_minutes_that_the_exchange_does_not_have() -> None:
    motion = still(quiet=0.2, holes=0.1)
    truth = motion.truth(BTC, Span(START - 600 * MINUTE, START))
    assert 60 < sum(candle.volume == 0 for candle in truth) < 160
    assert 500 < len(truth) < 570
    motion.hole(BTC, truth[-1].open_time)
    assert motion.truth(BTC, Span(START - 600 * MINUTE, START)) == truth[:-1]


def test_the_market_is_the_same_in_another_process() -> None:
    """The truth of a server that runs as a process of its own is known in the test."""
    module = ["-m", "tests.support.replay", "tests.support.replay.binance:BinanceInMotion"]
    options = ["--pairs", "3", "--begin", START.isoformat(), "--start", (START + 9.5 * MINUTE).isoformat()]
    with subprocess.Popen(
        [sys.executable, *module, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())
        source = Binance(Settings(address["url"]))
        candles = list(source.candles(Pair("BNB", "USDT"), Interval.MINUTE_1, Span(START, START + 9 * MINUTE)))
        process.communicate("")
    assert process.returncode == 0
    assert datetime.fromisoformat(address["now"]) >= START + 9.5 * MINUTE
    motion = Motion(Clock(START), numbered_pairs(3), begin=START)
    assert candles == motion.truth(Pair("BNB", "USDT"), Span(START, START + 9 * MINUTE))


def test_an_exchange_may_go_on_trading_while_it_does_not_answer() -> None:
    motion = still()
    motion.outage(Span(START - 10 * MINUTE, START - 5 * MINUTE), trading=True)
    assert len(motion.truth(BTC, Span(START - 20 * MINUTE, START))) == 20
    assert list(motion.happenings(START - 10 * MINUTE, START - 5 * MINUTE - timedelta(seconds=1))) == []


def test_a_candle_can_be_sent_wrongly() -> None:
    """The streams sent something else than REST has later."""
    motion, first = still(), START - 2 * MINUTE
    motion.mistake(BTC, first, volume=1.0)
    happened = motion.happenings(first, START)
    sent = [each.candle for each in happened if isinstance(each, Candled) and each.is_closed and each.pair == BTC]
    rest = motion.candles(BTC, Interval.MINUTE_1, Span(first, START))
    assert rest == motion.truth(BTC, Span(first, START))
    assert sent == [rest[0]._replace(volume=1.0), rest[1]]


def test_the_clock_of_the_exchange_can_differ() -> None:
    motion = still(skew=timedelta(seconds=90))
    assert motion.now() == pytest.approx(START + timedelta(seconds=90), abs=timedelta(seconds=1))
    span = Span(START - MINUTE, START + 10 * MINUTE)
    assert [each.open_time for each in motion.candles(BTC, Interval.MINUTE_1, span)] == [START - MINUTE, START]
