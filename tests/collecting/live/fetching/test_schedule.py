"""What a source is asked for first, and what while it is away."""

import time
from datetime import UTC, datetime
from threading import Thread

from crypto_predict.collecting.live.fetching.schedule import LONGEST_WAIT, Agenda, Kind
from crypto_predict.market import Pair
from crypto_predict.market.clock import Clock
from tests.support.clocks import MovedClock
from tests.support.live import minutes_of

FIRST, SECOND, THIRD = (minutes_of("binance", Pair(name, "USDT")) for name in ("A", "B", "C"))
TAIL, HISTORY = Kind.TAIL, Kind.HISTORY


def fast(speed: float = 1_000.0) -> Agenda:
    return Agenda(Clock(datetime(2024, 1, 1, tzinfo=UTC), speed))


def test_what_is_due_first_is_asked_for_first_and_requests_join() -> None:
    agenda = fast()
    for series, delay in ((FIRST, 40.0), (SECOND, 20.0), (THIRD, 60.0), (FIRST, 80.0), (THIRD, 0.0), (THIRD, 10.0)):
        agenda.plan(TAIL, series, delay)
    assert [agenda.next(TAIL) for _ in range(3)] == [THIRD, SECOND, FIRST]
    agenda.close()
    assert agenda.next(TAIL) is None


def test_what_is_asked_for_while_it_runs_runs_once_more() -> None:
    """What it reads may be older than what was missed."""
    agenda = fast(1.0)
    agenda.plan(TAIL, FIRST)
    assert agenda.next(TAIL) == FIRST
    for _ in range(3):
        agenda.plan(TAIL, FIRST)
    agenda.done(TAIL, FIRST, 3_600)
    assert list(agenda.waiting()) == [FIRST]
    assert agenda.next(TAIL) == FIRST
    agenda.done(TAIL, FIRST, 3_600)
    assert list(agenda.waiting()) == []


def test_a_series_has_one_job_of_a_kind_at_a_time() -> None:
    agenda = fast(1.0)
    agenda.plan(TAIL, FIRST)
    agenda.plan(HISTORY, FIRST)
    assert agenda.next(TAIL) == agenda.next(HISTORY) == FIRST
    agenda.plan(TAIL, FIRST)
    agenda.plan(TAIL, SECOND, 0.001)
    assert agenda.next(TAIL) == SECOND


def test_what_was_dropped_is_not_asked_for_any_more() -> None:
    agenda = fast()
    agenda.plan(TAIL, FIRST)
    agenda.plan(TAIL, SECOND, 1.0)
    assert agenda.next(TAIL) == FIRST
    agenda.drop(FIRST)
    agenda.done(TAIL, FIRST, 0.0)
    assert not agenda.has(TAIL, FIRST)
    assert agenda.next(TAIL) == SECOND


def test_one_thread_asks_a_source_that_is_away() -> None:
    """Each question takes until a timeout, and an exchange that is overloaded need not be asked by all."""
    agenda, order = fast(), list[str]()
    for series in (FIRST, SECOND, THIRD):
        agenda.plan(TAIL, series)
    assert agenda.next(TAIL) == FIRST
    agenda.source_failed(TAIL, FIRST, 0.0)
    assert agenda.next(TAIL) == SECOND, "another series is asked for: the source may be away for one alone"

    def another() -> None:
        agenda.next(TAIL)
        order.append("another")

    thread = Thread(target=another)
    thread.start()
    time.sleep(0.2)  # in which a thread that did not wait would begin
    order.append("back")
    agenda.done(TAIL, SECOND, 3_600)
    thread.join()
    assert order == ["back", "another"]


def test_the_wait_for_a_source_grows_up_to_a_bound_and_is_at_random() -> None:
    clock = MovedClock(datetime(2024, 1, 1, tzinfo=UTC))
    agenda, waits = Agenda(clock), []
    agenda.plan(TAIL, FIRST)
    for _ in range(12):
        assert agenda.next(TAIL) == FIRST
        agenda.source_failed(TAIL, FIRST, 0.0)
        waits.append(agenda.away())
        clock.elapsed += 2 * LONGEST_WAIT
    assert all(0 < wait <= LONGEST_WAIT for wait in waits)
    assert waits[0] <= 1.0
    assert max(waits[-4:]) > LONGEST_WAIT / 3
    assert len(set(waits)) == len(waits)


def test_an_exchange_that_asks_to_wait_is_not_asked_earlier() -> None:
    agenda = fast(1.0)
    agenda.plan(TAIL, FIRST)
    assert agenda.next(TAIL) == FIRST
    agenda.source_failed(TAIL, FIRST, 120.0)
    assert agenda.away() > 100
