import csv
import gzip
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_predict.errors import InvalidValue, SourceError, Unreachable, UnusableHistory
from crypto_predict.market import EPOCH, Candle, Interval, Pair, Quote, Span
from crypto_predict.market.ports import CandleSource, QuoteSource
from crypto_predict.sources.limits import Bounds, RateBudget
from crypto_predict.sources.poloniex.rest import PAGE, WEIGHT_A_SECOND, WEIGHTS, Poloniex
from crypto_predict.sources.poloniex.settings import PoloniexSettings
from crypto_predict.sources.wire import milliseconds
from tests.support.replay import server as replay
from tests.support.replay.minutes import QUICK, START
from tests.support.replay.poloniex import Answers, Kept, PoloniexExchange, refusal, row
from tests.support.replay.server import Fault, ReplayServer

REAL_MINUTES = Path(__file__).parents[3] / "shared" / "data" / "bitfinex_BTC-USD_1m_2019Q1.csv.gz"
BTC, TETHER = Pair("BTC", "USD"), Pair("BTC", "USDT")
MINUTE = timedelta(minutes=1)
TOP = Quote(START, 26447.57, 0.016313, 26447.58, 0.068307)


def minutes(count: int, start: datetime = START, length: timedelta = MINUTE) -> list[Candle]:
    """Return `count` candles, each with different values in every field."""
    return [
        Candle(start + i * length, 9.0 + i, 12.0 + i, 8.0 + i, 10.0 + i, i / 4, 2.5 * i, i, i / 8, 1.25 * i)
        for i in range(count)
    ]


def exchange(candles: Sequence[Candle], answers: Answers | None = None) -> ReplayServer:
    """Return a server with `candles` and the top of the book of BTC/USDT, not started yet."""
    market = {(TETHER, Interval.MINUTE_1): candles}
    return ReplayServer(PoloniexExchange(market, answers or Answers(), {TETHER: TOP}))


def source_of(server: ReplayServer, **changes: Any) -> Poloniex:
    return Poloniex(PoloniexSettings(server.url), policy=replace(QUICK, **changes))


def read(server: ReplayServer, count: int, pair: Pair = BTC, **changes: Any) -> list[Candle]:
    """Return the first `count` minutes that the source reads from the server."""
    span = Span(START, START + count * MINUTE)
    return list(source_of(server, **changes).candles(pair, Interval.MINUTE_1, span))


def row_changed(place: int, value: Any) -> Fault:
    """Return an answer with this value in its third row."""

    def change(rows: list[Any]) -> list[Any]:
        rows[2][place] = value
        return rows

    return replay.altered(change)


def refused(status: int, code: int, message: str, **headers: str) -> Fault:
    """Refuse with a code and a message, like Poloniex."""
    return replay.answer(status, refusal(code, message), **headers)


# Faults that may pass, and the message of one that does not.
PASSING = {
    "429": (refused(429, 21301, "Too many requests"), 'answered 429 Too Many Requests "Too many requests"'),
    "500 JSON": (refused(500, 500, "Internal System Error"), 'Internal Server Error "Internal System Error"'),
    "503 HTML": (replay.answer(503, "<h1>no</h1>", "text/html"), "answered 503 Service Unavailable"),
    "504 empty": (replay.answer(504), "answered 504 Gateway Timeout"),
    "HTML with 200": (replay.answer(200, "<html>Login</html>", "text/html"), "no JSON"),
    "empty 200": (replay.answer(200), "no JSON"),
    "204": (replay.answer(204), "no JSON"),
    "null": (replay.answer(200, "null"), "an empty answer"),
    "{}": (replay.answer(200, "{}"), "no list of candles"),
    "error with 200": (replay.answer(200, refusal(500, "no")), "no list of candles"),
    "row: null": (replay.answer(200, "[null]"), "a candle that is not a list of 14 values"),
    "row: short": (replay.answer(200, '[["1", "1"]]'), "a candle that is not a list of 14 values"),
    "nested too deep": (replay.answer(200, "[" * 100_000), "no JSON"),
    "number too long": (replay.answer(200, f"[{'1' * 10_000}]"), "no JSON"),
    "no high": (row_changed(1, None), "'high' is missing or not a number"),
    "word for a price": (row_changed(3, "none"), "'close' is missing or not a number"),
    "digits grouped": (row_changed(3, "1_000"), "'close' is missing or not a number"),
    "price padded": (row_changed(2, " 1"), "'open' is missing or not a number"),
    "boolean volume": (row_changed(5, True), "'quantity' is missing or not a number"),
    "price beyond": (row_changed(2, 10**400), "'open' is too large"),
    "part of a trade": (row_changed(8, 1.5), "'tradeCount' is missing or not a whole number"),
    "another interval": (row_changed(11, "MINUTE_5"), "a candle of another interval than MINUTE_1"),
    "no time": (row_changed(12, None), "'startTime' is missing or not a whole number"),
    "time in words": (row_changed(12, "noon"), "'startTime' is missing or not a whole number"),
    "time out of range": (row_changed(12, 10**17), "'startTime' is out of range"),
    "too many rows": (
        replay.answer(200, json.dumps([0] * (PAGE + 1))),
        "501 candles, and no more than 500 were asked for",
    ),
    "truncated JSON": (replay.cut_json, "no JSON"),
    "broken off": (replay.break_off, "did not deliver: IncompleteRead"),
    "reset": (replay.reset, "did not deliver"),
}
passing = pytest.mark.parametrize(("fault", "reason"), PASSING.values(), ids=PASSING.keys())


@passing
def test_a_passing_fault_loses_nothing(fault: Fault, reason: str) -> None:  # noqa: ARG001 shared parameters
    """Also between pages: the earlier pages are kept, and the page is requested again."""
    candles = minutes(2 * PAGE)
    with exchange(candles) as server:
        server.inject(fault)
        server.inject(replay.altered(lambda rows: rows))  # the first page
        server.inject(fault, times=2)
        assert read(server, 2 * PAGE) == candles
        assert len(server.requests) == 5


@passing
def test_a_lasting_fault_ends_in_a_source_error_with_its_reason(fault: Fault, reason: str) -> None:
    with exchange(minutes(10)) as server:
        server.inject(fault, times=9)
        with pytest.raises(SourceError) as caught:
            read(server, 10)
        assert len(server.requests) == QUICK.attempts
    assert str(caught.value).startswith(f"poloniex: {server.url.removeprefix('http://')} ")
    assert reason in caught.value.reason
    assert caught.value.reason.endswith("(tried 3 times)")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (replay.answer(451), "answered 451 Unavailable For Legal Reasons: it refuses requests from your location"),
        (replay.answer(418), "answered 418 I'm a Teapot: it has banned this machine for a while"),
        (refused(400, 21356, "Invalid interval"), 'answered 400 Bad Request "Invalid interval"'),
        (replay.answer(403, "<html>", "text/html"), "answered 403 Forbidden: access is refused"),
        (refused(429, 21301, "slow down", retry_after="86400"), "it asks to wait 86400 s, longer than the 60 s"),
        (replay.bomb, "sent more than 4 MiB in one answer"),
    ],
)
def test_a_refusal_is_reported_at_once_and_not_retried(fault: Fault, reason: str) -> None:
    """Asking again prolongs a ban."""
    with exchange(minutes(10)) as server:
        server.inject(fault)
        with pytest.raises(SourceError) as caught:
            read(server, 10)
        assert len(server.requests) == 1
    assert reason in caught.value.reason


def test_retry_after_is_obeyed() -> None:
    with exchange(minutes(10)) as server:
        server.inject(replay.throttled(1), times=9)
        assert read(server, 10) == minutes(10)
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (replay.stall, "sent nothing for 0.3 s"),
        (replay.drip_body, "did not finish its answer within 0.6 s"),
        (replay.drip_headers, "did not finish its answer within 0.6 s"),
    ],
)
def test_an_answer_that_takes_too_long_is_given_up(fault: Fault, reason: str) -> None:
    with exchange(minutes(10)) as server:
        server.inject(fault, times=2)
        with pytest.raises(Unreachable, match=reason):
            read(server, 10, attempts=1, read_timeout=0.3, answer_timeout=0.6)


@pytest.mark.parametrize(
    ("fault", "unreachable"),
    [
        *((replay.answer(status), True) for status in (403, 418, 429, 451, 500, 503)),
        *((fault, True) for fault in (replay.reset, replay.break_off, replay.answer(200, "<html>"))),
        *((fault, False) for fault in (replay.answer(400), replay.answer(404), replay.answer(200, "{}"), replay.bomb)),
    ],
)
def test_an_unreachable_exchange_has_another_error_than_one_that_answers(fault: Fault, unreachable: bool) -> None:
    """Simulated prices may replace only an unreachable exchange."""
    with exchange(minutes(10)) as server:
        server.inject(fault, times=9)
        with pytest.raises(SourceError) as caught:
            read(server, 10, attempts=1)
    assert isinstance(caught.value, Unreachable) is unreachable


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(0, 1_500),
    gaps=st.lists(st.tuples(st.integers(0, 1_500), st.sampled_from((1, 2, 30, 700))), max_size=6),
    answers=st.builds(
        Answers,
        rows=st.lists(st.integers(40, PAGE), min_size=1, max_size=4),
        kept=st.sampled_from(Kept),
        descending=st.booleans(),
        repeated=st.integers(0, 30),
        numbers=st.sampled_from((str, float)),
    ),
)
def test_every_candle_is_returned_once_for_any_answers(
    count: int, gaps: list[tuple[int, int]], answers: Answers
) -> None:
    """An answer may be short at either end, unordered, and repeat rows; the market may have gaps anywhere."""
    if answers.repeated:
        answers = replace(answers, rows=[min(rows, PAGE - answers.repeated) for rows in answers.rows])
    missing = {minute for start, length in gaps for minute in range(start, start + length)}
    candles = [one for minute, one in enumerate(minutes(count)) if minute not in missing]
    with exchange(candles, answers) as server:
        assert read(server, count + 5) == candles


def test_full_answers_cost_one_request_a_window() -> None:
    with exchange(minutes(3 * PAGE)) as server:
        assert len(read(server, 3 * PAGE)) == 3 * PAGE
        assert len(server.requests) == 3


def test_every_request_has_a_start_an_end_and_a_limit() -> None:
    """With only a start Poloniex returns the newest candles, whatever the start is."""
    with exchange(minutes(2 * PAGE)) as server:
        read(server, PAGE + 10)
        asked = [request.query for request in server.requests]
    first = milliseconds(START)
    assert asked == [
        {
            "interval": "MINUTE_1",
            "startTime": str(first + start * 60_000),
            "endTime": str(first + end * 60_000 - 1),
            "limit": "500",
        }
        for start, end in pairwise((0, PAGE, PAGE + 10))
    ]


def test_at_most_one_page_is_read_ahead() -> None:
    """Five years of minutes must not be read before the first of them is used."""
    with exchange(minutes(3 * PAGE)) as server:
        span = Span(START, START + 3 * PAGE * MINUTE)
        candles = source_of(server).candles(BTC, Interval.MINUTE_1, span)
        assert [one.open_time for one in islice(candles, 2)] == [START, START + MINUTE]
        assert len(server.requests) == 1
        assert sum(1 for _ in candles) == 3 * PAGE - 2


@pytest.mark.parametrize("offset", [timedelta(0), timedelta(seconds=30), timedelta(milliseconds=1)])
def test_a_span_between_two_openings_is_read_to_its_ends(offset: timedelta) -> None:
    """The start is included, the end is not."""
    with exchange(minutes(20)) as server:
        span = Span(START + offset, START + 10 * MINUTE + offset)
        candles = list(source_of(server).candles(BTC, Interval.MINUTE_1, span))
    assert candles == (minutes(11)[1:] if offset else minutes(10))


def test_a_span_without_an_opening_is_not_requested() -> None:
    with exchange(minutes(10)) as server:
        source = source_of(server)
        for start, end in ((1, 59), (0, 0), (60, 0)):
            span = Span(START + timedelta(seconds=start), START + timedelta(seconds=end))
            assert list(source.candles(BTC, Interval.MINUTE_1, span)) == []
        assert server.requests == []


def test_candles_outside_the_span_are_dropped() -> None:
    def beyond(rows: list[Any]) -> list[Any]:
        early, late = (row(minutes(1, START + days * timedelta(days=1))[0], "MINUTE_1") for days in (-1, 9))
        return [early, *rows, late]

    with exchange(minutes(20)) as server:
        server.inject(replay.altered(beyond))
        assert read(server, 15) == minutes(15)


def test_the_last_copy_of_a_candle_wins() -> None:
    """The first copy may be from before the close."""

    def growing(rows: list[Any]) -> list[Any]:
        return [[*rows[-1][:3], "9.5", *rows[-1][4:]], *rows]

    with exchange(minutes(20)) as server:
        server.inject(replay.altered(growing))
        assert read(server, 20) == minutes(20)


@pytest.mark.parametrize(
    ("place", "field", "value", "received"),
    [
        (1, "high", "NaN", math.nan),
        (3, "close", "-1", -1.0),
        (0, "low", 0, 0.0),
        (2, "open", "Infinity", math.inf),
        (5, "volume", "-3.5", -3.5),
        (8, "trades", "-1", -1),
    ],
)
def test_impossible_values_are_passed_on(place: int, field: str, value: Any, received: float) -> None:
    """`history` judges candles. A source that drops them would turn a fault into a gap."""
    with exchange(minutes(5)) as server:
        server.inject(row_changed(place, value))
        candles = read(server, 5)
    assert repr(getattr(candles[2], field)) == repr(received)
    assert len(candles) == 5


def test_numbers_may_be_text_or_numbers() -> None:
    """The documented row has both; times and trades may be text as well."""
    documented = json.loads(
        '["22814.01","22937.42","22832.57","22937.42","3916.58764051","0.171199","2982.64647063","0.130295",33,0,'
        '"22877.449915304470460711","MINUTE_5",1659664800000,1659665099999]'
    )
    opening = datetime(2022, 8, 5, 2, tzinfo=UTC)
    expected = Candle(
        opening, 22832.57, 22937.42, 22814.01, 22937.42, 0.171199, 3916.58764051, 33, 0.130295, 2982.64647063
    )
    numbers = [float(value) if place < 8 else value for place, value in enumerate(documented)]
    texts = list(map(str, documented))
    for sent in (documented, numbers, texts):
        with exchange([]) as server:
            server.inject(replay.answer(200, json.dumps([sent])))
            span = Span(opening, opening + timedelta(minutes=5))
            assert list(source_of(server).candles(BTC, Interval.MINUTE_5, span)) == [expected]


@pytest.mark.parametrize("interval", Interval)
def test_every_interval_is_requested_by_its_name(interval: Interval) -> None:
    candles = minutes(7, length=interval.length)
    with ReplayServer(PoloniexExchange({(TETHER, interval): candles})) as server:
        source: CandleSource = Poloniex.from_environ({"POLONIEX_API_URL": f"{server.url}/"}, Bounds())
        assert list(source.candles(BTC, interval, Span(START, START + 7 * interval.length))) == candles
    [asked] = server.requests
    assert (asked.path, asked.query["interval"]) == ("/markets/BTC_USDT/candles", interval.name)


def test_the_bounds_of_a_history_are_kept() -> None:
    with exchange(minutes(30)) as server:
        source = Poloniex(PoloniexSettings(server.url), Bounds(candles=29), QUICK)
        with pytest.raises(SourceError, match="more than 29 candles for one history; SOURCE_CANDLES allows more"):
            list(source.candles(BTC, Interval.MINUTE_1, Span(START, START + 30 * MINUTE)))


def test_dollars_are_traded_as_tether() -> None:
    source = Poloniex(PoloniexSettings())
    assert source.traded(BTC) == TETHER
    assert source.traded(Pair("ETH", "BTC")) == Pair("ETH", "BTC")


def test_a_pair_that_poloniex_does_not_have_is_a_source_error() -> None:
    with exchange(minutes(10)) as server:
        with pytest.raises(SourceError, match='answered 400 Bad Request "Invalid symbol"'):
            read(server, 10, Pair("NOPE", "USD"))
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "base", ["../orders", "BTC_USDT/ticker24h?x=", "BTC USD", "BTC%2F", "", "b", "B" * 60, "BTC\n"]
)
def test_a_hostile_pair_never_reaches_the_exchange(base: str) -> None:
    with exchange(minutes(10)) as server:
        source = source_of(server)
        with pytest.raises(UnusableHistory, match="it cannot have the pair"):
            read(server, 10, Pair(base, "USDT"))
        with pytest.raises(UnusableHistory, match="it cannot have the pair"):
            source.quote(Pair(base, "USDT"))
        assert server.requests == []


def test_the_top_of_the_book_is_read_from_the_ticker() -> None:
    for numbers in (str, float):
        with exchange([], Answers(numbers=numbers)) as server:
            source: QuoteSource = source_of(server)
            assert source.quote(BTC) == TOP
        [asked] = server.requests
        assert (asked.path, asked.query) == ("/markets/BTC_USDT/ticker24h", {})


def ticker_changed(**values: Any) -> Fault:
    return replay.altered(lambda answer: {**answer, **values})


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (replay.answer(200, "[]"), "no ticker of BTC_USDT"),
        (replay.answer(200, "null"), "an empty answer"),
        (ticker_changed(symbol="ETH_USDT"), "no ticker of BTC_USDT"),
        (ticker_changed(bid=None), "'bid' is missing or not a number"),
        (ticker_changed(askQuantity=""), "'askQuantity' is missing or not a number"),
        (ticker_changed(ts="now"), "'ts' is missing or not a whole number"),
        (replay.cut_json, "no JSON"),
        (refused(503, 503, "Platform in maintenance mode"), "Platform in maintenance mode"),
    ],
)
def test_a_malformed_ticker_is_a_source_error(fault: Fault, reason: str) -> None:
    with exchange([]) as server:
        server.inject(fault, times=9)
        with pytest.raises(SourceError, match=reason):
            source_of(server).quote(BTC)
        assert len(server.requests) == QUICK.attempts


def test_the_rate_budget_allows_ten_tickers_a_second() -> None:
    """The documented limit; candles cost half of a ticker."""
    assert WEIGHT_A_SECOND / WEIGHTS["ticker24h"] == 10
    assert WEIGHT_A_SECOND / WEIGHTS["candles"] == 20


def test_the_address_comes_from_the_environment_and_an_empty_value_means_absent() -> None:
    assert PoloniexSettings.from_environ({"POLONIEX_API_URL": "http://127.0.0.1:9/"}).api_url == "http://127.0.0.1:9"
    assert PoloniexSettings.from_environ({"POLONIEX_API_URL": ""}) == PoloniexSettings()
    assert PoloniexSettings().api_url == "https://api.poloniex.com"


def test_an_invalid_address_is_refused_and_its_password_is_never_printed() -> None:
    with pytest.raises(InvalidValue, match="POLONIEX_API_URL") as caught:
        PoloniexSettings.from_environ({"POLONIEX_API_URL": "ftp://user:hush@host"})
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(PoloniexSettings("http://user:hush@host"))


@given(seconds=st.floats(0, 4e9), interval=st.sampled_from(Interval))
def test_the_history_ends_at_the_limit_rounded_down(seconds: float, interval: Interval) -> None:
    limit = EPOCH + timedelta(seconds=seconds)
    end = Poloniex(PoloniexSettings()).newest_close(BTC, interval, limit)
    assert end <= limit < end + interval.length
    assert interval.floor(end) == end


def real_january() -> list[Candle]:
    """The minutes of January 2019 with the gaps that the exchange left."""
    with gzip.open(REAL_MINUTES, "rt", newline="") as file:
        candles = []
        for i, row in enumerate(islice(csv.reader(file), 1, 31 * 1_440)):
            open_, high, low, close, volume = map(float, row[1:])
            opening = EPOCH + timedelta(milliseconds=int(row[0]))
            candles.append(Candle(opening, open_, high, low, close, volume, volume * close, i % 90, volume / 2, volume))
    return [one for one in candles if one.open_time < datetime(2019, 2, 1, tzinfo=UTC)]


@pytest.mark.parametrize("kept", Kept)
def test_real_minutes_are_returned_with_exactly_their_gaps(kept: Kept) -> None:
    """Nothing is lost at a gap, and nothing is filled in."""
    if not REAL_MINUTES.exists():
        pytest.skip("the real minutes of BTC/USD are not on this machine")
    candles = real_january()
    with exchange(candles, Answers(rows=(PAGE, 320), kept=kept)) as server:
        source = Poloniex(PoloniexSettings(server.url), policy=QUICK, budget=RateBudget(10**6))
        span = Span(candles[0].open_time, candles[-1].open_time + MINUTE)
        assert list(source.candles(BTC, Interval.MINUTE_1, span)) == candles
    gaps = sum(after.open_time - before.open_time > MINUTE for before, after in pairwise(candles))
    assert (len(candles), gaps) == (42_950, 1_054)
