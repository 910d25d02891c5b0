"""An interval that means 80 %, whatever the market does."""

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
from crypto_predict.forecasting.series import BoolArray, FloatArray
from crypto_predict.market import Pair
from tests.support.markets import DAILY, random_walk, shocked

DATA = Path(__file__).parents[4] / "shared" / "data"
GAUSSIAN = NormalDist().inv_cdf((1 + COVERAGE) / 2)
YEAR = range(1, 366)
FIRST_JUDGED = 365  # the day from which coverage is counted


def inside(log_close: FloatArray, horizon: int) -> BoolArray:
    """(n - h,) whether the close `horizon` days after each is within reach of it."""
    moves = np.abs(log_close[horizon:] - log_close[:-horizon])
    return np.asarray(moves <= half_widths(log_close, horizon)[:-horizon])


@pytest.mark.parametrize("horizon", [1, 7])
def test_four_fifths_of_outcomes_lie_inside(horizon: int) -> None:
    shares = [inside(random_walk(seed, 1500), horizon)[FIRST_JUDGED:].mean() for seed in range(20)]
    assert 0.77 <= np.mean(shares) <= 0.83


@pytest.mark.parametrize("horizon", [30, 90])
def test_further_ahead_the_share_is_about_as_good(horizon: int) -> None:
    """Three years hold a dozen quarters: this is the mean over markets, each of which is off by more."""
    shares = [inside(random_walk(seed, 1500), horizon)[FIRST_JUDGED:].mean() for seed in range(20)]
    assert 0.75 <= np.mean(shares) <= 0.87


def test_a_hundred_days_after_moves_have_become_three_times_as_large_the_interval_holds_again() -> None:
    after = np.mean([inside(shocked(seed, 1500, 900), 1)[900:1000].mean() for seed in range(30)])
    later = np.mean([inside(shocked(seed, 1500, 900), 1)[1000:].mean() for seed in range(30)])
    assert 0.70 <= after <= 0.90
    assert 0.77 <= later <= 0.83


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("at", [100, 500, 900])
def test_in_the_long_run_the_share_holds_whatever_happened(seed: int, at: int) -> None:
    """Within one market, and the days right after the shock counted."""
    assert 0.78 <= inside(shocked(seed, 1500, at, times=5.0), 1).mean() <= 0.82


@pytest.mark.parametrize("factor", [0.2, 0.1])
def test_after_a_market_has_fallen_asleep_the_interval_is_not_wide_for_ever(factor: float) -> None:
    """Too wide is as wrong as too narrow."""
    shares = [inside(shocked(seed, 1500, 700, factor), 1)[900:].mean() for seed in range(20)]
    assert 0.77 <= np.mean(shares) <= 0.86


@given(
    seed=st.integers(0, 1000), at=st.integers(BURN_IN, 298), horizon=st.sampled_from([1, 2, 7, 30, 90, 200, 299, 400])
)
@settings(max_examples=50)
def test_what_comes_later_changes_no_reach_before_it(seed: int, at: int, horizon: int) -> None:
    log_close = random_walk(seed, 300)
    otherwise = log_close.copy()
    otherwise[at + 1 :] = random_walk(seed + 1, 299 - at) * 3
    before, after = half_widths(log_close, horizon), half_widths(otherwise, horizon)
    assert before[: at + 1].tobytes() == after[: at + 1].tobytes()
    assert before[: at + 1].tobytes() == half_widths(log_close[: at + 1], horizon).tobytes()


@pytest.mark.parametrize("horizon", [1, 7, 30])
def test_while_no_move_has_ended_the_multiplier_is_the_gaussian_one(horizon: int) -> None:
    log_close = random_walk(0, 300)
    issued = multipliers(log_close, Volatility.of(log_close), horizon)
    assert issued[: BURN_IN + horizon].tolist() == pytest.approx([GAUSSIAN] * (BURN_IN + horizon))
    assert np.ptp(issued[BURN_IN + horizon :]) > 0


def test_the_multiplier_is_learned_from_how_moves_were_spread() -> None:
    """Where every move is of one size, one standard deviation reaches all of them; the Gaussian says 1.28."""
    rng = np.random.default_rng(0)
    for spread, expected in ((rng.standard_normal(4000), GAUSSIAN), (rng.choice([-1.0, 1.0], 4000), 1.0)):
        log_close = np.cumsum(DAILY * spread)
        learned = multipliers(log_close, Volatility.of(log_close), 1)[-1000:]
        assert learned.mean() == pytest.approx(expected, abs=0.05)


def test_few_moves_are_believed_as_far_as_they_go() -> None:
    """Beside them the Gaussian multiplier counts for sixty: after 140, that is three tenths of the whole."""
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
def test_the_reach_never_falls_with_the_horizon(seed: int, days: int, move: float, elapsed: float) -> None:
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
def test_a_reach_is_a_positive_number_in_any_market(log_close: FloatArray, horizon: int) -> None:
    ahead = half_widths_ahead(log_close, 0.0, 0.5, YEAR)
    for found in (half_widths(log_close, horizon), ahead):
        assert np.all(np.isfinite(found))
        assert np.all(found > 0)
    assert np.all(np.diff(ahead) >= 0)  # even where every other day is where the day before the last was


def test_of_a_flat_market_the_interval_is_next_to_nothing() -> None:
    assert half_widths_ahead(np.full(400, 5.5), 0.0, 0.0, YEAR).max() < 1e-3


@pytest.mark.parametrize("horizon", KNOTS)
def test_as_seen_from_the_last_close_a_reach_is_what_the_backtest_would_have_issued(horizon: int) -> None:
    log_close = random_walk(1, 800)
    assert half_widths_ahead(log_close, 0.0, 0.0, [horizon])[0] == pytest.approx(
        half_widths(log_close, horizon)[-1], rel=1e-12
    )


def test_the_later_it_is_in_the_day_the_closer_is_its_close() -> None:
    log_close = random_walk(2, 800)
    tomorrow = [half_widths_ahead(log_close, 0.0, elapsed, YEAR)[0] for elapsed in (0.0, 0.25, 0.5, 0.75, 0.96)]
    assert tomorrow == sorted(tomorrow, reverse=True)
    assert tomorrow[-1] == pytest.approx(tomorrow[0] * 0.2, rel=0.1)


def test_a_crash_since_the_close_widens_every_horizon() -> None:
    """The interval that is released after it must not be the one of the calm before."""
    log_close = random_walk(3, 800)
    calm, crashed = (half_widths_ahead(log_close, move, 0.25, YEAR) for move in (0.0, -0.3))
    assert np.all(crashed[:30] > calm[:30])
    assert crashed[0] > 1.15 * calm[0]


def closes_of(pair: Pair) -> tuple[FloatArray, int]:
    """The log closes of a true history, and the index of the first day of 2020."""
    path = DATA / f"binance_{pair.base}-USDT_1d.csv"
    if not path.exists():
        pytest.skip(f"needs the true history {path.name}")
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
def test_on_bitcoin_the_interval_means_what_it_says_and_says_more_than_a_gaussian_one(
    horizon: int, least: float, most: float, score: float
) -> None:
    """On every day from 2020 to 2025."""
    coverage, relative = judged(Pair("BTC", "USDT"), horizon)
    assert least <= coverage <= most
    assert relative <= score


@pytest.mark.parametrize("base", ["ETH", "BNB", "LTC"])
@pytest.mark.parametrize(("horizon", "most"), [(1, 0.82), (7, 0.83), (30, 0.86), (90, 0.89)])
def test_so_it_does_on_others(base: str, horizon: int, most: float) -> None:
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
