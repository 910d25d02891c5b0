"""Binance's stream: the own client over real websockets on loopback, and every fault of them."""

import asyncio
import json
import logging
import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_predict.errors import InvalidValue, UnusableHistory
from crypto_predict.market import Candle, Interval, Pair, SeriesKey, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.events import CandleClosed, FeedEvent, Heartbeat, Interrupted, QuoteReceived, Retiring
from crypto_predict.sources.binance import EXCHANGE as BINANCE_EXCHANGE
from crypto_predict.sources.binance.rest import Binance
from crypto_predict.sources.binance.stream import LIFETIME, MOST_WAITING, PAIRS_A_CONNECTION, BinanceFeed
from crypto_predict.sources.exchange import Settings
from tests.support.replay import server as replay
from tests.support.replay import streams
from tests.support.replay.binance import BinanceInMotion, candle_frame, quote_frame, shutting_down
from tests.support.replay.motion import MINUTE, Candled, Motion, Traits, numbered_pairs
from tests.support.replay.server import Fault, ReplayServer
from tests.support.replay.streams import Connection, Frame, StreamFault, Streams

START = datetime(2024, 5, 17, 12, 0, 50, tzinfo=UTC)  # a candle closes after ten seconds
FAST = 60.0  # the speed of the market
BRISK = 20.0  # the speed of a feed that gives up a ping after a second
PATIENT = 10.0  # the speed of the feed, which then bears with a busy machine; it gives up a ping after two seconds
FIRST = START - timedelta(seconds=50)  # the opening of that candle
BTC, ETH = Pair("BTC", "USDT"), Pair("ETH", "USDT")
SECRET = "hunter2%40"
Done = Callable[[Sequence[FeedEvent]], bool]


class HeldClock(Clock):
    """A clock that stands still until it is released: how long a connection takes does not matter."""

    _released: float | None = None  # on the monotonic clock

    def release(self) -> None:
        """Let the time pass from now on, if it does not yet."""
        if self._released is None:
            self._released = super().monotonic()

    def monotonic(self) -> float:
        """Return the seconds since the release."""
        return 0.0 if self._released is None else super().monotonic() - self._released


class MovableClock(Clock):
    """A clock that a test can move on."""

    moved = 0.0  # seconds

    def monotonic(self) -> float:
        """Return the seconds since construction, and those that it was moved."""
        return super().monotonic() + self.moved


@dataclass
class Market:
    """An exchange in motion, and the feed that reads it."""

    motion: Motion
    running: HeldClock  # of the market, from the first event of the feed on
    clock: MovableClock  # of the feed
    server: ReplayServer
    exchange: BinanceInMotion

    @property
    def streams(self) -> Streams:
        """The websockets of the exchange."""
        return self.exchange.streams

    @property
    def url(self) -> str:
        """The address of the streams."""
        return self.server.url.replace("http", "ws")

    def feed(self, url: str = "", **options: Any) -> BinanceFeed:
        """Return a feed of this exchange."""
        return BinanceFeed(Settings(self.server.url, url or self.url), self.clock, **options)

    def read(
        self, done: Done, fault: StreamFault | None = None, when: Done | None = None, feed: BinanceFeed | None = None
    ) -> list[FeedEvent]:
        """Return the events until `done`. The connections meet the fault after the first candles, or `when`."""
        return asyncio.run(self.reading(done, fault, when, feed))

    async def reading(
        self, done: Done, fault: StreamFault | None = None, when: Done | None = None, feed: BinanceFeed | None = None
    ) -> list[FeedEvent]:
        """Do what `read` does."""
        feed_events: list[FeedEvent] = []
        pairs = self.motion.pairs
        when = when or closings(len(pairs))
        async with asyncio.timeout(60), aclosing((feed or self.feed()).events(pairs)) as events:
            async for event in events:
                self.running.release()
                feed_events.append(event)
                if done(feed_events):
                    break
                if fault is not None and when(feed_events):
                    await asyncio.to_thread(self.streams.apply, fault)
                    fault = None
        return feed_events


@contextmanager
def market(
    speed: float = FAST,
    feed_speed: float = PATIENT,
    pairs: Sequence[Pair] = (BTC, ETH),
    tls: ssl.SSLContext | None = None,
    feed_start: datetime = START,
    **traits: Any,
) -> Iterator[Market]:
    running = HeldClock(START, speed)
    motion = Motion(running, pairs, 7, START - timedelta(hours=2), Traits(**traits))
    exchange = BinanceInMotion(motion)
    with ReplayServer(exchange, tls) as server:
        yield Market(motion, running, MovableClock(feed_start, feed_speed), server, exchange)


def closed(events: Sequence[FeedEvent]) -> list[CandleClosed]:
    return [event for event in events if isinstance(event, CandleClosed)]


def candles(events: Sequence[FeedEvent], pair: Pair) -> list[Candle]:
    return [event.candle for event in closed(events) if event.series.pair == pair]


def closings(count: int) -> Done:
    return lambda events: len(closed(events)) >= count


def ended(events: Sequence[FeedEvent]) -> bool:
    return isinstance(events[-1], Interrupted)


def end_of(events: Sequence[FeedEvent]) -> Interrupted:
    """Return the last event, which must be the only one of its kind."""
    assert [event for event in events if isinstance(event, Interrupted)] == [events[-1]]
    assert isinstance(events[-1], Interrupted)
    return events[-1]


def newest_close(events: Sequence[FeedEvent]) -> datetime:
    """Return the close up to which every pair is complete. The candles came in order."""
    return min(candles(events, pair)[-1].open_time + MINUTE for pair in (BTC, ETH))


def changed_candle(frame: Frame, **changes: Any) -> str:
    """Return the frame of a closed candle with other values."""
    message = json.loads(frame)
    message["data"]["k"].update(changes)
    return json.dumps(message, separators=(",", ":"))


def sample(market: Market, opening: datetime, pair: Pair = BTC, **changes: Any) -> str:
    """Return the frame of a closed candle."""
    candle = market.motion.truth(pair, Span(opening, opening + MINUTE))[0]._replace(**changes)
    symbol = f"{pair.base}{pair.quote}"
    frame = candle_frame(symbol, Candled(pair, candle, is_closed=True, time=opening + MINUTE))
    return f'{{"stream":"{symbol.lower()}@kline_1m","data":{frame}}}'


def quote(live: Market) -> str:
    """Return the frame of a quote."""
    frame = quote_frame("BTCUSDT", live.motion.quote(BTC))
    return f'{{"stream":"btcusdt@bookTicker","data":{frame}}}'


def test_a_closed_candle_is_the_one_that_rest_has() -> None:
    """With every value, so that the stream and REST can be joined and compared."""
    with market(quiet=0.5) as live:
        result = live.read(closings(10))
        assert {event.series for event in closed(result)} == {
            SeriesKey("binance", pair, Interval.MINUTE_1) for pair in (BTC, ETH)
        }
        for pair in (BTC, ETH):
            received = candles(result, pair)
            span = Span(received[0].open_time, received[-1].open_time + MINUTE)
            assert received == live.motion.truth(pair, span)
            # A source leaves out a minute that closed less than 4 s ago, unless the span ends within it.
            span = Span(span.start, span.end - MINUTE / 2)
            assert received == list(Binance(Settings(live.server.url)).candles(pair, Interval.MINUTE_1, span))
            assert any(candle.volume == 0 for candle in received)
        assert not ended(result)


def test_the_first_minute_is_that_in_which_the_stream_was_opened() -> None:
    """What closed before is asked for over REST; nothing lies in between."""
    with market() as live:
        result = live.read(closings(2))
    assert {event.candle.open_time for event in closed(result)} == {FIRST}


def test_a_quote_has_the_time_of_its_arrival_and_each_pair_one_a_second() -> None:
    """There can be hundreds a second, and one a minute is stored."""
    with market(speed=5, feed_speed=5) as live:
        live.streams.inject(streams.changed(lambda frame: [frame] * 50))
        taken: dict[Pair, list[float]] = {BTC: [], ETH: []}

        def done(events: Sequence[FeedEvent]) -> bool:
            if isinstance(result := events[-1], QuoteReceived):
                taken[result.pair].append(live.clock.monotonic())
                assert result.source == "binance"
                assert START <= result.quote.time <= live.clock.now()
                assert 0 < result.quote.bid < result.quote.ask
                assert result.quote.bid_size != result.quote.ask_size
            return min(map(len, taken.values())) == 3

        live.read(done)
    for times in taken.values():
        assert all(later - earlier > 0.99 for earlier, later in pairwise(times))


def test_heartbeats_come_at_most_once_a_second_and_while_no_data_does() -> None:
    """The answer to a ping is a sign of life; a quiet market is not a dead stream."""
    with market(feed_speed=BRISK) as live:
        live.streams.inject(streams.mute)
        result = live.read(lambda events: len(events) >= 4)
        now = live.clock.now()
    times = [event.time for event in result if isinstance(event, Heartbeat)]
    assert len(times) == 4
    assert all(later - earlier >= timedelta(seconds=1) for earlier, later in pairwise(times))
    assert START <= times[0] < times[-1] <= now


ENDS: dict[str, tuple[StreamFault, str, bool]] = {
    "dropped": (streams.drop, "closed the connection: (no close frame|received 1006)", False),
    "24 hours": (streams.closed(1000, "24 hours"), "closed the connection: received 1000", False),
    "going away": (streams.closed(1001), "closed the connection: received 1001", False),
    "restart": (streams.closed(1012), "closed the connection: received 1012", True),
    "overload": (streams.closed(1013), "closed the connection: received 1013", True),
    "half-open": (streams.silence, "did not answer a ping within 20 s", False),
    "mute": (streams.mute, "has sent no data for 75 s", False),
    "long frame": (streams.burst(" " * 2**17), "closed the connection: (sent 1009|received 1006)", False),
    "no text": (streams.burst(b"\xff\xfe"), "a frame that is not JSON", False),
}


@pytest.mark.parametrize(("fault", "reason", "down"), ENDS.values(), ids=ENDS)
def test_whatever_ends_the_connection_ends_the_feed(fault: StreamFault, reason: str, down: bool) -> None:
    """A feed that connected again by itself would hide the hole."""
    with market(feed_speed=BRISK if fault in {streams.silence, streams.mute} else PATIENT) as live:
        result = live.read(ended, fault)
        live.streams.wait_open(0)
        assert live.streams.opened == 1
        end = end_of(result)
        assert end.reason.startswith(f"{live.server.url.removeprefix('http://')} ")
    assert re.search(reason, end.reason)
    assert end.exchange_down is down
    assert end.complete_until == newest_close(result)


def test_a_feed_can_be_read_again_and_what_is_missing_is_known() -> None:
    with market() as live:
        feed = live.feed()
        first = live.read(ended, streams.drop, feed=feed)
        second = live.read(closings(4), feed=feed)
        opened = closed(second)[0].candle.open_time
        assert end_of(first).complete_until <= opened
        span = Span(closed(first)[0].candle.open_time, end_of(first).complete_until)
        assert candles(first, ETH) == live.motion.truth(ETH, span)
        span = Span(opened, opened + 2 * MINUTE)
        assert candles(second, BTC) == live.motion.truth(BTC, span)


def test_a_stream_that_is_mute_from_the_start_ends_and_nothing_is_complete() -> None:
    with market(feed_speed=BRISK, feed_start=FIRST) as live:
        live.streams.inject(streams.mute)
        end = end_of(live.read(ended))
    assert "has sent no data for 75 s" in end.reason
    assert end.complete_until == FIRST


def test_a_connection_that_is_half_open_from_the_start_ends() -> None:
    with market(feed_speed=FAST) as live:
        live.streams.inject(streams.silence)
        end = end_of(live.read(ended))
    assert "did not answer a ping" in end.reason
    assert not end.exchange_down


REFUSALS: dict[str, tuple[Fault, str, bool]] = {
    "503": (replay.answer(503), "answered 503 Service Unavailable to the handshake", True),
    "500": (replay.answer(500, "<h1>no</h1>", "text/html"), "answered 500 Internal Server Error", True),
    "451": (replay.refused(451, "not here"), "answered 451 Unavailable For Legal Reasons", True),
    "403": (replay.answer(403, retry_after="0"), "answered 403 Forbidden", False),
    "429": (replay.answer(429, retry_after="0"), "answered 429 Too Many Requests", False),
    "404": (replay.answer(404), "answered 404 Not Found", False),
    "200": (replay.answer(200, "{}"), "answered 200 OK", False),
    "redirect": (replay.answer(302), "answered 302 Found", False),
    "reset": (replay.reset, "", False),
    "stall": (replay.stall, "did not accept the connection within 20 s", False),
    "endless headers": (replay.drip_headers, "did not accept the connection within 20 s", False),
}


@pytest.mark.parametrize(("fault", "reason", "down"), REFUSALS.values(), ids=REFUSALS)
def test_a_refused_handshake_ends_the_feed_and_says_whether_the_exchange_is_down(
    fault: Fault, reason: str, down: bool
) -> None:
    with market(feed_speed=BRISK, feed_start=FIRST) as live:
        live.server.inject(fault)
        result = live.read(ended)
        assert len(result) == 1
        assert live.streams.opened == 0
        assert live.read(closings(2))
    end = end_of(result)
    assert reason in end.reason
    assert end.exchange_down is down
    assert end.complete_until == FIRST


@pytest.mark.parametrize("url", ["ws://127.0.0.1:9", "ws://nowhere.invalid", "ws://" + "a" * 70 + ".invalid"])
def test_an_exchange_that_cannot_be_reached_is_not_said_to_be_down(url: str) -> None:
    async def read() -> list[FeedEvent]:
        feed = BinanceFeed(Settings("", url), Clock())
        return [event async for event in feed.events([BTC])]

    end = end_of(asyncio.run(read()))
    assert "cannot be reached" in end.reason
    assert not end.exchange_down


def test_the_connection_is_encrypted_and_the_certificate_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, tls = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with market(tls=tls) as live:
        assert live.url.startswith("wss://")
        assert "CERTIFICATE_VERIFY_FAILED" in end_of(live.read(ended)).reason
        authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        assert live.read(closings(2))


def test_an_outage_of_the_exchange_is_told_apart_once_it_refuses() -> None:
    with market() as live:
        live.motion.outage(Span(START + 2 * MINUTE, START + 9 * MINUTE))
        assert not end_of(live.read(ended)).exchange_down  # only the connection is known to have failed
        assert end_of(live.read(ended)).exchange_down


def test_candles_that_come_twice_or_in_another_order_are_each_yielded_once() -> None:
    """The order is that of their arrival; what is complete is known all the same."""
    with market() as live:
        swapped = streams.swapped(lambda frame: '"x":true' in str(frame) and "BTC" in str(frame))
        live.streams.inject(streams.together(swapped, streams.doubled))
        result = live.read(
            ended, streams.drop, when=lambda events: min(len(candles(events, pair)) for pair in (BTC, ETH)) >= 4
        )
    numbers = [(candle.open_time - START) // MINUTE + 1 for candle in candles(result, BTC)]
    assert numbers[:4] == [1, 0, 3, 2]
    received = candles(result, ETH)
    assert len({candle.open_time for candle in received}) == len(received) >= 4
    assert end_of(result).complete_until == FIRST + 4 * MINUTE


def test_nothing_is_complete_after_a_candle_that_did_not_come() -> None:
    """REST is asked from there on, whatever came afterwards."""
    with market() as live:
        live.motion.hole(ETH, FIRST + MINUTE)
        result = live.read(ended, streams.drop, when=closings(5))
        assert candles(result, ETH)[-1].open_time >= FIRST + 2 * MINUTE
        assert end_of(result).complete_until == FIRST + MINUTE


def test_a_candle_that_comes_again_with_other_values_is_a_revision() -> None:
    with market() as live:
        opening = FIRST
        revised = sample(live, opening, volume=123.0)
        repeated = sample(live, opening, ETH)
        frames = streams.together(streams.burst(repeated), streams.burst(revised, 2))
        result = live.read(lambda events: len(closed(events)) == 3 or ended(events), frames)
        before, after = candles(result, BTC)
    assert after == before._replace(volume=123.0)
    assert [event.series.pair for event in closed(result)].count(ETH) == 1


def test_a_slow_stream_is_read_as_it_comes() -> None:
    with market() as live:
        live.streams.inject(streams.slowed(0.002))
        result = live.read(closings(4))
        received = candles(result, BTC)
        assert received == live.motion.truth(BTC, Span(received[0].open_time, received[-1].open_time + MINUTE))


def test_more_candles_than_may_wait_end_the_feed_and_those_that_waited_are_yielded() -> None:
    """Memory is bounded: what is lost is asked for over REST, from `complete_until` on."""
    openings = [FIRST + (number - 60) * MINUTE for number in range(12)]

    async def read(live: Market) -> list[FeedEvent]:
        feed_events: list[FeedEvent] = []
        async with asyncio.timeout(60), aclosing(live.feed(most_waiting=5).events([BTC, ETH])) as events:
            async for event in events:
                feed_events.append(event)
                if len(feed_events) == 1:
                    frames = [streams.burst(sample(live, opening)) for opening in openings]
                    reading = [task for task in asyncio.all_tasks() if "_Connection._read" in repr(task)]
                    await asyncio.to_thread(live.streams.apply, streams.together(*frames))
                    await asyncio.wait(reading)  # and nothing is taken
        return feed_events

    with market(speed=1, feed_speed=1) as live:
        result = asyncio.run(read(live))
    assert "has sent 5 candles that were not taken yet" in end_of(result).reason
    assert [candle.open_time for candle in candles(result, BTC)] == openings[:5]
    assert end_of(result).complete_until == FIRST


def test_quotes_without_end_take_no_memory_and_end_nothing() -> None:
    """Of those that wait, only the newest one of a pair is kept."""
    with market() as live:
        flood = streams.burst(quote(live), 3 * MOST_WAITING)
        result = live.read(closings(4), flood)
    assert not ended(result)


def reasons_of(live: Market, frames: Sequence[str]) -> list[str]:
    """Return why as many feeds have ended, at the same time, each of which has received one of the frames."""
    for frame in frames:
        live.streams.inject(streams.burst(frame))

    async def read() -> list[list[FeedEvent]]:
        return await asyncio.gather(*(live.reading(ended) for _ in frames))

    ends = [end_of(result) for result in asyncio.run(read())]
    assert {end.complete_until for end in ends} == {FIRST}
    assert not any(end.exchange_down for end in ends)
    said = " sent a message that is not in Binance's format: "
    return sorted(end.reason.partition(said)[2] for end in ends)


NO_JSON = ("{", "", "[" * 5000, "1" * 5000)
NO_MESSAGE = ("1", "[]", '{"stream":"btcusdt@kline_1m","data":[]}')
NO_CANDLE = (
    '{"data":{"e":"kline","k":1}}',
    '{"data":{"e":"kline","k":{"i":"1m","s":"BTCUSDT","x":"true"}}}',
    '{"data":{"e":"kline","k":{"i":"5m","s":"BTCUSDT","x":true}}}',
    '{"data":{"e":"kline","k":{"i":"1m","s":[],"x":true}}}',
)


def test_a_frame_that_is_not_in_the_format_ends_the_feed() -> None:
    """It may have been a candle."""
    with market(feed_speed=1) as live:
        assert reasons_of(live, NO_JSON) == ["a frame that is not JSON"] * 4
        assert reasons_of(live, NO_MESSAGE) == ["a frame without a message"] * 3
        assert reasons_of(live, NO_CANDLE) == ["a message of a candle without a candle of one minute"] * 4


WRONG_VALUES: list[tuple[str, Any, str]] = [
    ("t", "noon", "'open time' is missing or not a whole number"),
    ("t", 1.5, "'open time' is missing or not a whole number"),
    ("t", 10**30, "'open time' is too large"),
    ("t", 10**17, "'open time' is out of range; it should be in milliseconds"),
    ("o", None, "'open' is missing or not a number"),
    ("o", 10**400, "'open' is too large"),
    ("h", "", "'high' is missing or not a number"),
    ("l", "1_0", "'low' is missing or not a number"),
    ("c", {}, "'close' is missing or not a number"),
    ("v", True, "'volume' is missing or not a number"),
    ("q", "-", "'quote volume' is missing or not a number"),
    ("n", 1.5, "'trades' is missing or not a whole number"),
    ("V", [], "'taker base volume' is missing or not a number"),
    ("Q", "many", "'taker quote volume' is missing or not a number"),
]


def test_a_closed_candle_with_a_malformed_value_ends_the_feed() -> None:
    with market(feed_speed=1) as live:
        frames = [changed_candle(sample(live, FIRST), **{name: value}) for name, value, _ in WRONG_VALUES]
        assert reasons_of(live, frames) == sorted(reason for _, _, reason in WRONG_VALUES)


@settings(max_examples=15, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["t", "s", "i", "o", "c", "h", "l", "v", "n", "x", "q", "V", "Q"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2),
    )
)
def test_no_change_of_a_candle_crashes_the_feed(changes: dict[str, Any]) -> None:
    with market() as live:
        frame = changed_candle(sample(live, FIRST + MINUTE), **changes)
        result = live.read(lambda events: ended(events) or closings(4)(events), streams.burst(frame))
    assert len(closed(result)) >= 2


def test_messages_of_other_kinds_and_pairs_are_left_out() -> None:
    """The exchange may add some."""
    frames = [
        '{"result":null,"id":1}',
        '{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT"}}',
        '{"data":{"e":7}}',
    ]
    with market() as live:
        strange = sample(live, FIRST).replace("BTC", "XYZ").replace("btc", "xyz")
        result = live.read(closings(4), streams.together(*map(streams.burst, [*frames, strange])))
    assert not ended(result)
    assert {event.series.pair for event in closed(result)} == {BTC, ETH}


def test_a_candle_is_read_however_its_json_is_written() -> None:
    """What is not recognized at first sight is parsed."""
    with market() as live:
        live.streams.inject(streams.changed(lambda frame: [json.dumps(json.loads(frame), indent=1).encode()]))
        result = live.read(closings(4))
        received = candles(result, ETH)
        assert received == live.motion.truth(ETH, Span(received[0].open_time, received[-1].open_time + MINUTE))


def test_a_malformed_quote_is_left_out_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Another one comes soon, and no candle depends on it."""
    frame = '{"stream":"btcusdt@bookTicker","data":{"s":"BTCUSDT","b":"one"}}'
    with market() as live:
        live.streams.inject(
            streams.changed(lambda sent: [frame] if "btcusdt@bookTicker" in str(sent) else [sent]),
        )
        result = live.read(closings(6))
    assert {event.pair for event in result if isinstance(event, QuoteReceived)} == {ETH}
    assert [record.getMessage() for record in caplog.records if record.name.startswith("crypto")] == ["malformed quote"]


def test_many_pairs_share_several_connections_and_end_together() -> None:
    """An address has a length that servers refuse, and a connection at most 1,024 streams."""
    pairs = numbered_pairs(2 * PAIRS_A_CONNECTION + 1)
    with market(speed=5, feed_speed=1, pairs=pairs) as live:
        sizes: list[int] = []

        def break_one(connection: Connection) -> None:
            sizes.append(len(connection.topics))
            if len(sizes) == 1:
                connection.push("{")

        result = live.read(ended, break_one)
        live.streams.wait_open(0)
    assert sorted(sizes) == [2, 2 * PAIRS_A_CONNECTION, 2 * PAIRS_A_CONNECTION]
    assert {event.series.pair for event in closed(result)} == set(pairs)
    assert end_of(result).complete_until == FIRST + MINUTE


def test_one_refused_connection_of_several_ends_the_feed() -> None:
    with market(pairs=numbered_pairs(PAIRS_A_CONNECTION + 1)) as live:
        live.server.inject(replay.answer(503))
        assert end_of(live.read(ended)).exchange_down
        live.streams.wait_open(0)
        assert live.streams.opened == 1


@pytest.mark.parametrize("fault", [None, streams.silence], ids=["alive", "half-open"])
def test_closing_the_generator_closes_the_connection_at_once(fault: StreamFault | None) -> None:
    """A process has three seconds to stop."""
    with market(speed=1, feed_speed=1) as live:
        if fault is not None:
            live.streams.inject(fault)

        async def run() -> None:
            reading = asyncio.create_task(live.reading(ended))
            await asyncio.to_thread(live.streams.wait_open)
            reading.cancel()
            await asyncio.wait([reading])
            assert {task for task in asyncio.all_tasks() if task is not asyncio.current_task()} == set()

        asyncio.run(run())
        if fault is None:
            live.streams.wait_open(0)


def retiring(events: Sequence[FeedEvent]) -> bool:
    return any(isinstance(event, Retiring) for event in events)


def test_a_feed_says_before_a_day_has_passed_that_its_connection_will_end_and_goes_on() -> None:
    """Another connection takes its place meanwhile, and no minute is lost."""
    with market() as live:

        def done(events: Sequence[FeedEvent]) -> bool:
            live.clock.moved = LIFETIME if closed(events) else 0.0
            return retiring(events) and len(closed(events)) >= 6

        result = live.read(done)
    assert sum(isinstance(event, Retiring) for event in result) == 1
    assert not ended(result)


def test_a_feed_passes_on_that_the_server_shuts_down_and_goes_on_to_its_end() -> None:
    with market() as live:
        result = live.read(ended, shutting_down(seconds=2))
    assert sum(isinstance(event, Retiring) for event in result) == 1
    assert "received 1001" in end_of(result).reason
    assert end_of(result).complete_until == newest_close(result)


def test_messages_of_symbols_with_letters_beyond_ascii_are_passed_over() -> None:
    """Binance has had such symbols since November 2025."""
    with market() as live:
        candle = live.motion.truth(BTC, Span(FIRST, FIRST + MINUTE))[0]
        frame = candle_frame("币安人生USDT", Candled(BTC, candle, is_closed=True, time=START))
        result = live.read(closings(6), streams.burst(f'{{"stream":"币安人生usdt@kline_1m","data":{frame}}}'))
    assert {event.series.pair for event in closed(result)} == {BTC, ETH}
    assert not ended(result)


@pytest.mark.parametrize("skew", [timedelta(minutes=3), timedelta(seconds=-90)])
def test_the_clock_of_the_exchange_decides_which_candle_is_closed(skew: timedelta) -> None:
    with market(skew=skew) as live:
        result = live.read(ended, streams.drop)
        opening = Interval.MINUTE_1.floor(START + skew)
    assert candles(result, BTC)[0].open_time == opening
    assert end_of(result).complete_until <= newest_close(result)


def test_a_delisted_pair_falls_silent_and_the_other_goes_on() -> None:
    with market() as live:
        live.motion.delist(BTC, START + MINUTE)
        result = live.read(lambda events: len(candles(events, ETH)) == 3)
    assert len(candles(result, BTC)) == 1
    assert not ended(result)


def test_a_pair_that_binance_cannot_have_is_named() -> None:
    async def read() -> None:
        async for _ in BinanceFeed(BINANCE_EXCHANGE.settings({}), Clock()).events([BTC, Pair("BTCU", "SDT")]):
            pass

    with pytest.raises(UnusableHistory, match="BTCU/SDT"):
        asyncio.run(read())


@pytest.mark.parametrize("fault", [replay.answer(503), replay.answer(401), replay.reset, None])
def test_a_password_in_the_address_is_sent_and_never_shown(
    fault: Fault | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with market() as live:
        if fault is not None:
            live.server.inject(fault)
        url = live.url.replace("ws://", f"ws://user:{SECRET}@")
        end = end_of(live.read(ended, streams.drop, feed=live.feed(url)))
        assert live.server.requests[-1].headers["authorization"] == "Basic dXNlcjpodW50ZXIyQA=="
    for secret in (SECRET, "hunter2", "dXNlcjpodW50ZXIyQA"):
        assert secret not in end.reason + caplog.text + repr(Settings("", url))


def test_the_address_of_the_stream_is_a_setting() -> None:
    assert BINANCE_EXCHANGE.settings({}).stream_url == "wss://data-stream.binance.vision"
    assert BINANCE_EXCHANGE.settings({"BINANCE_STREAM_URL": "ws://[::1]:8/"}).stream_url == "ws://[::1]:8"
    with pytest.raises(InvalidValue, match="BINANCE_STREAM_URL"):
        BINANCE_EXCHANGE.settings({"BINANCE_STREAM_URL": "https://user:secret@example.org"})
    feed = BinanceFeed(BINANCE_EXCHANGE.settings({}), Clock())
    assert (feed.id, feed.sends_candles, feed.sends_quotes) == ("binance", True, True)
