"""The distribution of the next days, whatever the market does."""

import functools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_predict.baked.schema import KNOTS
from crypto_predict.forecasting.distribution.days import BURN_IN, learn
from crypto_predict.forecasting.distribution.quantiles import interval_score
from crypto_predict.forecasting.evaluation.replay import gaussian_half_widths
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import BoolArray, FloatArray
from crypto_predict.market.forecast import LEVELS
from tests.support.markets import DAILY, FIRST_DAY, random_walk, real_series, series_of, shocked

pytestmark = pytest.mark.repeats

LOW, MEDIAN, HIGH = LEVELS.index(0.1), LEVELS.index(0.5), LEVELS.index(0.9)
YEAR = range(1, 366)
HORIZONS = (1, 7, 30, 90)
FIRST_JUDGED = 365  # the day from which coverage is counted
GAUSSIAN_LOW = -1.2816  # quantile of a standard Gaussian at 10 %


def forecasts(series: DailySeries, horizon: int) -> FloatArray:
    """Return (n, 7) the quantiles `horizon` days ahead of every close."""
    return learn(series, [horizon])[1][:, 0]


def inside(series: DailySeries, horizon: int, quantiles: FloatArray | None = None) -> BoolArray:
    """Return (n - h,) whether the close `horizon` days later is inside the interval."""
    moves = series.log_close[horizon:] - series.log_close[:-horizon]
    result = (forecasts(series, horizon) if quantiles is None else quantiles)[:-horizon]
    return np.asarray((result[:, LOW] <= moves) & (moves <= result[:, HIGH]))


@functools.cache
def learned(seed: int) -> tuple[DailySeries, FloatArray]:
    series = series_of(random_walk(seed, 1500))
    return series, learn(series, HORIZONS)[1]


@pytest.mark.parametrize(
    ("horizon", "least", "most"), [(1, 0.78, 0.82), (7, 0.77, 0.83), (30, 0.75, 0.87), (90, 0.7, 0.87)]
)
def test_four_fifths_of_outcomes_lie_inside(horizon: int, least: float, most: float) -> None:
    """Three years hold a dozen quarters: this is the mean over markets, each of which is off by more."""
    shares = []
    for seed in range(8):
        series, quantiles = learned(seed)
        shares.append(inside(series, horizon, quantiles[:, HORIZONS.index(horizon)])[FIRST_JUDGED:].mean())
    assert least <= np.mean(shares) <= most


def test_every_quantile_has_its_share_of_outcomes_below() -> None:
    below = []
    for seed in range(8):
        series, quantiles = learned(seed)
        moves = np.diff(series.log_close)
        below.append((moves[:, None] < quantiles[:-1, 0])[FIRST_JUDGED:].mean(axis=0))
    assert np.mean(below, axis=0) == pytest.approx(LEVELS, abs=0.02)


@pytest.mark.parametrize(("factor", "least", "most"), [(3.0, 0.77, 0.83), (0.2, 0.75, 0.86), (0.1, 0.75, 0.86)])
def test_coverage_recovers_after_moves_have_become_larger_or_smaller(factor: float, least: float, most: float) -> None:
    """Too wide is as wrong as too narrow; a hundred days after moves have tripled nearly all is learned."""
    markets = [inside(series_of(shocked(seed, 1500, 800, factor)), 1) for seed in range(8)]
    assert factor < 1 or 0.68 <= np.mean([market[800:900].mean() for market in markets]) <= 0.90
    learned_from = 900 if factor > 1 else 1000
    assert least <= np.mean([market[learned_from:].mean() for market in markets]) <= most


@given(seed=st.integers(0, 1000), at=st.integers(BURN_IN, 298), horizon=st.sampled_from([1, 2, 7, 30, 200, 299, 400]))
@settings(max_examples=25)
def test_later_candles_change_no_quantile_before_them(seed: int, at: int, horizon: int) -> None:
    log_close = random_walk(seed, 300)
    otherwise = log_close.copy()
    otherwise[at + 1 :] = random_walk(seed + 1, 299 - at) * 3
    before, after = (forecasts(series_of(array), horizon) for array in (log_close, otherwise))
    cut = forecasts(series_of(log_close[: at + 1]), horizon)
    assert before[: at + 1].tobytes() == after[: at + 1].tobytes() == cut.tobytes()


MOVES = st.floats(-1, 1)
SHARES = st.floats(0, 1, exclude_max=True)


@given(seed=st.integers(0, 1000), days=st.integers(2, 400), move=MOVES, elapsed=SHARES)
@settings(max_examples=25)
def test_quantiles_never_cross_and_never_come_nearer_with_the_horizon(
    seed: int, days: int, move: float, elapsed: float
) -> None:
    ahead = learn(series_of(random_walk(seed, days)), KNOTS)[0].ahead(move, elapsed, YEAR)
    assert ahead.shape == (365, 7)
    assert np.all(np.isfinite(ahead))
    assert np.all(np.diff(ahead, axis=1) >= 0)
    assert np.all(np.diff(ahead[:, :MEDIAN], axis=0) <= 0)
    assert np.all(np.diff(ahead[:, MEDIAN + 1 :], axis=0) >= 0)
    assert np.all(ahead[:, LOW] < 0)
    assert np.all(ahead[:, HIGH] > 0)


STILL = {
    "flat": np.full(200, 5.5),
    "flat at a price of one": np.zeros(200),
    "between 1 and 1e20 by turns": 46.0 * (np.arange(200) % 2),
    "a single tick": 5 + 0.1 * (np.arange(200) == 100),
    "constant growth": 5 + 0.01 * np.arange(200.0),
    "two days": np.array([5.0, 5.1]),
}


@pytest.mark.parametrize("name", list(STILL))
def test_quantiles_are_numbers_in_any_market(name: str) -> None:
    series = series_of(STILL[name])
    distribution, past = learn(series, KNOTS)
    for result in (past, distribution.ahead(0.0, 0.5, YEAR)):
        assert np.all(np.isfinite(result))
        assert np.all(result[..., LOW] < 0)
        assert np.all(result[..., HIGH] > 0)
    assert distribution.ahead(0.0, 0.0, YEAR)[:, HIGH].max() < 1e-3 or not name.startswith("flat")


def test_the_interval_of_a_stablecoin_is_that_of_its_own_moves() -> None:
    """A ten-thousandth a day, and back: no floor of the scale may hide it."""
    series = series_of(1e-4 * np.random.default_rng(3).standard_normal(900))
    assert 0.75 <= inside(series, 1)[FIRST_JUDGED:].mean() <= 0.85


def test_the_quantiles_at_the_last_close_are_those_of_the_backtest() -> None:
    distribution, past = learn(learned(1)[0], KNOTS)
    assert distribution.ahead(0.0, 0.0, KNOTS) == pytest.approx(past[-1], rel=0.02)


def test_a_move_as_far_as_expected_changes_little() -> None:
    series = learned(4)[0]
    distribution = learn(series, KNOTS)[0]
    expected = float(np.exp(distribution.state.sizes[0, 1:3].mean()))
    for elapsed in (0.1, 0.5, 0.9):
        now, moved = (
            distribution.ahead(move, at, [30]) for move, at in ((0.0, 0.0), (expected * elapsed**0.5, elapsed))
        )
        assert moved[0, HIGH] == pytest.approx(now[0, HIGH], rel=0.1)


def weekend_market(seed: int, days: int, factor: float) -> FloatArray:
    """Log closes of a market whose moves have this size on Saturdays and Sundays, relative to other days."""
    rest = np.isin((FIRST_DAY + np.arange(days)) % 7, [6, 0])
    return np.cumsum(DAILY * np.where(rest, factor, 1.0) * np.random.default_rng(seed).standard_normal(days))


@pytest.mark.parametrize("factor", [0.4, 1.0, 1.5])
def test_the_weekdays_of_a_market_are_learned(factor: float) -> None:
    """Also where weekends are wilder than other days, against the prior."""
    shares = []
    for seed in range(6):
        series = series_of(weekend_market(seed, 1600, factor))
        rest = np.isin((series.days[1:]) % 7, [6, 0])
        result = inside(series, 1)
        shares.append([result[800:][rest[800:]].mean(), result[800:][~rest[800:]].mean()])
    assert np.mean(shares, axis=0) == pytest.approx([0.8, 0.8], abs=0.06)


def test_a_new_market_is_expected_to_rest_on_weekends_by_a_third() -> None:
    """The prior, of a week of days that say little: after a Friday tomorrow is a Saturday."""
    log_close = np.cumsum(DAILY * np.random.default_rng(5).standard_normal(15))
    widths = {}
    for days in range(8, 15):
        series = series_of(log_close[:days])
        distribution = learn(series, [1])[0]
        state = distribution.state.effective_days(1)[0]
        widths[series.day(days - 1).strftime("%A")] = state**0.5
    assert widths["Friday"] / widths["Monday"] == pytest.approx(2 / 3, rel=0.15)
    assert widths["Saturday"] / widths["Tuesday"] == pytest.approx(2 / 3, rel=0.15)


@pytest.mark.parametrize("horizon", [1, 7])
def test_a_gap_is_no_calm_time(horizon: int) -> None:
    """A month without candles: the quantiles after it are those before it, and the jump over it is no shock."""
    log_close = random_walk(6, 700)
    missing = range(500, 530)
    whole = series_of(log_close)
    gapped = series_of(log_close, missing)
    before, after = forecasts(whole, horizon), forecasts(gapped, horizon)
    assert after[:500].tobytes() == before[:500].tobytes()
    assert np.exp(np.abs(np.log(after[540, HIGH] / before[540, HIGH]))) < 1.3
    assert np.exp(np.abs(np.log(after[-1, HIGH] / before[-1, HIGH]))) < 1.1


def test_gaps_everywhere_keep_the_interval_calibrated() -> None:
    """Every fifth day is missing."""
    shares = []
    for seed in range(6):
        series = series_of(random_walk(seed, 1500), range(4, 1500, 5))
        known = series.known[:-1] & series.known[1:]
        shares.append(inside(series, 1)[FIRST_JUDGED:][known[FIRST_JUDGED:]].mean())
    assert 0.77 <= np.mean(shares) <= 0.83


def test_without_volumes_the_distribution_is_that_of_a_constant_volume() -> None:
    """A day without volume is a number, too, although its logarithm does not exist."""
    constant, broken = np.full(500, 7.0), np.where(np.arange(500) // 10 == 40, 0.0, 7.0)
    ours, same, gapped = (
        forecasts(series_of(random_walk(7, 500), volume=volume), 1) for volume in (np.zeros(500), constant, broken)
    )
    assert ours[-1].tolist() == same[-1].tolist()
    assert np.isfinite(gapped).all()


@pytest.mark.parametrize("still", [1, 5, 20])
def test_a_price_that_was_frozen_is_not_a_calm_market(still: int) -> None:
    """An exchange that repeats its last price for some days: the interval may narrow, and must not vanish."""
    log_close = random_walk(8, 700)
    frozen = np.concatenate([log_close[:500], np.full(still, log_close[499]), log_close[500:]])
    before, after = forecasts(series_of(log_close), 1)[499, HIGH], forecasts(series_of(frozen), 1)[499 + still, HIGH]
    assert after > 0.2 * before


def test_one_jump_by_half_does_not_become_the_scale() -> None:
    log_close = random_walk(9, 700)
    jumped = log_close + np.log(0.5) * (np.arange(700) >= 600)
    before, after = (forecasts(series_of(one), 1)[[600, 660], HIGH] for one in (log_close, jumped))
    assert before[0] < after[0] < 5 * before[0]
    assert after[1] < 1.5 * before[1]


def test_closes_alone_give_a_calibrated_interval_too() -> None:
    """A source may repeat the close as open, high and low; or open at the close before and have no range beyond."""
    for seed, opens_before in ((10, True), (11, False)):
        series = series_of(random_walk(seed, 1500))
        opens = series.log_open if opens_before else series.log_close
        highs, lows = np.maximum(opens, series.log_close), np.minimum(opens, series.log_close)
        bare = replace(series, log_open=opens, log_high=highs, log_low=lows)
        assert 0.77 <= inside(bare, 1)[FIRST_JUDGED:].mean() <= 0.83


@pytest.mark.parametrize("days", [30, 60])
def test_a_new_market_has_the_width_of_its_own_few_moves(days: int) -> None:
    """The prior is a Gaussian with the volatility of those days: there is no move to calibrate with."""
    log_close = np.cumsum(DAILY * np.random.default_rng(12).standard_normal(days))
    ahead = learn(series_of(log_close), KNOTS)[0].ahead(0.0, 0.0, YEAR)
    deviation = float(np.std(np.diff(log_close)))
    for horizon in (7, 30, 364):
        assert ahead[horizon - 1, LOW] == pytest.approx(GAUSSIAN_LOW * deviation * horizon**0.5, rel=0.35)


@pytest.mark.parametrize(
    ("base", "goals"),
    [
        ("BTC", (0.925, 0.995, 1.02, 1.02)),
        ("ETH", (0.94, 0.985, 1.02, 1.04)),
        ("BNB", (0.885, 0.945, 0.99, 1.0)),
        ("LTC", (0.94, 0.98, 1.01, 1.04)),
    ],
)
def test_on_real_histories_it_is_calibrated_and_better_than_a_gaussian(base: str, goals: tuple[float, ...]) -> None:
    """Every day from the 800th on. Five years hold few quarters that do not overlap: ninety days are rough.

    Saturdays and Sundays move a third less than other days, and BTC's have become quieter over the years.
    """
    series = real_series(base)
    quantiles, reference = learn(series, HORIZONS)[1], gaussian_half_widths(series.log_close, 1)
    for column, (horizon, goal) in enumerate(zip(HORIZONS, goals, strict=True)):
        judged = slice(799, len(series) - horizon)
        moves = series.log_close[horizon:][judged] - series.log_close[judged]
        low, high = quantiles[judged, column, LOW], quantiles[judged, column, HIGH]
        gaussian = reference[judged] * horizon**0.5
        ours = interval_score(moves, low, high, 0.8).mean()
        assert ours <= goal * interval_score(moves, -gaussian, gaussian, 0.8).mean()
        coverage = np.mean((low <= moves) & (moves <= high))
        assert (0.78 <= coverage <= 0.82) if horizon <= 7 else (0.75 <= coverage <= 0.89)
    tomorrow = inside(series, 1, quantiles[:, 0])[799:]
    assert 0.77 <= tomorrow[np.isin(series.days[800:] % 7, [6, 0])].mean() <= 0.83
