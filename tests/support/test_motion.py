import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import requests
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from crypto_predict.market import Candle, Interval, Pair, Span
from crypto_predict.market.clock import Clock
from crypto_predict.sources.binance.rest import Binance
from crypto_predict.sources.exchange import Settings
from tests.support.replay.binance import BinanceInMotion
from tests.support.replay.motion import MINUTE, Candled, Motion, Quoted, Traded, Traits, candle_of, numbered_pairs
from tests.support.replay.server import ReplayServer
from tests.support.serving import ROOT

START = datetime(2024, 5, 17, 12, tzinfo=UTC)
BTC, ETH = Pair("BTC", "USDT"), Pair("ETH", "USDT")
STREAMS = "stream?streams=btcusdt@kline_1m/btcusdt@bookTicker"
FAST = 600.0  # ten minutes of the market in a second


def still(**traits: Any) -> Motion:
    """Return a market whose clock practically stands at `START`."""
    return Motion(Clock(START, 1e-6), [BTC, ETH], 0, START - 600 * MINUTE, Traits(**traits))


@contextmanager
def serving(speed: float = FAST, **traits: Any) -> Iterator[tuple[Motion, ReplayServer, BinanceInMotion]]:
    motion = Motion(Clock(START, speed), [BTC, ETH], 0, START - 600 * MINUTE, Traits(**traits))
    exchange = BinanceInMotion(motion)
    with ReplayServer(exchange) as server:
        yield motion, server, exchange


def opened(server: ReplayServer, path: str = STREAMS, **options: Any) -> ClientConnection:
    client: ClientConnection = connect(f"{server.url.replace('http', 'ws')}/{path}", **options)
    return client


def closed_candles(client: ClientConnection, count: int) -> list[Any]:
    """Return the next closed candles, in the wire format."""
    result: list[Any] = []
    while len(result) < count:
        data = json.loads(client.recv(timeout=30))["data"]
        if data.get("k", {}).get("x"):
            result.append(data["k"])
    return result


def in_wire_format(candle: Candle) -> list[str]:
    values = (*candle[1:7], *candle[8:])
    return [f"{value:.8f}" for value in values]


def received(k: Any) -> list[str]:
    return [k[name] for name in ("o", "h", "l", "c", "v", "q", "V", "Q")]


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


def test_rest_has_what_has_closed_and_the_open_candle() -> None:
    with serving(1e-6) as (motion, server, _):
        start = int((START - 700 * MINUTE).timestamp()) * 1000
        query: dict[str, str | int] = {"symbol": "BTCUSDT", "interval": "1m", "startTime": start, "limit": 1000}
        rows = requests.get(f"{server.url}/api/v3/klines", query, timeout=30).json()
        newest = requests.get(f"{server.url}/api/v3/klines", {**query, "limit": 2}, timeout=30).json()
        del query["startTime"]
        last = requests.get(f"{server.url}/api/v3/klines", {**query, "limit": 3}, timeout=30).json()
        hours = requests.get(f"{server.url}/api/v3/klines", {**query, "interval": "1h"}, timeout=30).json()
        top = requests.get(f"{server.url}/api/v3/ticker/bookTicker", {"symbol": "BTCUSDT"}, timeout=30).json()
    truth = motion.truth(BTC, Span(START - 700 * MINUTE, START))
    assert len(truth) == 600
    assert [[*row[1:6], row[7], *row[9:11]] for row in rows[:-1]] == list(map(in_wire_format, truth))
    assert rows[-1][0] == int(START.timestamp()) * 1000
    assert rows[-1][8] == 0  # the open candle has no trades yet
    assert newest == rows[:2]
    assert last == rows[-3:]
    assert len(hours) == 11
    assert float(top["bidPrice"]) < float(top["askPrice"])


def test_the_streams_send_each_candle_as_it_closes() -> None:
    with serving() as (motion, server, _), opened(server) as client:
        result = closed_candles(client, 5)
    opening = datetime.fromtimestamp(result[0]["t"] / 1000, UTC)
    truth = motion.truth(BTC, Span(opening, opening + 5 * MINUTE))
    assert list(map(received, result)) == list(map(in_wire_format, truth))
    assert {k["s"] for k in result} == {"BTCUSDT"}


def test_a_single_stream_is_not_wrapped_and_can_be_subscribed_to_later() -> None:
    with serving() as (_, server, _), opened(server, "ws/btcusdt@bookTicker") as client:
        assert set(json.loads(client.recv(timeout=30))) == {"u", "s", "b", "B", "a", "A"}
        client.send(json.dumps({"method": "UNSUBSCRIBE", "params": ["btcusdt@bookTicker"], "id": 1}))
        client.send(json.dumps({"method": "SUBSCRIBE", "params": ["ethusdt@kline_1m"], "id": 2}))
        messages = [json.loads(client.recv(timeout=30)) for _ in range(100)]
    assert {"result": None, "id": 2} in messages
    assert messages[-1]["s"] == "ETHUSDT"


def test_during_an_outage_nothing_answers_and_afterwards_the_truth_is_served() -> None:
    with serving() as (motion, server, exchange):
        with opened(server) as client:
            last = datetime.fromtimestamp(closed_candles(client, 1)[0]["t"] / 1000, UTC)
            down = Span(last + 3 * MINUTE, last + 33 * MINUTE)  # three seconds of this machine
            motion.outage(down)
            with pytest.raises(ConnectionClosedError):
                closed_candles(client, 100)
        with pytest.raises(InvalidStatus, match="503"):
            opened(server)
        assert requests.get(f"{server.url}/api/v3/ping", timeout=30).status_code == 503
        while motion.is_down():
            time.sleep(0.001)
        with opened(server) as client:
            after = datetime.fromtimestamp(closed_candles(client, 1)[0]["t"] / 1000, UTC)
        while motion.now() < after + 2 * MINUTE:  # a candle that has just closed is not taken yet
            time.sleep(0.001)
        candles = Binance(Settings(server.url)).candles(BTC, Interval.MINUTE_1, Span(last, after + MINUTE))
        assert list(candles) == motion.truth(BTC, Span(last, after + MINUTE))
        openings = [candle.open_time for candle in motion.truth(BTC, Span(last, after + MINUTE))]
    assert not any(opening in down for opening in openings)
    assert max(later - earlier for earlier, later in pairwise(openings)) == 31 * MINUTE
    assert exchange.streams.opened == 2


def test_an_exchange_may_go_on_trading_while_it_does_not_answer() -> None:
    motion = still()
    motion.outage(Span(START - 10 * MINUTE, START - 5 * MINUTE), trading=True)
    assert len(motion.truth(BTC, Span(START - 20 * MINUTE, START))) == 20
    assert list(motion.happenings(START - 10 * MINUTE, START - 5 * MINUTE - timedelta(seconds=1))) == []


def test_a_delisted_pair_is_unknown_and_the_other_goes_on() -> None:
    with serving(1e-6) as (motion, server, _):
        motion.delist(BTC, START - 5 * MINUTE)
        query = {"symbol": "BTCUSDT", "interval": "1m"}
        assert requests.get(f"{server.url}/api/v3/klines", query, timeout=30).json()["code"] == -1121
        pairs = {each.pair for each in motion.happenings(START - 2 * MINUTE, START)}
    assert pairs == {ETH}


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
