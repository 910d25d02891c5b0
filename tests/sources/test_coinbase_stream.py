"""Coinbase's stream: its wire format, and what only it does."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from crypto_predict.market import Candle, Interval, Pair, SeriesKey
from crypto_predict.market.events import CandleClosed, PairRefused
from tests.support.replay import streams
from tests.support.replay.coinbase import VENUE
from tests.support.replay.motion import MINUTE
from tests.support.replay.reading import FAST, START, Market, candles_of, market, number_of
from tests.support.replay.streams import Frame

BTC, ETH, LTC = (Pair(base, "USD") for base in ("BTC", "ETH", "LTC"))

MATCH = {  # as documented
    "type": "match",
    "trade_id": 10,
    "sequence": 50,
    "maker_order_id": "ac928c66-ca53-498f-9c13-a110027a60e8",
    "taker_order_id": "132fb6ae-456b-4654-b4e0-d681ac05cea1",
    "time": "2024-05-17T12:00:27.028459Z",
    "product_id": "BTC-USD",
    "size": "5.23512",
    "price": "400.23",
    "side": "sell",
}
NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)


def match(number: int, time: str, **values: str) -> str:
    """Return the message of a trade at a time of the day."""
    return json.dumps({**MATCH, "trade_id": number, "time": f"2024-05-17T{time}Z", **values})


def test_a_minute_is_closed_by_the_next_trade_and_unknown_messages_are_left_out(live: Market) -> None:
    """New types of messages may come at any time, and a pair that was not subscribed is nobody's."""
    frames = [
        json.dumps({"type": "status", "products": []}),
        json.dumps({"type": "heartbeat", "last_trade_id": 0, "product_id": "BTC-USD"}),
        match(9, "11:59:59.9", price="7"),
        match(11, "12:00:59.999999", price="401", size="0.1", side="buy"),
        match(2, "12:00:59", product_id="XRP-USD"),
        json.dumps(MATCH),
        match(12, "12:01:00"),
    ]
    [closed] = live.events(*map(streams.burst, frames), until=number_of(CandleClosed, 1))[-1:]
    assert isinstance(closed, CandleClosed)
    assert closed.series == SeriesKey("coinbase", BTC, Interval.MINUTE_1)
    turnover = round(400.23 * 5.23512 + 401 * 0.1, 8)
    bought = round(400.23 * 5.23512, 8)
    assert closed.candle == Candle(NOON, 400.23, 401, 400.23, 401, 5.33512, turnover, 2, 5.23512, bought)


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (json.dumps({**MATCH, "product_id": None}), "a trade without a product"),
        (json.dumps({**MATCH, "time": "noon"}), "'time' is missing or not an RFC 3339 time"),
        (json.dumps({**MATCH, "time": "2024-05-17T12:00:27"}), "'time' is missing or not an RFC 3339 time"),
        (json.dumps({**MATCH, "price": "x"}), "'price' is missing or not a number"),
        (json.dumps({**MATCH, "trade_id": None}), "'trade_id' is missing or not a whole number"),
        (json.dumps({"type": "subscriptions"}), "subscriptions without lists of products"),
    ],
)
def test_a_message_in_another_format_ends_the_feed_with_its_fault(frame: str, fault: str, live: Market) -> None:
    assert live.malformed(frame) == fault


def test_a_minute_of_which_a_trade_is_missing_is_left_to_rest() -> None:
    """The numbers of its trades show it. The last trade before the subscription came, so the first minute is whole."""
    broken = Interval.MINUTE_1.floor(START) + 2 * MINUTE

    def without_a_trade(frame: Frame) -> Sequence[Frame]:
        message = json.loads(frame)
        is_lost = (
            message["type"] == "match" and MINUTE / 3 < datetime.fromisoformat(message["time"]) - broken < MINUTE / 2
        )
        return [] if is_lost and message["product_id"] == "BTC-USD" else [frame]

    with market(VENUE, FAST, moving=True, quiet=0.0) as live:
        live.exchange.streams.inject(streams.changed(without_a_trade))
        events = live.events(until=lambda events: any(each.open_time > broken for each in candles_of(events, BTC)))
    openings = [candle.open_time for candle in candles_of(events, BTC)]
    assert openings[-1] == broken + MINUTE
    assert broken not in openings
    assert openings[0] <= broken - MINUTE


@pytest.mark.parametrize("reason", ["{} is not a valid product", "an internal fault"])
def test_a_product_that_is_refused_does_not_stop_the_others(reason: str) -> None:
    """Its name may be missing in the answer."""
    with market(VENUE, FAST, moving=True, pairs=(BTC, ETH, LTC), quiet=0.0) as live:
        live.exchange.refused, live.exchange.reason = {"ETH-USD"}, reason
        events = live.events(until=lambda events: all(candles_of(events, pair) for pair in (BTC, LTC)))
    [refused] = [event for event in events if isinstance(event, PairRefused)]
    assert refused == PairRefused(ETH, f'{live.host} answered "Failed to subscribe: {reason.format("ETH-USD")}"')
    assert not candles_of(events, ETH)
