"""Binance's stream: its wire format, and what only it does."""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_predict.market import Candle, Interval, Pair, Span
from crypto_predict.market.events import FeedEvent, Heartbeat, Interrupted, QuoteReceived, Retiring
from crypto_predict.sources.binance.stream import LIFETIME
from crypto_predict.sources.network.stream import MOST_WAITING
from tests.support.replay import server as replay
from tests.support.replay import streams
from tests.support.replay.binance import VENUE, candle_frame, quote_frame, shutting_down
from tests.support.replay.motion import MINUTE, Candled, numbered_pairs
from tests.support.replay.reading import FAST, QUICK, START, Condition, Market, candles_of, market, number_of
from tests.support.replay.streams import Connection

BTC, ETH = Pair("BTC", "USDT"), Pair("ETH", "USDT")
NOON = Interval.MINUTE_1.floor(START)
A_CONNECTION = 100  # pairs


def candle_of(live: Market, opening: datetime = NOON, pair: Pair = BTC) -> Candle:
    [candle] = live.motion.truth(pair, Span(opening, opening + MINUTE))
    return candle


def frame_of(candle: Candle, pair: Pair = BTC, **changes: Any) -> str:
    """Return the frame of a closed candle, with other values in its message."""
    symbol = f"{pair.base}{pair.quote}"
    message = json.loads(candle_frame(symbol, Candled(pair, candle, is_closed=True, time=candle.open_time + MINUTE)))
    message["k"].update(changes)
    return json.dumps({"stream": f"{symbol.lower()}@kline_1m", "data": message}, separators=(",", ":"))


def sent(live: Market, *frames: str) -> list[FeedEvent]:
    """Return the events of these messages, without heartbeats."""
    events = live.events(*map(streams.burst, frames), streams.closed())
    return [event for event in events if not isinstance(event, Heartbeat)]


def closings(count: int) -> Condition:
    return lambda events: len(candles_of(events)) >= count


def complete_until(events: Sequence[FeedEvent]) -> datetime:
    assert isinstance(events[-1], Interrupted)
    return events[-1].complete_until


def test_the_newest_quote_of_each_pair_comes_once_a_second_with_the_time_of_its_arrival() -> None:
    """There can be hundreds a second, and one a minute is stored."""
    with market(VENUE, 5.0, moving=True) as live:
        live.exchange.streams.inject(streams.changed(lambda frame: [frame] * 50))
        events = live.events(until=number_of(QuoteReceived, 6))
        now = live.clock.now()
    quotes = [event for event in events if isinstance(event, QuoteReceived)]
    assert {event.pair for event in quotes} == {BTC, ETH}
    for received in quotes:
        assert START <= received.quote.time <= now
        assert 0 < received.quote.bid < received.quote.ask
        assert received.quote.bid_size != received.quote.ask_size
    of_a_second: set[Pair] = set()
    for event in events:
        if isinstance(event, QuoteReceived):
            assert event.pair not in of_a_second
            of_a_second.add(event.pair)
        elif isinstance(event, Heartbeat):
            of_a_second.clear()


def test_quotes_without_end_take_no_memory_and_end_nothing(live: Market) -> None:
    """Of those that wait, only the newest one of a pair is kept."""
    frame = f'{{"stream":"btcusdt@bookTicker","data":{quote_frame("BTCUSDT", live.exchange.quote("BTCUSDT"))}}}'
    flood = streams.burst(frame, 3 * MOST_WAITING)
    assert candles_of(live.events(flood, streams.burst(frame_of(candle_of(live))), until=closings(1)))


def test_a_stream_without_data_ends_though_its_pings_are_answered() -> None:
    """A candle of each pair closes every minute."""
    with market(VENUE, FAST) as live:
        live.exchange.streams.inject(streams.mute)
        events = live.events()
        assert isinstance(events[-1], Interrupted)
        assert events[-1].reason == f"{live.host} has sent no data for 75 s"
    assert complete_until(events) == NOON


def test_candles_that_come_twice_or_in_another_order_are_each_yielded_once(live: Market) -> None:
    """The order is that of their arrival; what is complete is known all the same."""
    minutes = [candle_of(live, NOON + number * MINUTE) for number in (1, 0, 3, 2, 2, 0, 5)]
    others = [frame_of(candle_of(live, NOON + number * MINUTE, ETH), ETH) for number in range(9)]
    events = sent(live, *map(frame_of, minutes), *others)
    assert candles_of(events, BTC) == [minutes[place] for place in (0, 1, 2, 3, 6)]
    assert complete_until(events) == NOON + 4 * MINUTE, "nothing is complete after a candle that did not come"


def test_a_hole_is_not_closed_by_many_candles_after_it(live: Market) -> None:
    """REST is asked from there on, whatever came afterwards."""
    frames = [frame_of(candle_of(live, NOON + n * MINUTE, pair), pair) for n in range(1, 30) for pair in (BTC, ETH)]
    assert complete_until(sent(live, *frames)) == NOON


def test_a_candle_that_comes_again_with_other_values_is_a_revision(live: Market) -> None:
    candle = candle_of(live)
    revised = candle._replace(volume=123.0)
    assert candles_of(sent(live, *map(frame_of, (candle, candle, revised, revised)))) == [candle, revised]


def test_messages_of_other_kinds_and_pairs_are_left_out(live: Market) -> None:
    """The exchange may add some. Since November 2025 it has symbols with letters beyond ASCII."""
    candle = candle_of(live)
    frames = [
        '{"result":null,"id":1}',
        '{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT"}}',
        '{"data":{"e":7}}',
        frame_of(candle, Pair("XYZ", "USDT")),
        frame_of(candle, Pair("币安人生", "USDT")),
        json.dumps(json.loads(frame_of(candle)), indent=1),  # what is not recognized at first sight is parsed
    ]
    *events, _ = sent(live, *frames)
    assert candles_of(events) == [candle]
    assert len(events) == 1


MALFORMED = [
    ('{"stream":"btcusdt@kline_1m","data":[]}', "a frame without a message"),
    ('{"data":{"e":"kline","k":1}}', "a message of a candle without a candle of one minute"),
]
NO_CANDLE: list[dict[str, Any]] = [{"x": "true"}, {"i": "5m"}, {"s": []}]


def test_a_closed_candle_with_a_malformed_value_ends_the_feed(live: Market) -> None:
    candle = candle_of(live)
    frames = [(frame_of(candle, **changes), MALFORMED[1][1]) for changes in NO_CANDLE]
    for frame, reason in (*MALFORMED, *frames, (frame_of(candle, c="many"), "'close' is missing or not a number")):
        assert live.malformed(frame) == reason


@settings(max_examples=15, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["t", "s", "i", "o", "c", "h", "l", "v", "n", "x", "q", "V", "Q"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2),
    )
)
def test_no_change_of_a_candle_crashes_the_feed(changes: dict[str, Any]) -> None:
    with market(VENUE, QUICK) as live:
        candle = candle_of(live)
        assert candles_of(sent(live, frame_of(candle), frame_of(candle, **changes)))[0] == candle


def test_a_malformed_quote_is_left_out_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Another one comes soon, and no candle depends on it."""
    frame = '{"stream":"btcusdt@bookTicker","data":{"s":"BTCUSDT","b":"one"}}'
    with market(VENUE, QUICK, moving=True) as live:
        change = streams.changed(lambda sent: [frame] if "btcusdt@bookTicker" in str(sent) else [sent])
        live.exchange.streams.inject(change)
        events = live.events(until=number_of(QuoteReceived, 3))
    assert {event.pair for event in events if isinstance(event, QuoteReceived)} == {ETH}
    assert [record.getMessage() for record in caplog.records if record.name.startswith("crypto")] == ["malformed quote"]


def test_many_pairs_share_several_connections_and_end_together() -> None:
    """An address has a length that servers refuse, and a connection at most 1,024 streams."""
    pairs = numbered_pairs(2 * A_CONNECTION + 1)
    with market(VENUE, FAST, pairs=pairs) as live:
        sizes: list[int] = []

        def break_the_first(connection: Connection) -> None:
            sizes.append(len(connection.topics))
            happenings = [Candled(pair, candle_of(live, pair=pair), is_closed=True, time=START) for pair in pairs]
            live.sending(
                *(each for each in happenings if f"{each.pair.base.lower()}usdt@kline_1m" in connection.topics)
            )(connection)
            if len(sizes) == 1:
                asyncio.get_running_loop().call_later(1.0, connection.push, "{")

        events = live.events(break_the_first)
        live.exchange.streams.wait_closed()
    assert sorted(sizes) == [2, 2 * A_CONNECTION, 2 * A_CONNECTION]
    assert len(candles_of(events)) == len(pairs)
    assert complete_until(events) == NOON + MINUTE


def test_one_refused_connection_of_several_ends_the_feed() -> None:
    with market(VENUE, pairs=numbered_pairs(A_CONNECTION + 1)) as live:
        live.server.inject(replay.answer(503), when=lambda _: len(live.server.requests) == 2)
        assert live.end().exchange_down
        live.exchange.streams.wait_closed()
        assert live.exchange.streams.opened == 1


def test_a_feed_says_before_a_day_has_passed_that_its_connection_will_end_and_goes_on() -> None:
    """Another connection takes its place meanwhile, and no minute is lost."""
    with market(VENUE, FAST, moving=True) as live:

        def is_enough(events: Sequence[FeedEvent]) -> bool:
            live.clock.moved = LIFETIME if candles_of(events) else 0.0
            return number_of(Retiring, 1)(events) and len(candles_of(events)) >= 4

        events = live.events(until=is_enough)
    assert sum(isinstance(event, Retiring) for event in events) == 1


def test_a_feed_passes_on_that_the_server_shuts_down_and_goes_on_to_its_end(live: Market) -> None:
    events = live.events(shutting_down(seconds=1))
    assert sum(isinstance(event, Retiring) for event in events) == 1
    assert isinstance(events[-1], Interrupted)
    assert "received 1001" in events[-1].reason
