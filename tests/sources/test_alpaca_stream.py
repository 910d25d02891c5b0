"""Alpaca's stream: its wire format, and what only it does."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime

import msgpack
import pytest

from crypto_predict.errors import RefusedKeys, UnusableHistory
from crypto_predict.market import Candle, Interval, Pair, SeriesKey, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.events import CandleClosed, FeedEvent, Heartbeat, Interrupted, QuoteReceived
from crypto_predict.sources.alpaca import EXCHANGE
from crypto_predict.sources.alpaca.stream import SILENCE, feed
from tests.support.replay import streams
from tests.support.replay.alpaca import KEYS, VENUE, AlpacaInMotion, bar_frame, packed, quote_frame, refusal
from tests.support.replay.motion import MINUTE
from tests.support.replay.reading import START, Market, candles_of
from tests.support.replay.server import ReplayServer

BTC, ETH = Pair("BTC", "USD"), Pair("ETH", "USD")
NOON = Interval.MINUTE_1.floor(START)
SERIES = SeriesKey("alpaca", BTC, Interval.MINUTE_1)


def minutes(live: Market, count: int = 10) -> list[Candle]:
    """Return the last minutes of BTC before noon."""
    return live.motion.truth(BTC, Span(NOON - count * MINUTE, NOON))


def sent(live: Market, *frames: bytes) -> list[FeedEvent]:
    """Return the events of these messages, without heartbeats, up to the end of the connection."""
    *events, _ = live.events(*map(streams.burst, frames), streams.closed())
    return [event for event in events if not isinstance(event, Heartbeat)]


def closed(*candles: Candle) -> list[FeedEvent]:
    return [CandleClosed(SERIES, replaced(candle)) for candle in candles]


def replaced(candle: Candle) -> Candle:
    """Return a candle with the values that Alpaca sends."""
    return Candle(*candle[:6], trades=candle.trades)


def test_bars_are_yielded_as_they_come(live: Market) -> None:
    """Twice, in another order, several in a message, and again with trades that were reported late: `u`."""
    first, second, third = minutes(live, 3)
    changed = third._replace(close=third.high, trades=7)
    live.exchange.streams.inject(streams.together(streams.doubled, streams.swapped))
    both = packed(*msgpack.unpackb(bar_frame(BTC, third)), *msgpack.unpackb(bar_frame(BTC, changed, "u")))
    received = sent(live, bar_frame(BTC, second), bar_frame(BTC, first), both)
    assert received == closed(*[second] * 2, *[first] * 2, *[third, changed] * 2)


def test_a_quote_of_the_stream_is_the_quote_of_rest(live: Market) -> None:
    quote = VENUE.source(live.server).quote(ETH)
    assert sent(live, quote_frame(ETH, quote)) == [QuoteReceived("alpaca", ETH, quote)]


def test_what_was_not_subscribed_to_is_left_out(live: Market) -> None:
    [candle] = minutes(live, 1)
    others = [bar_frame(Pair("LTC", "USD"), candle), bar_frame(BTC, candle, "d"), packed({"T": "new"}), packed()]
    assert sent(live, *others, bar_frame(BTC, candle)) == closed(candle)


def test_nothing_is_missing_before_the_newest_minute_but_one(live: Market) -> None:
    """When a bar has come, those of the minute before have come for every pair. One of the future is an error."""
    begun = live.clock.now()
    assert begun <= live.end(streams.closed()).complete_until <= live.clock.now()
    first, second, third = minutes(live, 3)
    frames = [bar_frame(BTC, candle) for candle in (first, third, second)]
    assert live.end(*map(streams.burst, frames), streams.closed()).complete_until == third.open_time
    future = bar_frame(BTC, third._replace(open_time=datetime(2400, 1, 1, tzinfo=UTC)))
    assert live.end(streams.burst(future), streams.closed()).complete_until <= live.clock.now()


MALFORMED: list[tuple[bytes | str, str]] = [
    ('[{"T":"b"}]', "no list in msgpack"),
    (packed({"T": "b"})[:-1], "no list in msgpack"),
    (msgpack.packb({"T": "b"}), "no list in msgpack"),
    (packed(1), "no list of objects with a type 'T'"),
    (packed({"S": "BTC/USD"}), "no list of objects with a type 'T'"),
    (packed({"T": "b", "S": ["BTC/USD"]}), "no list of objects with a type 'T'"),
]


MALFORMED_BARS = [
    ({"t": "2024-05-17T12:00:00Z"}, "'t' is missing or not a timestamp"),
    ({"t": msgpack.Timestamp(2**60, 0)}, "'t' is out of range"),
    ({"c": "1.5"}, "'c' is missing or not a number"),
    ({"n": 1.5}, "'n' is missing or not a whole number"),
]


def test_a_malformed_message_ends_the_stream(live: Market) -> None:
    """What cannot be read may have been a candle, so the stream is not complete any more."""
    [candle] = minutes(live, 1)
    for frame, reason in [
        *MALFORMED,
        *((bar_frame(BTC, candle, **changes), fault) for changes, fault in MALFORMED_BARS),
    ]:
        assert live.malformed(frame) == reason


def quiet_for(live: Market, spells: int) -> list[FeedEvent]:
    """Return the events of a stream that sends nothing for so many times `SILENCE`, and is reset then."""

    def is_reset(events: Sequence[FeedEvent]) -> bool:
        live.clock.moved = SILENCE * (1 + len(confirmed(events)))
        return len(confirmed(events)) == spells

    return live.events(streams.drop, when=is_reset)


def confirmed(events: Sequence[FeedEvent]) -> list[Heartbeat]:
    return [event for event in events if isinstance(event, Heartbeat) and event.is_confirmed]


def test_a_quiet_market_goes_on_because_the_exchange_confirms_what_it_sends(live: Market) -> None:
    """A minute without a trade and a quote has no bar: at night that lasts for minutes, and is no end."""
    events = quiet_for(live, spells=3)
    assert live.exchange.streams.opened == 1
    assert len(confirmed(events)) == 3
    assert isinstance(events[-1], Interrupted)
    assert "closed the connection" in events[-1].reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (packed({"T": "subscription", "bars": ["ETH/USD"]}), "does not send the bars of BTC/USD any more"),
        (None, "did not confirm the subscription of bars within 20 s"),
        (packed(*refusal(411, "insufficient permissions")), None),
    ],
)
def test_a_subscription_that_is_lost_ends_the_stream(answer: bytes | None, reason: str | None, live: Market) -> None:
    """Its connection is open, and its pings are answered."""
    live.exchange.answers[4] = answer
    live.clock.patience = 0.0 if answer is None else live.clock.patience
    if reason is None:
        with pytest.raises(RefusedKeys):
            quiet_for(live, spells=1)
    else:
        end = quiet_for(live, spells=1)[-1]
        assert isinstance(end, Interrupted)
        assert end.reason == f"{live.host} {reason}"


def test_every_location_is_a_venue_of_its_own_for_rest_and_stream(live: Market) -> None:
    """Candles of one venue must not be revised by those of another."""
    with ReplayServer(AlpacaInMotion(live.motion, location="eu-1")) as server:
        stream = f"{server.url.replace('http', 'ws')}/v1beta3/crypto/eu-1"
        environ = {**VENUE.environ(server), "ALPACA_STREAM_URL": stream}
        assert EXCHANGE.open_source(environ).quote(BTC).bid > 0  # type: ignore[attr-defined]  # it has quotes, too

        async def begin() -> None:
            async for event in feed(EXCHANGE.settings(environ), Clock()).events([BTC]):
                assert isinstance(event, Heartbeat)
                break

        asyncio.run(begin())
        paths = {request.path for request in server.requests}
    assert paths == {"/v1beta3/crypto/eu-1", "/v1beta3/crypto/eu-1/latest/quotes"}


@pytest.mark.parametrize(
    ("number", "step"),
    [
        (0, "accept the connection"),
        (1, "answer to the keys"),
        (2, "confirm the subscription of bars"),
        (3, "confirm the subscription of quotes"),
    ],
)
def test_an_exchange_that_is_mute_in_the_handshake_is_given_up(number: int, step: str, live: Market) -> None:
    """The SDK waits for each of these answers without end."""
    live.exchange.answers[number], live.clock.patience = None, 0.0
    end = live.end()
    assert end.reason == f"{live.host} did not {step} within 20 s"
    assert not end.exchange_down


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (0, packed({"T": "success", "msg": "hello"})),
        (0, packed({"T": "success"})),
        (0, b"\xc1"),
        (1, packed({"T": "success", "msg": "connected"})),
        (2, packed({"T": "subscription"})),
        (2, packed({"T": "subscription", "bars": "BTC/USD"})),
        (2, packed({"T": "subscription", "bars": [["BTC/USD"]]})),
    ],
)
def test_an_unexpected_answer_in_the_handshake_ends_it(number: int, answer: bytes, live: Market) -> None:
    live.exchange.answers[number] = answer
    assert "sent a message that is not in Alpaca's format" in live.end().reason


@pytest.mark.parametrize("code", [402, 409, 411])
def test_keys_that_are_refused_are_an_error(code: int, live: Market, caplog: pytest.LogCaptureFixture) -> None:
    """Repeating would not help. Neither the error nor a log contains them, though the exchange sends them back."""
    caplog.set_level(logging.DEBUG)
    live.exchange.answers[1] = packed(*refusal(code, f"auth failed for {KEYS[0]} and {KEYS[1]}"))
    with pytest.raises(RefusedKeys, match="keys in ALPACA_API_KEY and ALPACA_SECRET_KEY; correct them") as caught:
        live.events()
    text = f"{caught.value} {caplog.text}"
    assert f'answered {code} "auth failed for *** and ***"' in text
    assert [key for key in KEYS if key in text] == []
    assert KEYS[1].encode()[-8:].hex(" ") not in text, "as websockets logs the end of a message"


def test_wrong_keys_are_refused(live: Market) -> None:
    settings = replace(live.settings, keys={**live.settings.keys, "ALPACA_SECRET_KEY": "another"})
    with pytest.raises(RefusedKeys, match='answered 402 "auth failed"'):
        live.events(feed=feed(settings, live.clock))


@pytest.mark.parametrize("environ", [{}, {"ALPACA_API_KEY": "k"}, {"ALPACA_SECRET_KEY": "s", "ALPACA_API_KEY": ""}])
def test_without_both_keys_the_stream_is_refused_before_it_connects(environ: dict[str, str], live: Market) -> None:
    """REST does not need them, so that the error says what does."""
    settings = EXCHANGE.settings({**environ, "ALPACA_STREAM_URL": live.settings.stream_url})
    with pytest.raises(RefusedKeys, match="live stream requires keys: set ALPACA_API_KEY and ALPACA_SECRET_KEY"):
        live.events(feed=feed(settings, live.clock))
    assert live.server.requests == []


def test_a_second_connection_is_refused_until_the_first_one_is_closed(live: Market) -> None:
    """Alpaca allows one at a time, and the one before may still be counted: connecting again later helps."""

    async def connect_twice() -> FeedEvent:
        async with aclosing(live.feed().events([BTC])) as first, aclosing(live.feed().events([BTC])) as second:
            await anext(first)
            return await anext(second)

    second = asyncio.run(connect_twice())
    assert isinstance(second, Interrupted)
    assert second.reason == f'{live.host} answered 406 "connection limit exceeded"'
    live.exchange.streams.wait_closed()  # the client knows it first
    assert "received 1000" in live.end(streams.closed()).reason


def test_the_pairs_that_are_not_confirmed_are_named(live: Market) -> None:
    """Those that are named are not asked for any more."""
    with pytest.raises(UnusableHistory) as caught:
        live.events(pairs=[BTC, Pair("XYZ", "USD"), Pair("ABC", "USD")])
    assert caught.value.faults == ("its stream does not have ABC/USD", "its stream does not have XYZ/USD")


def test_a_pair_without_quotes_still_has_its_bars(live: Market) -> None:
    live.exchange.answers[3] = packed({"T": "subscription", "bars": ["BTC/USD", "ETH/USD"], "quotes": []})
    assert "received 1000" in live.end(streams.closed()).reason


@pytest.mark.parametrize("message", ["ETH/USDT is unknown", "syntax"])
def test_no_pair_is_given_up_for_an_error_that_may_be_another_ones(message: str, live: Market) -> None:
    live.exchange.answers[2] = packed(*refusal(400, message))
    assert live.end().reason == f'{live.host} answered 400 "{message}"'


def test_a_pair_that_is_refused_is_named_if_the_exchange_names_it(live: Market) -> None:
    live.exchange.answers[2] = packed(*refusal(400, "invalid symbol ETH/USD."))
    with pytest.raises(UnusableHistory) as caught:
        live.events()
    assert caught.value.faults == (f'it does not have ETH/USD: {live.host} answered 400 "invalid symbol ETH/USD."',)


def test_a_plan_with_few_quotes_still_has_its_bars(live: Market) -> None:
    """The free plan limits the quotes, and not the bars: a minute is worth more than a quote."""
    live.exchange.most_quotes, limited = 1, live.feed()
    reason = live.end(feed=limited).reason
    assert 'answered 405 "symbol limit exceeded": its plan does not allow so many quotes' in reason
    assert not limited.sends_quotes
    frame = bar_frame(BTC, minutes(live, 1)[0])
    assert candles_of(live.events(streams.burst(frame), streams.closed(), feed=limited))
