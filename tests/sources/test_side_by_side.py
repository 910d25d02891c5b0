"""Questions at the same time: what comes of them does not depend on which one is answered first."""

import logging
import threading
from collections.abc import Callable

import pytest

from crypto_predict.sources.network.session import answer_within, seconds_left
from crypto_predict.sources.side_by_side import side_by_side
from crypto_predict.threads import started

_log = logging.getLogger("crypto_predict.tests")


def test_results_and_log_lines_come_in_the_order_of_the_questions(caplog: pytest.LogCaptureFixture) -> None:
    """The second and third job end before the first one goes on."""
    caplog.set_level(logging.INFO)
    ended = [threading.Event() for _ in range(3)]

    def job(number: int) -> Callable[[], int]:
        def work() -> int:
            _log.info("job %d begins", number)
            if number == 0:
                assert ended[1].wait(30)
                assert ended[2].wait(30)
            _log.info("job %d ends", number)
            ended[number].set()
            return number

        return work

    done: list[int] = []
    outcomes = side_by_side([job(number) for number in range(3)], 3, lambda: done.append(len(done)))
    assert [outcome.result() for outcome in outcomes] == done == [0, 1, 2]
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [f"job {number} {what}" for number in range(3) for what in ("begins", "ends")]


def test_no_more_jobs_than_allowed_go_on_at_once_and_errors_are_outcomes() -> None:
    """Each holds a history in memory."""
    running, most, lock = 0, 0, threading.Lock()

    def work() -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1
        return 1 // 0

    outcomes = side_by_side([work] * 20, 2)
    assert most <= 2
    assert all(isinstance(outcome.exception(), ZeroDivisionError) for outcome in outcomes)


def test_an_interrupt_does_not_wait_and_later_jobs_do_not_begin() -> None:
    """Ctrl-C ends a training though an exchange does not answer; its log lines pass as before."""
    never, begun = threading.Event(), list[int]()

    def work() -> None:
        begun.append(1)
        never.wait(60)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        side_by_side([lambda: None, *[work] * 5], 2, interrupt)
    count = len(begun)
    never.set()
    assert count <= 2
    assert logging.getLogger("crypto_predict").propagate


def test_a_thread_keeps_the_deadline_of_its_caller() -> None:
    with answer_within(30):
        left = started(seconds_left, "question")
    assert 0 < left.result() <= 30
