"""Coinbase over REST: its wire format and what only it does."""

import json
from datetime import UTC, datetime

import requests

from crypto_predict.market import Candle, Interval, Quote, Span
from tests.support.replay import server as replay
from tests.support.replay.coinbase import VENUE, CoinbaseExchange, bare_minutes, book
from tests.support.replay.minutes import BTC, START
from tests.support.replay.server import ReplayServer
from tests.support.replay.venue import MINUTE

TOP = Quote(START, 65214.98, 0.0123, 65214.99, 0.51)


def test_the_documented_row_is_a_candle() -> None:
    """Low comes before high, and open before close."""
    documented = [1415398768 // 60 * 60, 0.32, 4.2, 0.35, 4.1, 12.3]
    opening = datetime(2014, 11, 7, 22, 19, tzinfo=UTC)
    for sent in (documented, [documented[0], *map(str, documented[1:])]):
        with VENUE.serving([]) as server:
            server.inject(replay.answer(200, json.dumps([sent])))
            [candle] = VENUE.source(server).candles(BTC, Interval.MINUTE_1, Span(opening, opening + MINUTE))
        assert candle == Candle(opening, 0.35, 4.2, 0.32, 4.1, 12.3)


def test_a_request_has_both_ends_and_no_more_than_300_candles() -> None:
    """With one end alone Coinbase sends the newest candles; it refuses a span of 301."""
    with VENUE.serving(bare_minutes(2 * VENUE.page)) as server:
        VENUE.read(server, VENUE.page + 10)
        queries = [request.query for request in server.requests]
    assert queries == [
        {"granularity": "60", "start": "2023-01-01T00:00:00Z", "end": "2023-01-01T04:59:00Z"},
        {"granularity": "60", "start": "2023-01-01T05:00:00Z", "end": "2023-01-01T05:09:00Z"},
    ]


def test_an_empty_answer_is_not_believed_at_once() -> None:
    """Coinbase sends one now and then although it has the candles."""
    with ReplayServer(CoinbaseExchange({(BTC, Interval.MINUTE_1): bare_minutes(20)}, empty=1.0)) as server:
        assert VENUE.read(server, 20) == bare_minutes(20)
        assert len(server.requests) == 2


def test_rows_before_the_start_are_left_out() -> None:
    """Coinbase sends some of them."""
    span = Span(START + 10 * MINUTE, START + 20 * MINUTE)
    with VENUE.serving(bare_minutes(20)) as server:
        assert list(VENUE.source(server).candles(BTC, Interval.MINUTE_1, span)) == bare_minutes(20)[10:]
        [request] = server.requests
        sent = requests.get(f"{server.url}{request.path}", request.query, timeout=30).json()
    assert len(sent) == 13


def test_an_empty_side_of_the_book_has_zeros() -> None:
    """A halted pair has no bids. The collector does not store such a quote."""
    with VENUE.serving(bare_minutes(10), quote=TOP) as server:
        server.inject(replay.answer(200, json.dumps({**book(TOP), "bids": []})))
        quote = VENUE.source(server).quote(BTC)
    assert (quote.bid, quote.bid_size, quote.ask) == (0.0, 0.0, 65214.99)
