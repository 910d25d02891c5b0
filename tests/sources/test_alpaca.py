from datetime import timedelta

import pytest

from crypto_predict.errors import InvalidValue, UnusableHistory
from crypto_predict.market import Interval, Pair, Quote, Span
from crypto_predict.sources.alpaca import EXCHANGE as ALPACA_EXCHANGE
from crypto_predict.sources.exchange import Settings
from tests.support.replay import server as replay
from tests.support.replay.alpaca import VENUE as ALPACA
from tests.support.replay.alpaca import exchange, read, token
from tests.support.replay.minutes import BTC, START, minutes
from tests.support.replay.server import Fault

KEY, SECRET = "PKT0THEKEY0THEKEY", "s3cretS3cretS3cret"

MALFORMED = {
    "bars: null": (replay.answer(200, '{"bars": null, "next_page_token": null}'), "no list of bars"),
    "bars: list": (replay.answer(200, '{"bars": [], "next_page_token": null}'), "no list of bars"),
    "pair: null": (replay.answer(200, '{"bars": {"BTC/USD": null}}'), "no list of bars"),
    "string price": (ALPACA.row_changed("c", "35000.0"), "'c' is missing or not a number"),
    "price beyond": (ALPACA.row_changed("o", 10**400), "'o' is too large"),
    "time without zone": (ALPACA.row_changed("t", "2023-01-01T00:02:00"), "not an RFC 3339 time"),
    "time out of range": (ALPACA.row_changed("t", "0001-01-01T00:00:00+05:00"), "is out of range"),
}


@pytest.mark.parametrize(("fault", "reason"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_answer_is_asked_for_again_and_then_refused(fault: Fault, reason: str) -> None:
    assert reason in ALPACA.given_up(fault).reason


@pytest.mark.parametrize(("endless", "requests"), [(False, 4), (True, 14)])
def test_no_page_token_is_followed_for_ever(endless: bool, requests: int) -> None:
    """A page may be short, and the next one begins after its newest candle. Ten empty pages are the end."""
    with exchange(minutes(100), rows=(25,), endless=endless) as server:
        assert read(server, 110) == minutes(100)
        assert len(server.requests) == requests


@pytest.mark.parametrize("bars", [{}, {"BTC/USD": []}], ids=["no pair", "no bars of the pair"])
def test_an_empty_page_with_a_token_is_not_the_end(bars: dict[str, list[object]]) -> None:
    """A part of the history would look like a gap."""
    with exchange(minutes(20)) as server:
        server.inject(replay.altered(lambda _: {"bars": bars, "next_page_token": token(5)}))
        assert read(server, 20) == minutes(20)[5:], "the exchange goes on at the token"
        assert [request.query.get("page_token") for request in server.requests] == [None, token(5)]


def test_an_unknown_pair_has_no_candles() -> None:
    """For it Alpaca answers 200 without bars, as for a pair that was not traded."""
    with exchange(minutes(10)) as server:
        assert read(server, 10, pair=Pair("NOPE", "USD")) == []


def test_times_are_read_to_the_instant_in_any_notation() -> None:
    with exchange(minutes(5)) as server:
        server.inject(ALPACA.row_changed("t", "2023-01-01T01:02:00.000000000+01:00"))
        assert read(server, 5) == minutes(5)


def test_the_first_request_has_no_token_and_an_end_that_is_included() -> None:
    with exchange(minutes(7)) as server:
        assert read(server, 7) == minutes(7)
    [request] = server.requests
    span = {"start": START.isoformat(), "end": "2023-01-01T00:06:59.999999+00:00"}
    assert request.query == {"symbols": "BTC/USD", "timeframe": "1Min", **span, "limit": "10000"}


@pytest.mark.parametrize(
    ("key", "secret", "sent"),
    [(None, None, False), (KEY, None, False), (None, SECRET, False), (KEY, SECRET, True)],
)
def test_keys_are_sent_only_when_both_are_set(key: str | None, secret: str | None, sent: bool) -> None:
    """Alpaca answers without keys, and refuses a single one."""
    with exchange(minutes(3)) as server:
        environ = {"ALPACA_DATA_URL": server.url, "ALPACA_API_KEY": key or "", "ALPACA_SECRET_KEY": secret or ""}
        source = ALPACA_EXCHANGE.open_source(environ)
        list(source.candles(BTC, Interval.MINUTE_1, Span(START, START + timedelta(minutes=3))))
    [request] = server.requests
    given = {name: value for name, value in request.headers.items() if name.startswith(("apca", "authorization"))}
    assert given == ({"apca-api-key-id": KEY, "apca-api-secret-key": SECRET} if sent else {})


def test_keys_are_never_printed() -> None:
    """Settings end up in logs and tracebacks."""
    settings = Settings("", keys={"ALPACA_API_KEY": "hush-key", "ALPACA_SECRET_KEY": "hush-secret"})
    assert "hush" not in repr(settings) + str(settings) + f"{settings}"


@pytest.mark.parametrize("secret", ["two words", "line\nbreak", "naïve", "tab\t", "nul\0"])
def test_a_key_that_no_header_can_contain_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(InvalidValue, match="ALPACA_SECRET_KEY") as caught:
        ALPACA_EXCHANGE.settings({"ALPACA_API_KEY": KEY, "ALPACA_SECRET_KEY": secret})
    assert secret not in str(caught.value)


TOP = Quote(START + timedelta(microseconds=123_456), bid=42_000.0, bid_size=0.5, ask=42_001.0, ask_size=0.7)


def test_a_pair_without_a_quote_is_an_unusable_history() -> None:
    with ALPACA.serving([], quote=TOP) as server:
        with pytest.raises(UnusableHistory, match="it has no quote of NOPE/USD"):
            ALPACA.source(server).quote(Pair("NOPE", "USD"))
        assert len(server.requests) == 1


def test_one_location_is_that_of_rest_and_stream() -> None:
    """Alpaca's own venue, and those of Kraken, have different prices."""
    default = ALPACA_EXCHANGE.settings({})
    assert ALPACA_EXCHANGE.settings({"ALPACA_LOCATION": "us"}) == ALPACA_EXCHANGE.settings({}) == default
    named = ALPACA_EXCHANGE.settings({"ALPACA_LOCATION": "us-1"})
    assert (named.location, named.stream_url) == ("us-1", "wss://stream.data.alpaca.markets/v1beta3/crypto/us-1")
    assert ALPACA_EXCHANGE.settings({"ALPACA_STREAM_URL": "ws://h/v1beta3/crypto/eu-1"}).location == "eu-1"
    assert (
        ALPACA_EXCHANGE.settings({"ALPACA_STREAM_URL": "ws://h/mirror", "ALPACA_LOCATION": "eu-1"}).location == "eu-1"
    )


@pytest.mark.parametrize(
    "environ",
    [
        {"ALPACA_LOCATION": "../us"},
        {"ALPACA_LOCATION": "us-1", "ALPACA_STREAM_URL": "ws://h/v1beta3/crypto/us"},
    ],
)
def test_another_location_of_the_stream_than_of_rest_is_refused(environ: dict[str, str]) -> None:
    """The stream and REST would revise each other's candles."""
    with pytest.raises(InvalidValue, match="location"):
        ALPACA_EXCHANGE.settings(environ)
