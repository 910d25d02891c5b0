"""REST beside the streams, over the real source of Binance: a market in motion, outages, gaps and every order."""

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Event

import pytest
from aiohttp import web
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crypto_predict.collecting.live.events import Stored
from crypto_predict.collecting.live.fetching.filler import MOST_REFUSALS
from crypto_predict.collecting.live.pairs import Roster
from crypto_predict.collecting.registry import Registry
from crypto_predict.collecting.windows import TAIL, WINDOW
from crypto_predict.errors import Unreachable
from crypto_predict.market import EPOCH, Candle, Interval, Pair, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import ACTIVE, DELISTED, Shard
from crypto_predict.sources.binance import EXCHANGE
from crypto_predict.sources.binance.rest import Binance
from crypto_predict.sources.exchange import Settings
from crypto_predict.sources.network.limits import RateBudget
from crypto_predict.sources.poloniex.rest import CANDLES, Poloniex
from crypto_predict.store import WritableDatabase, open_writer
from tests.support.databases import new_postgresql, stopped_server
from tests.support.filling import candles_in, filling, later
from tests.support.live import minutes_of, until
from tests.support.minutes import EVER, MINUTE
from tests.support.replay.binance import BinanceExchange, BinanceInMotion
from tests.support.replay.minutes import QUICK, START, full_minutes
from tests.support.replay.motion import Motion, numbered_pairs
from tests.support.replay.poloniex import PoloniexExchange
from tests.support.replay.server import Answer, Fault, Handler, ReplayServer, altered, answer, break_off
from tests.support.replay.venue import TETHER

SERIES = minutes_of("binance", TETHER)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def source_of(server: ReplayServer) -> dict[str, Binance]:
    return {"binance": Binance(Settings(server.url), policy=QUICK)}


def test_the_newest_end_and_all_that_was_before_are_stored(database: WritableDatabase) -> None:
    """Two days and what follows while it is asked for."""
    clock = Clock(NOON, speed=120)
    pairs = numbered_pairs(3)
    motion = Motion(clock, pairs, begin=NOON - timedelta(days=2))
    with ReplayServer(BinanceInMotion(motion)) as server, filling(database, source_of(server), clock, pairs):
        end = later(clock, 6)
        wanted = {minutes_of("binance", pair): motion.truth(pair, Span(motion.begin, end)) for pair in pairs}
        until(lambda: {series: candles_in(database, series, end) for series in wanted} == wanted)
    for collected in database.collected():
        assert len(database.coverage(collected.series)) == 1
        assert (collected.gaps, list(database.revisions(collected.series, EVER))) == (0, [])


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


def test_an_outage_of_the_exchange_leaves_no_hole(file: WritableDatabase) -> None:
    """It trades on meanwhile: five minutes in which REST does not answer, and the stream does not deliver either."""
    clock = Clock(NOON, speed=120)
    motion = Motion(clock, [TETHER], begin=NOON - timedelta(hours=20))
    down = Span(NOON + 3 * MINUTE, NOON + 8 * MINUTE)
    motion.outage(down, trading=True)
    with ReplayServer(BinanceInMotion(motion)) as server, filling(file, source_of(server), clock, [TETHER]):
        until(lambda: candles_in(file, SERIES, down.start) == motion.truth(TETHER, Span(motion.begin, down.start)))
        until(lambda: candles_in(file, SERIES, down.end) == motion.truth(TETHER, Span(motion.begin, down.end)))
    assert file.coverage(SERIES)[0].end >= down.end


def test_an_outage_of_a_database_leaves_no_hole() -> None:
    """The server refuses connections, and ends those that it has."""
    url, clock = new_postgresql(), Clock(NOON, speed=60)
    motion = Motion(clock, numbered_pairs(2), begin=NOON - timedelta(hours=1))
    with (
        open_writer(url) as opened,
        ReplayServer(BinanceInMotion(motion)) as server,
        filling(opened, source_of(server), clock, motion.pairs),
    ):
        until(lambda: candles_in(opened, SERIES) != [])
        with stopped_server():
            back = later(clock, 2)
            until(lambda: clock.now() >= back)
        end = later(clock, 1)
        wanted = {minutes_of("binance", pair): motion.truth(pair, Span(motion.begin, end)) for pair in motion.pairs}
        until(lambda: {series: candles_in(opened, series, end) for series in wanted} == wanted)


def test_a_file_that_was_away_for_a_while_leaves_no_hole(tmp_path: Path) -> None:
    clock = Clock(NOON, speed=60)
    motion = Motion(clock, [TETHER], begin=NOON - timedelta(hours=1))
    file = tmp_path / "market.db"
    with (
        open_writer(str(file)) as opened,
        ReplayServer(BinanceInMotion(motion)) as server,
        filling(opened, source_of(server), clock, [TETHER]),
    ):
        until(lambda: candles_in(opened, SERIES) != [])
        file.rename(tmp_path / "away")
        back = later(clock, 2)
        until(lambda: clock.now() >= back)
        (tmp_path / "away").rename(file)
        end = later(clock, 1)
        until(lambda: candles_in(opened, SERIES, end) == motion.truth(TETHER, Span(motion.begin, end)))


def test_a_pair_that_the_exchange_does_not_have_any_more_is_delisted_and_its_candles_stay(
    file: WritableDatabase,
) -> None:
    clock = Clock(NOON, speed=240)
    pairs = numbered_pairs(2)
    motion = Motion(clock, pairs, begin=NOON - timedelta(hours=1))
    gone, kept = (minutes_of("binance", pair) for pair in pairs)
    motion.delist(pairs[0], NOON + 3 * MINUTE)
    with ReplayServer(BinanceInMotion(motion)) as server, filling(file, source_of(server), clock, pairs):
        until(
            lambda: (
                {collected.series: collected.state for collected in file.collected()} == {gone: DELISTED, kept: ACTIVE}
            )
        )
        requests = len([request for request in server.requests if request.query["symbol"] == "BTCUSDT"])
        end = later(clock, 10)
        until(lambda: candles_in(file, kept, end) == motion.truth(pairs[1], Span(motion.begin, end)))
        assert len([request for request in server.requests if request.query["symbol"] == "BTCUSDT"]) == requests
    kept_until = candles_in(file, gone)[-1].open_time + MINUTE
    assert kept_until >= NOON
    assert candles_in(file, gone) == motion.truth(pairs[0], Span(motion.begin, kept_until))


def test_one_mistaken_answer_does_not_delist_a_pair(file: WritableDatabase) -> None:
    clock = Clock(NOON, speed=240)
    motion = Motion(clock, [TETHER], begin=NOON - timedelta(hours=1))
    with ReplayServer(BinanceInMotion(motion)) as server:
        server.inject(answer(400, '{"code": -1121, "msg": "Invalid symbol."}'), MOST_REFUSALS - 1)
        with filling(file, source_of(server), clock, [TETHER]):
            end = later(clock, 10)
            until(lambda: candles_in(file, SERIES, end) == motion.truth(TETHER, Span(motion.begin, end)))
    assert [collected.state for collected in file.collected()] == [ACTIVE]


@pytest.mark.parametrize("fault", [answer(503), answer(400, "{}"), break_off], ids=["503", "400", "half an answer"])
def test_a_pair_that_is_always_refused_does_not_harm_the_others(fault: Fault, file: WritableDatabase) -> None:
    clock = Clock(NOON, speed=120)
    pairs = numbered_pairs(2)
    motion = Motion(clock, pairs, begin=NOON - timedelta(hours=2))
    with ReplayServer(BinanceInMotion(motion)) as server:
        server.inject(fault, 5_000, when=lambda request: request.query["symbol"] == "BTCUSDT")
        with filling(file, source_of(server), clock, pairs):
            end, sound = later(clock, 5), minutes_of("binance", pairs[1])
            until(lambda: candles_in(file, sound, end) == motion.truth(pairs[1], Span(motion.begin, end)))
    assert candles_in(file, SERIES) == []


def test_a_series_that_another_process_fills_is_filled_when_that_has_ended(tmp_path: Path) -> None:
    """`collect.py --backfill` can run beside the live collector. The newest end does not wait."""
    clock = Clock(NOON, speed=240)
    motion = Motion(clock, [TETHER], begin=NOON - timedelta(days=2))
    url = str(tmp_path / "market.db")
    with (
        open_writer(url) as file,
        open_writer(url) as other,
        ReplayServer(BinanceInMotion(motion)) as server,
        contextlib.ExitStack() as held,
    ):
        held.enter_context(other.hold(SERIES))
        with filling(file, source_of(server), clock, [TETHER]):
            end = later(clock, 10)
            until(lambda: is_whole(motion, candles_in(file, SERIES, end), TETHER, end))
            assert len(candles_in(file, SERIES, end)) < len(motion.truth(TETHER, Span(motion.begin, end))) - TAIL
            held.close()
            until(lambda: candles_in(file, SERIES, end) == motion.truth(TETHER, Span(motion.begin, end)))


def is_whole(motion: Motion, candles: Sequence[Candle], pair: Pair, end: datetime) -> bool:
    """Return whether these are all candles from the first of them up to `end`."""
    return bool(candles) and list(candles) == motion.truth(pair, Span(candles[0].open_time, end))


def test_stopping_does_not_wait_for_an_exchange_and_stores_nothing_afterwards(file: WritableDatabase) -> None:
    clock, answered = Clock(NOON, speed=1), Event()
    motion = Motion(clock, [TETHER], begin=NOON - timedelta(hours=1))

    async def late(request: web.Request, handler: Handler) -> Answer:
        await asyncio.to_thread(answered.wait)
        return await handler(request)

    with ReplayServer(BinanceInMotion(motion)) as server:
        server.inject(late, 100)
        with filling(file, source_of(server), clock, [TETHER]) as filler:
            until(lambda: len(server.requests) > 0)
            filler.stop()
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
    clock = Clock(NOON, speed=60)
    motion = Motion(clock, [TETHER], begin=NOON - timedelta(days=3))
    since = NOON - timedelta(days=2)
    first = since if keep is None else NOON - keep
    options = {"keep": {Interval.MINUTE_1: keep}} if keep else {}
    with (
        ReplayServer(BinanceInMotion(motion)) as server,
        filling(file, source_of(server), clock, [TETHER], since, **options),
    ):
        end = later(clock, 1)
        until(lambda: is_whole(motion, candles_in(file, SERIES, end), TETHER, end))
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
    clock = Clock(NOON, speed=240)
    motion = Motion(clock, [TETHER], begin=NOON - timedelta(hours=1))
    hole = NOON + 2 * MINUTE
    motion.hole(TETHER, hole)
    with ReplayServer(BinanceInMotion(motion)) as server, filling(file, source_of(server), clock, [TETHER]):
        end = later(clock, 10)
        until(lambda: closes(candles_in(file, SERIES)) >= {end})
        (gap,) = file.gaps(SERIES, EVER)
    assert (gap.start, gap.attempts) == (hole, 1)


class Market:
    """A source of minutes that may be told not to answer."""

    id = "binance"
    simulated = False
    intervals = frozenset({Interval.MINUTE_1, Interval.DAY_1})

    def __init__(self, candles: Sequence[Candle]) -> None:
        self.market, self.failing = candles, 0  # of the next questions

    def traded(self, pair: Pair) -> Pair:
        """Return the pair itself."""
        return pair

    def newest_close(self, pair: Pair, interval: Interval, limit: datetime) -> datetime:  # noqa: ARG002 the port's signature
        """Return `limit` rounded down."""
        return interval.floor(limit)

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:  # noqa: ARG002 the port's signature
        """Return the candles of `span`."""
        if self.failing:
            self.failing -= 1
            raise Unreachable(self.id, "it does not answer")
        if interval is Interval.DAY_1:
            days = sorted({interval.floor(candle.open_time) for candle in self.market})
            yield from (Candle(opening, 1.0, 1.0, 1.0, 1.0, 1.0) for opening in days if opening in span)
        else:
            yield from (candle for candle in self.market if candle.open_time in span)


NOW = TAIL + 1500  # the minute of the market in which the collector begins
MADE = full_minutes(NOW + 600)
STREAMED = st.tuples(st.integers(NOW - 30, NOW), st.integers(1, 8)).map(lambda one: ("stream", *one))
EVENTS = st.one_of(
    STREAMED,
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
    whole = [candle for number, candle in enumerate(MADE) if number not in missing]
    clock, source = Clock(START + NOW * MINUTE, speed=600), Market(whole)
    with tempfile.TemporaryDirectory() as folder, open_writer(str(Path(folder, "market.db"))) as database:
        with contextlib.ExitStack() as running:
            filler = running.enter_context(
                filling(database, {"binance": source}, clock, [TETHER], streaming={"binance"})
            )
            for kind, first, count in events:
                if kind == "stream":
                    sent = [candle for candle in whole if candle.open_time in span(first, first + count)]
                    database.write_closed({SERIES: sent})
                    filler.stored(Stored(SERIES, sent, len(sent), by_stream=True))
                elif kind == "ask":
                    filler.tail(SERIES)
                elif kind == "away":
                    source.failing = first
                else:
                    running.close()
                    filler = running.enter_context(
                        filling(database, {"binance": source}, clock, [TETHER], streaming={"binance"})
                    )
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
    return [Span(one.end, other.start) for one, other in pairwise(database.coverage(SERIES))]


def is_boundary(part: Span, clock: Clock) -> bool:
    """Return whether the history has ended here, and the newest end begun. A hole across both is asked for a day later.

    The later this machine begins, the later it lies.
    """
    return part.start <= clock.now() - TAIL * MINUTE and part.end >= span(NOW - TAIL, NOW).start


def span(first: int, last: int) -> Span:
    return Span(START + first * MINUTE, START + last * MINUTE)


def test_a_pair_that_is_added_is_filled_and_one_that_is_removed_is_left_alone(file: WritableDatabase) -> None:
    """Both while the others go on."""
    clock = Clock(NOON, speed=120)
    pairs = numbered_pairs(3)
    motion = Motion(clock, pairs, begin=NOON - timedelta(days=2))
    first, second, third = (minutes_of("binance", pair) for pair in pairs)
    with (
        ReplayServer(BinanceInMotion(motion)) as server,
        filling(file, sources := source_of(server), clock, pairs[:2]) as filler,
    ):
        until(lambda: min(len(candles_in(file, series)) for series in (first, second)) > 0)
        roster = Roster(file, Shard(), sources)
        Registry(file, list(sources.values()), clock).remove(pairs[1])
        assert Registry(file, list(sources.values()), clock).add(pairs[2]).series == third
        roster.refresh()
        filler.follow(list(roster.series.values()))
        end = later(clock, 4)
        wanted = {series: motion.truth(series.pair, Span(motion.begin, end)) for series in (first, third)}
        until(lambda: {series: candles_in(file, series, end) for series in wanted} == wanted)
        requests = [request.query["symbol"] for request in server.requests]
        end = later(clock, 4)
        wanted = {series: motion.truth(series.pair, Span(motion.begin, end)) for series in (first, third)}
        until(lambda: {series: candles_in(file, series, end) for series in wanted} == wanted)
        more = [request.query["symbol"] for request in server.requests][len(requests) :]
    assert set(more) == {"BTCUSDT", "BNBUSDT"}
    assert "ETHUSDT" in requests


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
