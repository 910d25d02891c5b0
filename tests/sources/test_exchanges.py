"""What holds for every exchange. The wire format of each is tested in its own module, HTTP in `test_session`."""

import base64
import logging
import math
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_predict.errors import InvalidValue, SourceError, Unreachable, UnusableHistory
from crypto_predict.market import EPOCH, Interval, Pair, Quote, Span
from crypto_predict.sources.exchange import Bounds
from tests.support.replay import server as replay
from tests.support.replay.exchanges import VENUES
from tests.support.replay.minutes import BTC, QUICK, START
from tests.support.replay.server import Fault, ReplayServer
from tests.support.replay.venue import MINUTE, Venue

TOP = Quote(START, 65214.98, 0.0123, 65214.99, 0.51)

pytestmark = pytest.mark.parametrize("venue", VENUES, ids=lambda venue: venue.id)

# Faults that may pass, and the message of one that does not.
PASSING = {
    "429": (replay.answer(429), "answered 429 Too Many Requests"),
    "500 JSON": (replay.refused(500, "internal server error"), "answered 500 Internal Server Error"),
    "502 HTML": (replay.answer(502, "<h1>no</h1>", "text/html"), "answered 502 Bad Gateway"),
    "503 empty": (replay.answer(503), "answered 503 Service Unavailable"),
    "504 empty": (replay.answer(504), "answered 504 Gateway Timeout"),
    "HTML with 200": (replay.answer(200, "<html>Login</html>", "text/html"), "no JSON"),
    "empty 200": (replay.answer(200), ""),
    "204": (replay.answer(204), ""),
    "null": (replay.answer(200, "null"), "an empty answer"),
    "nested too deep": (replay.answer(200, "[" * 100_000), "no JSON"),
    "number too long": (replay.answer(200, "1" * 10_000), "no JSON"),
    "truncated JSON": (replay.cut_json, "no JSON"),
    "broken off": (replay.break_off, "did not deliver: IncompleteRead"),
    "reset": (replay.reset, "did not deliver"),
}
# Formats that are not those of an exchange that answers: they are not `Unreachable`.
PASSING_FORMATS = {
    "number": (replay.answer(200, "1"), "no list of "),
    "{}": (replay.answer(200, "{}"), "no list of "),
    "error with 200": (replay.refused(200, "no"), "no list of "),
}
EVERY_FAULT = {**PASSING, **PASSING_FORMATS}


@pytest.mark.usefixtures("shallow_finalizers")
@pytest.mark.parametrize("fault", [fault for fault, _ in EVERY_FAULT.values()], ids=EVERY_FAULT)
def test_a_fault_that_passes_loses_nothing(fault: Fault, venue: Venue) -> None:
    """Also between pages: the earlier pages are kept, and the page is requested again."""
    with venue.serving(venue.minutes(30), rows=10) as server:
        assert venue.read(server, 30) == venue.minutes(30)
        requests = len(server.requests)
        server.inject(fault)
        server.inject(replay.altered(lambda answer: answer))  # the first page
        server.inject(fault, times=2)
        assert venue.read(server, 30) == venue.minutes(30)
        assert len(server.requests) == 2 * requests + 3


@pytest.mark.usefixtures("shallow_finalizers")
@pytest.mark.parametrize("name", EVERY_FAULT)
def test_a_fault_that_stays_ends_in_an_error_with_its_reason(name: str, venue: Venue) -> None:
    """Simulated prices may replace only an exchange that is not reached."""
    fault, reason = EVERY_FAULT[name]
    error = venue.given_up(fault)
    assert reason in error.reason
    assert isinstance(error, Unreachable) is (name in PASSING)


@pytest.mark.parametrize(
    ("status", "headers", "error", "reason"),
    [
        (400, {}, SourceError, 'answered 400 Bad Request "not so"'),
        (401, {}, SourceError, "it requires keys, and none are set"),
        (403, {}, Unreachable, 'answered 403 Forbidden "not so": access is refused'),
        (404, {}, SourceError, 'Not Found "not so": nothing is at this address'),
        (407, {}, Unreachable, "the proxy requires a password"),
        (410, {}, SourceError, "answered 410 Gone"),
        (418, {}, Unreachable, "it has banned this machine for a while"),
        (429, {"retry_after": "7200"}, Unreachable, "it asks to wait 7200 s, longer than the 60 s"),
        (451, {}, Unreachable, "it refuses requests from your location"),
        (301, {"location": "https://example.com/"}, SourceError, "it has moved"),
    ],
)
def test_a_refusal_is_reported_at_once_and_not_retried(
    status: int, headers: dict[str, str], error: type[SourceError], reason: str, venue: Venue
) -> None:
    """Asking again prolongs a ban."""
    with venue.serving(venue.minutes(10)) as server:
        server.inject(venue.refused(status, "not so", **headers))
        with pytest.raises(SourceError) as caught:
            venue.read(server, 10)
        assert len(server.requests) == 1
    assert type(caught.value) is error
    assert reason in caught.value.reason


def test_an_answer_without_end_is_not_read_to_it(venue: Venue) -> None:
    with venue.serving(venue.minutes(10)) as server:
        server.inject(replay.bomb)
        with pytest.raises(SourceError, match="sent more than 4 MiB in one answer") as caught:
            venue.read(server, 10)
        assert len(server.requests) == 1
    assert type(caught.value) is SourceError


def test_retry_after_is_obeyed(venue: Venue) -> None:
    """The server refuses until its time is over, so a client that retries earlier runs out of attempts."""
    with venue.serving(venue.minutes(10)) as server, server.failing(replay.Ban(429, 1)):
        assert venue.read(server, 10, attempts=2) == venue.minutes(10)
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("fault", "limit", "reason"),
    [
        (replay.stall, {"read_timeout": 0.2}, "sent nothing for 0.2 s"),
        (replay.drip_body, {"answer_timeout": 0.3}, "did not finish its answer within 0.3 s"),
        (replay.drip_headers, {"answer_timeout": 0.3}, "did not finish its answer within 0.3 s"),
    ],
)
def test_an_answer_that_takes_too_long_is_given_up(
    fault: Fault, limit: dict[str, Any], reason: str, venue: Venue
) -> None:
    """The SDK of an exchange alone would wait for ever: each byte restarts the timeout of a socket."""
    with venue.serving(venue.minutes(10)) as server:
        server.inject(fault)
        with pytest.raises(Unreachable, match=reason):
            venue.read(server, 10, attempts=1, **limit)


@settings(max_examples=30, deadline=None)
@given(
    data=st.data(),
    count=st.integers(0, 1_500),
    gaps=st.lists(st.tuples(st.integers(0, 1_500), st.sampled_from((1, 2, 30, 700))), max_size=6),
    start=st.integers(-3_000, 100),
)
def test_every_candle_is_returned_once_for_any_gaps_and_pages(
    venue: Venue, data: st.DataObject, count: int, gaps: list[tuple[int, int]], start: int
) -> None:
    """A short page is not the last one, and the market may have gaps anywhere, or begin long after the span."""
    missing = {minute for first, length in gaps for minute in range(first, first + length)}
    candles = [candle for minute, candle in enumerate(venue.minutes(count)) if minute not in missing]
    market = data.draw(venue.cuts)
    span = Span(START + start * MINUTE, START + max(start, count + 5) * MINUTE)
    with ReplayServer(market(candles)) as server:
        result = list(venue.source(server).candles(BTC, Interval.MINUTE_1, span))
    assert result == [candle for candle in candles if candle.open_time in span]


def test_a_full_history_takes_as_many_requests_as_pages_and_is_not_read_ahead(venue: Venue) -> None:
    """Five years of minutes must not be read before the first of them is used."""
    count = 3 * venue.page
    with venue.serving(venue.minutes(count)) as server:
        candles = venue.source(server).candles(BTC, Interval.MINUTE_1, Span(START, START + count * MINUTE))
        assert server.requests == []
        assert [candle.open_time for candle in islice(candles, 2)] == [START, START + MINUTE]
        assert len(server.requests) <= 2
        assert sum(1 for _ in candles) == count - 2
        assert len(server.requests) == 3


@pytest.mark.parametrize("offset", [timedelta(0), timedelta(seconds=30), timedelta(milliseconds=1)])
def test_a_span_between_two_openings_is_read_to_its_ends(offset: timedelta, venue: Venue) -> None:
    """The start is included, the end is not."""
    with venue.serving(venue.minutes(20)) as server:
        span = Span(START + offset, START + 10 * MINUTE + offset)
        candles = list(venue.source(server).candles(BTC, Interval.MINUTE_1, span))
    assert candles == (venue.minutes(11)[1:] if offset else venue.minutes(10))


def test_a_span_without_an_opening_has_no_candles_and_an_empty_one_takes_no_request(venue: Venue) -> None:
    with venue.serving(venue.minutes(10)) as server:
        for end in (START, START - MINUTE):
            assert list(venue.source(server).candles(BTC, Interval.MINUTE_1, Span(START, end))) == []
        assert server.requests == []
        between = Span(START + timedelta(seconds=1), START + timedelta(seconds=59))
        assert list(venue.source(server).candles(BTC, Interval.MINUTE_1, between)) == []


def test_every_interval_is_requested_by_its_name(venue: Venue) -> None:
    for interval, name in venue.exchange.intervals.items():
        candles = [minute._replace(open_time=START + i * interval.length) for i, minute in enumerate(venue.minutes(7))]
        with venue.serving(candles, interval) as server:
            span = Span(START, START + 7 * interval.length)
            assert list(venue.source(server).candles(BTC, interval, span)) == candles
        assert name in server.requests[0].query.values()


def test_a_pair_that_an_exchange_does_not_have_is_an_unusable_history_and_not_retried(venue: Venue) -> None:
    """Another source may have it, and a mistyped currency must not become a simulated market."""
    if not venue.exchange.unknown_pair:
        pytest.skip("it has no candles of such a pair")
    unknown = Pair("NOPE", "USD")
    with venue.serving(venue.minutes(10), quote=TOP) as server:
        for ask in (lambda: venue.read(server, 10, unknown), lambda: venue.source(server).quote(unknown)) * 2:
            server.requests.clear()
            with pytest.raises(UnusableHistory) as caught:
                ask()
            assert caught.value.faults == (f"it does not have the pair {venue.exchange.traded(unknown)}",)
            assert len(server.requests) == 1


def test_a_quote_is_the_top_of_the_book_with_a_time_of_now(venue: Venue) -> None:
    begun = datetime.now(UTC)
    top = replace(TOP, time=begun)
    with venue.serving([], quote=top) as server:
        quote = venue.source(server).quote(BTC)
        assert replace(quote, time=begun) == top
        assert begun - timedelta(seconds=1) <= quote.time <= datetime.now(UTC)
        assert len(server.requests) == 1


def test_candles_outside_the_span_are_dropped(venue: Venue) -> None:
    early, late = (
        venue.row(venue.minutes(1)[0]._replace(open_time=START + days * timedelta(days=1))) for days in (-1, 900)
    )
    with venue.serving(venue.minutes(20)) as server:
        server.inject(venue.altered(lambda rows: [early, *rows, late]))
        assert venue.read(server, 15) == venue.minutes(15)


def test_an_unordered_page_is_sorted_and_the_last_copies_win(venue: Venue) -> None:
    """The first copy may be from before the close."""
    growing = [venue.row(minute._replace(close=9.5)) for minute in venue.minutes(8)]
    with venue.serving(venue.minutes(20)) as server:
        server.inject(venue.altered(lambda rows: [*growing, *rows[::-1]]))
        assert venue.read(server, 20) == venue.minutes(20)


def test_more_candles_than_were_asked_for_are_refused(venue: Venue) -> None:
    error = venue.given_up(venue.altered(lambda rows: rows[:1] * (venue.page + 1)))
    assert f"{venue.page + 1:,} " in error.reason
    assert f"and no more than {venue.page:,} were asked for" in error.reason


@pytest.mark.parametrize("row", [None, 1, [1, "1"]])
def test_a_row_in_another_format_is_asked_for_again_and_then_refused(row: object, venue: Venue) -> None:
    reason = venue.given_up(venue.altered(lambda rows: [*rows[:2], row])).reason
    assert "a candle that is not a list of " in reason or "a bar that is not an object" in reason


VALUES: dict[str, dict[Any, str]] = {  # of a candle that are read, by their places in a row, with their names
    "alpaca": {name: name for name in "tohlcvn"},
    "binance": dict(enumerate(["open time", "open", "high", "low", "close", "volume"]))
    | {7: "quote volume", 8: "trades", 9: "taker base volume", 10: "taker quote volume"},
    "coinbase": dict(enumerate(["time", "low", "high", "open", "close", "volume"])),
    "poloniex": dict(enumerate(["low", "high", "open", "close", "amount", "quantity", "buyTakerAmount"]))
    | {7: "buyTakerQuantity", 8: "tradeCount", 12: "startTime"},
}


def test_a_value_that_is_not_what_it_should_be_is_named(venue: Venue) -> None:
    """`test_wire` has the values that cannot be read."""
    for place, name in VALUES[venue.id].items():
        assert f"{name!r} is missing or not a" in venue.given_up(venue.row_changed(place, "many")).reason


QUOTES: dict[str, list[tuple[Callable[[Any], Any], str]]] = {
    "alpaca": [
        (lambda _: {"quotes": None}, "no quotes"),
        (lambda _: {"quotes": {"BTC/USD": []}}, "no quotes"),
        (lambda answer: {"quotes": {"BTC/USD": {**answer["quotes"]["BTC/USD"], "t": "now"}}}, "'t' is missing or not"),
        (lambda answer: {"quotes": {"BTC/USD": {**answer["quotes"]["BTC/USD"], "bp": "1"}}}, "'bp' is missing or not"),
    ],
    "binance": [
        (lambda answer: {**answer, "symbol": "ETHUSDT"}, "no quote of BTCUSDT"),
        (lambda answer: {**answer, "bidPrice": None}, "'bidPrice' is missing or not a number"),
        (lambda answer: {**answer, "askQty": "much"}, "'askQty' is missing or not a number"),
    ],
    "coinbase": [
        (lambda _: [], "no book"),
        (lambda _: {"asks": []}, "a book without bids"),
        (lambda _: {"bids": [["1", "2", 1]], "asks": [["1"]]}, "a book without asks"),
        (lambda _: {"bids": [["one", "2", 1]], "asks": []}, "'price of bids' is missing or not a number"),
    ],
    "poloniex": [
        (lambda _: [], "no ticker of BTC_USDT"),
        (lambda answer: {**answer, "symbol": "ETH_USDT"}, "no ticker of BTC_USDT"),
        (lambda answer: {**answer, "bid": None}, "'bid' is missing or not a number"),
        (lambda answer: {**answer, "askQuantity": ""}, "'askQuantity' is missing or not a number"),
    ],
}


def test_a_malformed_quote_is_asked_for_again_and_then_refused(venue: Venue) -> None:
    for change, reason in QUOTES[venue.id]:
        assert reason in venue.given_up(replay.altered(change), TOP, lambda source: source.quote(BTC)).reason


@pytest.mark.parametrize(
    ("field", "value"),
    [("high", math.nan), ("close", -1.0), ("low", 0.0), ("open", math.inf), ("volume", -3.5), ("trades", -4)],
)
def test_impossible_values_are_passed_on(field: str, value: Any, venue: Venue) -> None:
    """`history` judges candles. A source that drops them would turn a fault into a gap."""
    if getattr(venue.minutes(3)[2], field) is None:
        pytest.skip(f"its candles do not have {field}")
    impossible = venue.row(venue.minutes(3)[2]._replace(**{field: value}))
    with venue.serving(venue.minutes(5)) as server:
        server.inject(venue.altered(lambda rows: [*rows[:2], impossible, *rows[3:]]))
        candles = venue.read(server, 5)
    assert repr(getattr(candles[2], field)) == repr(value)
    assert len(candles) == 5


def test_a_history_is_bounded(venue: Venue) -> None:
    with venue.serving(venue.minutes(30)) as server:
        with pytest.raises(SourceError, match="more than 29 candles for one history; SOURCE_CANDLES allows more"):
            venue.read(server, 30, bounds=Bounds(candles=29))
        assert len(venue.read(server, 30, bounds=Bounds(candles=30))) == 30


@pytest.mark.parametrize(
    "base", ["../orders", "BTC_USDT/ticker24h?x=", "BTC USD", "BTC%2F", "", "b", "B" * 60, "BTC\n", "USDT"]
)
def test_a_pair_that_an_exchange_cannot_have_is_refused_without_a_request(base: str, venue: Venue) -> None:
    with venue.serving(venue.minutes(10)) as server:
        for ask in (lambda pair: venue.read(server, 10, pair), venue.source(server).quote):
            with pytest.raises(UnusableHistory, match="it cannot have the pair"):
                ask(Pair(base, "USDT"))
        assert server.requests == []


def test_a_candle_that_had_not_closed_by_the_clock_of_the_exchange_is_not_returned(venue: Venue) -> None:
    """This machine's clock may be ahead, and an exchange sends the open candle, too."""
    minutes = venue.minutes(3)
    last_close = START + 3 * MINUTE
    for seconds, expected in [(-20, 2), (0, 2), (3, 2), (4, 3), (60, 3)]:
        with venue.serving(minutes) as server:
            date = format_datetime(last_close + timedelta(seconds=seconds), usegmt=True)
            server.inject(replay.with_headers(date=date), times=9)
            source = venue.source(server)
            assert source.dated is None
            result = list(source.candles(BTC, Interval.MINUTE_1, Span(START, START + 10 * MINUTE)))
            assert result == minutes[:expected], seconds
            # Whoever asks for the open candle gets it: a pair that was listed today has only that day.
            inside = Span(START, last_close - MINUTE / 2)
            assert list(source.candles(BTC, Interval.MINUTE_1, inside)) == minutes
            assert source.dated is not None
            assert source.dated[0] == last_close + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "headers",
    [
        {"date": "Fri, 17 May"},
        {"date": "yesterday"},
        {"date": ""},
        {"date": "Fri, 31 Dec 9999 23:59:59 GMT"},
        {"date": "Fri, 31 Dec 9999 23:59:59 -0100"},
        {"date": format_datetime(START, usegmt=True), "age": "0"},
    ],
    ids=str,
)
def test_an_answer_without_a_usable_time_is_returned_as_it_is(headers: dict[str, str], venue: Venue) -> None:
    """An answer of a cache was sent before, and says by its age only about when."""
    with venue.serving(venue.minutes(3)) as server:
        source = venue.source(server)
        server.inject(replay.with_headers(**headers), times=9)
        assert list(source.candles(BTC, Interval.MINUTE_1, Span(START, START + 3 * MINUTE))) == venue.minutes(3)
        assert source.dated is None


@given(data=st.data(), seconds=st.floats(0, 4e9))
def test_the_history_ends_at_the_limit_rounded_down(venue: Venue, data: st.DataObject, seconds: float) -> None:
    source = venue.open(venue.exchange.api.default, Bounds(), QUICK)
    interval = data.draw(st.sampled_from(sorted(source.intervals, key=lambda each: each.seconds)))
    limit = EPOCH + timedelta(seconds=seconds)
    end = source.newest_close(BTC, interval, limit)
    assert end <= limit < end + interval.length
    assert interval.floor(end) == end


def test_the_address_comes_from_the_environment_and_an_empty_value_means_absent(venue: Venue) -> None:
    variable, default = venue.exchange.api
    assert venue.exchange.settings({variable: "http://127.0.0.1:9/"}).api_url == "http://127.0.0.1:9"
    assert venue.exchange.settings({variable: ""}) == venue.exchange.settings({})
    assert venue.exchange.settings({}).api_url == default


@pytest.mark.parametrize(
    "address",
    [
        *("api.exchange.com", "ftp://user:hush@api.exchange.com", "https://", "http://[::1", "http://h:99999"),
        *("http://h?hush", "http://user:hush/sh@h", "http://user:1/hush@h", "http://u:hush@h?hush"),
        *("http://u:hush h@h#x", "http://h\nx", "//u:hush@h", "http://u:hush@[::1", "http://u:p@h/\udcff"),
        *("http://h#hush@h", "http://u:a//hush@h"),
    ],
)
def test_an_invalid_address_is_refused_and_its_password_is_not_shown(address: str, venue: Venue) -> None:
    with pytest.raises(InvalidValue, match=venue.exchange.api.variable) as caught:
        venue.exchange.settings({venue.exchange.api.variable: address})
    assert "hush" not in str(caught.value)


PASSWORD, ENCODED, SENT = "hu/sh{0}@h1", "hu%2Fsh{0}%40h1", base64.b64encode(b"user:hu/sh{0}@h1").decode()


@pytest.mark.parametrize("fault", [replay.echoing(400), replay.reset, replay.answer(404), replay.stall])
def test_the_password_of_an_address_is_sent_and_never_printed(
    fault: Fault, venue: Venue, caplog: pytest.LogCaptureFixture
) -> None:
    """A mirror of an exchange may need a password. Settings, errors and logs may be public."""
    caplog.set_level(logging.DEBUG)
    with venue.serving(venue.minutes(10)) as server:
        url = server.url.replace("//", f"//user:{ENCODED}@")
        server.inject(fault, times=9)
        with pytest.raises(SourceError) as caught:
            venue.open(url, Bounds(), replace(QUICK, attempts=2, read_timeout=0.3)).quote(BTC)
        assert server.requests[0].headers["authorization"] == f"Basic {SENT}"
    settings = venue.exchange.settings({venue.exchange.api.variable: url})
    text = f"{''.join(traceback.format_exception(caught.value))} {caplog.text} {settings!r} {settings}"
    assert [secret for secret in (PASSWORD, ENCODED, SENT) if secret in text] == []
