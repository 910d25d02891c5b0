"""Volatility and interval count in steps, so they apply to minutes as to days."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from crypto_predict.forecasting.candidates.combination import learn_weights
from crypto_predict.forecasting.distribution.interval import half_widths, half_widths_ahead
from crypto_predict.forecasting.distribution.volatility import Volatility
from crypto_predict.forecasting.evaluation.replay import FIRST_CUTOFF, splits
from crypto_predict.history.columns import FloatArray
from tests.support.markets import random_walk

DATA = Path(__file__).parents[4] / "shared" / "data"
MINUTE = 1 / 1440**0.5  # the deviation of a minute's return, in units of a day's
FORTNIGHT = 14 * 1440  # minutes


def real_minutes(base: str) -> FloatArray:
    """Two weeks of log closes, one per minute; a minute without a trade repeats the previous close."""
    path = DATA / f"bitfinex_{base}-USD_1m_2019Q1.csv.gz"
    if not path.exists():
        pytest.skip(f"needs the real history {path.name}")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = [row for row, _ in zip(csv.DictReader(file), range(FORTNIGHT), strict=False)]
    minutes = np.array([int(row["time_ms"]) // 60_000 for row in rows])
    grid = np.arange(minutes[0], minutes[-1] + 1)
    latest = np.searchsorted(minutes, grid, side="right") - 1
    return np.log([float(row["close"]) for row in rows])[latest]


def coverage(log_close: FloatArray, horizon: int, first: int) -> float:
    """The share of moves inside the interval, of those that start at the step `first` or later."""
    moves = np.abs(log_close[horizon:] - log_close[:-horizon])
    return float(np.mean((moves <= half_widths(log_close, horizon)[:-horizon])[first:]))


@pytest.mark.parametrize("horizon", [1, 7, 60])
def test_an_interval_scales_with_the_moves(horizon: int) -> None:
    """Minutes move a fortieth as far as days: no constant has the unit of a price or of a day."""
    days = random_walk(1, 1500)
    minutes = MINUTE * days
    assert half_widths(minutes, horizon) == pytest.approx(MINUTE * half_widths(days, horizon), rel=1e-9)
    assert Volatility.of(minutes).variance(horizon) == pytest.approx(Volatility.of(days).variance(horizon) / 1440)
    ahead = half_widths_ahead(minutes, 0.01 * MINUTE, 0.5, range(1, horizon + 1))
    assert ahead == pytest.approx(MINUTE * half_widths_ahead(days, 0.01, 0.5, range(1, horizon + 1)), rel=1e-9)


@pytest.mark.parametrize(("horizon", "most"), [(1, 0.82), (5, 0.82), (15, 0.82), (60, 0.84)])
@pytest.mark.parametrize("base", ["BTC", "ETH"])
def test_the_interval_of_real_minutes_holds_four_fifths(base: str, horizon: int, most: float) -> None:
    """After one day; two weeks hold few hours that do not overlap with the wildest ones."""
    assert 0.78 <= coverage(real_minutes(base), horizon, first=1440) <= most


@pytest.mark.parametrize("horizon", [1, 15, 60])
def test_the_interval_of_a_minute_market_holds_four_fifths(horizon: int) -> None:
    assert 0.78 <= coverage(MINUTE * random_walk(2, 10_000), horizon, first=1440) <= 0.82


def test_cutoffs_and_weights_count_in_steps() -> None:
    """Every quarter of an hour over two days: a forecast that is right earns its weight, persistence is the rest."""
    log_close = MINUTE * random_walk(3, 2 * 1440)
    cutoffs = np.array(list(splits(len(log_close), every=15)))
    assert cutoffs[0] >= FIRST_CUTOFF - 1
    actual = np.full(len(cutoffs), np.nan)
    due = cutoffs + 15 < len(log_close)
    actual[due] = log_close[cutoffs[due] + 15] - log_close[cutoffs[due]]
    predicted = np.column_stack([np.where(due, actual, 0.0), np.zeros(len(cutoffs))])
    weights = learn_weights(cutoffs, predicted, actual, 15)[-1]
    assert weights[0] > 0.8
    assert weights[1] == 0
