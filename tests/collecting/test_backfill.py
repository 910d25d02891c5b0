"""Backfills in this process: real gaps, faults of exchanges and databases, clocks, and every order of spans."""

import contextlib
import logging
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_predict.collecting.backfill import backfill, catch_up
from crypto_predict.collecting.fetching import Collected, Progress, Run
from crypto_predict.collecting.windows import WINDOW
from crypto_predict.errors import SourceError, UnusableHistory
from crypto_predict.history import SETTLE
from crypto_predict.market import Candle, Gap, Interval, Pair, SeriesKey, Span
from crypto_predict.market.collected import MOST_ATTEMPTS
from crypto_predict.sources.alpaca.rest import Alpaca
from crypto_predict.sources.exchange import Settings
from crypto_predict.store import WritableDatabase, open_writer
from tests.support.collecting import MINUTES, Market
from tests.support.databases import new_database
from tests.support.minutes import EVER, real_minutes
from tests.support.replay.alpaca import AlpacaExchange
from tests.support.replay.minutes import BTC, QUICK, START, minutes
from tests.support.replay.server import Fault, ReplayServer, refused, stall

pytestmark = pytest.mark.repeats

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
NOW = datetime(2024, 1, 1, tzinfo=UTC)
MANY = 10**9


def run_of(database: WritableDatabase, until: date | None = None, now: datetime = NOW) -> Run:
    return Run(database, now, until, Progress(), Event())


def fill(
    database: WritableDatabase,
    source: Market | Alpaca,
    start: datetime = START,
    until: date | None = None,
    now: datetime = NOW,
) -> Collected:
    """Backfill minutes of BTC/USD."""
    return backfill(run_of(database, until, now), [source], BTC, Interval.MINUTE_1, start)


def stored(database: WritableDatabase) -> list[Candle]:
    return [candle.candle for candle in database.candles(MINUTES, EVER, MANY)]


def gaps_of(database: WritableDatabase) -> list[Gap]:
    return [Gap(gap.start, gap.end, gap.missing) for gap in database.gaps(MINUTES, EVER)]


@pytest.mark.parametrize(("kind", "days", "number"), [("sqlite", 90, 4_302), ("postgresql", 31, 1_054)])
def test_the_real_gaps_of_an_exchange_are_the_table_of_gaps(kind: str, days: int, number: int, tmp_path: Path) -> None:
    """A quarter of real minutes, served as if by an exchange; one month of it for the slower database."""
    market = real_minutes(days)
    expected = [
        Gap(candle.open_time + MINUTE, following.open_time, (following.open_time - candle.open_time) // MINUTE - 1)
        for candle, following in pairwise(market)
        if following.open_time - candle.open_time > MINUTE
    ]
    assert len(expected) == number
    first = market[0].open_time
    with (
        ReplayServer(AlpacaExchange({(BTC, "1Min"): market})) as server,
        open_writer(new_database(kind, tmp_path)) as database,
    ):
        fill(database, Alpaca(Settings(server.url), policy=QUICK), first, (first + (days - 1) * DAY).date())
        assert stored(database) == market
        assert gaps_of(database) == expected
        (series,) = database.collected()
    assert (series.gaps, series.missing) == (number, sum(gap.missing for gap in expected))


def test_a_candle_counts_once_it_has_settled(file: WritableDatabase) -> None:
    """Exchanges finish a candle some seconds after its close."""
    market = Market(minutes(10))
    fill(file, market, now=START + 5 * MINUTE + SETTLE - timedelta(microseconds=1))
    assert len(stored(file)) == 4
    fill(file, market, now=START + 5 * MINUTE + SETTLE)
    assert len(stored(file)) == 5


@pytest.mark.parametrize("ahead", [3 * MINUTE, 365 * DAY], ids=str)
def test_a_late_candle_leaves_no_hole_nor_does_a_clock_that_is_ahead(ahead: timedelta, file: WritableDatabase) -> None:
    """What follows the newest candle is not covered: it is asked for again, and is not a gap."""
    fill(file, Market(minutes(10)), now=START + 10 * MINUTE + ahead + SETTLE)
    assert file.coverage(MINUTES) == [Span(START, START + 10 * MINUTE)]
    assert gaps_of(file) == []
    fill(file, Market(minutes(15)), now=START + 15 * MINUTE + SETTLE)
    assert stored(file) == minutes(15)


def test_a_clock_that_was_put_back_asks_for_nothing(file: WritableDatabase) -> None:
    fill(file, Market(minutes(100)), now=START + 100 * MINUTE + SETTLE)
    market = Market(minutes(100))
    fill(file, market, now=START + 50 * MINUTE)
    assert market.questions == []
    assert stored(file) == minutes(100)


def test_the_newest_candles_are_asked_for_again_and_old_values_are_kept(file: WritableDatabase) -> None:
    """Exchanges change the newest candles for a while."""
    market = minutes(20)
    fill(file, Market(market[:10]), now=START + 10 * MINUTE + SETTLE)
    changed = [*market[:8], market[8]._replace(close=17.5), *market[9:]]
    fill(file, Market(changed), now=START + 20 * MINUTE + SETTLE)
    assert stored(file) == changed
    assert file.revisions(MINUTES, EVER) == [market[8]]


def test_a_gap_is_asked_for_again_until_it_is_final(file: WritableDatabase) -> None:
    thin = [candle for number, candle in enumerate(minutes(300)) if not 100 <= number < 110]
    sources = [Market(thin) for _ in range(MOST_ATTEMPTS + 2)]
    for source in sources:
        fill(file, source, until=START.date(), now=NOW)
    hole = Span(START + 100 * MINUTE, START + 110 * MINUTE)
    assert [sum(hole == span for _, span in source.questions) for source in sources] == [0, 1, 1, 1, 0, 0]
    (gap,) = file.gaps(MINUTES, EVER)
    assert gap.attempts == MOST_ATTEMPTS
    assert gap.verdict != "open"


def test_rows_that_no_market_can_have_made_are_kept_apart_with_their_reason(file: WritableDatabase) -> None:
    market = minutes(10)
    market[3] = market[3]._replace(high=-1.0)
    market[5] = market[5]._replace(open_time=market[5].open_time + timedelta(seconds=7))
    collected = fill(file, Market(market), now=START + 10 * MINUTE + SETTLE)
    assert stored(file) == [candle for number, candle in enumerate(market) if number not in {3, 5}]
    assert (collected.changed, collected.quarantined) == (8, 2)
    reasons = [row.reason for row in file.quarantine(MINUTES, EVER)]
    assert reasons == ["high -1.0 is not a positive number", "it opens where no candle of its interval can"]
    assert [gap.missing for gap in gaps_of(file)] == [1, 1]


@pytest.mark.parametrize(
    ("broken", "first"),
    [(range(10), 10), (range(4), 10), (range(6, 10), 10), ([0, 1, 5, 9], 10), (range(6), 6)],
    ids=["all", "head", "tail", "some", "before the stored ones"],
)
def test_rejected_rows_are_asked_for_again(broken: Sequence[int], first: int, file: WritableDatabase) -> None:
    """Also at both ends, where they are not a gap: an exchange that sent nonsense for an hour is sound afterwards."""
    market, now = minutes(10), START + 10 * MINUTE + SETTLE
    nonsense = [each._replace(high=-1.0) if number in broken else each for number, each in enumerate(market)]
    fill(file, Market(market), START + first * MINUTE, now=now)
    with contextlib.suppress(UnusableHistory):
        fill(file, Market(nonsense), now=now)
    assert len(file.quarantine(MINUTES, EVER)) == len(broken)
    fill(file, Market(market), now=now)
    assert stored(file) == market


def test_a_source_with_rejected_rows_alone_is_replaced(file: WritableDatabase) -> None:
    """They stay in the database as evidence."""
    market, now = minutes(10), START + 10 * MINUTE + SETTLE
    bad = Market([each._replace(high=-1.0) for each in market], "binance")
    collected = backfill(run_of(file, now=now), [bad, Market(market)], BTC, Interval.MINUTE_1, START)
    assert (collected.series.source, collected.changed) == ("alpaca", 10)
    assert len(file.quarantine(SeriesKey("binance", BTC, Interval.MINUTE_1), EVER)) == 10


def test_years_before_the_listing_are_one_question(file: WritableDatabase) -> None:
    """They are covered afterwards, and not a gap."""
    market = Market(minutes(2 * 1440))
    fill(file, market, START - 3000 * DAY, until=date(2023, 1, 2))
    assert len(market.questions) <= 3
    assert gaps_of(file) == []
    assert file.coverage(MINUTES) == [Span(START - 3000 * DAY, START + 2 * DAY)]
    again = Market(minutes(2 * 1440))
    fill(file, again, START - 3000 * DAY, until=date(2023, 1, 2))
    assert again.questions == []


def test_a_source_without_days_is_asked_for_every_window(file: WritableDatabase) -> None:
    market = Market(minutes(3 * WINDOW))
    market.intervals = frozenset({Interval.MINUTE_1})
    fill(file, market, START - 30 * DAY, until=date(2023, 1, 19))
    assert stored(file) == minutes(3 * WINDOW)


def test_an_interval_that_a_source_does_not_have_is_named(file: WritableDatabase) -> None:
    market = Market(minutes(5))
    market.intervals = frozenset({Interval.DAY_1})
    with pytest.raises(UnusableHistory, match="it has candles of 1d, but not of 1m"):
        fill(file, market)


def test_minutes_in_which_the_exchange_was_down_are_caught_up(file: WritableDatabase) -> None:
    """`--once` asks for what followed, and for a gap when it is due."""
    now = datetime.now(UTC)  # the gap is found a moment later
    first = Interval.MINUTE_1.floor(now) - 400 * MINUTE
    full = [candle._replace(open_time=candle.open_time - START + first) for candle in minutes(400)]
    thin = [*full[:100], *full[110:]]
    fill(file, Market(thin[:200]), first, now=first + 210 * MINUTE + SETTLE)
    (series,) = file.collected()
    early, due = Market(thin), Market(full)
    catch_up(run_of(file, now=now + SETTLE), early, series)
    assert stored(file) == thin
    hole = Span(first + 100 * MINUTE, first + 110 * MINUTE)
    assert hole not in [span for _, span in early.questions]
    catch_up(run_of(file, now=now + 2 * MINUTE), due, series)
    assert hole in [span for _, span in due.questions]
    assert stored(file) == full


def test_old_gaps_are_asked_for_by_a_backfill_alone(file: WritableDatabase) -> None:
    """A thin market has gaps everywhere: `--once` would read all of it again."""
    full = minutes(300)
    fill(file, Market([*full[:100], *full[110:]]), until=START.date())
    (series,) = file.collected()
    market = Market(full)
    catch_up(run_of(file, START.date(), datetime.now(UTC) + DAY), market, series)
    assert [gap.missing for gap in gaps_of(file)] == [10]
    fill(file, market, until=START.date())
    assert gaps_of(file) == []


def test_candles_after_the_span_are_not_stored(file: WritableDatabase) -> None:
    """A source may send them, also ones from the future."""

    class Generous(Market):
        def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:
            """Return the candles from the start of `span` on."""
            return super().candles(pair, interval, Span(span.start, span.start + 999 * DAY))

    fill(file, Generous(minutes(100)), now=START + 40 * MINUTE + SETTLE)
    assert stored(file) == minutes(40)
    assert file.coverage(MINUTES) == [Span(START, START + 40 * MINUTE)]


def test_a_stopped_run_asks_for_no_further_window(file: WritableDatabase) -> None:
    run, market = run_of(file), Market(minutes(3 * WINDOW))
    run.stopped.set()
    backfill(run, [market], BTC, Interval.MINUTE_1, START)
    assert all(interval is Interval.DAY_1 for interval, _ in market.questions)
    assert file.collected() == []


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (refused(451, "not from here"), "451"),
        (stall, "sent nothing for"),
    ],
    ids=["451", "stall"],
)
def test_a_fault_that_stays_keeps_every_window_before_it(fault: Fault, reason: str, database: WritableDatabase) -> None:
    market = minutes(3 * WINDOW)
    policy = QUICK.__class__(attempts=2, first_wait=0.01, longest_wait=0.02, connect_timeout=5, read_timeout=3)
    with ReplayServer(AlpacaExchange({(BTC, "1Min"): market, (BTC, "1Day"): market[:1]})) as server:
        source = Alpaca(Settings(server.url), policy=policy)
        server.inject(fault, 9, when=lambda request: request.query["start"] > (START + 7 * DAY).isoformat())
        with pytest.raises(SourceError, match=reason):
            fill(database, source, until=date(2023, 1, 19))
    whole = stored(database)
    assert 0 < len(whole) < len(market)
    assert whole == market[: len(whole)]
    assert database.coverage(MINUTES) == [Span(START, whole[-1].open_time + MINUTE)]


LAST = WINDOW + WINDOW // 5  # minutes of two windows
EDGES = st.integers(0, LAST)


@settings(max_examples=10)
@given(
    holes=st.lists(st.tuples(EDGES, st.integers(1, 900)), max_size=6),
    runs=st.lists(st.tuples(EDGES, EDGES, st.frozensets(st.integers(1, 6), max_size=2)), min_size=1, max_size=4),
)
def test_runs_in_any_order_with_any_failures_store_the_market_in_the_end(
    holes: list[tuple[int, int]], runs: list[tuple[int, int, frozenset[int]]]
) -> None:
    """Forwards, backwards, overlapping, and ended by a source that does not answer."""
    missing = {number for first, length in holes for number in range(first, first + length)}
    whole = [candle for number, candle in enumerate(minutes(LAST)) if number not in missing]
    with tempfile.TemporaryDirectory() as folder, open_writer(str(Path(folder, "market.db"))) as database:
        for first, end, failing in [*runs, (0, LAST, frozenset())]:
            source = Market(whole, failing=failing)
            try:
                fill(database, source, START + first * MINUTE, now=START + end * MINUTE + SETTLE)
            except (SourceError, UnusableHistory):
                continue
        assert stored(database) == whole
        covered = database.coverage(MINUTES)
        assert len(covered) <= 1
        between = {(candle.open_time - START) // MINUTE for candle in whole}
        inside = set(range(min(between, default=0), max(between, default=0))) - between
        assert sum(gap.missing for gap in gaps_of(database)) == len(inside)
        assert database.revisions(MINUTES, EVER) == []


def test_log_lines_have_share_rate_and_time_left(caplog: pytest.LogCaptureFixture) -> None:
    """Candles that will not be asked for after all do not count: a source that fails is replaced."""
    with caplog.at_level(logging.INFO), closing(Progress(seconds=0)) as progress:
        for candles in (1_000, 500, -500):
            progress.expect(candles)
        progress.advance("BTC/USD", 250)
    (line,) = caplog.messages
    assert re.fullmatch(r"BTC/USD: 250 of 1000 candles \(25 %\), \d+ a second, 0 seconds left", line)


def test_log_lines_do_not_come_too_often(caplog: pytest.LogCaptureFixture) -> None:
    """A line for each window would be hundreds."""
    with caplog.at_level(logging.INFO), closing(Progress()) as progress:
        for _ in range(100):
            progress.advance("BTC/USD", 10)
    assert caplog.messages == []
