import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from crypto_predict.errors import SourceError, UnusableHistory
from crypto_predict.market import Interval, Pair, Quote
from crypto_predict.sources.exchange import Bounds
from tests.support.replay import server as replay
from tests.support.replay.binance import VENUE as BINANCE
from tests.support.replay.binance import BinanceExchange, kline
from tests.support.replay.minutes import QUICK, START, full_minutes
from tests.support.replay.server import Fault, ReplayServer

BTC, ETH, BTC_USD = Pair("BTC", "USDT"), Pair("ETH", "USDT"), Pair("BTC", "USD")
TOP = Quote(START, bid=25.3519, bid_size=31.21, ask=25.3652, ask_size=40.66)


def test_the_end_of_a_request_is_included_and_so_before_that_of_the_span() -> None:
    with BINANCE.serving(full_minutes(7)) as server:
        assert BINANCE.read(server, 5) == full_minutes(5)
    [request] = server.requests
    first = int(START.timestamp()) * 1000
    times = {"startTime": str(first), "endTime": str(first + 5 * 60_000 - 1)}
    assert request.query == {"symbol": "BTCUSDT", "interval": "1m", **times, "limit": "1000"}


def test_a_server_that_ignores_the_span_is_not_asked_for_ever() -> None:
    """It must not look like the end of the history either: what is missing would be taken for a gap."""
    with BINANCE.serving(full_minutes(2 * BINANCE.page)) as server:
        first_page = replay.answer(
            200, json.dumps([kline(candle, Interval.MINUTE_1) for candle in full_minutes(BINANCE.page)])
        )
        server.inject(first_page, times=10)
        with pytest.raises(SourceError, match=r"from 2023-01-01 16:40 to .*, and sent others"):
            BINANCE.read(server, 2 * BINANCE.page)
        assert len(server.requests) == 2


def test_an_opening_off_the_grid_is_passed_on() -> None:
    """`history` quarantines it."""
    opening = START + timedelta(minutes=2, milliseconds=1)
    with BINANCE.serving(full_minutes(5)) as server:
        server.inject(BINANCE.row_changed(0, int(opening.timestamp() * 1000)))
        assert BINANCE.read(server, 5)[2].open_time == opening


@pytest.mark.parametrize(
    "fault",
    [replay.with_headers(**{"x-mbx-used-weight-1m": "6000"}), replay.answer(400, "{}", x_mbx_used_weight_1m="5999")],
    ids=["answer", "refusal"],
)
def test_the_weight_that_other_programs_have_used_is_respected(fault: Fault) -> None:
    """The next question waits, and is not refused."""
    with BINANCE.serving([], quote=TOP) as server:
        server.inject(fault)
        source = BINANCE.source(server, bounds=Bounds(seconds=1))
        with suppress(SourceError):
            source.quote(BTC)
        with pytest.raises(SourceError, match="it took longer than 1 s"):
            source.quote(BTC)
        assert len(server.requests) == 1


def test_a_weight_that_is_not_a_number_is_ignored() -> None:
    with BINANCE.serving(full_minutes(10)) as server:
        server.inject(replay.with_headers(**{"x-mbx-used-weight-1m": "many"}))
        assert BINANCE.read(server, 10) == full_minutes(10)


def test_symbols_with_letters_beyond_ascii_harm_nobody() -> None:
    """The exchange has had some since November 2025. A pair here has capital letters of ASCII and digits."""
    named = Pair("币安人生", "USDT")
    with pytest.raises(UnusableHistory, match="a currency has 1 to 20 capital letters and digits"):
        BINANCE.open("http://127.0.0.1:9", Bounds(), QUICK).quote(named)
    with BINANCE.serving([], quote=TOP) as server:
        message = "Invalid symbol 币安人生USDT."
        server.inject(BINANCE.refused(400, message))
        with pytest.raises(SourceError, match=message):
            BINANCE.source(server).quote(BTC)
        assert BINANCE.source(server).quote(BTC).bid == TOP.bid


def test_an_empty_book_is_no_quote() -> None:
    """A pair whose trading is halted answers with zeros, and a price of 0 would be stored."""
    exchange = BinanceExchange({}, {BTC: TOP})
    exchange.halted.add(BTC)
    with ReplayServer(exchange) as server:
        with pytest.raises(UnusableHistory, match="the book of BTCUSDT is empty: it is not traded now"):
            BINANCE.source(server).quote(BTC)
        assert len(server.requests) == 1


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Let Python change between threads as often as it can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-7)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("restless_threads")
def test_threads_that_share_the_source_receive_their_own_pairs() -> None:
    """The SDK alone keeps the last answer in one place, from which any thread could take it."""
    other = replace(TOP, bid=1.0)
    with ReplayServer(BinanceExchange({}, {BTC: TOP, ETH: other})) as server, ThreadPoolExecutor(4) as threads:
        source = BINANCE.source(server)
        bids = list(threads.map(lambda pair: source.quote(pair).bid, [BTC, ETH] * 200))
    assert bids == [TOP.bid, other.bid] * 200
    assert len(server.requests) == 400
