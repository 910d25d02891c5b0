"""The next 24 hours: calibrated on real hours, blind to the future, and undisturbed by gaps."""

import csv
import gzip
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from crypto_predict.forecasting.distribution.hours import AHEAD, BURN_IN, KNOTS, LEAST_HISTORY, Hours, learn
from crypto_predict.forecasting.evaluation.hours import HORIZONS, due, score
from crypto_predict.market.forecast import LEVELS

REAL = Path(__file__).parents[4] / "shared" / "data"
COUNT = LEAST_HISTORY + 200


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As in a training: the matrices are small, threads would only wait for one another."""
    with threadpool_limits(1):
        yield


def market(seed: int, count: int = COUNT) -> Hours:
    """Hours whose volatility comes in clusters, and is three times as high in the afternoon."""
    rng = np.random.default_rng(seed)
    log_scale = np.zeros(count)
    for index, shock in enumerate(rng.standard_normal(count - 1), start=1):
        log_scale[index] = 0.98 * log_scale[index - 1] + 0.1 * shock
    hour = 475_000 + np.arange(count)
    scale = 0.004 * np.exp(log_scale) * np.where(hour % 24 >= 12, 1.5, 0.5)
    steps = scale[:, None] / 4 * rng.standard_normal((count, 16))
    path = np.concatenate([[0.0], np.cumsum(steps.ravel())])
    inside = np.column_stack([path[:-1].reshape(count, 16), path[16::16]])
    return Hours(hour, inside[:, 0], inside.max(axis=1), inside.min(axis=1), inside[:, -1], np.exp(log_scale))


def part(past: Hours, rows: slice | np.ndarray) -> Hours:
    return Hours(*(getattr(past, field.name)[rows] for field in fields(past)))


def test_the_future_changes_no_earlier_forecast() -> None:
    past = market(1)
    until = COUNT - 150
    _, whole = learn(past)
    _, short = learn(part(past, slice(until)))
    assert np.array_equal(short, whole[:until], equal_nan=True)
    assert np.isnan(whole[:BURN_IN]).all()
    assert np.isfinite(whole[BURN_IN:]).all()


def test_the_next_forecast_widens_with_the_hour_and_knows_the_afternoon() -> None:
    past = market(2)
    midnight = np.flatnonzero((past.hour + 1) % 24 == 0)[-1] + 1  # the last hour is the one before midnight
    distribution, _ = learn(part(past, slice(midnight)))
    ahead = distribution.ahead()
    assert ahead.shape == (AHEAD, len(LEVELS))
    assert (np.diff(ahead, axis=1) >= 0).all()
    widths = ahead[:, 5] - ahead[:, 1]
    assert (np.diff(widths) >= 0).all()
    variance = np.diff(widths**2)
    assert variance[12:].mean() > 1.5 * variance[:10].mean(), "after ten weeks, of nine times in truth"


def test_most_outcomes_fall_where_they_should() -> None:
    past = market(3, 6_000)
    _, issued = learn(past, HORIZONS)
    for forecasts in due(past, issued, HORIZONS):
        scores = score(past, forecasts)
        assert 0.74 < scores.coverage < 0.86
        assert scores.relative_winkler is not None
        assert scores.relative_winkler < 1
        if scores.horizon_hours < 12:
            assert all(0.7 < part < 0.9 for part in scores.by_hours if part is not None)


def test_a_gap_is_no_quiet_time() -> None:
    past = market(4)
    gap = slice(COUNT - 120, COUNT - 60)
    holed = part(past, np.delete(np.arange(COUNT), np.r_[gap]))
    distribution, issued = learn(holed)
    assert np.isfinite(issued[BURN_IN:]).all()
    assert np.isnan(holed.moves(24)[COUNT - 120 - 24 : COUNT - 120]).all(), "no move ends in the gap"
    whole, _ = learn(past)
    ratio = distribution.ahead()[:, 5] / whole.ahead()[:, 5]
    assert (ratio > 0.7).all()
    assert (ratio < 1.4).all()


def test_a_price_that_never_moves_has_a_forecast() -> None:
    zeros = np.zeros(LEAST_HISTORY)
    distribution, _ = learn(Hours(475_000 + np.arange(LEAST_HISTORY), zeros, zeros, zeros, zeros, zeros))
    assert np.isfinite(distribution.ahead()).all()


def test_hours_between_the_knots_lie_between_them() -> None:
    past = market(5)
    _, all_hours = learn(past, range(1, AHEAD + 1))
    _, knots = learn(past)
    chosen = all_hours[BURN_IN:, [knot - 1 for knot in KNOTS]]
    assert chosen == pytest.approx(knots[BURN_IN:], rel=1e-12)
    assert (np.diff(all_hours[BURN_IN:, :, 5], axis=1) >= 0).all()


@pytest.mark.parametrize("base", ["BTC", "ETH"])
def test_real_hours_keep_the_figures_of_the_docs(base: str) -> None:
    """Of the second half of the file, which no constant was chosen on."""
    path = REAL / f"bitfinex_{base}-USD_1h_2016-2018.csv.gz"
    if not path.exists():
        pytest.skip(f"{path} does not exist: the real hours are not part of the repository")
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    opened = np.array([row["time"][:13] for row in rows], dtype="datetime64[h]").astype(np.int64)
    columns = {
        name: np.array([float(row[name]) for row in rows]) for name in ("open", "high", "low", "close", "volume")
    }
    first, high, low, close = (np.log(columns[name]) for name in ("open", "high", "low", "close"))
    past = Hours(opened, first, high, low, close, columns["volume"])
    _, issued = learn(past, HORIZONS)
    for forecasts in due(past, issued, HORIZONS):
        scores = score(past, forecasts)
        assert 0.78 <= scores.coverage <= 0.82
        assert all(share is not None and 0.72 <= share <= 0.86 for share in scores.by_volatility)
        assert all(share is not None and 0.76 <= share <= 0.84 for share in scores.by_hours)
