import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from crypto_predict.errors import SourceError, UnusableHistory
from crypto_predict.market import Interval, Pair, Quote, Span
from crypto_predict.market.ports import CandleSource, QuoteSource
from crypto_predict.sources.exchange import Bounds
from tests.support.replay import server as replay
from tests.support.replay.binance import VENUE as BINANCE
from tests.support.replay.binance import BinanceExchange, kline
from tests.support.replay.minutes import QUICK, START, full_minutes
from tests.support.replay.server import Answer, Fault, Handler, ReplayServer
from tests.support.replay.venue import MINUTE

REAL_HISTORIES = sorted((Path(__file__).parents[3] / "shared" / "data").glob("binance_*.csv"))
BTC, ETH, BTC_USD = Pair("BTC", "USDT"), Pair("ETH", "USDT"), Pair("BTC", "USD")
TOP = Quote(START, bid=25.3519, bid_size=31.21, ask=25.3652, ask_size=40.66)

Change = Callable[[Any], Any]


def third_row(index: int, value: Any) -> Fault:
    """Change one value in the third candle of an answer."""

    def change(answer: Any) -> Any:
        answer[2][index] = value
        return answer

    return replay.altered(change)


MALFORMED = {
    "candle: number": (replay.answer(200, "[1]"), "a candle that is not a list of at least 11 values"),
    "candle: too short": (replay.answer(200, "[[1, 2]]"), "a candle that is not a list of at least 11 values"),
    "no high": (third_row(2, None), "'high' is missing or not a number"),
    "price in words": (third_row(4, "many"), "'close' is missing or not a number"),
    "price with underscore": (third_row(1, "1_0"), "'open' is missing or not a number"),
    "empty price": (third_row(3, ""), "'low' is missing or not a number"),
    "boolean volume": (third_row(5, True), "'volume' is missing or not a number"),
    "price beyond": (third_row(1, 10**400), "'open' is too large"),
    "list as volume": (third_row(7, [1]), "'quote volume' is missing or not a number"),
    "trades: fraction": (third_row(8, 1.5), "'trades' is missing or not a whole number"),
    "no taker volume": (third_row(9, None), "'taker base volume' is missing or not a number"),
    "no taker quote volume": (third_row(10, None), "'taker quote volume' is missing or not a number"),
    "time in words": (third_row(0, "noon"), "'open time' is missing or not a whole number"),
    "time in microseconds": (third_row(0, 1_735_689_600_000_000), "'open time' is out of range; it should be in milli"),
    "time beyond": (third_row(0, 10**400), "'open time' is too large"),
}


@pytest.mark.parametrize(("fault", "reason"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_answer_is_asked_for_again_and_then_refused(fault: Fault, reason: str) -> None:
    assert reason in BINANCE.given_up(fault).reason


def test_a_symbol_that_binance_does_not_have_is_an_unusable_history_and_not_retried() -> None:
    """Another source may have it, and a mistyped currency must not become a simulated market."""
    with BINANCE.serving(full_minutes(10)) as server:
        for ask in (lambda pair: BINANCE.read(server, 10, pair), BINANCE.source(server).quote):
            with pytest.raises(UnusableHistory) as caught:
                ask(Pair("BTX", "USD"))
            assert caught.value.faults == ("it does not have the pair BTX/USDT",)
        assert len(server.requests) == 2


def test_a_pair_without_a_known_quote_currency_is_refused_without_a_request() -> None:
    """BTCUSDT could be BTCU in SDT."""
    with BINANCE.serving(full_minutes(10)) as server:
        for pair in (Pair("USDT", "USD"), Pair("BTCU", "SDT"), Pair("B" * 20, "USDT")):
            with pytest.raises(UnusableHistory, match="it cannot have the pair"):
                BINANCE.read(server, 10, pair)
        assert server.requests == []


def test_dollars_are_read_as_tether() -> None:
    """Binance has no dollars; `traded` says under which name the candles must be stored."""
    with BINANCE.serving(full_minutes(10)) as server:
        assert BINANCE.read(server, 10, BTC_USD) == full_minutes(10)
        assert BINANCE.source(server).traded(BTC_USD) == BTC
        assert {request.query["symbol"] for request in server.requests} == {"BTCUSDT"}


@pytest.mark.parametrize("end", [START, START - MINUTE])
def test_an_empty_span_has_no_candles_and_takes_no_request(end: datetime) -> None:
    with BINANCE.serving(full_minutes(3)) as server:
        assert list(BINANCE.source(server).candles(BTC, Interval.MINUTE_1, Span(START, end))) == []
        assert server.requests == []


@pytest.mark.parametrize(
    ("interval", "label"),
    [(Interval.MINUTE_1, "1m"), (Interval.MINUTE_5, "5m"), (Interval.HOUR_1, "1h"), (Interval.DAY_1, "1d")],
)
def test_every_interval_is_requested_by_its_name(interval: Interval, label: str) -> None:
    """Both ends of a request are included, so its end is before the end of the span."""
    candles = [candle._replace(open_time=START + i * interval.length) for i, candle in enumerate(full_minutes(7))]
    with BINANCE.serving(candles, interval) as server:
        source: CandleSource = BINANCE.source(server)
        assert list(source.candles(BTC, interval, Span(START, START + 5 * interval.length))) == candles[:5]
    [request] = server.requests
    first = int(START.timestamp()) * 1000
    assert request.path == "/api/v3/klines"
    assert request.query == {
        "symbol": "BTCUSDT",
        "interval": label,
        "startTime": str(first),
        "endTime": str(first + 5 * interval.seconds * 1000 - 1),
        "limit": "1000",
    }


def test_its_intervals_are_those_that_the_exchange_has() -> None:
    assert BINANCE.exchange.intervals.keys() == set(Interval) - {Interval.MINUTE_10}


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
        server.inject(third_row(0, int(opening.timestamp() * 1000)))
        assert BINANCE.read(server, 5)[2].open_time == opening


def test_the_weight_that_other_programs_have_used_is_respected() -> None:
    async def exhausted(request: web.Request, handler: Handler) -> Answer:
        answer = await handler(request)
        answer.headers["X-MBX-USED-WEIGHT-1M"] = "6000"
        return answer

    with BINANCE.serving(full_minutes(3 * BINANCE.page)) as server:
        server.inject(exhausted, times=9)
        with pytest.raises(SourceError, match="it took longer than 1 s"):
            BINANCE.read(server, 3 * BINANCE.page, bounds=Bounds(seconds=1))
        assert len(server.requests) == 1


def test_a_weight_that_is_not_a_number_is_ignored() -> None:
    async def unreadable(request: web.Request, handler: Handler) -> Answer:
        answer = await handler(request)
        answer.headers["X-MBX-USED-WEIGHT-1M"] = "many"
        return answer

    with BINANCE.serving(full_minutes(10)) as server:
        server.inject(unreadable)
        assert BINANCE.read(server, 10) == full_minutes(10)


def test_a_quote_is_the_top_of_the_book_at_the_time_of_its_arrival() -> None:
    before = datetime.now(UTC)
    with BINANCE.serving([], quote=TOP) as server:
        source: QuoteSource = BINANCE.source(server)
        quote = source.quote(BTC_USD)
    assert quote == replace(TOP, time=quote.time)
    assert before <= quote.time <= datetime.now(UTC)
    [request] = server.requests
    assert (request.path, request.query) == ("/api/v3/ticker/bookTicker", {"symbol": "BTCUSDT"})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"symbol": "ETHUSDT"}, "no quote of BTCUSDT"),
        ({"bidPrice": None}, "'bidPrice' is missing or not a number"),
        ({"askQty": "much"}, "'askQty' is missing or not a number"),
    ],
)
def test_a_malformed_quote_is_asked_for_again_and_then_refused(change: dict[str, Any], reason: str) -> None:
    fault = replay.altered(lambda answer: {**answer, **change})
    assert reason in BINANCE.given_up(fault, TOP, lambda source: source.quote(BTC)).reason


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
