"""One quote a minute of every pair, whether the stream sends many, few or none."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from crypto_predict.collecting.live.streams.quotes import TopOfBook, is_sound
from crypto_predict.errors import SourceError
from crypto_predict.market import Pair, Quote
from tests.support.clocks import MovedClock
from tests.support.live import in_loop, when

START = datetime(2024, 5, 17, 12, 0, 10, tzinfo=UTC)
BTC, ETH, SOL = Pair("BTC", "USDT"), Pair("ETH", "USDT"), Pair("SOL", "USDT")


class Asked:
    """An exchange that has one pair."""

    def __init__(self) -> None:
        self.pairs: list[Pair] = []

    def quote(self, pair: Pair) -> Quote:
        """Return a quote of bitcoin, an impossible one of solana, and fail for others."""
        self.pairs.append(pair)
        if pair == ETH:
            raise SourceError("scripted", "it does not answer")
        return quote(5.0 if pair == BTC else 0.0, START)


def quote(bid: float, time: datetime) -> Quote:
    return Quote(time, bid, 1.0, bid + 1, 1.0)


class Book:
    """The top of the book of one source, and what of it was stored."""

    def __init__(self, exchange: Asked | None = None) -> None:
        self.clock = MovedClock(START)
        self.stored: list[tuple[Pair, Quote]] = []
        self.top = TopOfBook("scripted", exchange, self.clock, lambda _, pair, quote: self.stored.append((pair, quote)))


def test_a_book_that_became_empty_has_no_quote() -> None:
    """A halted pair sends zeros. Its last quote is no longer true, and is not stored minute by minute."""
    book = Book()
    book.top.received(BTC, quote(1.0, START))
    book.top.received(BTC, quote(0.0, START))
    book.top.every_minute([BTC])
    assert book.stored == []


def test_the_newest_quote_of_a_minute_is_stored_as_it_came() -> None:
    book = Book()
    book.top.received(BTC, quote(1.0, START))
    book.top.received(BTC, quote(2.0, START + timedelta(seconds=4)))
    book.clock.elapsed = 10
    book.top.every_minute([BTC, ETH])
    assert book.stored == [(BTC, quote(2.0, START + timedelta(seconds=4)))]


def test_a_quote_that_has_not_changed_is_stored_with_the_present_time_of_its_exchange() -> None:
    """Whose clock is seven minutes behind."""
    book = Book()
    book.top.received(BTC, quote(1.0, START - timedelta(minutes=7)))
    for minute in (1, 2):
        book.clock.elapsed = 60 * minute
        book.top.every_minute([BTC])
    assert [quote.time for _, quote in book.stored] == [START - timedelta(minutes=6), START - timedelta(minutes=5)]
    assert {quote.bid for _, quote in book.stored} == {1.0}


@in_loop
async def test_after_an_interruption_the_exchange_is_asked_and_one_that_fails_does_not_harm_the_others() -> None:
    """The quotes of the stream may no longer be true."""
    exchange = Asked()
    book = Book(exchange)
    book.top.received(BTC, quote(1.0, START))
    book.top.received(ETH, quote(1.0, START))
    book.top.interrupted()
    book.top.every_minute([SOL, BTC, ETH])
    await when(lambda: len(exchange.pairs) == 3 and book.stored)
    assert sorted(exchange.pairs) == [BTC, ETH, SOL]
    assert book.stored == [(BTC, quote(5.0, START))]


@pytest.mark.parametrize(
    ("values", "sound"),
    [
        *(((0.0, 0.0, 0.0, 0.0), False), ((0.0, 1.0, 2.0, 1.0), False), ((2.0, 1.0, 0.0, 1.0), False)),
        *(((2.0, 1.0, 1.9, 1.0), False), ((2.0, -1.0, 2.1, 1.0), False), ((2.0, 1.0, math.inf, 1.0), False)),
        *(((2.0, 1.0, 2.1, math.nan), False), ((2.0, 0.0, 2.0, 0.0), True), ((2.0, 1.0, 2.0, 2.0), True)),
    ],
)
def test_only_a_book_that_a_market_can_have_is_sound(values: tuple[float, float, float, float], sound: bool) -> None:
    """A halted pair has zeros, and a bid above the ask would be traded. Equal prices and unknown sizes may be."""
    assert is_sound(Quote(START, *values)) is sound
