"""An interval with 80 % coverage, whatever the market does."""

import csv
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_predict.baked.schema import COVERAGE, KNOTS
from crypto_predict.forecasting.distribution.interval import BURN_IN, half_widths, half_widths_ahead, multipliers
from crypto_predict.forecasting.distribution.volatility import Volatility
from crypto_predict.forecasting.evaluation.metrics import interval_score
from crypto_predict.history.columns import BoolArray, FloatArray
from crypto_predict.market import Pair
from tests.support.markets import DAILY, random_walk, shocked

DATA = Path(__file__).parents[4] / "shared" / "data"
GAUSSIAN = NormalDist().inv_cdf((1 + COVERAGE) / 2)
YEAR = range(1, 366)
FIRST_JUDGED = 365  # the day from which coverage is counted


def inside(log_close: FloatArray, horizon: int) -> BoolArray:
    """Return (n - h,) whether the close `horizon` days later is inside the interval."""
    moves = np.abs(log_close[horizon:] - log_close[:-horizon])
    return np.asarray(moves <= half_widths(log_close, horizon)[:-horizon])


@pytest.mark.parametrize("horizon", [1, 7])
def test_four_fifths_of_outcomes_lie_inside(horizon: int) -> None:
    shares = [inside(random_walk(seed, 1500), horizon)[FIRST_JUDGED:].mean() for seed in range(20)]
    assert 0.77 <= np.mean(shares) <= 0.83


@pytest.mark.parametrize("horizon", [30, 90])
def test_coverage_is_about_as_good_further_ahead(horizon: int) -> None:
    """Three years hold a dozen quarters: this is the mean over markets, each of which is off by more."""
    shares = [inside(random_walk(seed, 1500), horizon)[FIRST_JUDGED:].mean() for seed in range(20)]
    assert 0.75 <= np.mean(shares) <= 0.87


def test_coverage_recovers_within_a_hundred_days_after_moves_have_tripled() -> None:
    after = np.mean([inside(shocked(seed, 1500, 900), 1)[900:1000].mean() for seed in range(30)])
    later = np.mean([inside(shocked(seed, 1500, 900), 1)[1000:].mean() for seed in range(30)])
    assert 0.70 <= after <= 0.90
    assert 0.77 <= later <= 0.83


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("at", [100, 500, 900])
def test_long_run_coverage_holds_after_any_shock(seed: int, at: int) -> None:
    """Within one market, including the days right after the shock."""
    assert 0.78 <= inside(shocked(seed, 1500, at, times=5.0), 1).mean() <= 0.82


@pytest.mark.parametrize("factor", [0.2, 0.1])
def test_the_interval_narrows_again_in_a_market_that_calms_down(factor: float) -> None:
    """Too wide is as wrong as too narrow."""
    shares = [inside(shocked(seed, 1500, 700, factor), 1)[900:].mean() for seed in range(20)]
    assert 0.77 <= np.mean(shares) <= 0.86


@given(
    seed=st.integers(0, 1000), at=st.integers(BURN_IN, 298), horizon=st.sampled_from([1, 2, 7, 30, 90, 200, 299, 400])
)
@settings(max_examples=50)
def test_later_prices_change_no_half_width_before_them(seed: int, at: int, horizon: int) -> None:
    log_close = random_walk(seed, 300)
    otherwise = log_close.copy()
    otherwise[at + 1 :] = random_walk(seed + 1, 299 - at) * 3
    before, after = half_widths(log_close, horizon), half_widths(otherwise, horizon)
    assert before[: at + 1].tobytes() == after[: at + 1].tobytes()
    assert before[: at + 1].tobytes() == half_widths(log_close[: at + 1], horizon).tobytes()


@pytest.mark.parametrize("horizon", [1, 7, 30])
def test_without_a_completed_move_the_multiplier_is_gaussian(horizon: int) -> None:
    log_close = random_walk(0, 300)
    issued = multipliers(log_close, Volatility.of(log_close), horizon)
    assert issued[: BURN_IN + horizon].tolist() == pytest.approx([GAUSSIAN] * (BURN_IN + horizon))
    assert np.ptp(issued[BURN_IN + horizon :]) > 0


def test_the_multiplier_follows_the_distribution_of_moves() -> None:
    """If all moves have one size, one standard deviation contains all of them; the Gaussian multiplier is 1.28."""
    rng = np.random.default_rng(0)
    for spread, expected in ((rng.standard_normal(4000), GAUSSIAN), (rng.choice([-1.0, 1.0], 4000), 1.0)):
        log_close = np.cumsum(DAILY * spread)
        learned = multipliers(log_close, Volatility.of(log_close), 1)[-1000:]
        assert learned.mean() == pytest.approx(expected, abs=0.05)


def test_few_moves_have_little_weight() -> None:
    """The Gaussian multiplier counts for sixty moves: after 140, that is three tenths of the whole."""
    log_close = np.cumsum(DAILY * np.random.default_rng(0).choice([-1.0, 1.0], 300))
    issued = multipliers(log_close, Volatility.of(log_close), 1)
    assert issued[BURN_IN + 1] > 1.25
    assert issued[200] == pytest.approx(0.7 * 1.0 + 0.3 * 1.13, abs=0.03)


@given(
    seed=st.integers(0, 1000),
    days=st.integers(2, 400),
    move=st.floats(-1, 1),
    elapsed=st.floats(0, 1, exclude_max=True),
)
@settings(max_examples=50)
def test_half_widths_never_fall_with_the_horizon(seed: int, days: int, move: float, elapsed: float) -> None:
    ahead = half_widths_ahead(random_walk(seed, days), move, elapsed, YEAR)
    assert ahead.shape == (365,)
    assert np.all(np.isfinite(ahead))
    assert np.all(ahead > 0)
    assert np.all(np.diff(ahead) >= 0)


@pytest.mark.parametrize(
    "log_close",
    [np.full(200, 5.5), np.zeros(200), 46.0 * (np.arange(200.0) % 2), 5 + 0.1 * (np.arange(200.0) == 100)],
    ids=["flat", "flat at a price of one", "between 1 and 1e20 by turns", "a single tick"],
)
@pytest.mark.parametrize("horizon", [1, 7, 90, 250])
def test_half_widths_are_positive_numbers_in_any_market(log_close: FloatArray, horizon: int) -> None:
    ahead = half_widths_ahead(log_close, 0.0, 0.5, YEAR)
    for found in (half_widths(log_close, horizon), ahead):
        assert np.all(np.isfinite(found))
        assert np.all(found > 0)
    assert np.all(np.diff(ahead) >= 0)  # even where every other day is where the day before the last was


def test_the_interval_of_a_flat_market_is_almost_zero() -> None:
    assert half_widths_ahead(np.full(400, 5.5), 0.0, 0.0, YEAR).max() < 1e-3


@pytest.mark.parametrize("horizon", KNOTS)
def test_half_widths_at_the_last_close_are_those_of_the_backtest(horizon: int) -> None:
    log_close = random_walk(1, 800)
    assert half_widths_ahead(log_close, 0.0, 0.0, [horizon])[0] == pytest.approx(
        half_widths(log_close, horizon)[-1], rel=1e-12
    )


def test_the_interval_of_a_day_narrows_until_its_close() -> None:
    log_close = random_walk(2, 800)
    tomorrow = [half_widths_ahead(log_close, 0.0, elapsed, YEAR)[0] for elapsed in (0.0, 0.25, 0.5, 0.75, 0.96)]
    assert tomorrow == sorted(tomorrow, reverse=True)
    assert tomorrow[-1] == pytest.approx(tomorrow[0] * 0.2, rel=0.1)


def test_a_crash_since_the_close_widens_every_horizon() -> None:
    """A release after a crash must not have the interval of the calm before."""
    log_close = random_walk(3, 800)
    calm, crashed = (half_widths_ahead(log_close, move, 0.25, YEAR) for move in (0.0, -0.3))
    assert np.all(crashed[:30] > calm[:30])
    assert crashed[0] > 1.15 * calm[0]


def closes_of(pair: Pair) -> tuple[FloatArray, int]:
    """The log closes of a real history, and the index of the first day of 2020."""
    path = DATA / f"binance_{pair.base}-USDT_1d.csv"
    if not path.exists():
        pytest.skip(f"needs the real history {path.name}")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return np.log([float(row["close"]) for row in rows]), [row["time"][:10] for row in rows].index("2020-01-01")


def gaussian_half_widths(log_close: FloatArray, horizon: int) -> FloatArray:
    """(n,) z sigma sqrt(h), sigma being the standard deviation of the past year's daily returns."""
    returns = np.diff(log_close, prepend=np.nan)
    sigma = [np.std(returns[max(1, day - 364) : day + 1]) if day else np.nan for day in range(len(log_close))]
    return np.asarray(GAUSSIAN * np.array(sigma) * horizon**0.5)


@pytest.mark.parametrize(
    ("horizon", "least", "most", "score"),
    [(1, 0.77, 0.83, 0.97), (7, 0.77, 0.83, 1.00), (30, 0.77, 0.83, 1.02), (90, 0.74, 0.86, 1.02)],
)
def test_on_bitcoin_the_interval_is_calibrated_and_better_than_a_gaussian_one(
    horizon: int, least: float, most: float, score: float
) -> None:
    """On every day from 2020 to 2025."""
    coverage, relative = judged(Pair("BTC", "USDT"), horizon)
    assert least <= coverage <= most
    assert relative <= score


@pytest.mark.parametrize("base", ["ETH", "BNB", "LTC"])
@pytest.mark.parametrize(("horizon", "most"), [(1, 0.82), (7, 0.83), (30, 0.86), (90, 0.89)])
def test_on_other_coins_it_is_calibrated_and_about_as_good(base: str, horizon: int, most: float) -> None:
    """Five years hold few months and quarters, and the last ones were calmer than those before."""
    coverage, relative = judged(Pair(base, "USDT"), horizon)
    assert 0.77 <= coverage <= most
    assert relative <= 1.03


def judged(pair: Pair, horizon: int) -> tuple[float, float]:
    """The share inside from 2020 on, and the Winkler score relative to that of the Gaussian interval."""
    log_close, first = closes_of(pair)
    days = slice(first, len(log_close) - horizon)
    moves = (log_close[horizon:] - log_close[:-horizon])[days]
    ours, gaussian = half_widths(log_close, horizon)[days], gaussian_half_widths(log_close, horizon)[days]
    scores = [interval_score(moves, -half_width, half_width, COVERAGE).mean() for half_width in (ours, gaussian)]
    return float(np.mean(np.abs(moves) <= ours)), scores[0] / scores[1]
