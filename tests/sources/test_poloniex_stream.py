"""Poloniex's stream: the own client over real websockets on loopback, and every fault of them."""

import asyncio
import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from websockets.asyncio.client import connect

from crypto_predict.collecting.live.streams.ticks import TickCandles
from crypto_predict.errors import InvalidValue, UnusableHistory
from crypto_predict.market import Interval, Pair, SeriesKey, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import BuiltCandle
from crypto_predict.market.events import FeedEvent, Heartbeat, Interrupted, PairRefused, TickReceived
from crypto_predict.sources.exchange import Settings
from crypto_predict.sources.network.trades import LONGEST_MESSAGE, MOST_REQUESTS, SYMBOLS_A_REQUEST
from crypto_predict.sources.network.wire import milliseconds
from crypto_predict.sources.poloniex import EXCHANGE as POLONIEX_EXCHANGE
from crypto_predict.sources.poloniex.rest import Poloniex
from crypto_predict.sources.poloniex.stream import PoloniexFeed
from tests.support.replay import server as replay
from tests.support.replay import streams
from tests.support.replay.motion import MINUTE, Motion, Trade, Traded, Traits, numbered_pairs
from tests.support.replay.poloniex import Answers, PoloniexInMotion, error_frame, trade_frame, trade_values
from tests.support.replay.server import Fault, ReplayServer
from tests.support.replay.streams import Connection, StreamFault

START = datetime(2024, 5, 17, 12, tzinfo=UTC)
BTC, ETH = Pair("BTC", "USDT"), Pair("ETH", "USDT")
TRADE = Trade(START, 65_000.5, 1.0, is_bought=True)
TICK = TickReceived("poloniex", BTC, START, 65_000.5, 1.0, milliseconds(START))
DEADLINE = 60.0  # seconds, after which a test fails
STILL = 1e-6  # the speed of a market that sends nothing by itself
FAST = 60.0
QUICK = 20.0  # a feed is impatient within a second


class Venue:
    """Poloniex on the replay server, and the feed that reads from it."""

    def __init__(self, exchange: PoloniexInMotion, motion: Motion, server: ReplayServer, clock: Clock) -> None:
        self.exchange, self.motion, self.server, self.clock = exchange, motion, server, clock
        self.settings = Settings(server.url, f"{server.url.replace('http', 'ws')}/ws/public")

    @property
    def host(self) -> str:
        """The host and port of the server."""
        return self.server.url.removeprefix("http://")

    def feed(self, **options: Any) -> PoloniexFeed:
        """The feed."""
        return PoloniexFeed(self.settings, self.clock, **options)

    def events(
        self, *faults: StreamFault, pairs: Sequence[Pair] = (BTC, ETH), feed: PoloniexFeed | None = None
    ) -> list[FeedEvent]:
        """All events of one connection. Once it has subscribed, the faults are applied."""
        return asyncio.run(self._events(feed or self.feed(), faults, pairs))

    def end(self, *faults: StreamFault, **options: Any) -> Interrupted:
        """The last event of a connection to which these faults are applied."""
        *others, end = self.events(*faults, **options)
        assert isinstance(end, Interrupted)
        assert not any(isinstance(event, Interrupted) for event in others)
        return end

    def ticks(self, *frames: str) -> list[TickReceived]:
        """The ticks of these messages, up to the end of the connection."""
        events = self.events(streams.together(*map(streams.burst, frames), streams.closed()))
        return [event for event in events if isinstance(event, TickReceived)]

    async def _events(
        self, feed: PoloniexFeed, faults: Sequence[StreamFault], pairs: Sequence[Pair]
    ) -> list[FeedEvent]:
        feed_events: list[FeedEvent] = []
        async with asyncio.timeout(DEADLINE):
            async for event in feed.events(pairs):
                if isinstance(event, Heartbeat) and not any(isinstance(one, Heartbeat) for one in feed_events):
                    for fault in faults:
                        await asyncio.to_thread(self.exchange.streams.apply, fault)
                feed_events.append(event)
        return feed_events


@contextmanager
def poloniex(
    speed: float = STILL,
    clock: Clock | None = None,
    answers: Answers | None = None,
    pairs: Sequence[Pair] = (BTC, ETH),
    **traits: Any,
) -> Iterator[Venue]:
    """Serve a market, by default with a feed on the clock of this machine."""
    motion = Motion(Clock(START, speed), pairs, 0, START - 600 * MINUTE, Traits(**traits))
    exchange = PoloniexInMotion(motion, answers or Answers())
    with ReplayServer(exchange) as server:
        yield Venue(exchange, motion, server, clock or Clock())


def quick() -> Clock:
    return Clock(START, QUICK)


def taken(
    venue: Venue, done: Callable[[Sequence[FeedEvent]], bool], pairs: Sequence[Pair] = (BTC, ETH)
) -> list[FeedEvent]:
    """Return the events until `done`."""

    async def take() -> list[FeedEvent]:
        feed_events: list[FeedEvent] = []
        async with asyncio.timeout(DEADLINE), aclosing(venue.feed().events(pairs)) as events:
            async for event in events:
                feed_events.append(event)
                if done(feed_events):
                    break
        return feed_events

    return asyncio.run(take())


def count_of(kind: type, events: Sequence[FeedEvent]) -> int:
    return sum(isinstance(event, kind) for event in events)


def test_each_trade_is_a_tick_with_its_own_time_and_not_that_of_its_message() -> None:
    with poloniex(QUICK, clock=quick()) as venue:
        events = taken(venue, lambda result: count_of(TickReceived, result) >= 8)
        happened = [
            happening
            for happening in venue.motion.happenings(START, START + 5 * MINUTE)
            if isinstance(happening, Traded)
        ]
    ticks = [event for event in events if isinstance(event, TickReceived)]
    expected = [
        TickReceived("poloniex", pair, trade.time, trade.price, trade.size, milliseconds(trade.time))
        for pair, trade in happened
    ]
    first = expected.index(ticks[0])
    assert ticks == expected[first : first + 8]
    assert {tick.pair for tick in ticks} == {BTC, ETH}


@pytest.mark.parametrize("numbers", [str, float])
def test_numbers_may_be_text(numbers: type[str] | type[float]) -> None:
    """Poloniex writes them in both ways."""
    frame = json.loads(trade_frame("BTC_USDT", TRADE, numbers))
    for name in ("createTime", "id"):
        frame["data"][0][name] = (str if numbers is str else int)(frame["data"][0][name])
    with poloniex() as venue:
        assert venue.ticks(json.dumps(frame)) == [TICK]


def test_candles_of_the_ticks_are_those_of_rest() -> None:
    """For each minute that the stream was connected in."""
    clock, end = Clock(START, FAST), START + 5 * MINUTE
    candles = TickCandles("poloniex", clock, grace=20)  # a third of a second, as the machine may be busy
    built_candles: dict[SeriesKey, list[BuiltCandle]] = {}

    async def collect(venue: Venue) -> None:
        """Take the events of one connection."""
        is_connected = False
        async with asyncio.timeout(DEADLINE), aclosing(venue.feed().events([BTC, ETH])) as events:
            async for event in events:
                if isinstance(event, TickReceived):
                    candles.add(event)
                elif isinstance(event, Interrupted):
                    candles.disconnected([BTC, ETH], event.complete_until)
                elif not is_connected:
                    is_connected = True
                    candles.connected([BTC, ETH], clock.now())
                for series, built in candles.close().items():
                    built_candles.setdefault(series, []).extend(built)
                if clock.now() > end:
                    break

    with poloniex(FAST, clock=clock) as venue:
        while clock.now() < end:
            asyncio.run(collect(venue))
        source, compared = Poloniex(venue.settings), 0
        for pair in (BTC, ETH):
            rest = source.candles(pair, Interval.MINUTE_1, Span(START, end - MINUTE))
            official = {candle.open_time: candle for candle in rest}
            for built in built_candles[SeriesKey("poloniex", pair, Interval.MINUTE_1)]:
                if built.open_time in official and not (built.partial or built.late):
                    one = official[built.open_time]
                    assert (built.open, built.high, built.low, built.close) == one[1:5]
                    assert (built.volume, built.ticks) == (one.volume, one.trades)
                    compared += 1
    assert compared > 0


def test_the_replay_server_sends_tickers_as_the_exchange_does() -> None:
    """They repeat the last price, and their `ts` is not the time of the trade: nothing is built from them."""
    result: list[dict[str, Any]] = []

    async def take(venue: Venue) -> None:
        async with asyncio.timeout(DEADLINE), connect(venue.settings.stream_url) as websocket:
            await websocket.send('{"event":"subscribe","channel":["ticker"],"symbols":["BTC_USDT"]}')
            assert json.loads(await websocket.recv())["event"] == "subscribe"
            while len(result) < 20:
                if tickers := json.loads(await websocket.recv()).get("data"):
                    result.extend(tickers)
                    await websocket.send('{"event":"ping"}')  # a client that is silent for 30 s is dropped

    with poloniex(FAST, clock=Clock(START, FAST), quiet=0.5) as venue:
        asyncio.run(take(venue))
    times = [(one["closeTime"], one["ts"]) for one in result]
    assert all(traded <= pushed for traded, pushed in times)
    assert len({traded for traded, _ in times}) < len({pushed for _, pushed in times}) == len(times)
    assert max(pushed - traded for traded, pushed in times) > 5_000


def test_a_pair_that_nobody_trades_sends_nothing() -> None:
    with poloniex(QUICK, clock=quick(), quiet=1.0) as venue:
        events = taken(venue, lambda result: count_of(Heartbeat, result) >= 3)
    assert count_of(TickReceived, events) == 0


def test_pairs_are_subscribed_to_in_batches_and_the_first_heartbeat_follows_the_last_confirmation() -> None:
    pairs = numbered_pairs(2 * SYMBOLS_A_REQUEST + 1)
    with poloniex(pairs=pairs) as venue:
        taken(venue, lambda result: isinstance(result[-1], Heartbeat), pairs)
        asked = [json.loads(text) for text in venue.exchange.received]
    requests = [one for one in asked if one["event"] == "subscribe"]
    assert [len(request["symbols"]) for request in requests] == [SYMBOLS_A_REQUEST, SYMBOLS_A_REQUEST, 1]
    assert [symbol for request in requests for symbol in request["symbols"]] == [f"{pair.base}_USDT" for pair in pairs]
    assert {tuple(request["channel"]) for request in requests} == {("trades",)}


def test_a_dollar_pair_is_the_pair_that_was_asked_for() -> None:
    """Poloniex trades USDT in place of dollars."""
    dollars = Pair("BTC", "USD")
    with poloniex() as venue:
        events = venue.events(
            streams.together(streams.burst(trade_frame("BTC_USDT", TRADE)), streams.closed()), pairs=[dollars]
        )
    assert TICK._replace(pair=dollars) in events


def test_ticks_out_of_order_and_repeated_ones_are_yielded_as_they_come() -> None:
    """`TickCandles` sorts them."""
    earlier = TRADE._replace(time=START - timedelta(seconds=1), price=1.5)
    frames = [trade_frame("BTC_USDT", one) for one in (TRADE, earlier, TRADE, TRADE)]
    with poloniex() as venue:
        ticks = venue.ticks(*frames)
    assert ticks == [TICK, TICK._replace(time=earlier.time, price=1.5, id=milliseconds(earlier.time)), TICK, TICK]


def test_a_message_has_the_trades_of_many_pairs_of_which_others_are_ignored() -> None:
    frames = [json.loads(trade_frame(symbol, TRADE)) for symbol in ("BTC_USDT", "XYZ_USDT", "ETH_USDT")]
    together = json.dumps({"channel": "trades", "data": [frame["data"][0] for frame in frames]})
    other = '{"channel":"candles_minute_1","data":[{"symbol":"BTC_USDT","close":"1"}]}'
    with poloniex() as venue:
        ticks = venue.ticks(other, together)
    assert ticks == [TICK, TICK._replace(pair=ETH)]


def test_heartbeats_come_with_pongs_too_and_at_most_once_a_second() -> None:
    """A quiet market is not a dead stream."""
    with poloniex(clock=quick()) as venue:
        events = taken(venue, lambda result: count_of(Heartbeat, result) >= 3)
    times = [event.time for event in events if isinstance(event, Heartbeat)]
    assert times[-1] - times[0] >= timedelta(seconds=25)  # pings are 15 s apart
    with poloniex(speed=FAST, clock=Clock(START, FAST)) as venue:
        events = taken(venue, lambda result: count_of(Heartbeat, result) >= 10)
    times = [event.time for event in events if isinstance(event, Heartbeat)]
    assert all(after - before >= timedelta(seconds=0.9) for before, after in pairwise(times))


def test_the_client_is_not_dropped_though_nobody_takes_its_events() -> None:
    """Poloniex drops a client after 30 s without a message. A slow database must not cost the connection."""

    async def wait_long(venue: Venue) -> list[FeedEvent]:
        feed_events: list[FeedEvent] = []
        async with asyncio.timeout(DEADLINE), aclosing(venue.feed().events([BTC, ETH])) as events:
            async for event in events:
                feed_events.append(event)
                if len(feed_events) == 1:
                    await venue.clock.sleep(50)
                if event == TICK:
                    break
                if isinstance(event, Heartbeat) and len(feed_events) > 2:
                    await asyncio.to_thread(venue.exchange.streams.apply, burst)
        return feed_events

    burst = streams.burst(trade_frame("BTC_USDT", TRADE))
    with poloniex(QUICK, clock=quick(), quiet=1.0) as venue:
        assert asyncio.run(wait_long(venue))[-1] == TICK
        assert venue.exchange.streams.opened == 1


ENDS: dict[str, tuple[StreamFault, str, bool]] = {
    "dropped": (streams.drop, "closed the connection: no close frame received or sent", False),
    "closed": (streams.closed(), "closed the connection: received 1000 (OK)", False),
    "restarted": (streams.closed(1012, "restart"), "closed the connection: received 1012 (service restart)", True),
    "maintenance": (
        streams.burst(error_frame("Platform in maintenance mode")),
        'answered "Platform in maintenance mode"',
        True,
    ),
    "another error": (streams.burst(error_frame("Internal trouble")), 'answered "Internal trouble"', False),
    "silent": (streams.silence, "did not answer a ping within 15 s", False),
}


@pytest.mark.parametrize(("fault", "reason", "exchange_down"), ENDS.values(), ids=ENDS)
def test_the_end_of_a_connection_is_the_last_event_with_its_reason(
    fault: StreamFault, reason: str, exchange_down: bool
) -> None:
    with poloniex(clock=quick()) as venue:
        end = venue.end(fault)
        assert end.reason.startswith(f"{venue.host} {reason}")
        assert end.exchange_down is exchange_down


def test_a_stream_that_is_mute_from_the_start_has_heartbeats_only() -> None:
    """It may be a quiet market. The supervisor connects it again after a while, and waits longer each time."""
    with poloniex(QUICK, clock=quick()) as venue:
        venue.exchange.streams.inject(streams.mute)
        events = taken(venue, lambda result: count_of(Heartbeat, result) >= 3)
    assert {type(event) for event in events} == {Heartbeat}


def test_a_half_open_connection_ends() -> None:
    """The handshake succeeded, and then nothing is answered any more."""
    with poloniex(clock=quick()) as venue:
        venue.exchange.streams.inject(streams.silence)
        assert "did not confirm a subscription within 15 s" in venue.end().reason


def test_nothing_is_missing_before_the_last_message() -> None:
    """What came after it is unknown: the connection may have been dead for all of that time."""
    with poloniex(clock=quick()) as venue:
        events = venue.events(streams.silence)
    end = events[-1]
    assert isinstance(end, Interrupted)
    heartbeats = [event.time for event in events if isinstance(event, Heartbeat)]
    assert heartbeats[-1] <= end.complete_until < heartbeats[-1] + timedelta(seconds=1)


HANDSHAKES: dict[str, tuple[Fault, str, bool]] = {
    "unavailable": (replay.answer(503), "answered 503 Service Unavailable to the handshake", True),
    "location": (replay.answer(451), "answered 451 Unavailable For Legal Reasons to the handshake", True),
    "forbidden": (replay.answer(403), "answered 403 Forbidden to the handshake", False),
    "too many": (replay.answer(429), "answered 429 Too Many Requests to the handshake", False),
    "not there": (replay.answer(404), "answered 404 Not Found to the handshake", False),
    "unheard of": (replay.answer(599), "answered 599 to the handshake", True),
    "a page": (replay.answer(200, "<html>"), "answered 200 OK to the handshake", False),
    "moved": (replay.answer(302, location="ws://127.0.0.1:9/"), "answered 302 Found to the handshake", False),
    "reset": (replay.reset, "did not complete the handshake: did not receive a valid HTTP response", False),
    "stalled": (replay.stall, "did not accept the connection within 15 s", False),
    "dripping": (replay.drip_headers, "did not accept the connection within 15 s", False),
}


@pytest.mark.parametrize(("fault", "reason", "exchange_down"), HANDSHAKES.values(), ids=HANDSHAKES)
def test_a_handshake_that_fails_is_an_interruption_with_its_reason(
    fault: Fault, reason: str, exchange_down: bool
) -> None:
    with poloniex(clock=quick()) as venue:
        venue.server.inject(fault)
        began = venue.clock.now()
        (end,) = venue.events()
        assert isinstance(end, Interrupted)
        assert end.reason.startswith(f"{venue.host} {reason}")
        assert end.exchange_down is exchange_down
        waited = timedelta(seconds=15 if "within 15 s" in reason else 0)
        assert began <= end.complete_until <= venue.clock.now() - waited


@pytest.mark.parametrize("host", ["127.0.0.1:9", "nowhere.invalid"])
def test_a_host_that_cannot_be_reached_is_an_interruption(host: str) -> None:
    """Port 9 is closed, and the name does not exist."""
    with poloniex() as venue:
        (end,) = venue.events(feed=PoloniexFeed(Settings("", f"ws://user:hunter2@{host}"), Clock()))
    assert isinstance(end, Interrupted)
    assert end.reason.startswith(f"{host} cannot be reached: ")
    assert not end.exchange_down
    assert "hunter2" not in end.reason


def trade_with(**values: Any) -> str:
    """A message of a trade with these values; None leaves one out."""
    trade = {**trade_values("BTC_USDT", TRADE), **values}
    kept = {name: value for name, value in trade.items() if value is not None}
    return json.dumps({"channel": "trades", "data": [kept]})


MALFORMED = {
    "words": "hello",
    "nothing": "",
    "binary": b'{"event":"pong"}',
    "a list": "[]",
    "null": "null",
    "no data": '{"channel":"trades"}',
    "data of another type": '{"channel":"trades","data":{"symbol":"BTC_USDT"}}',
    "a trade of another type": '{"channel":"trades","data":[1]}',
    "a symbol of another type": '{"channel":"trades","data":[{"symbol":["BTC_USDT"]}]}',
    "no price": trade_with(price=None),
    "a price in words": trade_with(price="dear"),
    "a price beyond": trade_with(price=10**400),
    "no size": trade_with(quantity=None),
    "no time": trade_with(createTime=None),
    "microseconds": trade_with(createTime=1677367251090000),
    "no id": trade_with(id=None),
    "an id in words": trade_with(id="first"),
    "an id beyond": trade_with(id=10**18),
    "nested": "[" * 100_000,
    "nested objects": '{"event":' * 100_000,
    "digits": f'{{"event":{"1" * 100_000}}}',
    "cut": '{"channel":"trades","data":[{"symbol":',
}


@pytest.mark.parametrize("frame", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_message_ends_the_connection(frame: str | bytes) -> None:
    """It may have been a price."""
    with poloniex() as venue:
        reason = venue.end(streams.burst(frame)).reason
    assert reason.startswith(f"{venue.host} sent a message that is not in Poloniex's format: ")


@pytest.mark.parametrize(
    "values", [{"price": price} for price in (math.nan, "NaN", -1, 0, "1e999")] + [{"quantity": -1}], ids=str
)
def test_a_price_or_size_that_no_market_has_is_yielded_as_it_came(values: dict[str, object]) -> None:
    """`TickCandles` judges it."""
    with poloniex() as venue:
        (tick,) = venue.ticks(trade_with(**values))
    candles = TickCandles("poloniex", Clock(tick.time))
    candles.add(tick)
    assert candles.counts["invalid"] == 1


def test_a_message_that_is_too_long_ends_the_connection() -> None:
    with poloniex() as venue:
        reason = venue.end(streams.burst(" " * (LONGEST_MESSAGE + 1))).reason
    assert "1009 (message too big)" in reason


def test_compression_is_not_offered_and_a_compressed_message_ends_the_connection() -> None:
    """A compressed message of a kilobyte may be a gigabyte."""

    def send_compressed(connection: Connection) -> None:
        assert connection.request.transport is not None
        connection.request.transport.write(bytes([0b1100_0001, 2, 0, 0]))

    with poloniex() as venue:
        reason = venue.end(send_compressed).reason
        assert "sec-websocket-extensions" not in venue.server.requests[0].headers
    assert "1002 (protocol error)" in reason


def test_events_that_are_not_taken_end_the_connection_after_a_bounded_number() -> None:
    async def take_slowly(venue: Venue) -> list[FeedEvent]:
        feed_events: list[FeedEvent] = []
        flood = streams.burst(trade_frame("BTC_USDT", TRADE), 500)
        async with asyncio.timeout(DEADLINE):
            async for event in venue.feed(most_waiting=100).events([BTC]):
                if not feed_events:
                    await asyncio.to_thread(venue.exchange.streams.apply, flood)
                    await asyncio.sleep(1)
                feed_events.append(event)
        return feed_events

    with poloniex() as venue:
        *events, end = asyncio.run(take_slowly(venue))
    assert isinstance(end, Interrupted)
    assert end.reason.endswith("has sent 100 events that were not taken yet; this machine is too slow")
    assert count_of(TickReceived, events) >= 100


def asked(venue: Venue) -> list[list[str]]:
    """The symbols of each subscription."""
    return [message["symbols"] for message in map(json.loads, venue.exchange.received) if "symbols" in message]


def refusals(events: Sequence[FeedEvent]) -> dict[Pair, str]:
    """The pairs that were refused before the first heartbeat, and why."""
    first = next(place for place, event in enumerate(events) if isinstance(event, Heartbeat))
    assert all(isinstance(event, PairRefused) for event in events[:first])
    assert not any(isinstance(event, PairRefused) for event in events[first:])
    return {event.pair: event.reason for event in events[:first] if isinstance(event, PairRefused)}


@pytest.mark.parametrize("message", ["Subscription failed", "Bad request", "Invalid symbol"])
def test_a_refused_pair_that_the_answer_does_not_name_is_found_by_halving_and_harms_no_other(message: str) -> None:
    """The exchange may answer with an error that is the same for all."""
    pairs = numbered_pairs(2 * SYMBOLS_A_REQUEST)
    lost = {pairs[7], pairs[SYMBOLS_A_REQUEST - 1], pairs[-1]}
    streamed: set[str] = set()

    def is_alive(feed_events: Sequence[FeedEvent]) -> bool:
        """Also see what the connection has subscribed to."""
        streamed.update(*(connection.topics for connection in venue.exchange.streams.connections))
        return isinstance(feed_events[-1], Heartbeat)

    with poloniex(pairs=[pair for pair in pairs if pair not in lost]) as venue:
        venue.exchange.refusal = message
        events = taken(venue, is_alive, pairs)
        assert streamed == {f"trades {pair.base}_USDT" for pair in pairs if pair not in lost}
        assert len(asked(venue)) < 40, "of 100 pairs"
    assert refusals(events) == dict.fromkeys(lost, f'{venue.host} answered "{message}"')


def test_refused_pairs_that_the_answer_names_are_left_out_at_once() -> None:
    unknown = Pair("XYZ", "USDT")
    with poloniex() as venue:
        venue.exchange.refusal = "Invalid symbol {}"
        events = taken(venue, lambda result: isinstance(result[-1], Heartbeat), [BTC, unknown, ETH])
        assert asked(venue) == [["BTC_USDT", "XYZ_USDT", "ETH_USDT"], ["BTC_USDT", "ETH_USDT"]]
    assert refusals(events) == {unknown: f'{venue.host} answered "Invalid symbol XYZ_USDT"'}


def test_a_pair_that_is_not_confirmed_counts_as_refused() -> None:
    with poloniex() as venue:
        venue.exchange.replies.append('{"event":"subscribe","channel":"trades","symbols":["BTC_USDT"]}')
        events = taken(venue, lambda result: isinstance(result[-1], Heartbeat))
    assert refusals(events) == {ETH: f'{venue.host} answered "no confirmation"'}


def test_a_refused_request_may_have_subscribed_to_some_of_its_pairs() -> None:
    """Asked for alone, they are then subscribed to already, which is what was wanted."""
    with poloniex() as venue:
        venue.exchange.replies += [error_frame(text) for text in ("Bad request", "Already subscribed")]
        events = taken(venue, lambda result: isinstance(result[-1], Heartbeat))
        assert asked(venue) == [["BTC_USDT", "ETH_USDT"], ["BTC_USDT"], ["ETH_USDT"]]
    assert refusals(events) == {}


@pytest.mark.parametrize("count", [1, 2, 500])
def test_an_exchange_that_refuses_all_pairs_ends_the_connection_and_none_of_them_is_judged(count: int) -> None:
    """It may be in trouble, or no longer have the channel. It is asked a bounded number of times."""
    pairs = numbered_pairs(count)
    with poloniex(clock=quick(), pairs=pairs) as venue:
        venue.exchange.refused.add("all")
        (end,) = venue.events(pairs=pairs)
        assert len(asked(venue)) <= MOST_REQUESTS
    assert isinstance(end, Interrupted)
    assert (end.reason, end.exchange_down) == (f'{venue.host} answered "Subscription failed"', False)


def test_a_confirmation_without_symbols_confirms_those_that_were_asked_for() -> None:
    """The documentation shows both forms."""
    with poloniex() as venue:
        venue.exchange.replies.append('{"event":"subscribe","channel":"trades"}')
        assert isinstance(taken(venue, bool)[0], Heartbeat)


def test_maintenance_may_be_the_answer_to_a_subscription() -> None:
    with poloniex() as venue:
        venue.exchange.replies.append(error_frame("Platform in maintenance mode"))
        assert venue.end().exchange_down
        assert len(asked(venue)) == 1, "it is not asked for each pair"


def test_a_pair_that_poloniex_cannot_have_is_refused_without_a_connection() -> None:
    with poloniex() as venue:
        with pytest.raises(UnusableHistory):
            venue.events(pairs=[Pair("USDT", "USD")])
        assert venue.server.requests == []


def test_closing_the_generator_closes_the_connection() -> None:
    with poloniex() as venue:
        taken(venue, bool)
        for _ in range(300):
            if not venue.exchange.streams.connections:
                break
            asyncio.run(asyncio.sleep(0.1))
        assert venue.exchange.streams.connections == []


def test_a_consumer_that_is_cancelled_closes_the_connection() -> None:
    async def cancel(venue: Venue) -> None:
        async def consume() -> None:
            async for _ in venue.feed().events([BTC]):
                pass

        task = asyncio.create_task(consume())
        await asyncio.to_thread(venue.exchange.streams.wait_open)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert [one for one in asyncio.all_tasks() if one is not asyncio.current_task()] == []

    with poloniex() as venue:
        asyncio.run(cancel(venue))


def test_an_outage_of_the_exchange_ends_the_connection_and_afterwards_it_answers_again() -> None:
    with poloniex(QUICK, clock=quick()) as venue:
        outages: list[Span] = []

        def begin(_connection: Connection) -> None:
            """Let the exchange be away from now on."""
            now = venue.motion.now()
            outages.append(Span(now, now + timedelta(seconds=90)))
            venue.motion.outage(outages[0])

        first = venue.end(begin)
        assert not first.exchange_down  # the connection was reset
        assert first.complete_until < outages[0].end
        refusals: list[Interrupted] = []
        while isinstance(event := taken(venue, bool)[0], Interrupted):
            refusals.append(event)
        assert isinstance(event, Heartbeat | TickReceived)
    assert {refusal.exchange_down for refusal in refusals} == {True}
    assert refusals[0].reason == f"{venue.host} answered 503 Service Unavailable to the handshake"


def test_the_address_comes_from_the_environment_and_is_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with poloniex() as venue:
        url = venue.settings.stream_url.replace("ws://", "ws://user:hunter2@")
        feed = PoloniexFeed(POLONIEX_EXCHANGE.settings({"POLONIEX_STREAM_URL": url}), Clock())
        end = venue.end(streams.drop, feed=feed)
        assert venue.server.requests[0].headers["authorization"].startswith("Basic ")
    assert "hunter2" not in end.reason + caplog.text + repr(POLONIEX_EXCHANGE.settings({"POLONIEX_STREAM_URL": url}))
    with pytest.raises(InvalidValue, match="POLONIEX_STREAM_URL") as caught:
        POLONIEX_EXCHANGE.settings({"POLONIEX_STREAM_URL": "https://user:hunter2@example.org"})
    assert "hunter2" not in str(caught.value)


def test_the_feed_sends_neither_candles_nor_quotes() -> None:
    """Candles are built of its ticks, and REST is asked for the top of the book."""
    feed = PoloniexFeed(POLONIEX_EXCHANGE.settings({}), Clock())
    assert (feed.id, feed.sends_candles, feed.sends_quotes) == ("poloniex", False, False)
