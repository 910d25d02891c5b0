"""Longer candles: they are what pandas makes of the stored ones, whatever is written, revised or deleted."""

import dataclasses
import math
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crypto_predict.market import DAY, Candle, Interval, SeriesKey, Span, StoredCandle
from crypto_predict.store import Database, WritableDatabase, open_reader, open_writer
from tests.support.databases import ON_BOTH, execute
from tests.support.minutes import EVER, MANY, MINUTE, MINUTES, START, candle, candles, real_minutes, span

LONGER = [interval for interval in Interval if interval is not Interval.MINUTE_1]
RULES = {interval.label: f"{interval.seconds // 60}min" for interval in Interval} | {"1w": "W-MON"}
ROLLED = [interval for interval in LONGER if interval.length >= Interval.MINUTE_15.length]
WEEK = 7 * 1440  # minutes
SUMS = ("volume", "quote_volume", "trades", "taker_base_volume", "taker_quote_volume")


def with_pandas(stored: Sequence[StoredCandle], interval: Interval) -> list[StoredCandle]:
    """Return what `resample` of pandas makes of candles; weeks begin on Monday."""
    frame = pd.DataFrame([(*row.candle, row.vwap) for row in stored], columns=[*Candle._fields, "vwap"])
    frame = frame.set_index("open_time").astype(float)
    groups = frame.assign(position=range(len(frame))).resample(RULES[interval.label], label="left", closed="left")
    joined = groups.agg({"open": "first", "high": "max", "low": "min", "close": "last", **dict.fromkeys(SUMS, "sum")})
    joined = joined.where(groups.count()[joined.columns].eq(groups.size(), axis="index"))  # if every part has it
    joined = joined.assign(position=groups["position"].max())[groups.size() > 0]
    joined["vwap"] = frame["vwap"].to_numpy()[joined.pop("position").astype(int)]
    rows = [[None if math.isnan(value) else value for value in values] for values in joined.to_numpy().tolist()]
    openings = [opening.to_pydatetime() for opening in joined.index]
    return [StoredCandle(Candle._make([at, *row[:-1]]), row[-1]) for at, row in zip(openings, rows, strict=True)]


def assert_same(actual: Sequence[StoredCandle], expected: Sequence[StoredCandle]) -> None:
    """Compare candles; sums to 12 digits, since their order differs."""
    assert [row.candle.open_time for row in actual] == [row.candle.open_time for row in expected]
    for row, other in zip(actual, expected, strict=True):
        assert row.candle[1:5] == other.candle[1:5]
        assert row.vwap == other.vwap
        for value, awaited in zip(row.candle[5:], other.candle[5:], strict=True):
            assert value == (None if awaited is None else pytest.approx(awaited, rel=1e-12))


def check(database: Database, series: SeriesKey = MINUTES, intervals: Sequence[Interval] = LONGER) -> None:
    """Check that the candles of every interval are those of pandas."""
    stored = database.candles(series, EVER, MANY)
    for interval in intervals:
        assert_same(database.joined(series, interval, EVER, MANY), with_pandas(stored, interval) if stored else [])


def drawn_candle(minute: int, price: float, volume: float, turnover: float | None, trades: int | None) -> Candle:
    return Candle(
        START + minute * MINUTE, price, price * 1.25, price, price, volume, turnover, trades, turnover, volume / 2
    )


written = st.lists(
    st.builds(
        drawn_candle,
        st.sampled_from([0, 1440]).flatmap(lambda near: st.integers(near - 40, near + 40)) | st.integers(0, 2 * 1440),
        st.floats(1, 1e6),
        st.sampled_from([0.0, 1 / 3]) | st.floats(0, 1e9),
        st.none() | st.floats(0, 1e9),
        st.none() | st.integers(0, 10**6),
    ),
    min_size=1,
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)
@given(history=st.lists(st.tuples(written, st.booleans()), min_size=1, max_size=4))
def test_any_writes_in_any_order_give_the_longer_candles_of_pandas(
    shared: WritableDatabase, new_series: Callable[[], SeriesKey], history: list[tuple[list[Candle], bool]]
) -> None:
    """After every write, of a stream or over REST: late candles, revisions, values that are missing."""
    series = new_series()
    for drawn, is_closed in history:
        if is_closed:
            shared.write_closed({series: drawn})
        else:
            shared.write(series, drawn, Span(min(drawn).open_time, max(drawn).open_time + MINUTE))
        check(shared, series)


@ON_BOTH
def test_real_minutes_give_the_longer_candles_of_pandas(writer: WritableDatabase) -> None:
    """Three weeks, with the gaps of the exchange, in windows as a backfill writes them, the newest first."""
    minutes = real_minutes(21)
    for first in reversed(range(0, len(minutes), 9_000)):
        window = minutes[first : first + 9_000]
        writer.write(MINUTES, window, Span(window[0].open_time, window[-1].open_time + MINUTE))
    check(writer)


@ON_BOTH
def test_a_page_of_longer_candles_goes_over_any_gap(writer: WritableDatabase) -> None:
    """Years without a candle are one look into the database, and a page has as many candles as it was asked for."""
    minutes = [candle(minute) for minute in (0, 1, 7, WEEK * 100, WEEK * 100 + 7, WEEK * 300)]
    for each in minutes:
        writer.write_closed({MINUTES: [each]})
    fives = writer.joined(MINUTES, Interval.MINUTE_5, EVER, MANY)
    assert [row.candle.open_time - START for row in fives] == [
        minute * MINUTE for minute in (0, 5, WEEK * 100, WEEK * 100 + 5, WEEK * 300)
    ]
    for count in range(6):
        assert writer.joined(MINUTES, Interval.MINUTE_5, EVER, count) == fives[:count]
    assert writer.joined(MINUTES, Interval.MINUTE_5, Span(START + MINUTE, EVER.end), 2) == fives[1:3]
    assert writer.joined(dataclasses.replace(MINUTES, source="other"), Interval.HOUR_1, EVER, MANY) == []


@ON_BOTH
@pytest.mark.parametrize(
    "base", [Interval.MINUTE_5, Interval.MINUTE_10, Interval.HOUR_1, Interval.HOUR_4, Interval.DAY_1]
)
def test_candles_of_any_length_are_joined(base: Interval, writer: WritableDatabase) -> None:
    """Whichever length is stored; what does not divide the longer one cannot be part of it."""
    series = dataclasses.replace(MINUTES, interval=base)
    writer.follow(series, simulated=False)
    stored = [candle(0)._replace(open_time=START + number * base.length, volume=number / 7) for number in range(90)]
    writer.write(series, stored, Span(START, START + 90 * base.length))
    writer.write(series, [stored[40]._replace(high=999.0)])
    check(writer, series, [longer for longer in LONGER if longer.seconds % base.seconds == 0 and longer is not base])
    assert writer.joined(series, base, EVER, MANY) == writer.candles(series, EVER, MANY)


@ON_BOTH
def test_weeks_begin_on_monday(writer: WritableDatabase) -> None:
    """Also those that are stored themselves."""
    weeks = dataclasses.replace(MINUTES, interval=Interval.WEEK_1)
    writer.follow(weeks, simulated=False)
    monday = datetime.fromisoformat("2024-05-13T00:00Z")
    writer.write(MINUTES, [candle(0), candle(3 * 1440 - 1), candle(3 * 1440)])
    writer.write(
        weeks, [candle(0)._replace(open_time=monday), candle(0)._replace(open_time=monday + 3 * 7 * DAY)], EVER
    )
    assert [row.candle.open_time for row in writer.joined(MINUTES, Interval.WEEK_1, EVER, MANY)] == [
        monday,
        monday + 7 * DAY,
    ]
    assert [gap.missing for gap in writer.gaps(weeks, EVER)] == [2]
    with pytest.raises(ValueError, match="belongs in the quarantine"):
        writer.write(weeks, [candle(0)._replace(open_time=monday - 4 * DAY)])


@ON_BOTH
def test_a_longer_candle_says_whether_all_its_minutes_were_asked_for(writer: WritableDatabase) -> None:
    """Also those that the source did not have."""
    writer.write(MINUTES, candles(30, 100), span(30, 150))
    writer.write(MINUTES, candles(181, 200), span(160, 240))
    hours = [Span(START + timedelta(hours=first), START + timedelta(hours=last)) for first, last in ((1, 2), (3, 4))]
    assert writer.covered(MINUTES, Interval.HOUR_1) == hours
    assert writer.covered(MINUTES, Interval.DAY_1) == []
    assert [row.candle.open_time.hour for row in writer.joined(MINUTES, Interval.HOUR_1, EVER, MANY)] == [0, 1, 3]


def purge(writer: WritableDatabase, minute: int, limit: int = 5_000) -> None:
    while writer.purge(Interval.MINUTE_1, START + minute * MINUTE, limit) == limit:
        check_rolled(writer)


def check_rolled(writer: WritableDatabase) -> None:
    """Check that each level of rollups is what the one below it is."""
    quarters = writer.joined(MINUTES, Interval.MINUTE_15, EVER, MANY)
    for interval in ROLLED[1:]:
        assert_same(writer.joined(MINUTES, interval, EVER, MANY), with_pandas(quarters, interval))


@ON_BOTH
def test_rollups_outlive_the_minutes(writer: WritableDatabase, reader: Database) -> None:
    """They are the only record then: nothing that comes later makes them worse."""
    writer.write(MINUTES, candles(100, 4000), span(100, 4000))
    before = {interval: reader.joined(MINUTES, interval, EVER, MANY) for interval in ROLLED}
    covered = {interval: reader.covered(MINUTES, interval) for interval in ROLLED}

    def check_unchanged() -> None:
        assert {interval: reader.joined(MINUTES, interval, EVER, MANY) for interval in ROLLED} == before
        assert {interval: reader.covered(MINUTES, interval) for interval in ROLLED} == covered

    purge(writer, 2 * 1440, 777)
    check_unchanged()
    assert reader.covered(MINUTES, Interval.MINUTE_5) == [span(2880, 4000)]
    writer.write(MINUTES, candles(1000, 1010), span(1000, 1010))  # asked for again, in part
    writer.write_closed({MINUTES: [candle(2000)._replace(high=999.0)]})
    purge(writer, 2 * 1440)
    check_unchanged()
    purge(writer, 9 * 1440)
    check_unchanged()
    writer.write(MINUTES, candles(1010, 1300), span(1010, 1300))  # the first that is stored now
    check_unchanged()


@ON_BOTH
def test_a_rollup_whose_minutes_are_all_fetched_again_is_made_of_them(writer: WritableDatabase) -> None:
    """In pieces, and with what the exchange has revised meanwhile."""
    writer.write(MINUTES, candles(0, 3000), span(0, 3000))
    purge(writer, 1440)
    before = writer.joined(MINUTES, Interval.DAY_1, EVER, MANY)
    revised = [each._replace(volume=each.volume + 1) for each in candles(0, 1440)]
    for first, last in ((1000, 1440), (0, 500), (500, 1000)):
        assert writer.joined(MINUTES, Interval.DAY_1, EVER, MANY) == before
        writer.write(MINUTES, revised[first:last], span(first, last))
    check(writer)
    assert len(writer.candles(MINUTES, EVER, MANY)) == 3000


@ON_BOTH
def test_the_rollups_of_an_earlier_version_are_made_while_others_write(url: str) -> None:
    """Until then every candle is made of minutes. A process that is killed continues where it was."""
    minutes, some = 100 * 1440 + 700, (Interval.MINUTE_15, Interval.HOUR_4, Interval.WEEK_1)
    with open_writer(url) as writer, open_reader(url) as reader:
        writer.follow(MINUTES, simulated=False)
        sparse = [candle(minute) for minute in range(0, minutes, 131)]
        writer.write(MINUTES, sparse, span(0, minutes))
        execute(url, "DELETE FROM rollups")
        execute(url, f"UPDATE symbols SET unrolled = {int(START.timestamp()) + 101 * 86_400}")
        is_rolled = [collected.is_rolled for collected in reader.collected()]
        check(writer, intervals=some)
        start = writer.roll_up(MINUTES)
        assert (is_rolled, start) == ([False], START + 71 * DAY)
        for minute in (5, 80 * 1440 + 5, minutes + 5, 102 * 1440):  # not made yet, made, and after the newest
            writer.write(MINUTES, [candle(minute)._replace(volume=7.5)], span(minute, minute + 1))
            check(writer, intervals=some)
        with open_writer(url) as other:
            while other.roll_up(MINUTES) is not None:
                check(reader, intervals=some)
        assert [collected.is_rolled for collected in reader.collected()] == [True]
        check(reader, intervals=some)


@ON_BOTH
def test_damaged_rollups_are_made_again(writer: WritableDatabase, url: str) -> None:
    """Missing ones, wrong ones, and those that nothing belongs to; what has no minutes any more stays."""
    writer.write(MINUTES, candles(0, 5000), span(0, 5000))
    purge(writer, 1440)
    before = writer.joined(MINUTES, Interval.DAY_1, EVER, MANY)
    seconds = int(START.timestamp())
    for statement in (
        f"DELETE FROM rollups WHERE open_time = {seconds + 3 * 86_400}",
        f"UPDATE rollups SET volume = 7 WHERE open_time >= {seconds + 2 * 86_400}",
        f"UPDATE rollups SET open_time = {seconds + 4 * 86_400 - 1_800} WHERE open_time = {seconds + 90_000}",
    ):
        execute(url, statement)
    assert writer.joined(MINUTES, Interval.DAY_1, EVER, MANY) != before
    position = writer.roll_up(MINUTES)
    assert position is None
    assert writer.joined(MINUTES, Interval.DAY_1, EVER, MANY) == before
    assert len(writer.joined(MINUTES, Interval.MINUTE_15, EVER, MANY)) == -(-5000 // 15)


@ON_BOTH
def test_writers_of_one_series_and_its_rebuilding_take_turns(url: str) -> None:
    """Two that write and two that make rollups again, at once."""
    with open_writer(url) as writer:
        writer.follow(MINUTES, simulated=False)
        writer.write(MINUTES, candles(0, 3000), span(0, 3000))

        def write(first: int) -> None:
            for minute in range(first, 4000, 200):
                writer.write(MINUTES, [candle(minute)._replace(volume=3.0)], span(minute, minute + 1))

        def build() -> None:
            for _ in range(5):
                writer.roll_up(MINUTES)

        threads = [threading.Thread(target=write, args=[first]) for first in (7, 107)]
        threads += [threading.Thread(target=build) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        check(writer)


@ON_BOTH
def test_a_part_that_no_market_made_is_left_out(writer: WritableDatabase, url: str) -> None:
    """It was altered outside of this program. The rollups that were made before have what was stored then."""
    writer.write(MINUTES, candles(0, 100), span(0, 100))
    hours = writer.joined(MINUTES, Interval.HOUR_1, EVER, MANY)
    execute(url, f"UPDATE price_history SET high = -1 WHERE open_time = {int(START.timestamp()) + 180}")
    expected = with_pandas(
        [
            row
            for row in writer.candles(MINUTES, EVER, MANY)
            if row.candle.open_time.minute != 3 or row.candle.open_time.hour
        ],
        Interval.MINUTE_5,
    )
    assert_same(writer.joined(MINUTES, Interval.MINUTE_5, EVER, MANY), expected)
    assert writer.damaged > 0
    assert writer.joined(MINUTES, Interval.HOUR_1, EVER, MANY) == hours


@ON_BOTH
def test_volumes_without_measure_fail_no_write(writer: WritableDatabase) -> None:
    """Their sum is more than a number can be, or their trades more than a column can hold."""
    for minute in range(40):
        huge = candle(minute)._replace(volume=1.7e308, quote_volume=1.7e308, trades=2**62)
        assert writer.write(MINUTES, [huge if minute % 2 else huge._replace(volume=1.0, quote_volume=1.0)]) == 1
    for interval in LONGER:
        writer.joined(MINUTES, interval, EVER, MANY)
