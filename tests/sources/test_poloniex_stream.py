"""Poloniex's stream: its wire format, and what only it does."""

import asyncio
import json
import math
from collections.abc import Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest

from crypto_predict.collecting.live.streams.ticks import TickCandles
from crypto_predict.market import Pair
from crypto_predict.market.clock import Clock
from crypto_predict.market.events import FeedEvent, Heartbeat, Interrupted, PairRefused, TickReceived
from crypto_predict.sources.network.stream import MOST_REQUESTS, SYMBOLS_A_REQUEST
from crypto_predict.sources.network.wire import milliseconds
from tests.support.replay import streams
from tests.support.replay.motion import MINUTE, Trade, Traded, numbered_pairs
from tests.support.replay.poloniex import VENUE, error_frame, trade_frame, trade_values
from tests.support.replay.reading import QUICK, START, Market, market, number_of

BTC, ETH = Pair("BTC", "USDT"), Pair("ETH", "USDT")
TRADE = Trade(START, 65_000.5, 1.0, is_bought=True)
TICK = TickReceived("poloniex", BTC, START, 65_000.5, 1.0, milliseconds(START))


def ticks(live: Market, *frames: str, **options: Any) -> list[TickReceived]:
    """Return the ticks of these messages, up to the end of the connection."""
    events = live.events(*map(streams.burst, frames), streams.closed(), **options)
    return [event for event in events if isinstance(event, TickReceived)]


def test_each_trade_is_a_tick_with_its_own_time_and_not_that_of_its_message() -> None:
    with market(VENUE, QUICK, moving=True) as live:
        events = live.events(until=number_of(TickReceived, 8))
        happened = [each for each in live.motion.happenings(START, START + 5 * MINUTE) if isinstance(each, Traded)]
    received = [event for event in events if isinstance(event, TickReceived)]
    expected = [
        TickReceived("poloniex", pair, trade.time, trade.price, trade.size, milliseconds(trade.time))
        for pair, trade in happened
    ]
    first = expected.index(received[0])
    assert received == expected[first : first + 8]


@pytest.mark.parametrize("numbers", [str, float])
def test_numbers_may_be_text(numbers: type[str] | type[float], live: Market) -> None:
    """Poloniex writes them in both ways. It trades USDT in place of dollars, of which the ticks are."""
    frame = json.loads(trade_frame("BTC_USDT", TRADE, numbers))
    for name in ("createTime", "id"):
        frame["data"][0][name] = (str if numbers is str else int)(frame["data"][0][name])
    dollars = Pair("BTC", "USD")
    assert ticks(live, json.dumps(frame), pairs=[dollars]) == [TICK._replace(pair=dollars)]


def test_pairs_are_subscribed_to_in_batches_and_the_first_heartbeat_follows_the_last_confirmation() -> None:
    pairs = numbered_pairs(2 * SYMBOLS_A_REQUEST + 1)
    with market(VENUE, pairs=pairs) as live:
        live.events(until=number_of(Heartbeat, 1))
        requests = [json.loads(text) for text in live.exchange.received]
    assert [len(request["symbols"]) for request in requests] == [SYMBOLS_A_REQUEST, SYMBOLS_A_REQUEST, 1]
    assert [symbol for request in requests for symbol in request["symbols"]] == [f"{pair.base}_USDT" for pair in pairs]
    assert {tuple(request["channel"]) for request in requests} == {("trades",)}


def test_ticks_are_yielded_as_they_come(live: Market) -> None:
    """Out of order, repeated, and those of many pairs in a message; others were not subscribed to."""
    earlier = TRADE._replace(time=START - timedelta(seconds=1), price=1.5)
    values = [trade_values(symbol, TRADE) for symbol in ("BTC_USDT", "XYZ_USDT", "ETH_USDT")]
    frames = [
        *(trade_frame("BTC_USDT", trade) for trade in (TRADE, earlier, TRADE)),
        '{"channel":"candles_minute_1","data":[{"symbol":"BTC_USDT","close":"1"}]}',
        json.dumps({"channel": "trades", "data": values}),
    ]
    before = TICK._replace(time=earlier.time, price=1.5, id=milliseconds(earlier.time))
    assert ticks(live, *frames) == [TICK, before, TICK, TICK, TICK._replace(pair=ETH)]


def test_the_client_is_not_dropped_though_nobody_takes_its_events() -> None:
    """Poloniex drops a client after 30 s without a message. A slow database must not cost the connection."""

    async def wait_long(live: Market) -> None:
        async with asyncio.timeout(180), aclosing(live.feed().events([BTC, ETH])) as events:
            await anext(events)
            await live.clock.sleep(70)
            assert [type(await anext(events)) for _ in range(3)] == [Heartbeat] * 3

    with market(VENUE, QUICK, moving=True, quiet=1.0) as live:
        asyncio.run(wait_long(live))
        assert live.exchange.streams.opened == 1


def test_a_connection_that_is_half_open_from_the_start_ends(live: Market) -> None:
    live.exchange.streams.inject(streams.silence)
    live.clock.patience = 0.0
    assert "did not confirm a subscription within 20 s" in live.end().reason


def test_nothing_is_missing_before_the_last_message(live: Market) -> None:
    """What came after it is unknown: the connection may have been dead for all of that time."""
    live.clock.patience = 0.0
    *events, end = live.events(streams.silence)
    assert isinstance(end, Interrupted)
    assert isinstance(events[-1], Heartbeat)
    assert abs(end.complete_until - events[-1].time) < timedelta(seconds=1)


def trade_with(**values: Any) -> str:
    """Return a message of a trade with these values; None leaves one out."""
    trade = {**trade_values("BTC_USDT", TRADE), **values}
    present = {name: value for name, value in trade.items() if value is not None}
    return json.dumps({"channel": "trades", "data": [present]})


MALFORMED = {
    '{"channel":"trades"}': "no list of trades",
    '{"channel":"trades","data":{"symbol":"BTC_USDT"}}': "no list of trades",
    '{"channel":"trades","data":[1]}': "a trade without a symbol",
    '{"channel":"trades","data":[{"symbol":["BTC_USDT"]}]}': "a trade without a symbol",
    trade_with(price=None): "'price' is missing or not a number",
    trade_with(quantity=None): "'quantity' is missing or not a number",
    trade_with(createTime=None): "'createTime' is missing or not a whole number",
    trade_with(id=None): "'id' is missing or not a whole number",
}


def test_a_malformed_message_ends_the_connection(live: Market) -> None:
    """It may have been a price."""
    for frame, reason in MALFORMED.items():
        assert live.malformed(frame) == reason


@pytest.mark.parametrize(
    "values", [{"price": price} for price in (math.nan, "NaN", -1, 0, "1e999")] + [{"quantity": -1}], ids=str
)
def test_a_price_or_size_that_no_market_has_is_yielded_as_it_came(values: dict[str, object], live: Market) -> None:
    """`TickCandles` judges it."""
    [tick] = ticks(live, trade_with(**values))
    candles = TickCandles("poloniex", Clock(tick.time))
    candles.add(tick)
    assert candles.counts["invalid"] == 1


def requests_of(live: Market) -> list[list[str]]:
    """Return the symbols of each subscription."""
    return [message["symbols"] for message in map(json.loads, live.exchange.received) if "symbols" in message]


def refusals(events: Sequence[FeedEvent]) -> dict[Pair, str]:
    """Return the pairs that were refused before the first heartbeat, which is the last event, and why."""
    *refused, _ = events
    assert all(isinstance(event, PairRefused) for event in refused)
    return {event.pair: event.reason for event in refused if isinstance(event, PairRefused)}


@pytest.mark.parametrize("message", ["Subscription failed", "Bad request", "Invalid symbol"])
def test_a_refused_pair_that_the_answer_does_not_name_is_found_by_halving_and_harms_no_other(message: str) -> None:
    """The exchange may answer with an error that is the same for all."""
    pairs = numbered_pairs(2 * SYMBOLS_A_REQUEST)
    lost = {pairs[7], pairs[SYMBOLS_A_REQUEST - 1], pairs[-1]}
    topics: set[str] = set()

    def is_alive(events: Sequence[FeedEvent]) -> bool:
        """Also see what the connection has subscribed to."""
        topics.update(*(connection.topics for connection in served.exchange.streams.connections))
        return isinstance(events[-1], Heartbeat)

    with market(VENUE, QUICK, pairs=[pair for pair in pairs if pair not in lost]) as served:
        served.exchange.refusal = message
        events = served.events(until=is_alive, pairs=pairs)
        assert topics == {f"trades {pair.base}_USDT" for pair in pairs if pair not in lost}
        assert len(requests_of(served)) < 40, "of 100 pairs"
    assert refusals(events) == dict.fromkeys(lost, f'{served.host} answered "{message}"')


def test_refused_pairs_that_the_answer_names_are_left_out_at_once(live: Market) -> None:
    unknown = Pair("XYZ", "USDT")
    live.exchange.refusal = "Invalid symbol {}"
    events = live.events(until=number_of(Heartbeat, 1), pairs=[BTC, unknown, ETH])
    assert requests_of(live) == [["BTC_USDT", "XYZ_USDT", "ETH_USDT"], ["BTC_USDT", "ETH_USDT"]]
    assert refusals(events) == {unknown: f'{live.host} answered "Invalid symbol XYZ_USDT"'}


@pytest.mark.parametrize(
    ("replies", "requests", "refused"),
    [
        # A pair that is not confirmed counts as refused.
        (['{"event":"subscribe","channel":"trades","symbols":["BTC_USDT"]}'], 1, {ETH: "no confirmation"}),
        # A confirmation without symbols confirms those that were asked for: the documentation shows both forms.
        (['{"event":"subscribe","channel":"trades"}'], 1, {}),
        # A refused request may have subscribed to some of its pairs. Asked for alone, they are subscribed to already.
        ([error_frame("Bad request"), error_frame("Already subscribed")], 3, {}),
    ],
)
def test_what_an_answer_to_a_subscription_means(
    replies: list[str], requests: int, refused: dict[Pair, str], live: Market
) -> None:
    live.exchange.replies += replies
    events = live.events(until=number_of(Heartbeat, 1))
    assert len(requests_of(live)) == requests
    assert refusals(events) == {pair: f'{live.host} answered "{reason}"' for pair, reason in refused.items()}


@pytest.mark.parametrize("count", [1, 2, 500])
def test_an_exchange_that_refuses_all_pairs_ends_the_connection_and_none_of_them_is_judged(count: int) -> None:
    """It may be in trouble, or no longer have the channel. It is asked a bounded number of times."""
    with market(VENUE, QUICK, pairs=numbered_pairs(count)) as live:
        live.exchange.refused.add("all")
        [end] = live.events()
        assert len(requests_of(live)) <= MOST_REQUESTS
    assert isinstance(end, Interrupted)
    assert (end.reason, end.exchange_down) == (f'{live.host} answered "Subscription failed"', False)


def test_maintenance_may_be_the_answer_to_a_subscription(live: Market) -> None:
    live.exchange.replies.append(error_frame("Platform in maintenance mode"))
    assert live.end().exchange_down
    assert len(requests_of(live)) == 1, "it is not asked for each pair"
