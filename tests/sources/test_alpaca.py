import csv
import json
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_predict.errors import InvalidValue, SourceError, UnusableHistory
from crypto_predict.market import EPOCH, Candle, Interval, Pair, Quote, Span
from crypto_predict.market.ports import CandleSource, QuoteSource
from crypto_predict.sources.alpaca.rest import PAGE, Alpaca
from crypto_predict.sources.alpaca.settings import AlpacaSettings
from crypto_predict.sources.limits import Bounds
from tests.support.replay import server as replay
from tests.support.replay.alpaca import AlpacaExchange, Paging, Tokens, bar
from tests.support.replay.minutes import BTC, QUICK, START, exchange, minutes, read
from tests.support.replay.server import Fault, ReplayServer

REAL_HISTORY = Path(__file__).parents[3] / "shared" / "data" / "binance_BTC-USDT_1d.csv"
KEY, SECRET = "PKT0THEKEY0THEKEY", "s3cretS3cretS3cret"

Change = Callable[[dict[str, Any]], Any]


def row_changed(**values: Any) -> Change:
    """Return an answer with these values in its third bar; None removes the key."""

    def change(answer: dict[str, Any]) -> dict[str, Any]:
        row = answer["bars"]["BTC/USD"][2]
        row.update(values)
        for key in [key for key, value in values.items() if value is None]:
            del row[key]
        return answer

    return change


def with_token(token: Any) -> Change:
    return lambda answer: {**answer, "next_page_token": token}


# Faults that may pass, and the message of one that does not.
PASSING = {
    "429": (replay.refused(429, "too many requests."), 'answered 429 Too Many Requests "too many requests."'),
    "500 JSON": (replay.refused(500, "internal server error"), "answered 500 Internal Server Error"),
    "503 HTML": (replay.answer(503, "<h1>no</h1>", "text/html"), "answered 503 Service Unavailable"),
    "504 empty": (replay.answer(504), "answered 504 Gateway Timeout"),
    "HTML with 200": (replay.answer(200, "<html>Login</html>", "text/html"), "no JSON"),
    "empty 200": (replay.answer(200), "an empty answer"),
    "204": (replay.answer(204), "an empty answer"),
    "{}": (replay.answer(200, "{}"), "no list of bars"),
    "[]": (replay.answer(200, "[]"), "no list of bars"),
    "bars: null": (replay.answer(200, '{"bars": null, "next_page_token": null}'), "no list of bars"),
    "bars: list": (replay.answer(200, '{"bars": [], "next_page_token": null}'), "no list of bars"),
    "pair: null": (replay.answer(200, '{"bars": {"BTC/USD": null}}'), "no list of bars"),
    "bar: number": (replay.answer(200, '{"bars": {"BTC/USD": [1]}}'), "a bar that is not an object"),
    "nested too deep": (replay.answer(200, "[" * 100_000), "no JSON"),
    "number too long": (replay.answer(200, f'{{"bars": {"1" * 10_000}}}'), "no JSON"),
    "no high": (replay.altered(row_changed(h=None)), "'h' is missing or not a number"),
    "string price": (replay.altered(row_changed(c="35000.0")), "'c' is missing or not a number"),
    "boolean volume": (replay.altered(row_changed(v=True)), "'v' is missing or not a number"),
    "price beyond": (replay.altered(row_changed(o=10**400)), "'o' is too large"),
    "no time": (replay.altered(row_changed(t=None)), "'t' is missing"),
    "trades: fraction": (replay.altered(row_changed(n=1.5)), "'n' is missing or not a whole number"),
    "time in words": (replay.altered(row_changed(t="noon")), "'t' is missing or not an RFC 3339"),
    "time without zone": (replay.altered(row_changed(t="2023-01-01T00:02:00")), "not an RFC 3339 time"),
    "time out of range": (replay.altered(row_changed(t="0001-01-01T00:00:00+05:00")), "is out of range"),
    "token: number": (replay.altered(with_token(7)), "a page token that is not text"),
    "token: too long": (replay.altered(with_token("x" * 2_001)), "or is too long"),
    "too many bars": (
        replay.answer(200, json.dumps({"bars": {"BTC/USD": [1] * 10_001}})),
        "10,001 bars, and no more than 10,000 were asked for",
    ),
    "truncated JSON": (replay.cut_json, "no JSON"),
    "broken off": (replay.break_off, "did not deliver: IncompleteRead"),
    "reset": (replay.reset, "did not deliver"),
}
passing = pytest.mark.parametrize(("fault", "reason"), PASSING.values(), ids=PASSING.keys())


@passing
def test_a_passing_fault_loses_nothing(fault: Fault, reason: str) -> None:  # noqa: ARG001 shared parameters
    """Also between pages: the earlier pages are kept, and the page is requested again."""
    candles = minutes(30)
    with exchange(candles, Paging(rows=(10,))) as server:
        server.inject(fault)
        server.inject(replay.altered(lambda answer: answer))  # the first page
        server.inject(fault, times=2)
        assert read(server, 30) == candles
        assert len(server.requests) == 6


@passing
def test_a_lasting_fault_ends_in_a_source_error_with_its_reason(fault: Fault, reason: str) -> None:
    with exchange(minutes(10)) as server:
        server.inject(fault, times=9)
        with pytest.raises(SourceError) as caught:
            read(server, 10)
        assert len(server.requests) == QUICK.attempts
    assert str(caught.value).startswith(f"alpaca: {server.url.removeprefix('http://')} ")
    assert reason in caught.value.reason
    assert caught.value.reason.endswith("(tried 3 times)")


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(0, 1500),
    rows=st.lists(st.integers(30, 420), min_size=1, max_size=5),
    overlap=st.integers(0, 29),
    tokens=st.sampled_from(Tokens),
)
def test_every_candle_is_returned_once_for_any_paging(
    count: int, rows: list[int], overlap: int, tokens: Tokens
) -> None:
    """A short page is not the last one, and page tokens may repeat, be empty or never end."""
    candles = minutes(count)
    with exchange(candles, Paging(tuple(rows), overlap, tokens)) as server:
        assert read(server, count + 5) == candles


@pytest.mark.parametrize(
    ("tokens", "requests"), [(Tokens.FRESH, 4), (Tokens.REPEATED, 4), (Tokens.EMPTY, 4), (Tokens.ENDLESS, 14)]
)
def test_no_page_token_is_followed_for_ever(tokens: Tokens, requests: int) -> None:
    """An empty or repeated token is not sent; new tokens without new candles are followed ten times."""
    with exchange(minutes(100), Paging(rows=(25,), tokens=tokens)) as server:
        assert read(server, 100) == minutes(100)
        sent = [asked.query["page_token"] for asked in server.requests if "page_token" in asked.query]
        assert len(server.requests) == requests
    assert len(set(sent)) == len(sent)
    assert "" not in sent


@pytest.mark.parametrize("token", [None, "", "eyJvIjogMTB9"])
def test_an_exchange_without_candles_returns_an_empty_history(token: str | None) -> None:
    """For an unknown pair Alpaca answers 200 without bars, as for a pair that was not traded."""
    with exchange([]) as server:
        server.inject(replay.altered(with_token(token)), times=2)
        assert read(server, 10) == []


def test_an_unknown_pair_has_no_candles() -> None:
    with exchange(minutes(10)) as server:
        assert read(server, 10, pair=Pair("NOPE", "USD")) == []


def test_the_last_copy_of_a_candle_wins() -> None:
    """The first copy may be from before the close."""

    def growing(answer: dict[str, Any]) -> dict[str, Any]:
        answer["bars"]["BTC/USD"][-1]["c"] = 9.99
        return answer

    with exchange(minutes(20), Paging(rows=(10,), overlap=1)) as server:
        server.inject(replay.altered(growing))
        assert read(server, 20) == minutes(20)


def test_a_page_that_repeats_old_candles_does_not_duplicate_them() -> None:
    """A candle that was already returned must not be returned again."""
    candles = minutes(25_000)

    def reaching_back(answer: dict[str, Any]) -> dict[str, Any]:
        return {**answer, "bars": {"BTC/USD": [*map(bar, candles[:10]), *answer["bars"]["BTC/USD"]]}}

    with exchange(candles, Paging(rows=(5_000,))) as server:
        server.inject(replay.altered(lambda answer: answer), times=4)
        server.inject(replay.altered(reaching_back))
        assert read(server, 25_000) == candles


def test_candles_outside_the_span_are_dropped() -> None:
    """The exchange includes the end of a span, the program does not."""

    def beyond(answer: dict[str, Any]) -> dict[str, Any]:
        rows = answer["bars"]["BTC/USD"]
        early, late = {**rows[0], "t": "2022-12-31T23:59:00Z"}, {**rows[0], "t": "2031-01-01T00:00:00Z"}
        return {**answer, "bars": {"BTC/USD": [early, *rows, late]}}

    with exchange(minutes(20), Paging(rows=(10,))) as server:
        server.inject(replay.altered(beyond))
        assert read(server, 15) == minutes(15)


def test_candles_of_an_unordered_page_are_sorted() -> None:
    def backwards(answer: dict[str, Any]) -> dict[str, Any]:
        return {**answer, "bars": {"BTC/USD": answer["bars"]["BTC/USD"][::-1]}}

    with exchange(minutes(20), Paging(rows=(10,))) as server:
        server.inject(replay.altered(backwards), times=2)
        assert read(server, 20) == minutes(20)


def test_times_are_read_to_the_instant_in_any_notation() -> None:
    with exchange(minutes(5)) as server:
        server.inject(replay.altered(row_changed(t="2023-01-01T01:02:00.000000000+01:00")))
        assert read(server, 5) == minutes(5)


@pytest.mark.parametrize(
    ("key", "field", "value"),
    [("h", "high", math.nan), ("c", "close", -1.0), ("l", "low", 0.0), ("o", "open", math.inf)],
)
def test_impossible_prices_are_passed_on(key: str, field: str, value: float) -> None:
    """`history` judges prices. A source that drops them would turn a fault into a gap."""
    with exchange(minutes(5)) as server:
        server.inject(replay.altered(row_changed(**{key: value})))
        candles = read(server, 5)
    assert repr(getattr(candles[2], field)) == repr(value)
    assert len(candles) == 5


def test_at_most_one_page_is_read_ahead() -> None:
    """Five years of minutes must not be read before the first of them is used."""
    count = 3 * PAGE
    with exchange(minutes(count)) as server:
        source = Alpaca(AlpacaSettings(server.url), policy=QUICK)
        candles = source.candles(BTC, Interval.MINUTE_1, Span(START, START + timedelta(minutes=count)))
        assert next(candles).open_time == START
        assert len(server.requests) == 2
        assert sum(1 for _ in candles) == count - 1
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("interval", "timeframe"),
    [
        (Interval.MINUTE_1, "1Min"),
        (Interval.MINUTE_5, "5Min"),
        (Interval.MINUTE_10, "10Min"),
        (Interval.HOUR_1, "1Hour"),
        (Interval.DAY_1, "1Day"),
    ],
)
def test_every_interval_is_requested_by_its_name(interval: Interval, timeframe: str) -> None:
    candles = [candle._replace(open_time=START + i * interval.length) for i, candle in enumerate(minutes(7))]
    with exchange(candles, timeframe=timeframe) as server:
        source: CandleSource = Alpaca(AlpacaSettings.from_environ({"ALPACA_DATA_URL": f"{server.url}/"}))
        assert list(source.candles(BTC, interval, Span(START, START + 7 * interval.length))) == candles
    [asked] = server.requests
    assert asked.query == {
        "symbols": "BTC/USD",
        "timeframe": timeframe,
        "start": START.isoformat(),
        "end": (START + 7 * interval.length).isoformat(),
        "limit": "10000",
    }


@pytest.mark.parametrize(
    ("key", "secret", "sent"),
    [(None, None, False), (KEY, None, False), (None, SECRET, False), (KEY, SECRET, True)],
)
def test_keys_are_sent_only_when_both_are_set(key: str | None, secret: str | None, sent: bool) -> None:
    """Alpaca answers without keys, and refuses a single one."""
    with exchange(minutes(3)) as server:
        environ = {"ALPACA_DATA_URL": server.url, "ALPACA_API_KEY": key or "", "ALPACA_SECRET_KEY": secret or ""}
        source = Alpaca.from_environ(environ, Bounds())
        list(source.candles(BTC, Interval.MINUTE_1, Span(START, START + timedelta(minutes=3))))
    [asked] = server.requests
    given = {name: value for name, value in asked.headers.items() if name.startswith(("apca", "authorization"))}
    assert given == ({"apca-api-key-id": KEY, "apca-api-secret-key": SECRET} if sent else {})


def test_settings_come_from_the_environment_and_an_empty_value_means_absent() -> None:
    environ = {"ALPACA_DATA_URL": "http://127.0.0.1:9/", "ALPACA_API_KEY": KEY, "ALPACA_SECRET_KEY": SECRET}
    assert AlpacaSettings.from_environ(environ) == AlpacaSettings("http://127.0.0.1:9", KEY, SECRET)
    assert AlpacaSettings.from_environ(dict.fromkeys(environ, "")) == AlpacaSettings()


def test_keys_and_passwords_are_never_printed() -> None:
    """Settings end up in logs and tracebacks."""
    settings = AlpacaSettings("http://u:hush@127.0.0.1:9", "hush-key", "hush-secret")
    assert "hush" not in repr(settings) + str(settings) + f"{settings}"


@pytest.mark.parametrize("secret", ["two words", "line\nbreak", "naïve", "tab\t", "nul\0"])
def test_a_key_that_no_header_can_contain_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(InvalidValue, match="ALPACA_SECRET_KEY") as caught:
        AlpacaSettings.from_environ({"ALPACA_API_KEY": KEY, "ALPACA_SECRET_KEY": secret})
    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "data.alpaca.markets",
            "ftp://data.alpaca.markets",
            "https://",
            "http://[::1",
            "http://h:99999",
            "http://h?hush",
        ),
        *(
            "http://user:hush/sh@h",
            "http://user:1/hush@h",
            "http://u:hush@h?hush",
            "http://u:hush h@h#x",
            "http://h\nx",
        ),
        *("//u:hush@h", "http://u:hush@[::1", "http://u:p@h/\udcff", "http://h#hush@h", "http://u:a//hush@h"),
    ],
)
def test_an_invalid_address_is_refused_and_its_password_is_not_shown(address: str) -> None:
    with pytest.raises(InvalidValue, match="ALPACA_DATA_URL") as caught:
        AlpacaSettings.from_environ({"ALPACA_DATA_URL": address})
    assert "hush" not in str(caught.value)


@given(seconds=st.floats(0, 4e9), interval=st.sampled_from(Interval))
def test_the_history_ends_at_the_limit_rounded_down(seconds: float, interval: Interval) -> None:
    limit = EPOCH + timedelta(seconds=seconds)
    end = Alpaca(AlpacaSettings()).newest_close(BTC, interval, limit)
    assert end <= limit < end + interval.length
    assert interval.floor(end) == end


TOP = Quote(START + timedelta(microseconds=123_456), bid=42_000.0, bid_size=0.5, ask=42_001.0, ask_size=0.7)


def test_a_quote_is_the_top_of_the_book_with_the_time_of_the_exchange() -> None:
    with ReplayServer(AlpacaExchange({}, quotes={BTC: TOP})) as server:
        source: QuoteSource = Alpaca(AlpacaSettings(server.url), policy=QUICK)
        assert source.quote(BTC) == TOP
        with pytest.raises(UnusableHistory, match="it has no quote of NOPE/USD"):
            source.quote(Pair("NOPE", "USD"))
    assert [asked.path for asked in server.requests] == ["/v1beta3/crypto/us/latest/quotes"] * 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: {"quotes": None}, "no quotes"),
        (lambda _: {"quotes": {"BTC/USD": []}}, "no quotes"),
        (lambda answer: {"quotes": {"BTC/USD": {**answer["quotes"]["BTC/USD"], "t": "now"}}}, "'t' is missing or not"),
        (lambda answer: {"quotes": {"BTC/USD": {**answer["quotes"]["BTC/USD"], "bp": "1"}}}, "'bp' is missing or not"),
    ],
)
def test_a_malformed_quote_is_asked_for_again_and_then_refused(change: Change, reason: str) -> None:
    with ReplayServer(AlpacaExchange({}, quotes={BTC: TOP})) as server:
        source = Alpaca(AlpacaSettings(server.url), policy=QUICK)
        server.inject(replay.altered(change), times=QUICK.attempts)
        with pytest.raises(SourceError, match=reason):
            source.quote(BTC)
        assert source.quote(BTC) == TOP
        assert len(server.requests) == QUICK.attempts + 1


def test_a_real_history_is_returned_completely() -> None:
    if not REAL_HISTORY.exists():
        pytest.skip("the real daily history of BTC/USDT is not on this machine")
    candles = real_history()
    span = Span(candles[0].open_time, candles[-1].open_time + timedelta(days=1))
    with exchange(candles, Paging(rows=(130, 420), overlap=2), timeframe="1Day") as server:
        source = Alpaca(AlpacaSettings(server.url), policy=QUICK)
        assert list(source.candles(BTC, Interval.DAY_1, span)) == candles
    assert len(candles) > 2000


def real_history() -> list[Candle]:
    with REAL_HISTORY.open(newline="") as file:
        return [
            Candle(
                datetime.combine(date.fromisoformat(row["time"]), time(), UTC),
                float(row["open"]),
                float(row["high"]),
                float(row["low"]),
                float(row["close"]),
                float(row["volume"]),
            )
            for row in csv.DictReader(file)
        ]
