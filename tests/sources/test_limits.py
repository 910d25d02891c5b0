from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.errors import InvalidValue
from crypto_predict.sources.exchange import Bounds
from crypto_predict.sources.network.limits import RESERVE, RateBudget, patiently


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0  # seconds

    def __call__(self) -> float:
        """The time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Move on."""
        self.now += seconds


def test_the_bounds_come_from_the_environment() -> None:
    environ = {"SOURCE_SECONDS": "20", "SOURCE_CANDLES": "5000"}
    assert Bounds.from_environ(environ) == Bounds(seconds=20, candles=5000)
    assert Bounds.from_environ(dict.fromkeys(environ, "")) == Bounds()


@pytest.mark.parametrize("variable", ["SOURCE_SECONDS", "SOURCE_CANDLES"])
@pytest.mark.parametrize("text", ["0", "-1", "1e9", "many", "9" * 30])
def test_an_invalid_bound_is_refused(variable: str, text: str) -> None:
    with pytest.raises(InvalidValue, match=variable):
        Bounds.from_environ({variable: text})


@given(
    most=st.integers(5, 20),
    seconds=st.sampled_from((1.0, 60.0)),
    requests=st.lists(st.tuples(st.floats(0, 90), st.integers(1, 5)), max_size=60),
)
def test_a_window_never_contains_more_weight_than_allowed(
    most: int, seconds: float, requests: list[tuple[float, int]]
) -> None:
    """Exchanges limit by the minute or by the second."""
    clock = Clock()
    budget = RateBudget(most, seconds, clock, clock.sleep)
    begun = []
    for pause, weight in requests:
        clock.sleep(pause)
        budget.spend(weight)
        begun.append((clock(), weight))
    for start, _ in begun:
        assert sum(weight for time, weight in begun if start <= time < start + seconds - 1e-9) <= most


def test_requests_below_the_limit_do_not_wait() -> None:
    """Five years of days are one request; the limit must not slow them."""
    clock = Clock()
    budget = RateBudget(100, clock=clock, sleep=clock.sleep)
    for _ in range(100):
        budget.spend()
    assert clock.now == 0


@given(
    reports=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 5), st.integers(0, 30)), max_size=40),
)
def test_weight_that_the_exchange_has_counted_is_not_used_again(reports: list[tuple[int, int, int]]) -> None:
    """Several programs may share one address. What they used comes back after the same time."""
    clock = Clock()
    budget = RateBudget(20, seconds=60, clock=clock, sleep=clock.sleep)
    used: list[tuple[float, int]] = []  # time and weight, of this program and of others
    for pause, weight, reported in reports:
        clock.sleep(pause)
        budget.spend(weight)
        used.append((clock(), weight))
        within = sum(weight for time, weight in used if time > clock() - 60)
        budget.counted(reported)
        used.append((clock(), max(0, reported - within)))
        assert sum(weight for time, weight in used if time > clock() - 60) == max(within, reported)
        assert within <= 20
    clock.sleep(60)
    before = clock()
    budget.spend(20)
    assert clock() == before


@given(
    most=st.integers(5, 200),
    requests=st.lists(st.tuples(st.floats(0, 20), st.integers(1, 5), st.booleans()), max_size=60),
)
def test_patient_requests_leave_a_fifth_to_the_others(most: int, requests: list[tuple[float, int, bool]]) -> None:
    """A backfill must not delay the newest candles. One patient request at a time may be larger than its share."""
    clock = Clock()
    budget = RateBudget(most, 60, clock, clock.sleep)
    used: list[tuple[float, int]] = []
    for pause, weight, patient in requests:
        clock.sleep(pause)
        if patient:
            with patiently():
                budget.spend(weight)
        else:
            budget.spend(weight)
        before = sum(each for time, each in used if time + 60 > clock())
        assert before + weight <= (most - most // RESERVE if patient and before else most)
        used.append((clock(), weight))


def test_a_request_that_is_not_patient_takes_the_reserve_at_once() -> None:
    clock = Clock()
    budget = RateBudget(100, 60, clock, clock.sleep)
    with patiently():
        for _ in range(80):
            budget.spend()
    budget.spend(20)
    assert clock.now == 0
    with patiently():
        budget.spend()
    assert clock.now == 60


def test_several_threads_share_one_budget() -> None:
    """The limit of an exchange applies to an address, whatever the number of threads."""
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        raise TimeoutError

    budget = RateBudget(100, clock=lambda: 0.0, sleep=sleep)
    with ThreadPoolExecutor(8) as threads:
        results = [threads.submit(budget.spend) for _ in range(120)]
    assert sum(result.exception() is None for result in results) == 100
    assert waits == [60] * 20
