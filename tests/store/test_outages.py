"""The register of outages in a database: made of what is stored, and kept when that is deleted."""

from datetime import datetime, timedelta

from crypto_predict.market import Interval, Pair, SeriesKey, Span
from crypto_predict.market.collected import STOPPED, Difference, StreamSpan, StreamState
from crypto_predict.market.downtime import report
from crypto_predict.market.register import Cause, Fate, OutageKey, RegisteredOutage
from crypto_predict.store import Database, WritableDatabase
from tests.support.databases import ON_BOTH, execute
from tests.support.minutes import EVER, MANY, MINUTE, MINUTES, START, candles, span

CONNECTED, DISCONNECTED, DOWN = StreamState
BTC, ETH = Pair("BTC", "USDT"), Pair("ETH", "USDT")
ETHER = SeriesKey("binance", ETH, Interval.MINUTE_1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def minute(number: float) -> datetime:
    return START + number * MINUTE


def stream(
    database: WritableDatabase,
    first: float,
    last: float,
    state: StreamState = CONNECTED,
    *pairs: Pair,
    source: str = "",
) -> None:
    """Store the state of the streams of these pairs, or else of BTC, from one minute to another."""
    reason = "" if state is CONNECTED else f"it is {state.value}"
    span = StreamSpan(Span(minute(first), minute(last)), state, reason)
    database.write_streams(source or "binance", pairs or [BTC], span)


def registered(reader: Database, now: datetime, **options: object) -> list[tuple[Cause, float, float, bool]]:
    """Return the causes of all outages, from which minute to which they lasted, and whether they are over."""
    return [
        (each.cause, (each.span.start - START) / MINUTE, (each.span.end - START) / MINUTE, each.is_over)
        for each in reader.outages(EVER, MANY, now, **options)  # type: ignore[arg-type] # of the test alone
    ]


@ON_BOTH
def test_what_becomes_of_the_minutes_of_an_outage_is_kept_up_to_date(
    writer: WritableDatabase, reader: Database
) -> None:
    """They are awaited, then REST has some of them, and at last the others are lost. The name stays."""
    writer.write(MINUTES, candles(0, 10), span(0, 10))
    stream(writer, 0, 10)
    stream(writer, 10, 15, DOWN)
    writer.record_outages(START, minute(15))
    (first,) = reader.outages(EVER, MANY, minute(15))
    assert (first.is_over, first.minutes[Fate.AWAITED]) == (False, 5)
    stream(writer, 15, 20)
    writer.write(MINUTES, [*candles(10, 13), *candles(15, 20)], span(10, 20))
    writer.record_outages(START, minute(20))
    (second,) = reader.outages(EVER, MANY, minute(20))
    assert (second.is_over, second.minutes[Fate.FILLED], second.minutes[Fate.AWAITED]) == (True, 3, 2)
    for _ in range(3):
        writer.write(MINUTES, [], span(13, 15))
    writer.record_outages(START, minute(21))
    (third,) = reader.outages(EVER, MANY, minute(21))
    assert (third.minutes[Fate.FILLED], third.minutes[Fate.LOST]) == (3, 2)
    assert first.key == second.key == third.key
    assert reader.outage(first.key, minute(21)) == third
    writer.write(MINUTES, candles(13, 15), span(13, 15))  # a backfill finds them after all
    writer.record_outages(START, minute(21))
    assert reader.outages(EVER, MANY, minute(21))[0].minutes[Fate.FILLED] == 5


@ON_BOTH
def test_the_register_outlives_what_it_was_made_of(writer: WritableDatabase, reader: Database) -> None:
    """Minutes are deleted with their gaps, coverage and states of streams after as many days as they are kept."""
    stream(writer, 0, 10)
    stream(writer, 20, 3 * 1440)
    writer.write(MINUTES, [*candles(0, 12), *candles(20, 40)], span(0, 40))
    now = minute(3 * 1440)
    writer.record_outages(START, now)
    before = reader.outages(EVER, MANY, now)
    assert [report(outage).filled for outage in before] == [2]
    writer.write(MINUTES, candles(3 * 1440 - 1, 3 * 1440), None)
    assert writer.purge(Interval.MINUTE_1, minute(2 * 1440), MANY)
    assert reader.gaps(MINUTES, EVER) == []
    writer.record_outages(now - DAY, now)
    assert reader.outages(EVER, MANY, now) == before
    assert reader.outage_months(EVER_IN_REACH, now)[0].collector.outages == 1


EVER_IN_REACH = Span(START, START + 30 * DAY)


@ON_BOTH
def test_a_collector_that_does_not_run_is_an_outage_that_nobody_need_record(
    writer: WritableDatabase, reader: Database
) -> None:
    """Whoever reads sees it, under the name that it has once the collector runs again."""
    stream(writer, 0, 10)
    stream(writer, 10, 12, DISCONNECTED)
    writer.record_outages(START, minute(12))
    assert registered(reader, minute(14)) == [(Cause.CONNECTION, 10, 12, False)]
    now = minute(30)
    assert registered(reader, now) == [(Cause.COLLECTOR, 12, 30, False), (Cause.CONNECTION, 10, 12, True)]
    silent = reader.outages(EVER, 1, now)[0]
    assert reader.outage(silent.key, now) == silent
    assert reader.outage_months(EVER_IN_REACH, now)[0].collector.minutes == 18
    stream(writer, 40, 50)
    writer.record_outages(minute(50), minute(50))
    assert registered(reader, minute(51)) == [(Cause.COLLECTOR, 12, 40, True), (Cause.CONNECTION, 10, 12, True)]
    assert reader.outages(EVER, 1, minute(51))[0].key == silent.key
    writer.set_state(MINUTES, STOPPED)
    assert registered(reader, minute(500))[0] == (Cause.COLLECTOR, 12, 40, True)


@ON_BOTH
def test_an_outage_that_lasts_keeps_its_beginning_however_late_it_is_looked_at(
    writer: WritableDatabase, reader: Database
) -> None:
    """Each renewal looks at a day, and at what lasts since before."""
    stream(writer, 0, 10)
    for hours in range(1, 30):
        stream(writer, 10, 60 * hours, DOWN if hours % 2 else DISCONNECTED)
        writer.record_outages(minute(60 * hours) - HOUR, minute(60 * hours))
    assert registered(reader, minute(60 * 29)) == [(Cause.EXCHANGE, 10, 60 * 29, False)]
    outage = reader.outages(EVER, MANY, minute(60 * 29))[0]
    assert sum(outage.minutes.values()) == 60 * 29 - 10


@ON_BOTH
def test_a_clock_that_was_wrong_for_a_while_leaves_no_outage(writer: WritableDatabase, reader: Database) -> None:
    """Once it is right, what happened in the time that it had jumped over is recorded after all."""
    stream(writer, 0, 10)
    stream(writer, 70, 75)  # an hour ahead
    writer.record_outages(minute(75) - DAY, minute(75))
    assert registered(reader, minute(75)) == [(Cause.COLLECTOR, 10, 70, True)]
    stream(writer, 10, 20)
    writer.record_outages(minute(20) - DAY, minute(20))
    assert registered(reader, minute(20)) == []
    stream(writer, 20, 75)
    stream(writer, 75, 90)
    writer.record_outages(minute(90) - DAY, minute(90))
    assert registered(reader, minute(90)) == []


@ON_BOTH
def test_pages_pairs_and_sources(writer: WritableDatabase, reader: Database) -> None:
    """The newest come first. Those that begin at one instant are never parted by the end of a page."""
    other = SeriesKey("alpaca", BTC, Interval.MINUTE_1)
    for series in (ETHER, other):
        writer.follow(series, simulated=False)
    for start in range(0, 100, 10):
        for source in ("binance", "alpaca"):
            stream(writer, start, start + 9, CONNECTED, source=source)
            stream(writer, start + 9, start + 9.5, DISCONNECTED, source=source)
            stream(writer, start + 9.5, start + 10, CONNECTED, source=source)
    stream(writer, 0, 44, CONNECTED, ETH)
    stream(writer, 44, 45, DOWN, ETH)
    stream(writer, 45, 100, CONNECTED, ETH)
    now = minute(100)
    writer.record_outages(START, now)
    whole = reader.outages(EVER, MANY, now)
    assert len(whole) == 21
    assert [outage.span.start for outage in whole] == sorted((each.span.start for each in whole), reverse=True)
    pages, end = list[RegisteredOutage](), EVER.end
    while page := reader.outages(Span(EVER.start, end), 3, now):
        pages, end = [*pages, *page], page[-1].span.start
    assert pages == whole
    assert {each.pairs for each in reader.outages(EVER, MANY, now, pair=ETH)} == {(ETH,)}
    assert {each.source for each in reader.outages(EVER, MANY, now, source="alpaca")} == {"alpaca"}
    assert (
        reader.outages(EVER, MANY, now, source="kraken")
        == reader.outages(EVER, MANY, now, pair=Pair("T", "USDT"))
        == []
    )
    assert registered(reader, now, source="binance", pair=ETH) == [(Cause.EXCHANGE, 44, 45, True)]
    assert len(reader.outages(Span(minute(9), minute(20)), MANY, now)) == 4, "those that overlap"
    assert reader.outages(EVER, 0, now) == []


@ON_BOTH
def test_the_name_of_an_outage_that_was_joined_into_another_one_leads_to_that(
    writer: WritableDatabase, reader: Database
) -> None:
    """A collector of other pairs stored later that its stream was away in between, too."""
    writer.follow(ETHER, simulated=False)
    stream(writer, 0, 10, CONNECTED, BTC, ETH)
    for start in (10, 20):
        stream(writer, start, start + 2, DISCONNECTED)
        stream(writer, start + 2, start + 10)
    writer.record_outages(START, minute(30))
    later, earlier = reader.outages(EVER, MANY, minute(30), pair=BTC)
    stream(writer, 10.5, 25, DISCONNECTED, ETH)
    stream(writer, 25, 30, CONNECTED, ETH)
    writer.record_outages(START, minute(31))
    (joined,) = [each for each in reader.outages(EVER, MANY, minute(31)) if not each.cause.is_ours]
    for name in (str(earlier.key), str(later.key)):
        assert reader.outage(OutageKey.parse(name), minute(31)) == joined
    assert reader.outage(OutageKey("binance", False, minute(5)), minute(31)) is None
    assert reader.outage(OutageKey("binance", True, minute(11)), minute(31)) is None


@ON_BOTH
def test_differences_of_streams_are_summed_up_by_source(writer: WritableDatabase, reader: Database) -> None:
    writer.follow(ETHER, simulated=False)
    writer.compared(MINUTES, 100, 1)
    writer.compared(ETHER, 50, 2)
    assert reader.differences() == reader.differences("binance") == [Difference("binance", 150, 3)]
    assert reader.differences("alpaca") == []


@ON_BOTH
def test_damaged_rows_of_the_register_are_left_out(url: str, writer: WritableDatabase, reader: Database) -> None:
    """Anyone may alter a row. The next renewal replaces it, since it is not known."""
    stream(writer, 0, 10)
    stream(writer, 10, 12, DISCONNECTED)
    stream(writer, 12, 20)
    writer.record_outages(START, minute(20))
    whole = registered(reader, minute(20))
    assert len(whole) == 1
    for damage in ("cause = 'weather'", "pairs = 'BTC'", "end_us = 0", "lost = -1", "is_ours = true"):
        execute(url, f"UPDATE outages SET {damage}")
        assert registered(reader, minute(20)) == []
        execute(url, "DELETE FROM outages")
        writer.record_outages(START, minute(20))
        assert registered(reader, minute(20)) == whole
    assert reader.damaged
