"""What arrives is stored, also if the database was away, on real databases."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from crypto_predict.collecting.live.events import Event, Stored, TailMissing
from crypto_predict.collecting.live.writer import Writer
from crypto_predict.errors import SeriesHeld
from crypto_predict.market import Candle, Interval, Pair, Quote, SeriesKey, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import BuiltCandle, Quarantined, Shard, StreamSpan, StreamState
from crypto_predict.store import WritableDatabase, open_writer
from tests.support.databases import new_postgresql, stopped_server
from tests.support.live import in_loop, when
from tests.support.minutes import EVER

START = datetime(2024, 5, 17, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BTC, ETH = (SeriesKey("binance", Pair(base, "USDT"), Interval.MINUTE_1) for base in ("BTC", "ETH"))
SPEED = 60.0


def minute(number: int, volume: float = 1.0) -> Candle:
    return Candle(START + number * MINUTE, 2.0, 3.0, 1.0, 2.0, volume)


def quote(number: int) -> Quote:
    return Quote(START + number * MINUTE, 1.0, 2.0, 3.0, 4.0)


class Told:
    """What a writer has reported, and the task in which it runs."""

    task: asyncio.Task[None]

    def __init__(self) -> None:
        self.stored: list[Stored] = []
        self.back = 0

    def hear(self, event: Event) -> None:
        """Note an event."""
        if isinstance(event, Stored):
            self.stored.append(event)
        self.back += event == TailMissing()


@asynccontextmanager
async def writing(
    database: WritableDatabase, most: int = 1_000, speed: float = SPEED
) -> AsyncGenerator[tuple[Writer, Told]]:
    """Run a writer inside the context, and close it at the end."""
    told = Told()
    with database.hold_collector(Shard()) as renew:
        writer = Writer(database, Clock(START, speed), told.hear, most)
        task = told.task = asyncio.create_task(writer.run(renew))
        try:
            yield writer, told
        finally:
            task.cancel()
            await asyncio.wait([task])
            await writer.close(5)
    assert task.cancelled() or isinstance(task.exception(), SeriesHeld)


@pytest.fixture
def database(database: WritableDatabase) -> WritableDatabase:
    """An empty database that follows two pairs, once on each kind."""
    for series in (BTC, ETH):
        database.follow(series, simulated=False)
    return database


@in_loop
async def test_everything_that_waits_at_the_end_is_stored(database: WritableDatabase) -> None:
    """Though `run` had no time for it."""
    bar = BuiltCandle(START, 1.0, 2.0, 1.0, 2.0, 7, 0, partial=False)
    span = StreamSpan(Span(START, START + MINUTE), StreamState.CONNECTED, "")
    async with writing(database) as (writer, told):
        writer.candle(BTC, minute(0))
        writer.candle(ETH, minute(0))
        writer.candle(ETH, minute(1))
        writer.candle(BTC, bar)
        writer.quote("binance", BTC.pair, quote(0))
        writer.stream("binance", [BTC.pair, ETH.pair], span)
        writer.reject(BTC, Quarantined(minute(5)._replace(low=-1.0), "low -1.0"))
        writer.state(ETH, "delisted")
    assert stored(database) == [minute(0)]
    assert stored(database, ETH) == [minute(0), minute(1)]
    assert database.built(BTC, EVER, 9) == [bar]
    assert database.quotes("binance", BTC.pair, EVER, 9) == [quote(0)]
    assert database.streams("binance", ETH.pair, EVER) == [span]
    assert [row.candle.low for row in database.quarantine(BTC, EVER)] == [-1.0]
    assert [collected.state for collected in database.collected()] == ["active", "delisted"]
    assert {stored.series: len(stored.candles) for stored in told.stored} == {BTC: 1, ETH: 2}
    assert (writer.waiting().total(), writer.dropped, told.back) == (0, 0, 0)


def stored(database: WritableDatabase, series: SeriesKey = BTC) -> list[Candle]:
    return [candle.candle for candle in database.candles(series, EVER, 200)]


@in_loop
async def test_a_revision_that_overtakes_its_candle_is_what_is_stored(database: WritableDatabase) -> None:
    async with writing(database) as (writer, _):
        writer.candle(BTC, minute(0, volume=1.0))
        writer.candle(BTC, minute(0, volume=2.0))
        await when(lambda: not writer.waiting())
        writer.candle(BTC, minute(0, volume=3.0))
    assert [candle.volume for candle in stored(database)] == [3.0]
    assert [candle.volume for candle in database.revisions(BTC, EVER)] == [2.0]


@in_loop
async def test_while_the_database_is_away_a_bounded_number_is_kept_and_the_oldest_candles_are_dropped() -> None:
    """REST has the candles, but neither the quotes nor what was built from ticks."""
    bars = [BuiltCandle(START + number * MINUTE, 1.0, 2.0, 1.0, 2.0, 7, 0, partial=False) for number in range(20)]
    with open_writer(new_postgresql()) as database:
        for series in (BTC, ETH):
            database.follow(series, simulated=False)
        async with writing(database, most=100) as (writer, told):
            with stopped_server():
                writer.candle(ETH, minute(0))
                await when(lambda: writer.outage.failures)
                for number in range(100):
                    writer.candle(BTC, minute(number))
                for number in range(20):
                    writer.quote("binance", BTC.pair, quote(number))
                    writer.candle(BTC, bars[number])
                    span = Span(START + number * MINUTE, START + (number + 1) * MINUTE)
                    writer.stream("binance", [BTC.pair], StreamSpan(span, StreamState.CONNECTED, ""))
                await when(lambda: writer.waiting().total() <= 100)
            await when(lambda: told.back)
            await when(lambda: not writer.waiting())
            assert writer.dropped == 41
            assert not writer.outage.failures
        assert stored(database) == [minute(number) for number in range(40, 100)]
        assert stored(database, ETH) == []
        assert database.built(BTC, EVER, 99) == bars
        assert len(database.quotes("binance", BTC.pair, EVER, 99)) == 20
        (connected,) = database.streams("binance", BTC.pair, EVER)
        assert connected.span == Span(START, START + 20 * MINUTE)


@in_loop
async def test_what_an_attempt_has_not_stored_waits_still() -> None:
    """Otherwise the figures say now and then, while the database is away, that nothing waits."""
    with open_writer(new_postgresql()) as database:
        database.follow(BTC, simulated=False)
        async with writing(database) as (writer, _):
            with stopped_server():
                writer.candle(BTC, minute(0))
                writer.quote("binance", BTC.pair, quote(0))
                while writer.outage.failures < 3:
                    assert writer.waiting() == {("binance", BTC.pair): 2}
                    await asyncio.sleep(0)
            await when(lambda: not writer.waiting())
        assert stored(database) == [minute(0)]


@in_loop
async def test_a_collector_that_took_over_meanwhile_ends_this_one() -> None:
    """Two would write the same. The other one is there before the next attempt."""
    address = new_postgresql()
    with open_writer(address) as database, open_writer(address) as other, ExitStack() as taken:
        database.follow(BTC, simulated=False)
        async with writing(database, speed=2) as (writer, told):
            with stopped_server():
                writer.candle(BTC, minute(0))
                await when(lambda: writer.outage.failures)
                writer.candle(BTC, minute(1))
            await asyncio.to_thread(taken.enter_context, other.hold_collector(Shard()))
            with pytest.raises(SeriesHeld, match=r"process \d+ on "):
                await told.task


@in_loop
async def test_a_defect_drops_what_cannot_be_stored_and_asks_rest(database: WritableDatabase) -> None:
    """A candle off the grid does not pass the audit; if one did, it must not stop all others."""
    async with writing(database) as (writer, told):
        writer.candle(BTC, minute(0)._replace(open_time=START + timedelta(seconds=7)))
        await when(lambda: told.back)
        writer.candle(BTC, minute(1))
    assert stored(database) == [minute(1)]
    assert writer.dropped == 1


@in_loop
async def test_a_series_that_was_deleted_from_the_database_does_not_hold_up_the_others(
    database: WritableDatabase,
) -> None:
    """Its stream may send until the collector looks at the database again."""
    deleted = SeriesKey("binance", Pair("SOL", "USDT"), Interval.MINUTE_1)
    impossible = Quarantined(minute(0)._replace(low=-1.0), "low -1.0")
    async with writing(database) as (writer, _):
        writer.reject(deleted, impossible)
        writer.state(deleted, "delisted")
        writer.candle(deleted, minute(0))
        writer.reject(BTC, impossible)
        writer.quote("binance", BTC.pair, quote(0))
    assert not writer.waiting()
    assert len(database.quarantine(BTC, EVER)) == 1
    assert database.quotes("binance", BTC.pair, EVER, 9) == [quote(0)]


@in_loop
async def test_candles_count_as_sent_before_the_stream_counts_as_connected(file: WritableDatabase) -> None:
    """After an outage of the database REST has the same candles at once: it must not count them as missed."""
    heard: list[tuple[int, int]] = []
    connected = StreamSpan(Span(START, START + 2 * MINUTE), StreamState.CONNECTED, "")

    def note(event: Event) -> None:
        candles = len(event.candles) if isinstance(event, Stored) else 0
        heard.append((candles, len(file.streams(BTC.source, BTC.pair, EVER))))

    file.follow(BTC, simulated=False)
    writer = Writer(file, Clock(START, SPEED), note)
    writer.stream(BTC.source, [BTC.pair], connected)
    writer.candle(BTC, minute(0))
    await writer.close(5.0)
    assert heard == [(1, 0)]
    assert file.streams(BTC.source, BTC.pair, EVER) == [connected]
