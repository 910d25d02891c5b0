import csv
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_predict.errors import InvalidValue, SourceError, Unreachable, UnusableHistory
from crypto_predict.market import Candle, Interval, Pair, Quote, Span
from crypto_predict.market.ports import CandleSource, QuoteSource
from crypto_predict.sources.binance.rest import PAGE, Binance
from crypto_predict.sources.binance.settings import BinanceSettings
from crypto_predict.sources.limits import Bounds
from tests.support.replay import server as replay
from tests.support.replay.binance import BinanceExchange, kline
from tests.support.replay.minutes import QUICK, START
from tests.support.replay.server import Answer, Fault, Handler, ReplayServer

REAL_HISTORIES = sorted((Path(__file__).parents[3] / "shared" / "data").glob("binance_*.csv"))
BTC, ETH, BTC_USD = Pair("BTC", "USDT"), Pair("ETH", "USDT"), Pair("BTC", "USD")
TOP = Quote(START, bid=25.3519, bid_size=31.21, ask=25.3652, ask_size=40.66)
MINUTE = timedelta(minutes=1)

Change = Callable[[Any], Any]


def minutes(count: int, offset: float = 0.0) -> list[Candle]:
    """Return `count` minutes from `START` on, each with different values."""
    return [
        Candle(
            START + i * MINUTE,
            9.5 + i + offset,
            12.0 + i + offset,
            8.0 + i,
            10.0 + i,
            i / 4,
            i * 2.5,
            i,
            i / 8,
            i * 1.25,
        )
        for i in range(count)
    ]


def exchange(candles: Sequence[Candle], interval: Interval = Interval.MINUTE_1) -> ReplayServer:
    """Return a server with `candles` and a quote of BTC/USDT, not started yet."""
    return ReplayServer(BinanceExchange({(BTC, interval): candles}, {BTC: TOP}))


def open_at(server: ReplayServer, bounds: Bounds | None = None) -> Binance:
    return Binance(BinanceSettings(server.url), bounds or Bounds(), QUICK)


def read(server: ReplayServer, count: int, pair: Pair = BTC, bounds: Bounds | None = None) -> list[Candle]:
    """Return the first `count` minutes that the source reads from the server."""
    source = open_at(server, bounds)
    return list(source.candles(pair, Interval.MINUTE_1, Span(START, START + count * MINUTE)))


def third_row(index: int, value: Any) -> Fault:
    """Change one value in the third candle of an answer."""

    def change(answer: Any) -> Any:
        answer[2][index] = value
        return answer

    return replay.altered(change)


def refused(status: int, code: int, message: str, **headers: str) -> Fault:
    return replay.answer(status, json.dumps({"code": code, "msg": message}), **headers)


# Faults that may pass, and the message of one that does not.
PASSING = {
    "429": (
        refused(429, -1003, "Too many requests queued."),
        'answered 429 Too Many Requests "Too many requests queued."',
    ),
    "500 JSON": (refused(500, -1000, "An unknown error occurred."), "answered 500 Internal Server Error"),
    "502 HTML": (replay.answer(502, "<h1>Bad gateway</h1>", "text/html"), "answered 502 Bad Gateway"),
    "503 busy": (refused(503, -1008, "Server is currently overloaded."), "answered 503 Service Unavailable"),
    "504 empty": (replay.answer(504), "answered 504 Gateway Timeout"),
    "HTML with 200": (replay.answer(200, "<html>Login</html>", "text/html"), "no JSON"),
    "empty 200": (replay.answer(200), "an empty answer"),
    "204": (replay.answer(204), "an empty answer"),
    "null": (replay.answer(200, "null"), "an empty answer"),
    "{}": (replay.answer(200, "{}"), "no list of candles"),
    "error with 200": (refused(200, -1000, "An unknown error occurred."), "no list of candles"),
    "candle: number": (replay.answer(200, "[1]"), "a candle that is not a list of at least 11 values"),
    "candle: too short": (replay.answer(200, "[[1, 2]]"), "a candle that is not a list of at least 11 values"),
    "nested too deep": (replay.answer(200, "[" * 100_000), "no JSON"),
    "number too long": (replay.answer(200, f"[[{'1' * 10_000}]]"), "no JSON"),
    "no high": (third_row(2, None), "'high' is missing or not a number"),
    "price in words": (third_row(4, "many"), "'close' is missing or not a number"),
    "price with underscore": (third_row(1, "1_0"), "'open' is missing or not a number"),
    "price in other digits": (third_row(1, "١٢"), "'open' is missing or not a number"),
    "empty price": (third_row(3, ""), "'low' is missing or not a number"),
    "boolean volume": (third_row(5, True), "'volume' is missing or not a number"),
    "price beyond": (third_row(1, 10**400), "'open' is too large"),
    "list as volume": (third_row(7, [1]), "'quote volume' is missing or not a number"),
    "trades: fraction": (third_row(8, 1.5), "'trades' is missing or not a whole number"),
    "no taker volume": (third_row(9, None), "'taker base volume' is missing or not a number"),
    "time in words": (third_row(0, "noon"), "'open time' is missing or not a whole number"),
    "time as text with fraction": (third_row(0, "1.5"), "'open time' is missing or not a whole number"),
    "time in microseconds": (third_row(0, 1_735_689_600_000_000), "'open time' is out of range; it should be in milli"),
    "time out of range": (third_row(0, -(10**17)), "'open time' is out of range"),
    "time beyond": (third_row(0, 10**400), "'open time' is too large"),
    "too many": (replay.answer(200, json.dumps([1] * 1001)), "1,001 candles, and no more than 1,000 were asked for"),
    "truncated JSON": (replay.cut_json, "no JSON"),
    "broken off": (replay.break_off, "did not deliver: IncompleteRead"),
    "reset": (replay.reset, "did not deliver"),
}
passing = pytest.mark.parametrize(("fault", "reason"), PASSING.values(), ids=PASSING.keys())


@passing
def test_a_passing_fault_loses_nothing(fault: Fault, reason: str) -> None:  # noqa: ARG001 shared parameters
    """Also between pages: the earlier pages are kept, and the page is requested again."""
    candles = minutes(PAGE + 10)
    with exchange(candles) as server:
        server.inject(fault)
        server.inject(replay.altered(lambda answer: answer))  # the first page
        server.inject(fault, times=2)
        assert read(server, PAGE + 10) == candles
        assert len(server.requests) == 5


@passing
def test_a_lasting_fault_ends_in_a_source_error_with_its_reason(fault: Fault, reason: str) -> None:
    with exchange(minutes(10)) as server:
        server.inject(fault, times=9)
        with pytest.raises(SourceError) as caught:
            read(server, 10)
        assert len(server.requests) == QUICK.attempts
    assert str(caught.value).startswith(f"binance: {server.url.removeprefix('http://')} ")
    assert reason in caught.value.reason
    assert caught.value.reason.endswith("(tried 3 times)")


@pytest.mark.parametrize(
    ("fault", "error", "reason"),
    [
        (
            refused(400, -1100, "Illegal characters found in parameter 'symbol'."),
            SourceError,
            "answered 400 Bad Request",
        ),
        (replay.answer(403, "<html>WAF</html>", "text/html"), Unreachable, "answered 403 Forbidden: access is refused"),
        (replay.answer(404, "<html>", "text/html"), SourceError, "check the address that is set for this exchange"),
        (
            refused(418, -1003, "Way too much request weight used"),
            Unreachable,
            'Teapot "Way too much request weight used"',
        ),
        (refused(429, -1003, "Too much", retry_after="7200"), Unreachable, "it asks to wait 7200 s, longer than"),
        (
            replay.answer(451, "<html>", "text/html"),
            Unreachable,
            "451 Unavailable For Legal Reasons: it refuses requests",
        ),
        (replay.answer(451, '{"code": 0, "msg": "restricted location"}'), Unreachable, '"restricted location"'),
        (replay.bomb, SourceError, "sent more than 4 MiB in one answer"),
    ],
)
def test_a_refusal_is_reported_at_once_and_not_retried(fault: Fault, error: type[SourceError], reason: str) -> None:
    """Asking again prolongs a ban."""
    with exchange(minutes(10)) as server:
        server.inject(fault)
        with pytest.raises(SourceError) as caught:
            read(server, 10)
        assert len(server.requests) == 1
    assert type(caught.value) is error
    assert reason in caught.value.reason


def test_a_symbol_that_binance_does_not_have_is_an_unusable_history_and_not_retried() -> None:
    """Another source may have it, and a mistyped currency must not become a simulated market."""
    with exchange(minutes(10)) as server:
        for ask in (lambda pair: read(server, 10, pair), open_at(server).quote):
            with pytest.raises(UnusableHistory) as caught:
                ask(Pair("BTX", "USD"))
            assert caught.value.faults == ("it does not have the pair BTX/USDT",)
        assert len(server.requests) == 2


def test_a_pair_that_binance_cannot_have_is_refused_without_a_request() -> None:
    with exchange(minutes(10)) as server:
        for pair in (Pair("USDT", "USD"), Pair("BTCU", "SDT"), Pair("../BTC", "USDT"), Pair("B" * 20, "USDT")):
            with pytest.raises(UnusableHistory, match="it cannot have the pair"):
                read(server, 10, pair)
            with pytest.raises(UnusableHistory, match="it cannot have the pair"):
                open_at(server).quote(pair)
        assert server.requests == []


def test_dollars_are_read_as_tether() -> None:
    """Binance has no dollars; `traded` says under which name the candles must be stored."""
    with exchange(minutes(10)) as server:
        assert read(server, 10, BTC_USD) == minutes(10)
        assert open_at(server).traded(BTC_USD) == BTC
        assert {asked.query["symbol"] for asked in server.requests} == {"BTCUSDT"}


@settings(max_examples=30, deadline=None)
@given(present=st.lists(st.booleans(), max_size=3500), start=st.integers(-5, 100), page=st.integers(1, PAGE))
def test_every_candle_is_returned_once_for_any_gaps_and_pages(present: list[bool], start: int, page: int) -> None:
    """Short pages and long gaps are not the end of a history."""
    candles = [candle for candle, exists in zip(minutes(len(present)), present, strict=True) if exists]
    span = Span(START + start * MINUTE, START + (len(present) + 3) * MINUTE)
    shortened = replay.altered(lambda answer: answer[: max(page, PAGE // 10)])
    with exchange(candles) as server:
        server.inject(shortened, times=100)
        found = list(open_at(server).candles(BTC, Interval.MINUTE_1, span))
    assert found == [candle for candle in candles if candle.open_time in span]


def test_a_history_takes_as_many_requests_as_it_has_pages() -> None:
    """The opening asks for nothing, and the end of a full history is not asked for again."""
    with exchange(minutes(3 * PAGE)) as server:
        source = Binance.from_environ({"BINANCE_API_URL": f"{server.url}/"}, Bounds())
        assert server.requests == []
        assert len(list(source.candles(BTC, Interval.MINUTE_1, Span(START, START + 3 * PAGE * MINUTE)))) == 3 * PAGE
        assert len(server.requests) == 3


def test_no_page_is_read_ahead() -> None:
    """Five years of minutes must not be read before the first of them is used."""
    with exchange(minutes(4 * PAGE)) as server:
        candles = open_at(server).candles(BTC, Interval.MINUTE_1, Span(START, START + 4 * PAGE * MINUTE))
        assert next(candles).open_time == START
        assert len(server.requests) == 1
        assert sum(1 for _ in candles) == 4 * PAGE - 1


@pytest.mark.parametrize("end", [START, START - MINUTE])
def test_an_empty_span_has_no_candles_and_takes_no_request(end: datetime) -> None:
    with exchange(minutes(3)) as server:
        assert list(open_at(server).candles(BTC, Interval.MINUTE_1, Span(START, end))) == []
        assert server.requests == []


@pytest.mark.parametrize(
    ("interval", "label"),
    [(Interval.MINUTE_1, "1m"), (Interval.MINUTE_5, "5m"), (Interval.HOUR_1, "1h"), (Interval.DAY_1, "1d")],
)
def test_every_interval_is_requested_by_its_name(interval: Interval, label: str) -> None:
    """Both ends of a request are included, so its end is before the end of the span."""
    candles = [candle._replace(open_time=START + i * interval.length) for i, candle in enumerate(minutes(7))]
    with exchange(candles, interval) as server:
        source: CandleSource = open_at(server)
        assert list(source.candles(BTC, interval, Span(START, START + 5 * interval.length))) == candles[:5]
    [asked] = server.requests
    first = int(START.timestamp()) * 1000
    assert asked.path == "/api/v3/klines"
    assert asked.query == {
        "symbol": "BTCUSDT",
        "interval": label,
        "startTime": str(first),
        "endTime": str(first + 5 * interval.seconds * 1000 - 1),
        "limit": "1000",
    }


def test_its_intervals_are_those_that_the_exchange_has() -> None:
    assert Binance.intervals == set(Interval) - {Interval.MINUTE_10}


def test_an_unordered_page_with_repeated_candles_is_sorted_and_the_last_copies_win() -> None:
    def scrambled(answer: Any) -> Any:
        early = [[row[0], "1.0", *row[2:]] for row in answer[:100]]
        return [*early, *answer[:900][::-1]]

    with exchange(minutes(1500)) as server:
        server.inject(replay.altered(scrambled), times=9)
        assert read(server, 1500) == minutes(1500)


def test_candles_outside_the_span_are_dropped() -> None:
    def beyond(answer: Any) -> Any:
        early, late = [answer[0][0] - 60_000, *answer[0][1:]], [4_000_000_000_000, *answer[0][1:]]
        return [early, *answer, late]

    with exchange(minutes(20)) as server:
        server.inject(replay.altered(beyond))
        assert read(server, 15) == minutes(15)


def test_a_server_that_ignores_the_span_is_not_asked_for_ever() -> None:
    """It must not look like the end of the history either: what is missing would be taken for a gap."""
    with exchange(minutes(2 * PAGE)) as server:
        first_page = replay.answer(200, json.dumps([kline(candle, Interval.MINUTE_1) for candle in minutes(PAGE)]))
        server.inject(first_page, times=10)
        with pytest.raises(SourceError, match=r"from 2023-01-01 16:40 to .*, and sent others"):
            read(server, 2 * PAGE)
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("index", "field", "value"),
    [
        (2, "high", "NaN"),
        (4, "close", "-1.0"),
        (3, "low", "0.00000000"),
        (1, "open", "Infinity"),
        (1, "open", math.nan),
        (8, "trades", -4),
        (10, "taker_quote_volume", "1e5"),
        (7, "quote_volume", 7),
    ],
)
def test_impossible_values_are_passed_on(index: int, field: str, value: Any) -> None:
    """`history` judges them. A source that drops them would turn a fault into a gap."""
    with exchange(minutes(5)) as server:
        server.inject(third_row(index, value))
        candles = read(server, 5)
    assert repr(getattr(candles[2], field)) in {repr(float(value)), repr(value)}
    assert len(candles) == 5


def test_an_opening_off_the_grid_is_passed_on() -> None:
    """`history` quarantines it."""
    opening = START + timedelta(minutes=2, milliseconds=1)
    with exchange(minutes(5)) as server:
        server.inject(third_row(0, int(opening.timestamp() * 1000)))
        assert read(server, 5)[2].open_time == opening


@pytest.mark.parametrize("bounds", [Bounds(candles=1500), Bounds(seconds=1)])
def test_a_history_is_bounded(bounds: Bounds) -> None:
    """The second one: the exchange reports that other programs have used the weight of this minute."""

    async def exhausted(request: web.Request, handler: Handler) -> Answer:
        answer = await handler(request)
        answer.headers["X-MBX-USED-WEIGHT-1M"] = "6000" if bounds.seconds == 1 else "many"
        return answer

    with exchange(minutes(3 * PAGE)) as server:
        server.inject(exhausted, times=9)
        with pytest.raises(SourceError, match=r"it sent more than 1,500 candles|it took longer than 1 s"):
            read(server, 3 * PAGE, bounds=bounds)
        assert len(server.requests) == (1 if bounds.seconds == 1 else 2)


def test_a_quote_is_the_top_of_the_book_at_the_time_of_its_arrival() -> None:
    before = datetime.now(UTC)
    with exchange([]) as server:
        source: QuoteSource = open_at(server)
        quote = source.quote(BTC_USD)
    assert quote == replace(TOP, time=quote.time)
    assert before <= quote.time <= datetime.now(UTC)
    [asked] = server.requests
    assert (asked.path, asked.query) == ("/api/v3/ticker/bookTicker", {"symbol": "BTCUSDT"})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"symbol": "ETHUSDT"}, "no quote of BTCUSDT"),
        ({"bidPrice": None}, "'bidPrice' is missing or not a number"),
        ({"askQty": "much"}, "'askQty' is missing or not a number"),
    ],
)
def test_a_malformed_quote_is_asked_for_again_and_then_refused(change: dict[str, Any], reason: str) -> None:
    with exchange([]) as server:
        server.inject(replay.altered(lambda answer: {**answer, **change}), times=5)
        with pytest.raises(SourceError, match=reason):
            open_at(server).quote(BTC)
        assert len(server.requests) == QUICK.attempts
        assert open_at(server, Bounds()).quote(BTC).bid == TOP.bid


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
        source = open_at(server)
        bids = list(threads.map(lambda pair: source.quote(pair).bid, [BTC, ETH] * 200))
    assert bids == [TOP.bid, other.bid] * 200
    assert len(server.requests) == 400


def test_the_address_comes_from_the_environment_and_an_empty_value_means_the_market_data_host() -> None:
    """The main host refuses GitHub's runners."""
    assert BinanceSettings.from_environ({"BINANCE_API_URL": "http://127.0.0.1:9/"}) == BinanceSettings(
        "http://127.0.0.1:9"
    )
    assert BinanceSettings.from_environ({"BINANCE_API_URL": ""}).api_url == "https://data-api.binance.vision"


def test_a_password_in_the_address_is_never_printed() -> None:
    with pytest.raises(InvalidValue, match="BINANCE_API_URL") as invalid:
        BinanceSettings.from_environ({"BINANCE_API_URL": "http://user:hush@h?key=hush"})
    with exchange([]) as server:
        url = server.url.replace("//", "//user:hush{0}@")
        server.inject(replay.echoing_authorization)
        with pytest.raises(SourceError) as refusal:
            Binance(BinanceSettings(url), policy=QUICK).quote(BTC)
    assert "hush" not in f"{invalid.value} {refusal.value} {BinanceSettings(url)}"


@given(seconds=st.floats(0, 4e9), interval=st.sampled_from(sorted(Binance.intervals, key=lambda each: each.seconds)))
def test_the_history_ends_at_the_limit_rounded_down(seconds: float, interval: Interval) -> None:
    limit = datetime.fromtimestamp(seconds, UTC)
    end = Binance(BinanceSettings()).newest_close(BTC, interval, limit)
    assert end <= limit < end + interval.length
    assert interval.floor(end) == end


@pytest.mark.skipif(not REAL_HISTORIES, reason="the real daily histories of Binance are not on this machine")
@pytest.mark.parametrize("path", REAL_HISTORIES, ids=lambda path: path.stem)
def test_a_real_history_is_returned_completely(path: Path) -> None:
    candles = list(real_history(path))
    span = Span(candles[0].open_time - timedelta(days=2000), candles[-1].open_time + timedelta(days=1))
    with exchange(candles, Interval.DAY_1) as server:
        assert list(open_at(server).candles(BTC, Interval.DAY_1, span)) == candles
    assert len(candles) > 2000


def real_history(path: Path) -> Iterator[Candle]:
    """Yield real days. The file does not have the optional volumes; they are invented."""
    with path.open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            opening = datetime.combine(date.fromisoformat(row["time"]), time(), UTC)
            open_, high, low, close, volume = (float(row[name]) for name in ("open", "high", "low", "close", "volume"))
            yield Candle(
                opening, open_, high, low, close, volume, number + 0.12345678, number, number / 8, number * 1.5
            )
