"""The backtest: past forecasts repeated from nothing but the history before them."""

import functools
from datetime import date, timedelta
from operator import attrgetter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked.schema import KNOTS
from crypto_predict.forecasting.combined.prophet import fit_map
from crypto_predict.forecasting.distribution.days import learn
from crypto_predict.forecasting.evaluation.replay import (
    FIRST_CUTOFF,
    HORIZONS,
    LEAST_HISTORY,
    Replay,
    Row,
    replay,
    splits,
)
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray
from tests.support.markets import FIRST_DAY, random_walk, real_series, series_of

pytestmark = pytest.mark.repeats

LONGEST = 1825
# Of these days, 78 cutoffs; up to the day at which the history is cut, 57.
DAYS, EVERY, CUT = 904, 7, 904 - 21 * 7
ASKED = (1, 7, 10)
WEEK = 7


def market() -> FloatArray:
    """One with a week that can be forecast, so that weights are anything but zero."""
    return random_walk(1, DAYS) + 0.05 * np.sin(2 * np.pi * np.arange(DAYS) / 7)


def replayed(series: DailySeries, every: int = EVERY, longest: int = LONGEST) -> Replay:
    done = replay(series, ASKED, every, longest)
    assert done is not None
    return done


@pytest.fixture(scope="module")
def whole() -> Replay:
    """The whole history."""
    return replayed(series_of(market()))


@pytest.fixture(scope="module")
def cut() -> Replay:
    """The history as it was some months earlier."""
    return replayed(series_of(market()[:CUT]))


@given(count=st.integers(2, 3000), every=st.integers(1, 400))
def test_cutoffs_ascend_to_the_last_day_and_have_a_year_or_half_the_history_behind_them(count: int, every: int) -> None:
    cutoffs = list(splits(count, every))
    behind = min(FIRST_CUTOFF, count // 2)  # days, the cutoff's own among them
    assert cutoffs[-1] == count - 1
    assert cutoffs[0] + 1 >= behind
    assert cutoffs[0] - every + 1 < behind
    assert np.all(np.diff(cutoffs) == every)
    assert [list(splits(shortest, 1)) for shortest in (0, 1, 2)] == [[], [0], [0, 1]]
    assert next(splits(10**15, 1)) == FIRST_CUTOFF - 1  # generated lazily


def test_later_prices_change_no_forecast_before_them(whole: Replay, cut: Replay) -> None:
    """The law of a backtest: the history cut at a day gives the same rows up to it."""
    count = len(cut.cutoffs)
    assert whole.cutoffs[:count].tolist() == cut.cutoffs.tolist()
    for name in ("predicted", "quantiles", "weights", "prophet.curve", "prophet.half_widths"):
        ours, theirs = map(attrgetter(name), (whole, cut))
        assert ours[:count].tobytes() == theirs.tobytes()
    last = cut.series.day(len(cut.series) - 1)
    assert [row for row in whole.rows(ASKED) if row.target <= last] == list(cut.rows(ASKED))
    assert any(row.prediction != row.persistence for row in cut.rows(ASKED))  # or this would have shown little


@pytest.mark.parametrize("every", [7, 30])
def test_progress_reaches_the_number_of_cutoffs_and_a_short_history_has_none(every: int) -> None:
    finished: list[int] = []
    done = replay(series_of(random_walk(2, LEAST_HISTORY)), [1], every, LONGEST, finished.append)
    assert done is not None
    assert sum(finished) == len(done.cutoffs) == len(list(splits(LEAST_HISTORY, every)))
    assert replay(series_of(random_walk(3, LEAST_HISTORY - 1)), [1], every, LONGEST) is None


def test_there_is_one_row_for_every_cutoff_and_horizon_whose_outcome_is_known(whole: Replay) -> None:
    """It agrees with the prices and with itself."""
    rows = whole.rows(ASKED)
    assert [(row.cutoff, row.horizon_days) for row in rows] == [
        (whole.series.day(int(cutoff)), horizon)
        for cutoff in whole.cutoffs
        for horizon in ASKED
        if cutoff + horizon < DAYS
    ]
    closes = dict(zip((whole.series.day(index) for index in range(DAYS)), np.exp(market()).tolist(), strict=True))
    for row in rows:
        assert row.target - row.cutoff == timedelta(days=row.horizon_days)
        assert row.persistence == pytest.approx(closes[row.cutoff], rel=1e-12)
        assert row.actual == pytest.approx(closes[row.target], rel=1e-12)
        assert 0 < row.low <= row.prediction <= row.high
        assert row.low < row.persistence < row.high


def test_a_row_contains_the_combined_forecast_and_the_interval(whole: Replay) -> None:
    horizons = sorted({*KNOTS, *ASKED})
    learned = learn(series_of(market()), horizons)[1][whole.cutoffs]
    for column, horizon in enumerate(ASKED):
        quantiles = learned[:, horizons.index(horizon)]
        for index, row in enumerate(whole.rows([horizon])):
            predicted = float(whole.predicted[index, column] * whole.weights[index, column])
            moves = np.log(np.array([row.low, row.prediction, row.high]) / row.persistence)
            expected = (min(quantiles[index, 1], predicted), predicted, max(quantiles[index, -2], predicted))
            assert moves == pytest.approx(expected, abs=1e-12)


def test_prophet_alone_is_its_curve(whole: Replay) -> None:
    """The combination weighs its increments; Prophet alone keeps the level of its curve."""
    column = whole.prophet.horizons.index(7)
    index, cutoff = 40, int(whole.cutoffs[40])
    estimated = cutoff - int(whole.series.days[cutoff]) % WEEK
    fitted = fit_map(whole.series.days[: estimated + 1], whole.series.log_close[: estimated + 1])
    since = slice(estimated + 1, cutoff + 1)
    now, later = fitted.update(whole.series.days[since], whole.series.log_close[since]).at(
        whole.series.days[cutoff] + np.array([0, 7])
    )
    assert cutoff > estimated
    assert whole.prophet.curve[index, column] == pytest.approx(later, rel=1e-12)
    assert whole.predicted[index, ASKED.index(7)] == pytest.approx(later - now, abs=1e-12)
    assert abs(now - whole.series.log_close[cutoff]) > 1e-3


def mean_error(rows: list[Row], of: str) -> float:
    """Mean absolute error in log price."""
    return float(np.mean([abs(np.log(row.actual / getattr(row, of))) for row in rows]))


def test_a_market_that_can_be_forecast_is_forecast_better_than_by_persistence(whole: Replay) -> None:
    trusted = {whole.series.day(int(day)) for day in whole.cutoffs[whole.weights[:, 0] > 0]}
    rows = [row for row in whole.rows([1]) if row.cutoff in trusted]
    assert len(rows) > 20
    assert mean_error(rows, "prediction") < 0.9 * mean_error(rows, "persistence")


def test_a_day_without_a_candle_is_neither_cutoff_nor_target() -> None:
    """Nobody could trade at a price that did not exist."""
    missing = {89, 109, 120, 126}  # two cutoffs; the targets of others a day and a week ahead
    series = series_of(random_walk(4, 150), missing)
    done = replay(series, (1, 7), 10, LONGEST)
    assert done is not None
    cutoffs = [79, 89, 99, 109, 119, 129, 139, 149]
    assert done.cutoffs.tolist() == cutoffs
    days = [(row.cutoff.toordinal() - FIRST_DAY, row.horizon_days) for row in done.rows((1, 7))]
    assert days == [(79, 1), (79, 7), (99, 1), (99, 7), (129, 1), (129, 7), (139, 1), (139, 7)]
    assert np.flatnonzero(np.isfinite(done.actual(1))).tolist() == [0, 2, 5, 6]


def test_a_long_outage_does_not_stop_the_backtest() -> None:
    """A window inside the outage has no curve and no row."""
    done = replay(series_of(random_walk(5, 500), range(150, 450)), [1], 25, 100)
    assert done is not None
    assert np.isfinite(done.predicted).all()
    assert {row.cutoff.toordinal() - FIRST_DAY for row in done.rows([1])} == {474}


def test_no_fit_uses_more_history_than_allowed() -> None:
    """The last fit before a cutoff is at most six days old."""
    log_close = random_walk(6, 500)
    otherwise = np.concatenate([random_walk(7, 200), log_close[200:]])
    short, other = (replayed(series_of(closes), every=50, longest=100) for closes in (log_close, otherwise))
    seen = short.cutoffs >= 299 + WEEK - 1
    assert short.predicted[seen].tobytes() == other.predicted[seen].tobytes()
    assert short.predicted[~seen].tobytes() != other.predicted[~seen].tobytes()


@pytest.mark.parametrize("horizons", [(10,), (7, 1, 7, 30), (200,)])
def test_any_horizons_are_forecast_once_each_in_ascending_order(horizons: tuple[int, ...]) -> None:
    done = replay(series_of(random_walk(8, 150)), horizons, 20, LONGEST)
    assert done is not None
    assert done.horizons == tuple(sorted(set(horizons)))
    assert done.predicted.shape == (len(done.cutoffs), len(done.horizons))
    assert {row.horizon_days for row in done.rows(horizons)} == {horizon for horizon in horizons if horizon < 80}


@functools.cache
def real_replay(base: str, every: int) -> Replay:
    done = replay(real_series(base), HORIZONS, every, LONGEST)
    assert done is not None
    return done


@pytest.mark.parametrize("horizon", HORIZONS)
def test_the_interval_of_prophet_alone_holds_four_fifths_on_real_histories(horizon: int) -> None:
    """Four coins are counted together, since 90 days ahead only some fifteen forecasts of each do not overlap."""
    inside: list[float] = []
    for base, every in (("BTC", 21), ("ETH", 49), ("BNB", 49), ("LTC", 49)):
        alone = real_replay(base, every).prophet
        column = alone.horizons.index(horizon)
        errors = alone.errors[:, column]
        due = np.isfinite(errors)
        inside += (np.abs(errors) <= alone.half_widths_80[:, column])[due].tolist()
    assert len(inside) > 200
    assert 0.74 <= np.mean(inside) <= 0.88


@pytest.mark.parametrize(
    ("base", "every", "most"),
    [("BTC", 21, 1.0 + 1e-9), ("ETH", 49, 1.01), ("BNB", 49, 1.01), ("LTC", 49, 1.01)],
)
def test_no_horizon_is_worse_than_persistence_on_real_histories(base: str, every: int, most: float) -> None:
    done = real_replay(base, every)
    for horizon in HORIZONS:
        rows = [row for row in done.rows([horizon]) if row.cutoff >= date(2020, 1, 1)]
        assert len(rows) >= 38
        assert mean_error(rows, "prediction") <= most * mean_error(rows, "persistence")
