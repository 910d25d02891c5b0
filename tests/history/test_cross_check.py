import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from math import nan

import pytest

from crypto_predict.baked.schema import CrossCheck
from crypto_predict.errors import RefusedKeys, SourceError, Unreachable, UnusableHistory
from crypto_predict.history import compare_last_close
from crypto_predict.market import DAY, Candle, Interval, Pair, Quote, Span
from crypto_predict.market.ports import CandleSource
from crypto_predict.sources.csv_file import CsvFile
from crypto_predict.sources.simulated import Simulated
from tests.support.histories import START, history_of, make_candle

BTC, TETHER = Pair("BTC", "USD"), Pair("BTC", "USDT")
LAST = START + 9 * DAY
CANDLES = [make_candle(START + day * DAY, 100.0 + day) for day in range(10)]
HISTORY = history_of(CANDLES, BTC, "first")


@dataclass
class Place:
    """An exchange that trades Tether, with one candle, which may be another one than asked for, or with an error."""

    candle: Candle | None = None
    error: SourceError | UnusableHistory | None = None
    id: str = "second"
    simulated: bool = False
    intervals: frozenset[Interval] = frozenset(Interval)
    asked: Span | None = None

    def traded(self, pair: Pair) -> Pair:
        """Return the pair in Tether."""
        return replace(pair, quote="USDT")

    def newest_close(self, pair: Pair, interval: Interval, limit: datetime) -> datetime:  # noqa: ARG002 the port's signature
        """`limit` rounded down."""
        return interval.floor(limit)

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:  # noqa: ARG002 the same
        """The candle, or the error."""
        self.asked = span
        if self.error is not None:
            raise self.error
        yield from [] if self.candle is None else [self.candle]

    def quote(self, pair: Pair) -> Quote:
        """Not asked."""
        raise NotImplementedError(pair)


FIRST = Place(id="first")


def last(close: float) -> Candle:
    """The last candle, with this close."""
    return make_candle(LAST, close)


def test_the_last_close_is_compared_with_the_first_exchange_that_answers() -> None:
    third = Place(last(500.0), id="third")
    check = compare_last_close(HISTORY, FIRST, [Place(last(108.5)), third])
    assert check == CrossCheck("second", TETHER, date(2021, 1, 10), 108.5, 108.5 / 109 - 1)
    assert third.asked is None


def test_one_candle_is_asked_for() -> None:
    second = Place(last(109.0))
    compare_last_close(HISTORY, FIRST, [second])
    assert second.asked == Span(LAST, LAST + DAY)


@pytest.mark.parametrize(
    "silent",
    [
        Place(error=Unreachable("second", "no network")),
        Place(error=SourceError("second", "answered 400")),
        Place(error=RefusedKeys("second", "correct them")),
        Place(error=UnusableHistory("second", ["it cannot have the pair"])),
        Place(),
        Place(make_candle(LAST - DAY, 5.0)),
        Place(last(109.0)._replace(close=nan)),
    ],
    ids=["unreachable", "refused", "keys", "no such pair", "no candle", "another day", "impossible"],
)
def test_an_exchange_that_cannot_confirm_is_logged_and_the_next_one_is_asked(
    silent: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """A second opinion is worth a request, not a failed training."""
    assert compare_last_close(HISTORY, FIRST, [silent]) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "second" in caplog.text
    check = compare_last_close(HISTORY, FIRST, [silent, Place(last(109.0), id="third")])
    assert check is not None
    assert check.source == "third"


@pytest.mark.parametrize("other", [Simulated(0), CsvFile("no-such-file.csv"), replace(FIRST, candle=last(1.0))])
def test_only_another_exchange_is_a_second_opinion(other: CandleSource) -> None:
    """Simulated prices are made up, and a file may be a copy of the exchange."""
    assert compare_last_close(HISTORY, FIRST, [other]) is None


@pytest.mark.parametrize("source", [Simulated(0), CsvFile("prices.csv")])
def test_simulated_prices_and_files_are_not_compared(source: CandleSource) -> None:
    """Whoever trains from a file expects no connection."""
    second = Place(last(109.0))
    assert compare_last_close(HISTORY, source, [second]) is None
    assert second.asked is None


def test_the_log_names_both_closes(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        compare_last_close(HISTORY, FIRST, [Place(last(110.09))])
    assert "BTC/USD: the last close is 109 at first and 110.09 (BTC/USDT) at second, +1.00 % apart" in caplog.text


def test_minutes_are_compared_by_the_last_minute() -> None:
    opening = datetime(2021, 1, 1, 12, tzinfo=UTC)
    minutes = [make_candle(opening + n * timedelta(minutes=1), 100.0) for n in range(3)]
    second = Place(make_candle(minutes[-1].open_time, 101.0))
    check = compare_last_close(history_of(minutes, interval=Interval.MINUTE_1), FIRST, [second])
    assert check is not None
    assert check.difference == pytest.approx(0.01)
