"""REST beside the streams, over the real source of Binance: a market in motion, outages, gaps and every order."""

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crypto_predict.collecting.live.events import Stored
from crypto_predict.collecting.live.fetching.filler import MOST_REFUSALS, Filler
from crypto_predict.collecting.live.pairs import Roster
from crypto_predict.collecting.windows import TAIL, WINDOW
from crypto_predict.market import EPOCH, Candle, Interval, Pair, SeriesKey, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import ACTIVE, Shard
from crypto_predict.market.ports import CandleSource
from crypto_predict.sources.binance import EXCHANGE
from crypto_predict.sources.binance.rest import Binance
from crypto_predict.sources.exchange import Settings
from crypto_predict.sources.network.limits import RateBudget
from crypto_predict.sources.poloniex.rest import CANDLES, Poloniex
from crypto_predict.store import WritableDatabase, open_writer
from tests.support.collecting import Market
from tests.support.live import minutes_of, until
from tests.support.minutes import EVER, MANY, MINUTE
from tests.support.replay.binance import BinanceExchange, BinanceInMotion
from tests.support.replay.minutes import QUICK, START, full_minutes
from tests.support.replay.motion import Motion, numbered_pairs
from tests.support.replay.poloniex import PoloniexExchange
from tests.support.replay.server import Answer, Fault, Handler, ReplayServer, altered, answer, break_off
from tests.support.replay.venue import TETHER

SERIES = minutes_of("binance", TETHER)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def candles_in(database: WritableDatabase, series: SeriesKey, until: datetime | None = None) -> list[Candle]:
    span = Span(EVER.start, EVER.end if until is None else until)
    return [candle.candle for candle in database.candles(series, span, MANY)]


@contextmanager
def filling(
    database: WritableDatabase,
    sources: Mapping[str, CandleSource],
    clock: Clock,
    pairs: Sequence[Pair] = (),
    since: datetime | None = None,
    **options: Any,
) -> Iterator[Filler]:
    """Follow the minutes of these pairs from each source inside the context, and fill them."""
    for source in sources.values():
        for pair in pairs:
            series = minutes_of(source.id, source.traded(pair))
            database.follow(series, simulated=source.simulated)
            database.set_state(series, ACTIVE, since)
    roster = Roster(database, Shard(), sources, clock)
    filler = Filler(database, sources, clock, **options)
    roster.refresh()
    filler.follow(list(roster.series.values()))
    try:
        yield filler
    finally:
        filler.stop()


def later(clock: Clock, minutes: int) -> datetime:
    """Return the full minute so many minutes from now."""
    return Interval.MINUTE_1.floor(clock.now()) + minutes * MINUTE


def source_of(server: ReplayServer) -> dict[str, Binance]:
    return {"binance": Binance(Settings(server.url), policy=QUICK)}


class Work(NamedTuple):
    """A filler of Binance at work."""

    database: WritableDatabase
    motion: Motion
    server: ReplayServer
    filler: Filler

    def wait_whole(self, *pairs: Pair, minutes: int) -> None:
        """Wait until so many more minutes have passed, and everything of these pairs, or of all, is stored."""
        end = later(self.motion.clock, minutes)
        span = Span(self.motion.begin, end)
        truth = {minutes_of("binance", pair): self.motion.truth(pair, span) for pair in pairs or self.motion.pairs}
        until(lambda: {series: candles_in(self.database, series, end) for series in truth} == truth)


@contextmanager
def working(
    database: WritableDatabase,
    speed: float = 120,
    pairs: Sequence[Pair] = (TETHER,),
    history: timedelta = timedelta(hours=1),
    fault: tuple[Fault, int] | None = None,
    **options: Any,
) -> Iterator[Work]:
    """Fill pairs of a market in motion that begins so long before `NOON`; a fault befalls the first requests."""
    motion = Motion(Clock(NOON, speed), pairs, begin=NOON - history)
    with ReplayServer(BinanceInMotion(motion)) as server:
        if fault is not None:
            server.inject(fault[0], fault[1], when=lambda request: request.query["symbol"] == "BTCUSDT")
        with filling(database, source_of(server), motion.clock, pairs, **options) as filler:
            yield Work(database, motion, server, filler)


def test_the_newest_end_comes_first_and_then_the_newest_windows(file: WritableDatabase) -> None:
    market = full_minutes(4 * WINDOW)
    clock = Clock(market[-1].open_time + 2 * MINUTE, speed=1)
    with (
        ReplayServer(BinanceExchange({(TETHER, Interval.MINUTE_1): market})) as server,
        filling(file, source_of(server), clock, [TETHER], START),
    ):
        until(lambda: candles_in(file, SERIES) == market)
        requests = [request.query for request in server.requests if request.query["interval"] == "1m"]
    starts = [EPOCH + timedelta(milliseconds=int(query["startTime"])) for query in requests]
    assert any(
        start >= market[-TAIL].open_time for start in starts[: WINDOW // EXCHANGE.page]
    )  # before the second window
    length = WINDOW * MINUTE
    windows = [start for start in starts if (start - EPOCH) % length == timedelta(0)]
    assert len(windows) >= 3
    assert windows == sorted(windows, reverse=True)


def test_a_file_that_was_away_for_a_while_leaves_no_hole(tmp_path: Path, file: WritableDatabase) -> None:
    with working(file, speed=60) as work:
        until(lambda: candles_in(file, SERIES) != [])
        (tmp_path / "market.db").rename(tmp_path / "away")
        back = later(work.motion.clock, 2)
        until(lambda: work.motion.now() >= back)
        (tmp_path / "away").rename(tmp_path / "market.db")
        work.wait_whole(minutes=1)


def test_one_mistaken_answer_does_not_delist_a_pair(file: WritableDatabase) -> None:
    mistaken = answer(400, '{"code": -1121, "msg": "Invalid symbol."}')
    with working(file, 240, fault=(mistaken, MOST_REFUSALS - 1)) as work:
        work.wait_whole(minutes=10)
    assert [collected.state for collected in file.collected()] == [ACTIVE]


@pytest.mark.parametrize("fault", [answer(503), answer(400, "{}"), break_off], ids=["503", "400", "half an answer"])
def test_a_pair_that_is_always_refused_does_not_harm_the_others(fault: Fault, file: WritableDatabase) -> None:
    pairs = numbered_pairs(2)
    with working(file, pairs=pairs, history=timedelta(hours=2), fault=(fault, 5_000)) as work:
        work.wait_whole(pairs[1], minutes=5)
    assert candles_in(file, SERIES) == []


def test_a_series_that_another_process_fills_is_filled_when_that_has_ended(
    tmp_path: Path, file: WritableDatabase
) -> None:
    """`collect.py --backfill` can run beside the live collector. The newest end does not wait."""
    with open_writer(str(tmp_path / "market.db")) as other, contextlib.ExitStack() as reserved:
        reserved.enter_context(other.hold(SERIES))
        with working(file, 240, history=timedelta(days=2)) as work:
            end = later(work.motion.clock, 10)
            until(lambda: is_whole(work.motion, candles_in(file, SERIES, end), TETHER, end))
            whole = work.motion.truth(TETHER, Span(work.motion.begin, end))
            assert len(candles_in(file, SERIES, end)) < len(whole) - TAIL
            reserved.close()
            until(lambda: candles_in(file, SERIES, end) == whole)


def is_whole(motion: Motion, candles: Sequence[Candle], pair: Pair, end: datetime) -> bool:
    """Return whether these are all candles from the first of them up to `end`."""
    return bool(candles) and list(candles) == motion.truth(pair, Span(candles[0].open_time, end))


def test_stopping_does_not_wait_for_an_exchange_and_stores_nothing_afterwards(file: WritableDatabase) -> None:
    answered = Event()

    async def late(request: web.Request, handler: Handler) -> Answer:
        await asyncio.to_thread(answered.wait)
        return await handler(request)

    with working(file, speed=1, fault=(late, 100)) as work:
        until(lambda: len(work.server.requests) > 0)
        work.filler.stop()
        threads = [thread for thread in threading.enumerate() if thread.name.startswith("fill-")]
        assert threads
        answered.set()
        for thread in threads:
            thread.join()
    assert candles_in(file, SERIES) == []


@pytest.mark.parametrize("keep", [None, timedelta(days=1)])
def test_nothing_before_since_and_nothing_that_is_purged_is_asked_for(
    keep: timedelta | None, file: WritableDatabase
) -> None:
    since = NOON - timedelta(days=2)
    first = since if keep is None else NOON - keep
    lifetimes = None if keep is None else {Interval.MINUTE_1: keep}
    with working(file, 60, history=timedelta(days=3), since=since, keep=lifetimes) as work:
        end = later(work.motion.clock, 1)
        until(lambda: is_whole(work.motion, candles_in(file, SERIES, end), TETHER, end))
        until(lambda: candles_in(file, SERIES)[0].open_time <= first + timedelta(hours=1))
    assert candles_in(file, SERIES)[0].open_time >= first


def test_longer_candles_are_asked_for_at_their_close(file: WritableDatabase) -> None:
    clock = Clock(NOON - 2 * MINUTE, speed=60)
    motion = Motion(clock, [TETHER], begin=NOON - timedelta(days=1))
    hours, fives = (replace(SERIES, interval=interval) for interval in (Interval.HOUR_1, Interval.MINUTE_5))
    for series in (hours, fives):
        file.follow(series, simulated=False)
    with ReplayServer(BinanceInMotion(motion)) as server, filling(file, source_of(server), clock):
        until(lambda: NOON in closes(candles_in(file, hours)) & closes(candles_in(file, fives)))
        requests = [request for request in server.requests if request.query["interval"] == "1h"]
    openings = [candle.open_time for candle in motion.candles(TETHER, Interval.HOUR_1, Span(motion.begin, NOON))]
    assert [candle.open_time for candle in candles_in(file, hours)] == openings
    assert len(requests) <= 4  # not every minute


def closes(candles: Sequence[Candle]) -> set[datetime]:
    length = candles[1].open_time - candles[0].open_time if len(candles) > 1 else MINUTE
    return {candle.open_time + length for candle in candles}


def test_a_gap_is_asked_for_again_when_it_is_due(file: WritableDatabase) -> None:
    """The exchange delivers some minutes only later; the streams had brought what is around them."""
    clock = Clock(speed=1)
    now = Interval.MINUTE_1.floor(clock.now())
    clock = Clock(now, speed=120)
    motion = Motion(clock, [TETHER], begin=now - timedelta(hours=5))
    late = {int((now - number * MINUTE).timestamp() * 1000) for number in (100, 101, 200)}
    is_whole = Event()

    async def without(request: web.Request, handler: Handler) -> Answer:
        if is_whole.is_set():
            return await handler(request)
        return await altered(lambda rows: [row for row in rows if row[0] not in late])(request, handler)

    with ReplayServer(BinanceInMotion(motion)) as server:
        server.inject(without, 5_000)
        with filling(file, source_of(server), clock, [TETHER]):
            until(lambda: [gap.missing for gap in file.gaps(SERIES, EVER)] == [1, 2])
            is_whole.set()
            until(lambda: candles_in(file, SERIES, now) == motion.truth(TETHER, Span(motion.begin, now)))
    assert list(file.gaps(SERIES, EVER)) == []


def test_asking_again_for_the_newest_candles_is_not_another_attempt_for_a_gap(file: WritableDatabase) -> None:
    """Otherwise a gap would be final after four minutes."""
    hole = NOON + 2 * MINUTE
    with working(file, 240) as work:
        work.motion.hole(TETHER, hole)
        work.wait_whole(minutes=10)
        (gap,) = file.gaps(SERIES, EVER)
    assert (gap.start, gap.attempts) == (hole, 1)


NOW = TAIL + 1500  # the minute of the market in which the collector begins
MARKET = full_minutes(NOW + 600)
EVENTS = st.one_of(
    st.tuples(st.just("stream"), st.integers(NOW - 30, NOW), st.integers(1, 8)),
    st.just(("ask", 0, 0)),
    st.tuples(st.just("away"), st.integers(1, 4), st.just(0)),
    st.just(("restart", 0, 0)),
)


@settings(max_examples=12, deadline=None)
@given(
    holes=st.lists(st.tuples(st.integers(0, NOW), st.integers(1, 40)), max_size=4),
    events=st.lists(EVENTS, max_size=8),
)
@example(holes=[(NOW - TAIL - 10, 20)], events=[])
def test_streams_questions_and_failures_in_any_order_end_in_the_whole_market(
    holes: list[tuple[int, int]], events: list[tuple[str, int, int]]
) -> None:
    """Streams deliver some candles and drop others, REST fails and works, the collector ends and begins again."""
    missing = {number for first, length in holes for number in range(first, first + length)}
    whole = [candle for number, candle in enumerate(MARKET) if number not in missing]
    clock = Clock(START + NOW * MINUTE, speed=600)
    source = Market(whole, "binance", intervals=frozenset({Interval.MINUTE_1, Interval.DAY_1}))
    with tempfile.TemporaryDirectory() as folder, open_writer(str(Path(folder, "market.db"))) as database:

        def begin() -> Filler:
            at_work = filling(database, {"binance": source}, clock, [TETHER], streaming={"binance"})
            return running.enter_context(at_work)

        with contextlib.ExitStack() as running:
            filler = begin()
            for kind, first, count in events:
                if kind == "stream":
                    sent = [candle for candle in whole if candle.open_time in span(first, first + count)]
                    database.write_closed({SERIES: sent})
                    filler.stored(Stored(SERIES, sent, len(sent), by_stream=True))
                elif kind == "ask":
                    filler.tail(SERIES)
                elif kind == "away":
                    source.failing = frozenset(range(len(source.questions) + 1, len(source.questions) + 1 + first))
                else:
                    running.close()
                    filler = begin()
            end = START + NOW * MINUTE
            expected = [candle for candle in whole if candle.open_time < end]
            until(
                lambda: (
                    candles_in(database, SERIES, end) == expected
                    and all(is_boundary(part, clock) for part in uncovered_in(database))
                ),
                "all is stored and asked for",
            )
        unknown = {
            number
            for part in uncovered_in(database)
            for number in range((part.start - START) // MINUTE, (part.end - START) // MINUTE)
        }
        assert unknown <= missing
        between = {(candle.open_time - START) // MINUTE for candle in candles_in(database, SERIES)}
        inside = set(range(min(between), max(between))) - between - unknown
        assert sum(gap.missing for gap in database.gaps(SERIES, EVER)) == len(inside)
        assert list(database.revisions(SERIES, EVER)) == []
        (series,) = database.collected()
        assert series.mismatched == 0


def uncovered_in(database: WritableDatabase) -> list[Span]:
    """Return what lies between the spans that were asked for."""
    return [Span(before.end, after.start) for before, after in pairwise(database.coverage(SERIES))]


def is_boundary(part: Span, clock: Clock) -> bool:
    """Return whether the history has ended here, and the newest end begun. A hole across both is asked for a day later.

    The later this machine begins, the later it lies.
    """
    return part.start <= clock.now() - TAIL * MINUTE and part.end >= span(NOW - TAIL, NOW).start


def span(first: int, last: int) -> Span:
    return Span(START + first * MINUTE, START + last * MINUTE)


def test_a_history_leaves_a_part_of_the_rate_budget_to_the_newest_end(file: WritableDatabase) -> None:
    """The budget is 20 requests for an hour. The history takes none once 16 have been made."""
    market = full_minutes(4 * WINDOW)
    clock = Clock(market[-1].open_time + 2 * MINUTE, speed=1)
    exchange = PoloniexExchange({(TETHER, Interval.MINUTE_1): market, (TETHER, Interval.DAY_1): market[:1]})
    series = minutes_of("poloniex", TETHER)
    with ReplayServer(exchange) as server:
        budget = RateBudget(20 * CANDLES, seconds=3_600)
        source = Poloniex(Settings(server.url), policy=QUICK, budget=budget)
        with filling(file, {"poloniex": source}, clock, [TETHER], START, streaming={"poloniex"}) as filler:
            until(lambda: candles_in(file, series)[-TAIL:] == market[-TAIL:])
            until(lambda: len(server.requests) >= 16)
            before = len(server.requests)
            filler.tail(series)
            until(lambda: len(server.requests) > before)
            last = server.requests[-1].query
    assert before < 20
    assert EPOCH + timedelta(milliseconds=int(last["startTime"])) > market[-TAIL].open_time


def test_a_series_without_a_stream_is_not_asked_for_twice_in_one_minute(file: WritableDatabase) -> None:
    """The pipeline asks for every candle that no stream has sent, and the filler asks at each close by itself."""
    market, pairs = full_minutes(TAIL // 2), numbered_pairs(3)
    clock = Clock(market[-1].open_time + MINUTE + timedelta(seconds=10), speed=1)
    exchange = BinanceExchange({(pair, Interval.MINUTE_1): market for pair in pairs})
    with ReplayServer(exchange) as server, filling(file, source_of(server), clock) as filler:

        def follow(pair: Pair) -> int:
            """Fill one more pair; what was due before is done by then. Return the number of requests for the first."""
            series = minutes_of("binance", pair)
            file.follow(series, simulated=False)
            file.set_state(series, ACTIVE, START)
            filler.follow(file.collected())
            until(lambda: candles_in(file, series) == market)
            return len([request for request in server.requests if request.query["symbol"] == "BTCUSDT"])

        follow(pairs[0])
        requests = follow(pairs[1])
        for _ in range(5):
            filler.tail(SERIES)
        assert follow(pairs[2]) == requests
