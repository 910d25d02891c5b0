"""Deleting what is too old."""

import dataclasses
from collections.abc import Sequence
from datetime import timedelta

from crypto_predict.market import Candle, Interval, Pair, Quote, SeriesKey, Span
from crypto_predict.market.collected import BuiltCandle, Quarantined, StreamSpan, StreamState
from crypto_predict.store import Database, WritableDatabase
from tests.support.databases import ON_BOTH
from tests.support.minutes import EVER, MANY, MINUTE, MINUTES, START, candle, candles, span, vwaps

pytestmark = ON_BOTH
DAY = 1440  # minutes
OTHER = dataclasses.replace(MINUTES, pair=Pair("ETH", "USDT"))
FIVES = dataclasses.replace(MINUTES, interval=Interval.MINUTE_5)
SECOND = timedelta(seconds=1)


def purge(writer: WritableDatabase, minute: float, limit: int = 100) -> list[int]:
    """Delete the minutes before one in batches; return how many rows each deleted."""
    counts = [limit]
    while counts[-1] == limit:
        counts.append(writer.purge(Interval.MINUTE_1, START + minute * MINUTE, limit))
    return counts[1:]


def stored(reader: Database, series: SeriesKey = MINUTES) -> Sequence[Candle]:
    return [row.candle for row in reader.candles(series, EVER, MANY)]


def test_old_candles_are_deleted_in_batches(writer: WritableDatabase, reader: Database) -> None:
    """After each batch, what is known of the series is what is stored of it. Others keep theirs."""
    for series in (OTHER, FIVES):
        writer.follow(series, simulated=False)
    writer.write(MINUTES, [*candles(0, 90), *candles(110, 300)], span(-10, 300))
    writer.write(OTHER, candles(0, 30), span(0, 30))
    writer.write(FIVES, [candle(minute) for minute in range(0, 300, 5)], span(0, 300))
    for first, missing in ((60, 20), (140, 0)):
        assert writer.purge(Interval.MINUTE_1, START + 200.5 * MINUTE, 60) == 60
        assert (stored(reader)[0], reader.coverage(MINUTES)) == (candle(first), [span(first, 300)])
        assert [collected.missing for collected in reader.collected(MINUTES.pair)] == [missing, 0]
    assert reader.gaps(MINUTES, EVER) == []
    assert purge(writer, 200.5, 60) == [60, 31]
    assert purge(writer, 200.5, 60) == [0]
    assert (stored(reader), reader.coverage(MINUTES)) == (candles(201, 300), [span(201, 300)])
    assert (stored(reader, OTHER), reader.coverage(OTHER), len(stored(reader, FIVES))) == ([], [], 60)
    facts = {row.series: (row.candles, row.first_open, row.newest_close) for row in reader.collected()}
    assert facts[MINUTES] == (99, START + 201 * MINUTE, START + 300 * MINUTE)
    assert (facts[OTHER], facts[FIVES][0]) == ((0, None, None), 60)


def test_whole_days_leave_the_vwap_right(writer: WritableDatabase, reader: Database) -> None:
    """Also where the day that stays is computed again, where a candle follows, and where none is left."""
    writer.write(MINUTES, candles(DAY - 50, DAY + 50), span(DAY - 50, DAY + 50))
    assert purge(writer, DAY, 20) == [20, 20, 10]
    day = candles(DAY, DAY + 51)
    for number, written in ((50, day[50]), (0, day[0]._replace(close=99.5))):
        day[number] = written
        writer.write_closed({MINUTES: [written]})
        assert [row.vwap for row in reader.candles(MINUTES, EVER, MANY)] == vwaps(day)
    assert purge(writer, 2 * DAY) == [51]
    for minute in (2 * DAY, 2 * DAY + 1):
        assert writer.write_closed({MINUTES: [candle(minute)]}) == 1
    assert [row.vwap for row in reader.candles(MINUTES, EVER, MANY)] == vwaps(candles(2 * DAY, 2 * DAY + 2))
    assert reader.coverage(MINUTES) == [span(2 * DAY, 2 * DAY + 2)]


def test_what_is_kept_for_each_minute_goes_with_the_minutes(writer: WritableDatabase, reader: Database) -> None:
    """Quotes, states of streams, built candles, revisions and rejected rows; not the built ones of other intervals."""
    pair, row = MINUTES.pair, BuiltCandle(START, 1.0, 1.0, 1.0, 1.0, 1, 0, False)
    writer.write(MINUTES, candles(0, 10), span(0, 10), [Quarantined(candle(minute), "a reason") for minute in (3, 7)])
    writer.write(MINUTES, [candle(minute)._replace(close=100.5) for minute in (2, 8)])
    times = [START + minute * MINUTE for minute in range(10)]
    quotes = [Quote(time + SECOND, 1.0, 1.0, 2.0, 1.0) for time in times]
    writer.write_quotes("binance", pair, quotes)
    built = [dataclasses.replace(row, open_time=time) for time in times]
    writer.write_built({MINUTES: built, FIVES: [row]})
    streams = [StreamSpan(Span(time, time + 50 * SECOND), StreamState.CONNECTED, "") for time in times]
    long = StreamSpan(Span(times[4], times[6]), StreamState.DISCONNECTED, "timeout")
    for state in (*streams, long):
        writer.write_streams("binance", [pair], state)
    assert purge(writer, 5, 3) == [3, 3, 3, 3, 3, 3, 1], "5 candles, 5 built ones, 5 quotes, 4 states"
    assert reader.quotes("binance", pair, EVER, MANY) == quotes[5:]
    assert reader.streams("binance", pair, EVER) == [long, *streams[6:]]
    assert (reader.built(MINUTES, EVER, MANY), reader.built(FIVES, EVER, MANY)) == (built[5:], [row])
    assert reader.revisions(MINUTES, EVER) == [candle(8)]
    assert [rejected.candle for rejected in reader.quarantine(MINUTES, EVER)] == [candle(7)]
    assert writer.purge(Interval.MINUTE_5, START + 5 * MINUTE, 3) == 1
    assert purge(writer, 5) == [0]
