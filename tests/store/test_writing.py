"""Writes on SQLite and PostgreSQL, read back through another connection."""

from datetime import UTC, datetime, timedelta

from crypto_predict.market import Candle, Interval, Pair, SeriesKey, Span
from crypto_predict.store import Database, WritableDatabase

MINUTES = SeriesKey("binance", Pair("BTC", "USDT"), Interval.MINUTE_1)
START = datetime(2024, 5, 17, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVER = Span(datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))
MANY = 10**9


def candle(minute: int, close: float = 101.5) -> Candle:
    return Candle(START + minute * MINUTE, 101.0, 103.0, 99.0, close, 2.0, 203.0, 17, 1.5, 152.25)


def span(first: int, last: int) -> Span:
    """The span of the minutes from `first` to `last`, the latter not included."""
    return Span(START + first * MINUTE, START + last * MINUTE)


def test_written_candles_are_read_back_exactly(writer: WritableDatabase, reader: Database) -> None:
    writer.follow(MINUTES, simulated=False)
    candles = [candle(0), candle(1)._replace(quote_volume=None, trades=None), candle(2)]
    assert writer.write(MINUTES, candles, span(0, 3)) == 3
    assert [stored.candle for stored in reader.candles(MINUTES, EVER, MANY)] == candles
    assert reader.coverage(MINUTES) == [span(0, 3)]


def test_a_hole_between_candles_is_a_gap_until_it_is_filled(writer: WritableDatabase, reader: Database) -> None:
    writer.follow(MINUTES, simulated=False)
    writer.write(MINUTES, [candle(0), candle(3)], span(0, 4))
    (found,) = reader.gaps(MINUTES, EVER)
    assert (found.gap.start, found.gap.end, found.gap.missing) == (START + MINUTE, START + 3 * MINUTE, 2)
    writer.write(MINUTES, [candle(1), candle(2)], span(1, 3))
    assert reader.gaps(MINUTES, EVER) == []
