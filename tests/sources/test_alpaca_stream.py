"""Alpaca's stream: the real SDK, over real websockets on loopback."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgpack
import pytest

from crypto_predict.errors import RefusedKeys, UnusableHistory
from crypto_predict.market import Candle, Interval, Pair, SeriesKey, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.events import CandleClosed, FeedEvent, Heartbeat, Interrupted, QuoteReceived
from crypto_predict.sources.alpaca import EXCHANGE as ALPACA_EXCHANGE
from crypto_predict.sources.alpaca.rest import Alpaca
from crypto_predict.sources.alpaca.stream import MOST_WAITING, SILENCE, AlpacaFeed
from crypto_predict.sources.exchange import Settings
from tests.support.replay import server as replay
from tests.support.replay import streams
from tests.support.replay.alpaca import KEYS, AlpacaInMotion, bar_frame, packed, quote_frame, refusal
from tests.support.replay.motion import MINUTE, Motion
from tests.support.replay.server import ReplayServer
from tests.support.replay.streams import StreamFault

START = datetime(2024, 5, 17, 12, tzinfo=UTC)
BTC, ETH = Pair("BTC", "USD"), Pair("ETH", "USD")
SERIES = SeriesKey("alpaca", BTC, Interval.MINUTE_1)
DEADLINE = 60.0  # seconds, after which a test fails
STILL = 1e-6  # the speed of a market that sends nothing by itself
QUICK = 20.0  # the speed at which a feed becomes impatient within a second


class Leaping(Clock):
    """A clock that a test can move on."""

    leapt = 0.0  # seconds

    def monotonic(self) -> float:
        """Return the seconds since construction, and those that a test has added."""
        return super().monotonic() + self.leapt


class Venue:
    """Alpaca on the replay server, and the feed that reads from it."""

    def __init__(self, exchange: AlpacaInMotion, motion: Motion, server: ReplayServer, clock: Clock) -> None:
        self.exchange, self.motion, self.server, self.clock = exchange, motion, server, clock
        stream_url = f"{server.url.replace('http', 'ws')}/v1beta3/crypto/us"
        self.settings = Settings(server.url, stream_url, dict(zip(ALPACA_EXCHANGE.keys, KEYS, strict=True)))

    @property
    def host(self) -> str:
        """The host and port of the server."""
        return self.server.url.removeprefix("http://")

    def rest(self, pair: Pair, span: Span) -> list[Candle]:
        """Return minutes as REST has them."""
        # A source leaves out a minute that closed less than 4 s ago, unless the span ends within it.
        asked = Span(span.start, span.end - MINUTE / 2)
        return list(Alpaca(self.settings).candles(pair, Interval.MINUTE_1, asked))

    def events(
        self, *acts: Callable[[], object], pairs: Sequence[Pair] = (BTC, ETH), settings: Settings | None = None
    ) -> list[FeedEvent]:
        """Return all events of one connection. Once it has subscribed, `acts` are called."""
        return asyncio.run(_all_events(AlpacaFeed(settings or self.settings, self.clock), acts, pairs))

    def interrupted(self, *faults: StreamFault, **options: Any) -> Interrupted:
        """Return the last event of a connection to which these faults are applied."""
        return end_of(self.events(*(lambda fault=one: self.exchange.streams.apply(fault) for one in faults), **options))

    def sent(self, *frames: bytes) -> list[FeedEvent]:
        """Return the events of these messages, without heartbeats, up to the end of the connection."""
        faults = [*(streams.burst(frame) for frame in frames), streams.closed()]
        events = self.events(lambda: self.exchange.streams.apply(streams.together(*faults)))
        return [event for event in events[:-1] if not isinstance(event, Heartbeat)]


async def _all_events(feed: AlpacaFeed, acts: Sequence[Callable[[], object]], pairs: Sequence[Pair]) -> list[FeedEvent]:
    feed_events: list[FeedEvent] = []
    async with asyncio.timeout(DEADLINE):
        async for event in feed.events(pairs):
            if not feed_events:
                for act in acts:
                    await asyncio.to_thread(act)
            feed_events.append(event)
    return feed_events


def end_of(events: Sequence[FeedEvent]) -> Interrupted:
    """Return the last event, which alone is an interruption."""
    *others, end = events
    assert isinstance(end, Interrupted)
    assert not any(isinstance(event, Interrupted) for event in others)
    return end


@contextmanager
def alpaca(
    speed: float = STILL, start: datetime = START, clock: Clock | None = None, **options: Any
) -> Iterator[Venue]:
    """Serve a market of two pairs."""
    motion = Motion(Clock(start, speed), [BTC, ETH], 0, START - 600 * MINUTE)
    exchange = AlpacaInMotion(motion, **options)
    with ReplayServer(exchange) as server:
        yield Venue(exchange, motion, server, clock or Clock())


def minutes(venue: Venue, count: int = 10, pair: Pair = BTC) -> list[Candle]:
    """Return the last `count` minutes before `START`, as REST has them."""
    return venue.rest(pair, Span(START - count * MINUTE, START))


def closed(*candles: Candle) -> list[FeedEvent]:
    return [CandleClosed(SERIES, candle) for candle in candles]


def test_a_bar_of_the_stream_is_the_candle_of_rest() -> None:
    """Every value of both is equal, also in minutes without trades: a stored candle is not revised for nothing."""
    with alpaca() as venue:
        candles = minutes(venue, 100)
        assert venue.sent(*(bar_frame(BTC, candle) for candle in candles)) == closed(*candles)
    assert 90 < len(candles) < 100  # some minutes have neither a trade nor a quote
    assert {candle.trades for candle in candles} == {0, 6}


def test_a_minute_of_each_pair_comes_when_it_has_closed_and_quotes_come_between() -> None:
    """The market runs: the feed is subscribed to bars and quotes of all pairs, and is sent nothing else."""
    with alpaca(speed=10, start=START - timedelta(seconds=20)) as venue:

        async def until_closed() -> list[FeedEvent]:
            feed_events: list[FeedEvent] = []
            async with (
                asyncio.timeout(DEADLINE),
                aclosing(AlpacaFeed(venue.settings, Clock()).events([BTC, ETH])) as all_,
            ):
                async for event in all_:
                    feed_events.append(event)
                    if len({collected.series for collected in feed_events if isinstance(collected, CandleClosed)}) == 2:
                        return feed_events
            return feed_events

        result = asyncio.run(until_closed())
        candles = [event for event in result if isinstance(event, CandleClosed)]
        quotes = [event for event in result if isinstance(event, QuoteReceived)]
        for event in candles:
            opening = event.candle.open_time
            assert venue.rest(event.series.pair, Span(opening, opening + MINUTE)) == [event.candle]
    assert [event.series.pair for event in candles] == [BTC, ETH]
    assert {event.pair for event in quotes} == {BTC, ETH}
    assert {type(event) for event in result} == {CandleClosed, QuoteReceived, Heartbeat}


def test_an_updated_bar_revises_a_candle() -> None:
    """Alpaca sends a bar again when trades were reported late."""
    with alpaca() as venue:
        (candle,) = minutes(venue, 1)
        changed = candle._replace(close=candle.high, trades=7)
        assert venue.sent(bar_frame(BTC, candle), bar_frame(BTC, changed, "u")) == [
            CandleClosed(SERIES, candle),
            CandleClosed(SERIES, changed),
        ]


def test_a_quote_of_the_stream_is_the_quote_of_rest() -> None:
    with alpaca() as venue:
        quote = Alpaca(venue.settings).quote(ETH)
        assert venue.sent(quote_frame(ETH, quote)) == [QuoteReceived("alpaca", ETH, quote)]


def test_bars_that_come_twice_or_out_of_order_are_yielded_as_they_came() -> None:
    """A source does not judge: a database stores each opening once."""
    with alpaca() as venue:
        first, second = minutes(venue, 2)
        venue.exchange.streams.inject(streams.together(streams.doubled, streams.swapped()))
        frames = [bar_frame(BTC, second), bar_frame(BTC, first)]
        assert venue.sent(*frames) == closed(second, second, first, first)


def test_many_bars_in_one_message_are_all_yielded() -> None:
    """To a slow client, Alpaca sends several in one message."""
    with alpaca() as venue:
        candles = minutes(venue, 10)
        objects = [one for candle in candles for one in msgpack.unpackb(bar_frame(BTC, candle))]
        assert venue.sent(packed(*objects)) == closed(*candles)


def test_what_was_not_subscribed_to_is_left_out() -> None:
    with alpaca() as venue:
        (candle,) = minutes(venue, 1)
        others = [bar_frame(Pair("LTC", "USD"), candle), bar_frame(BTC, candle, "d"), packed({"T": "new"}), packed()]
        assert venue.sent(*others, bar_frame(BTC, candle)) == closed(candle)


def test_nothing_is_missing_before_the_newest_minute_but_one() -> None:
    """When a bar has come, those of the minute before have come for every pair."""
    with alpaca() as venue:
        first, second, third = minutes(venue, 3)
        faults = [*(streams.burst(bar_frame(BTC, candle)) for candle in (first, third, second)), streams.closed()]
        assert venue.interrupted(streams.together(*faults)).complete_until == third.open_time


def test_without_a_bar_nothing_is_complete_after_the_start() -> None:
    began = datetime.now(UTC)
    with alpaca() as venue:
        end = venue.interrupted(streams.closed())
        assert began <= end.complete_until
        future = minutes(venue, 1)[0]._replace(open_time=datetime(2400, 1, 1, tzinfo=UTC))
        end = venue.interrupted(streams.together(streams.burst(bar_frame(BTC, future)), streams.closed()))
    assert end.complete_until <= datetime.now(UTC)


def test_a_heartbeat_comes_at_the_start_and_then_at_most_once_a_second() -> None:
    """Each message is a sign of life, and a stream has thousands of them."""
    with alpaca() as venue:
        frame = quote_frame(BTC, venue.motion.quote(BTC))
        events = venue.events(
            lambda: venue.exchange.streams.apply(streams.burst(frame, 500)),
            lambda: venue.exchange.streams.apply(streams.closed()),
        )
    beats = [event.time for event in events if isinstance(event, Heartbeat)]
    assert isinstance(events[0], Heartbeat)
    assert sum(isinstance(event, QuoteReceived) for event in events) == 500
    assert len(beats) <= 2 + (beats[-1] - beats[0]).total_seconds()


def test_a_quiet_stream_has_heartbeats_because_pings_are_answered() -> None:
    with alpaca(clock=Clock(START, QUICK)) as venue:

        async def three_beats() -> list[FeedEvent]:
            async with (
                asyncio.timeout(DEADLINE),
                aclosing(AlpacaFeed(venue.settings, venue.clock).events([BTC])) as all_,
            ):
                return [await anext(all_) for _ in range(3)]

        beats = asyncio.run(three_beats())
    times = [event.time for event in beats if isinstance(event, Heartbeat)]
    assert len(times) == 3
    assert times[2] - times[0] > timedelta(seconds=9)


NO_LIST, NO_OBJECTS = "not in Alpaca's format: no list in msgpack", "no list of objects with a type 'T'"
BROKEN = {
    "a reset": (streams.drop, "closed the connection: no close frame received or sent", False),
    "a closing frame": (streams.closed(1001, "see you"), "connection: received 1001 (going away) see you", False),
    "a restart": (streams.closed(1012), "closed the connection: received 1012 (service restart)", True),
    "an internal error": (streams.burst(packed(*refusal(500, "internal error"))), '500 "internal error"', True),
    "a slow client": (streams.burst(packed(*refusal(407, "slow client"))), 'answered 407 "slow client"', False),
    "a text": (streams.burst('[{"T":"b"}]'), NO_LIST, False),
    "no msgpack": (streams.burst(b"\xc1"), NO_LIST, False),
    "half a message": (streams.burst(packed({"T": "b"})[:-1]), NO_LIST, False),
    "no list": (streams.burst(msgpack.packb({"T": "b"})), NO_LIST, False),
    "no object": (streams.burst(packed(1)), NO_OBJECTS, False),
    "no type": (streams.burst(packed({"S": "BTC/USD"})), NO_OBJECTS, False),
    "a symbol that is a list": (streams.burst(packed({"T": "b", "S": ["BTC/USD"]})), NO_OBJECTS, False),
    "a bar without values": (streams.burst(packed({"T": "b", "S": "BTC/USD"})), "'t' is missing", False),
    "too long a message": (streams.burst(packed({"T": "x" * 2**18})), "sent 1009 (message too big)", False),
}


@pytest.mark.parametrize(("fault", "reason", "exchange_down"), BROKEN.values(), ids=BROKEN)
def test_a_broken_stream_ends_with_its_reason(fault: StreamFault, reason: str, *, exchange_down: bool) -> None:
    """The SDK would connect again by itself, or go on, and say nothing of what was lost."""
    with alpaca() as venue:
        end = venue.interrupted(fault)
        assert end.reason.startswith(f"{venue.host} ")
        assert len(venue.server.requests) == 1
    assert reason in end.reason
    assert end.exchange_down is exchange_down


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"t": "2024-05-17T12:00:00Z"}, "'t' is missing or not a timestamp"),
        ({"t": msgpack.Timestamp(2**60, 0)}, "'t' is out of range"),
        ({"c": "1.5"}, "'c' is missing or not a number"),
        ({"v": None}, "'v' is missing or not a number"),
        ({"h": True}, "'h' is missing or not a number"),
        ({"n": 1.5}, "'n' is missing or not a whole number"),
    ],
)
def test_a_malformed_bar_ends_the_stream(changes: dict[str, Any], reason: str) -> None:
    """What cannot be read may have been a candle, so the stream is not complete any more."""
    with alpaca() as venue:
        good, bad = minutes(venue, 2)
        end = venue.interrupted(
            streams.together(streams.burst(bar_frame(BTC, good)), streams.burst(bar_frame(BTC, bad, **changes)))
        )
    assert reason in end.reason
    assert end.complete_until == good.open_time


def quiet_for(venue: Venue, clock: Leaping, spells: int) -> list[FeedEvent]:
    """Return the events of a stream that sends nothing for so many times `SILENCE`, and is reset then."""
    venue.exchange.streams.inject(streams.mute)

    async def read() -> list[FeedEvent]:
        feed_events: list[FeedEvent] = []
        async with asyncio.timeout(DEADLINE):
            async for event in AlpacaFeed(venue.settings, clock).events([BTC, ETH]):
                feed_events.append(event)
                if len(confirmed(feed_events)) == spells and event is confirmed(feed_events)[-1]:
                    await asyncio.to_thread(venue.exchange.streams.apply, streams.drop)
                clock.leapt = SILENCE * (1 + len(confirmed(feed_events)))
        return feed_events

    return asyncio.run(read())


def confirmed(events: Sequence[FeedEvent]) -> list[Heartbeat]:
    return [event for event in events if isinstance(event, Heartbeat) and event.is_confirmed]


def test_a_quiet_market_goes_on_because_the_exchange_confirms_what_it_sends() -> None:
    """A minute without a trade and a quote has no bar: at night that lasts for minutes, and is no end."""
    clock = Leaping(START, QUICK)
    with alpaca(clock=clock) as venue:
        events = quiet_for(venue, clock, spells=3)
        assert venue.exchange.streams.opened == 1
    assert len(confirmed(events)) == 3
    assert "closed the connection" in end_of(events).reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (packed({"T": "subscription", "bars": ["ETH/USD"]}), "does not send the bars of BTC/USD any more"),
        (None, "did not confirm the subscription of bars within 20 s"),
        (packed(*refusal(411, "insufficient permissions")), None),
    ],
)
def test_a_subscription_that_is_lost_ends_the_stream(answer: bytes | None, reason: str | None) -> None:
    """Its connection is open, and its pings are answered."""
    clock = Leaping(START, QUICK)
    with alpaca(clock=clock) as venue:
        venue.exchange.answers[4] = answer
        if reason is None:
            with pytest.raises(RefusedKeys):
                quiet_for(venue, clock, spells=1)
        else:
            assert reason in end_of(quiet_for(venue, clock, spells=1)).reason


def test_every_location_is_a_venue_of_its_own_for_rest_and_stream() -> None:
    """Candles of one venue must not be revised by those of another."""
    with alpaca(location="eu-1") as venue:
        settings = ALPACA_EXCHANGE.settings(
            {
                "ALPACA_DATA_URL": venue.server.url,
                "ALPACA_STREAM_URL": f"{venue.server.url.replace('http', 'ws')}/v1beta3/crypto/eu-1",
                "ALPACA_API_KEY": KEYS[0],
                "ALPACA_SECRET_KEY": KEYS[1],
            }
        )
        assert Alpaca(settings).quote(BTC).bid > 0
        events = venue.events(lambda: venue.exchange.streams.apply(streams.closed()), settings=settings)
        assert "received 1000" in end_of(events).reason
        assert {request.path for request in venue.server.requests} == {
            "/v1beta3/crypto/eu-1",
            "/v1beta3/crypto/eu-1/latest/quotes",
        }


def test_a_stream_with_a_bar_a_minute_goes_on() -> None:
    """Many pairs are quiet for hours, and then have nothing but the bar of each minute."""
    clock = Leaping(START, QUICK)
    with alpaca(clock=clock) as venue:
        faults = [streams.burst(bar_frame(BTC, candle)) for candle in minutes(venue, 3)]

        async def minute_by_minute() -> list[FeedEvent]:
            feed_events: list[FeedEvent] = []
            async with asyncio.timeout(DEADLINE):
                async for event in AlpacaFeed(venue.settings, clock).events([BTC]):
                    # At the start, and when a ping was answered after a bar and its heartbeat.
                    if isinstance(event, Heartbeat) and not (feed_events and isinstance(feed_events[-1], CandleClosed)):
                        clock.leapt += 60
                        await asyncio.to_thread(venue.exchange.streams.apply, (faults or [streams.closed()]).pop(0))
                    feed_events.append(event)
            return feed_events

        assert "received 1000" in end_of(asyncio.run(minute_by_minute())).reason


def test_a_half_open_connection_ends_when_a_ping_is_not_answered() -> None:
    """The peer is gone without a word, as after a restart of a router."""
    with alpaca(clock=Clock(START, QUICK)) as venue:
        assert "did not answer a ping within 20 s" in venue.interrupted(streams.silence).reason


@pytest.mark.parametrize(
    ("number", "step"),
    [
        (0, "accept the connection"),
        (1, "answer to the keys"),
        (2, "subscription of bars"),
        (3, "subscription of quotes"),
    ],
)
def test_an_exchange_that_is_mute_in_the_handshake_is_given_up(number: int, step: str) -> None:
    """The SDK waits for each of these answers without end."""
    with alpaca(clock=Clock(START, QUICK)) as venue:
        venue.exchange.answers[number] = None
        end = venue.interrupted()
    assert f"{step} within 20 s" in end.reason
    assert not end.exchange_down


def test_an_exchange_that_does_not_answer_the_opening_request_is_given_up() -> None:
    with alpaca(clock=Clock(START, QUICK)) as venue:
        venue.server.inject(replay.stall)
        assert "did not accept the connection within 20 s" in venue.interrupted().reason


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (0, packed({"T": "success", "msg": "hello"})),
        (0, packed({"T": "success"})),
        (0, packed()),
        (0, b"\xc1"),
        (1, packed({"T": "success", "msg": "connected"})),
        (2, packed({"T": "subscription"})),
        (2, packed({"T": "subscription", "bars": "BTC/USD"})),
        (2, packed({"T": "subscription", "bars": [["BTC/USD"]]})),
    ],
)
def test_an_unexpected_answer_in_the_handshake_ends_it(number: int, answer: bytes) -> None:
    with alpaca() as venue:
        venue.exchange.answers[number] = answer
        assert "sent a message that is not in Alpaca's format" in venue.interrupted().reason


@pytest.mark.parametrize(
    ("status", "exchange_down"), [(500, True), (503, True), (451, True), (403, False), (404, False), (429, False)]
)
def test_a_refused_handshake_says_so(status: int, *, exchange_down: bool) -> None:
    """429 comes while the connection before this one is still counted."""
    with alpaca() as venue:
        venue.server.inject(replay.answer(status))
        end = venue.interrupted()
    assert f"answered {status} " in end.reason
    assert end.exchange_down is exchange_down


def test_a_redirect_is_refused_because_the_keys_would_follow_it() -> None:
    with alpaca() as venue, alpaca() as other:
        venue.server.inject(replay.answer(302, location=other.settings.stream_url))
        assert "has moved; check ALPACA_STREAM_URL" in venue.interrupted().reason
        assert other.server.requests == []


def test_a_connection_that_is_reset_in_the_handshake_is_interrupted() -> None:
    with alpaca() as venue:
        venue.server.inject(replay.reset)
        end = venue.interrupted()
    assert end.reason.startswith(f"{venue.host} ")
    assert not end.exchange_down


def test_an_exchange_that_cannot_be_reached_is_not_down() -> None:
    """It may be this machine's network."""
    with socket.socket() as unused, alpaca() as venue:
        unused.bind(("127.0.0.1", 0))  # kept, and nobody listens
        url = f"ws://127.0.0.1:{unused.getsockname()[1]}"
        end = venue.interrupted(settings=replace(venue.settings, stream_url=url))
    assert "cannot be reached: " in end.reason
    assert "check the network and the address" in end.reason
    assert not end.exchange_down


def test_an_outage_is_told_apart_from_a_lost_connection() -> None:
    with alpaca() as venue:
        venue.motion.outage(Span(START - MINUTE, START + MINUTE))
        assert venue.interrupted().exchange_down


def test_a_feed_that_is_not_read_ends_before_it_fills_the_memory() -> None:
    """What waits is bounded, and what is dropped is asked for over REST."""
    with alpaca() as venue:
        frame = quote_frame(BTC, venue.motion.quote(BTC))

        async def slowly() -> list[FeedEvent]:
            feed_events: list[FeedEvent] = []
            async with asyncio.timeout(DEADLINE):
                async for event in AlpacaFeed(venue.settings).events([BTC]):
                    feed_events.append(event)
                    if len(venue.exchange.streams.connections) > 0 and not isinstance(event, Interrupted):
                        await asyncio.to_thread(venue.exchange.streams.apply, streams.burst(frame, MOST_WAITING // 2))
                        await asyncio.sleep(0.05)
            return feed_events

        end = end_of(asyncio.run(slowly()))
    assert "has sent 1,000 messages that were not taken yet" in end.reason


@pytest.mark.parametrize("code", [402, 409, 411])
def test_keys_that_are_refused_are_an_error(code: int, caplog: pytest.LogCaptureFixture) -> None:
    """Repeating would not help. Neither the error nor a log contains them, though the exchange sends them back."""
    caplog.set_level(logging.DEBUG)
    with alpaca() as venue:
        venue.exchange.answers[1] = packed(*refusal(code, f"auth failed for {KEYS[0]} and {KEYS[1]}"))
        with pytest.raises(RefusedKeys, match="keys in ALPACA_API_KEY and ALPACA_SECRET_KEY; correct them") as caught:
            venue.events()
    told = f"{caught.value} {caplog.text}"
    assert f'answered {code} "auth failed for *** and ***"' in told
    assert [one for one in KEYS if one in told] == []
    assert KEYS[1].encode()[-8:].hex(" ") not in told  # as websockets logs the end of a message


def test_wrong_keys_are_refused() -> None:
    with alpaca() as venue, pytest.raises(RefusedKeys, match='answered 402 "auth failed"'):
        venue.events(settings=replace(venue.settings, keys={**venue.settings.keys, "ALPACA_SECRET_KEY": "another"}))


@pytest.mark.parametrize("environ", [{}, {"ALPACA_API_KEY": "k"}, {"ALPACA_SECRET_KEY": "s", "ALPACA_API_KEY": ""}])
def test_without_both_keys_the_stream_is_refused_before_it_connects(environ: dict[str, str]) -> None:
    """REST does not need them, so that the error says what does."""

    async def first(feed: AlpacaFeed) -> FeedEvent:
        return await anext(feed.events([BTC]))

    feed = AlpacaFeed(ALPACA_EXCHANGE.settings({**environ, "ALPACA_STREAM_URL": "ws://127.0.0.1:1"}), Clock())
    with pytest.raises(RefusedKeys, match="live stream requires keys: set ALPACA_API_KEY and ALPACA_SECRET_KEY"):
        asyncio.run(first(feed))


def test_a_second_connection_is_refused_until_the_first_one_is_closed() -> None:
    """Alpaca allows one at a time, and the one before may still be counted: connecting again later helps."""
    with alpaca(one_connection=True) as venue:
        inner: list[Interrupted] = []
        venue.events(
            lambda: inner.append(venue.interrupted()),
            lambda: venue.exchange.streams.apply(streams.closed()),
        )
        assert 'answered 406 "connection limit exceeded"' in inner[0].reason
        venue.exchange.streams.wait_closed()  # the client knows it first
        assert "received 1000" in venue.interrupted(streams.closed()).reason


def test_the_pairs_that_are_not_confirmed_are_named() -> None:
    """Those that are named are not asked for any more."""
    with alpaca() as venue, pytest.raises(UnusableHistory) as caught:
        venue.events(pairs=[BTC, Pair("XYZ", "USD"), Pair("ABC", "USD")])
    assert caught.value.faults == ("its stream does not have ABC/USD", "its stream does not have XYZ/USD")


def test_a_pair_without_quotes_still_has_its_bars() -> None:
    with alpaca() as venue:
        venue.exchange.answers[3] = packed({"T": "subscription", "bars": ["BTC/USD", "ETH/USD"], "quotes": []})
        assert "received 1000" in venue.interrupted(streams.closed()).reason


@pytest.mark.parametrize(
    ("message", "named"), [("invalid symbol ETH/USD.", "ETH/USD"), ("ETH/USDT is unknown", None), ("syntax", None)]
)
def test_a_pair_that_is_refused_is_named_if_the_exchange_names_it(message: str, named: str | None) -> None:
    """No pair is given up for an error that may be another one's."""
    with alpaca() as venue:
        venue.exchange.answers[2] = packed(*refusal(400, message))
        if named is None:
            assert f'answered 400 "{message}"' in venue.interrupted().reason
            return
        with pytest.raises(UnusableHistory) as caught:
            venue.events()
    assert caught.value.faults == (f'it does not have {named}: {venue.host} answered 400 "{message}"',)


def test_a_plan_with_few_quotes_still_has_its_bars() -> None:
    """The free plan limits the quotes, and not the bars: a minute is worth more than a quote."""
    with alpaca(most_quotes=1) as venue:
        feed = AlpacaFeed(venue.settings)
        end = end_of(asyncio.run(_all_events(feed, [], [BTC, ETH])))
        assert 'answered 405 "symbol limit exceeded": its plan does not allow so many quotes' in end.reason
        assert not feed.sends_quotes
        frame = bar_frame(BTC, minutes(venue, 1)[0])
        fault = streams.together(streams.burst(frame), streams.closed())
        events = asyncio.run(_all_events(feed, [lambda: venue.exchange.streams.apply(fault)], [BTC, ETH]))
    assert any(isinstance(event, CandleClosed) for event in events)


def test_closing_the_feed_closes_the_connection() -> None:
    with alpaca() as venue:

        async def open_and_close() -> None:
            async with asyncio.timeout(DEADLINE), aclosing(AlpacaFeed(venue.settings).events([BTC])) as events:
                await anext(events)
                assert len(venue.exchange.streams.connections) == 1
            await asyncio.to_thread(venue.exchange.streams.wait_closed)

        asyncio.run(open_and_close())


def test_a_feed_can_be_cancelled_while_it_waits() -> None:
    """As SIGTERM does."""
    with alpaca() as venue:

        async def open_and_cancel() -> None:
            events = AlpacaFeed(venue.settings).events([BTC])
            await anext(events)
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await asyncio.to_thread(venue.exchange.streams.wait_closed)

        asyncio.run(open_and_cancel())


def test_neither_settings_nor_logs_contain_the_address_with_its_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with alpaca() as venue:
        url = venue.settings.stream_url.replace("//", "//user:pass:word@")
        end = venue.interrupted(
            streams.closed(1001, "bye user:pass:word"), settings=replace(venue.settings, stream_url=url)
        )
    assert "pass:word" not in f"{end} {venue.settings} {caplog.text}"
    assert end.reason.startswith(f"{venue.host} closed the connection")
