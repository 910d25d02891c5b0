"""Gaps, found from candles and coverage; every rule against a plain model of it."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crypto_predict.market import Candle, Gap, SeriesKey, Span
from crypto_predict.market.collected import MOST_ATTEMPTS, Quarantined
from crypto_predict.store import Database, WritableDatabase
from tests.support.minutes import EVER, MANY, MINUTE, MINUTES, START, candle, candles, span, vwaps


def gaps(reader: Database) -> list[tuple[int, int, int]]:
    """Return the minutes of each gap, and the attempts."""
    rows = reader.gaps(MINUTES, EVER)
    assert all(gap.missing == (gap.end - gap.start) // MINUTE for gap in rows)
    return [((gap.start - START) // MINUTE, (gap.end - START) // MINUTE, gap.attempts) for gap in rows]


def test_a_hole_between_candles_is_a_gap_until_it_is_filled(writer: WritableDatabase, reader: Database) -> None:
    """It shrinks, is split, and disappears. What was not asked for, or follows the newest candle, is not one."""
    for written, answered, expected in (
        ([candle(0), candle(9)], span(0, 10), [(1, 9, 1)]),
        ([candle(1), candle(5)], None, [(2, 5, 1), (6, 9, 1)]),
        (candles(2, 9), None, []),
        ([candle(29)], None, []),
        ([], span(9, 15), [(10, 15, 1)]),
        ([], span(25, 30), [(10, 15, 1), (25, 29, 1)]),
        ([], span(15, 35), [(10, 29, 1)]),
    ):
        writer.write(MINUTES, written, answered)
        assert gaps(reader) == expected


def test_after_enough_attempts_the_source_does_not_have_it(writer: WritableDatabase, reader: Database) -> None:
    """The time when it was found stays. A span beside it, or only its end, is not an attempt; a late candle counts."""
    began = datetime.now(UTC)
    verdicts: list[tuple[int, str]] = []
    for answered in (span(0, 10), span(3, 5), span(6, 9), *[span(0, 3), span(2, 6)] * 2):
        writer.write(MINUTES, [] if verdicts else [candle(0), candle(1), *candles(5, 10)], answered)
        verdicts += [(gap.attempts, gap.verdict) for gap in reader.gaps(MINUTES, EVER)]
    counts = [1, 1, 1, 2, 3, 4, 5]
    final = "the source does not have it"
    assert verdicts == [(count, "open" if count < MOST_ATTEMPTS else final) for count in counts]
    (stored_gap,) = reader.gaps(MINUTES, EVER)
    assert stored_gap.found_at >= began.replace(microsecond=0)
    writer.write(MINUTES, [candle(3)])
    assert [(gap.attempts, gap.verdict) for gap in reader.gaps(MINUTES, EVER)] == [(5, final), (5, final)]
    assert {gap.found_at for gap in reader.gaps(MINUTES, EVER)} == {stored_gap.found_at}


def test_a_gap_that_grows_is_asked_for_again(writer: WritableDatabase, reader: Database) -> None:
    """The new part of it was asked for once only."""
    writer.write(MINUTES, [candle(0), candle(9)], span(0, 5))
    for _ in range(3):
        writer.write(MINUTES, [], span(0, 5))
    assert gaps(reader) == [(1, 5, 4)]
    writer.write(MINUTES, [], span(5, 10))
    assert gaps(reader) == [(1, 9, 1)]


def test_the_cause_tells_missing_from_rejected(writer: WritableDatabase, reader: Database) -> None:
    for first, rejected, cause in (
        (0, [], "not returned by the source"),
        (10, [1], "partly quarantined"),
        (20, [1, 1, 2], "quarantined"),
        (30, [0, 3, 7], "not returned by the source"),
    ):
        rows = [Quarantined(candle(first + minute), f"reason {number}") for number, minute in enumerate(rejected)]
        writer.write(MINUTES, [candle(first), candle(first + 3)], span(first, first + 4), rows)
        assert [gap.cause for gap in reader.gaps(MINUTES, span(first, first + 4))] == [cause]


def test_gaps_are_found_in_a_part_of_the_history(writer: WritableDatabase, reader: Database) -> None:
    writer.write(MINUTES, [candle(0), candle(5), candle(9)], span(0, 10))
    for answered, count in ((span(0, 1), 0), (span(0, 2), 1), (span(4, 7), 2), (span(5, 6), 0), (span(9, 99), 0)):
        assert len(reader.gaps(MINUTES, answered)) == count
    (collected,) = reader.collected()
    assert (collected.gaps, collected.missing) == (2, 7)
    assert (collected.first_open, collected.newest_close) == (START, START + 10 * MINUTE)
    assert collected.lag(START + 12.5 * MINUTE) == 2 * MINUTE


CLOSED = (0, 0)  # in place of a span: the candles came by a stream, and each covers its own interval


@dataclass
class Model:
    """What a series should contain, in minutes after `START`."""

    candles: dict[int, Candle] = field(default_factory=dict)
    covered: set[int] = field(default_factory=set)
    revised: int = 0

    def write(self, written: Sequence[Candle], answered: tuple[int, int] | None) -> int:
        """Do what `CandleWriter.write` promises, or `write_closed`, and return what it returns."""
        minutes = {(candle.open_time - START) // MINUTE: candle for candle in written}
        revised = [minute for minute in minutes.keys() & self.candles.keys() if self.candles[minute] != minutes[minute]]
        new = minutes.keys() - self.candles.keys()
        self.candles |= minutes
        self.covered |= set() if answered is None else set(minutes) if answered == CLOSED else set(range(*answered))
        self.revised += len(revised)
        return len(new) + len(revised)

    def gaps(self) -> list[Gap]:
        """Return the runs of covered minutes without a candle that have one before and after."""
        missing = [
            minute
            for minute in sorted(self.covered - self.candles.keys())
            if self.candles and min(self.candles) < minute < max(self.candles)
        ]
        return [Gap(run.start, run.end, (run.end - run.start) // MINUTE) for run in runs(missing)]


def runs(minutes: Sequence[int]) -> Iterator[Span]:
    """Return the spans of neighbouring minutes."""
    for _, group in itertools.groupby(enumerate(minutes), key=lambda item: item[1] - item[0]):
        run = [minute for _, minute in group]
        yield span(run[0], run[-1] + 1)


PRICES = st.floats(1, 1e6)
VOLUMES = st.sampled_from([0.0, 0.0, 0.1, 1 / 3, 1e-9, 1e9]) | st.floats(0, 1e9)
SPANS = st.tuples(st.integers(-15, 14), st.integers(1, 12)).map(lambda drawn: (drawn[0], drawn[0] + drawn[1]))
written_candles = st.lists(
    st.builds(
        lambda minute, price, volume: candle(minute)._replace(
            open=price, high=price * 1.25, low=price, close=price, volume=volume
        ),
        st.integers(-15, 15),  # around midnight
        PRICES,
        VOLUMES,
    ),
    max_size=12,
)
writes = st.lists(st.tuples(written_candles, st.none() | SPANS | st.just(CLOSED)), min_size=1, max_size=5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=writes)
def test_any_writes_in_any_order_give_what_a_plain_model_gives(
    shared: WritableDatabase,
    new_series: Callable[[], SeriesKey],
    history: list[tuple[list[Candle], tuple[int, int] | None]],
) -> None:
    """Candles, VWAP to the last bit, coverage, gaps, revisions and counts, after every write; sessions change at 0."""
    series, model = new_series(), Model()
    for written, answered in history:
        if answered == CLOSED:
            count = shared.write_closed({series: written})
        else:
            count = shared.write(series, written, None if answered is None else span(*answered))
        assert count == model.write(written, answered)
        ascending = [model.candles[minute] for minute in sorted(model.candles)]
        stored = shared.candles(series, EVER, MANY)
        assert [row.candle for row in stored] == ascending
        assert [row.vwap for row in stored] == vwaps(ascending)
        assert shared.coverage(series) == list(runs(sorted(model.covered)))
        assert [Gap(gap.start, gap.end, gap.missing) for gap in shared.gaps(series, EVER)] == model.gaps()
        assert len(shared.revisions(series, EVER)) == model.revised
    (collected,) = (collected for collected in shared.collected() if collected.series == series)
    assert (collected.gaps, collected.missing) == (len(model.gaps()), sum(gap.missing for gap in model.gaps()))
    assert collected.candles == len(model.candles)
