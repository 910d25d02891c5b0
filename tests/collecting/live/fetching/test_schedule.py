"""What a source is asked for first, and what while it is away."""

from datetime import UTC, datetime
from math import inf

from crypto_predict.collecting.live.fetching.schedule import WAITS, Kind, Schedule
from crypto_predict.market import Pair
from crypto_predict.market.clock import Clock
from tests.support.clocks import MovedClock
from tests.support.live import minutes_of

FIRST, SECOND, THIRD = (minutes_of("binance", Pair(name, "USDT")) for name in ("A", "B", "C"))
TAIL, HISTORY = Kind.TAIL, Kind.HISTORY


def fast(speed: float = 1_000.0) -> Schedule:
    return Schedule(Clock(datetime(2024, 1, 1, tzinfo=UTC), speed))


def test_what_is_due_first_is_asked_for_first_and_requests_join() -> None:
    schedule = fast()
    for series, delay in ((FIRST, 40.0), (SECOND, 20.0), (THIRD, 60.0), (FIRST, 80.0), (THIRD, 0.0), (THIRD, 10.0)):
        schedule.plan(TAIL, series, delay)
    assert [schedule.next(TAIL) for _ in range(3)] == [THIRD, SECOND, FIRST]
    schedule.close()
    assert schedule.next(TAIL) is None


def test_what_is_asked_for_while_it_runs_runs_once_more() -> None:
    """What it reads may be older than what was missed."""
    schedule = fast(1.0)
    schedule.plan(TAIL, FIRST)
    assert schedule.next(TAIL) == FIRST
    for _ in range(3):
        schedule.plan(TAIL, FIRST)
    schedule.done(TAIL, FIRST, 3_600)
    assert schedule.first(TAIL) == (0, FIRST)
    assert schedule.next(TAIL) == FIRST
    schedule.done(TAIL, FIRST, 3_600)
    assert schedule.first(TAIL)[0] > 3_000


def test_a_series_has_one_job_of_a_kind_at_a_time() -> None:
    schedule = fast(1.0)
    schedule.plan(TAIL, FIRST)
    schedule.plan(HISTORY, FIRST)
    assert schedule.next(TAIL) == schedule.next(HISTORY) == FIRST
    schedule.plan(TAIL, FIRST)
    schedule.plan(TAIL, SECOND, 0.001)
    assert schedule.next(TAIL) == SECOND


def test_what_was_dropped_is_not_asked_for_any_more() -> None:
    schedule = fast()
    schedule.plan(TAIL, FIRST)
    schedule.plan(TAIL, SECOND, 1.0)
    assert schedule.next(TAIL) == FIRST
    schedule.drop(FIRST)
    schedule.done(TAIL, FIRST, 0.0)
    assert not schedule.has(TAIL, FIRST)
    assert schedule.next(TAIL) == SECOND


def test_one_thread_asks_a_source_that_is_away() -> None:
    """Each question takes until a timeout, and an exchange that is overloaded need not be asked by all."""
    schedule = fast()
    for series in (FIRST, SECOND, THIRD):
        schedule.plan(TAIL, series)
    assert schedule.next(TAIL) == FIRST
    schedule.source_failed(TAIL, FIRST, 0.0)
    assert schedule.next(TAIL) == SECOND, "another series is asked for: the source may be away for one alone"
    assert schedule.first(TAIL) == schedule.first(HISTORY) == (inf, None)
    schedule.done(TAIL, SECOND, 3_600)
    assert schedule.next(TAIL) == THIRD


def test_the_wait_for_a_source_grows_up_to_a_bound_and_is_at_random() -> None:
    clock = MovedClock(datetime(2024, 1, 1, tzinfo=UTC))
    schedule, waits = Schedule(clock), []
    schedule.plan(TAIL, FIRST)
    for _ in range(12):
        assert schedule.next(TAIL) == FIRST
        schedule.source_failed(TAIL, FIRST, 0.0)
        waits.append(schedule.first(TAIL)[0])
        clock.elapsed += 2 * WAITS[1]
    assert all(0 < wait <= WAITS[1] for wait in waits)
    assert waits[0] <= 1.0
    assert max(waits[-4:]) > WAITS[1] / 3
    assert len(set(waits)) == len(waits)
    assert schedule.next(TAIL) == FIRST
    schedule.source_failed(TAIL, FIRST, 120.0)
    assert schedule.first(TAIL)[0] == 120, "the exchange has asked for it"
