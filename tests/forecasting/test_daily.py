import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from prophet.serialize import model_from_json

from crypto_predict.baked import schema
from crypto_predict.baked.evaluation import Curve, Evaluator
from crypto_predict.baked.schema import HORIZON_DAYS, KNOTS, Anchor, PairForecast
from crypto_predict.forecasting.combined.prophet_fit import fit_prophet, to_json
from crypto_predict.forecasting.daily import fitted_band, forecast_pair
from crypto_predict.forecasting.distribution.days import learn
from crypto_predict.forecasting.evaluation.replay import Replay, replay
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history import History, read_history
from crypto_predict.market import DAY, Interval
from crypto_predict.market.forecast import LEVELS
from crypto_predict.sources.csv_file import CsvFile
from tests.support.histories import flat, make_history, wandering
from tests.support.markets import prophet_replay

pytestmark = pytest.mark.repeats

REAL = Path("../shared/data/binance_BTC-USDT_1d.csv")
HISTORY = make_history()
HORIZONS = (1, 7, 30)
LOW, HIGH = LEVELS.index(schema.LOW), LEVELS.index(schema.HIGH)


def at_close(history: History) -> Anchor:
    """Return the last daily close as the anchor, as without a newer price."""
    last = history.candles[-1]
    return Anchor(last.open_time + DAY, last.close)


def fit(history: History, anchor: Anchor | None = None, past: Replay | None = None) -> PairForecast:
    return forecast_pair(history, anchor or at_close(history), past, seed=0)[0]


def taking(weight: float) -> Replay:
    """A backtest that gives this weight to Prophet, which forecasts 1 % a day."""
    series = DailySeries.of(HISTORY)
    predicted = 0.01 * np.array(HORIZONS)[None]
    weights = np.full_like(predicted, weight)
    cutoffs, quantiles = np.array([len(series) - 1]), np.zeros((1, len(HORIZONS), len(LEVELS)))
    alone = prophet_replay(series, cutoffs, HORIZONS)
    distribution = learn(series, KNOTS)[0]
    return Replay(series, cutoffs, HORIZONS, predicted, weights, quantiles, distribution, alone)


@pytest.fixture(scope="module")
def fitted() -> PairForecast:
    return fit(HISTORY)


def test_the_model_has_the_close_of_every_day_and_nothing_for_a_day_without_a_candle() -> None:
    """The page draws them. Nothing is filled in."""
    forecast = fit(make_history(missing=frozenset({400, 401, 700})))
    days = (forecast.last - forecast.first).days + 1
    assert forecast.closes == tuple(None if day in {400, 401, 700} else wandering(day) for day in range(days))


def read_real() -> History:
    if not REAL.exists():
        pytest.skip(f"{REAL} is not here")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    history, _ = read_history([CsvFile(str(REAL))], make_history().pair, Interval.DAY_1, 1825, None, now)
    assert history.candles[-1].close == 107_146.5
    return history


@pytest.mark.parametrize(
    ("history", "seasonalities"),
    [
        (lambda: HISTORY, {"weekly", "yearly"}),
        (lambda: make_history(30), {"weekly"}),
        (lambda: make_history(200), {"weekly"}),
        (lambda: make_history(missing=frozenset({5, 6, 7, 400, 898})), {"weekly", "yearly"}),
        (read_real, {"weekly", "yearly"}),
    ],
    ids=["900 days", "30 days", "200 days", "gaps", "real prices"],
)
def test_the_baked_curve_equals_prophets_own_predict(history: Callable[[], History], seasonalities: set[str]) -> None:
    """The server has no Prophet: its own computation in plain Python must agree, to 1e-9 relative.

    Prophet adds a yearly seasonality only from two years of history on.
    """
    candles = history()
    forecast, prophet = forecast_pair(candles, at_close(candles), None, seed=0)
    assert {seasonality.name for seasonality in forecast.seasonalities} == seasonalities
    days = pd.date_range(forecast.first, forecast.end)
    expected = prophet.predict(pd.DataFrame({"ds": days}))["yhat"].to_numpy()
    curve = Curve(forecast.scale, forecast.trend, forecast.seasonalities)
    actual = np.array([curve.at(day.toordinal()) for day in days])
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("hours", [0, 18])
def test_the_forecast_starts_at_the_newest_price(hours: int) -> None:
    """Prophet's curve stands well off the market at the end of a history; the forecast must not."""
    close = at_close(HISTORY)
    anchor = Anchor(close.at + timedelta(hours=hours), 1.03 * close.price if hours else close.price)
    evaluator = Evaluator(fit(HISTORY, anchor, taking(1.0)))
    assert evaluator.forecast.last_close == wandering(899)
    assert evaluator.at(anchor.at + timedelta(seconds=1)).price == pytest.approx(anchor.price, rel=1e-5)


def test_without_a_backtest_the_forecast_is_persistence(fitted: PairForecast) -> None:
    """Prophet has not earned a weight then."""
    evaluator, forecast = Evaluator(fitted), fitted
    days = [forecast.last + timedelta(days=horizon) for horizon in (1, 30, HORIZON_DAYS)]
    assert {evaluator.at(day).price for day in days} == {round(forecast.anchor.price, 2)}


@pytest.mark.parametrize("weight", [0.25, 1.0])
@pytest.mark.parametrize("elapsed", [0.0, 0.75])
def test_the_forecast_follows_prophets_curve_by_its_weight(weight: float, elapsed: float) -> None:
    """From the anchor on, which may lie between two closes; the weight falls beyond the longest tested horizon."""
    close = at_close(HISTORY)
    forecast = fit(HISTORY, Anchor(close.at + elapsed * DAY, 21_000.0), taking(weight))
    curve = Curve(forecast.scale, forecast.trend, forecast.seasonalities)
    last = forecast.last.toordinal()
    start = curve.at(last) + elapsed * (curve.at(last + 1) - curve.at(last))
    for horizon in (1, 4, 30, 90, 365):
        predicted = Evaluator(forecast).at(date.fromordinal(last + horizon)).price
        share = weight * min(1, 30 / horizon)
        assert predicted == pytest.approx(21_000 * math.exp(share * (curve.at(last + horizon) - start)), rel=1e-6)


def test_the_fitted_band_holds_four_fifths_of_the_sample(fitted: PairForecast) -> None:
    evaluator = Evaluator(fitted)
    predictions = [evaluator.at(candle.open_time.date()) for candle in HISTORY.candles]
    inside = [p.low <= c.close <= p.high for p, c in zip(predictions, HISTORY.candles, strict=True)]
    assert sum(inside) / len(inside) == pytest.approx(0.8, abs=0.005)


@pytest.mark.parametrize("past", [None, taking(1.0)], ids=["none", "prophet"])
def test_the_interval_grows_with_the_horizon_and_holds_forecast_and_anchor(past: Replay | None) -> None:
    """It is centred on the known price, whatever the point forecast is."""
    forecast = fit(HISTORY, None, past)
    evaluator = Evaluator(forecast)
    days = [forecast.last + timedelta(days=horizon) for horizon in range(1, HORIZON_DAYS + 1)]
    predictions = [evaluator.at(day) for day in days]
    assert all(p.low <= p.price <= p.high for p in predictions)
    assert all(p.low < forecast.anchor.price < p.high for p in predictions)
    assert all(near.low >= far.low and near.high <= far.high for near, far in pairwise(predictions))
    assert predictions[99].high / forecast.anchor.price > (predictions[0].high / forecast.anchor.price) ** 3


def standing(off: float) -> Replay:
    """A backtest in which Prophet's curve was `off` from the market at two cutoffs, the last one included."""
    past = taking(0.0)
    cutoffs = np.array([500, len(past.series) - 1])
    curve = np.repeat((past.series.log_close[cutoffs] + off)[:, None], len(KNOTS), axis=1)
    return replace(past, prophet=prophet_replay(past.series, cutoffs, HORIZONS, curve))


def test_prophet_alone_gets_the_interval_of_its_own_errors_unless_it_overflows() -> None:
    """Prophet may go anywhere after a market broke; the combined forecast does not change by that."""
    near, far, wild = (fit(HISTORY, None, standing(off)) for off in (0.1, 0.5, 1e5))
    assert len(near.prophet_bands) == len(far.prophet_bands) == len(KNOTS)
    assert far.prophet_bands[0].high > near.prophet_bands[0].high
    assert wild == replace(near, prophet_bands=())


def test_a_later_anchor_has_a_narrower_interval_at_the_next_close_and_a_move_until_then_a_wider_one() -> None:
    """Volatility persists: after a large move the next days will be wilder than the last ones."""
    close = at_close(HISTORY)
    calm, wild = (fit(HISTORY, Anchor(close.at + DAY / 2, price)) for price in (close.price, 0.85 * close.price))
    assert wild.forecast_quantiles[6][HIGH] > 1.05 * calm.forecast_quantiles[6][HIGH]
    anchors = [Anchor(close.at + timedelta(hours=hours), close.price) for hours in (0, 8, 16, 23)]
    widths = [fit(HISTORY, anchor).forecast_quantiles[0][HIGH] for anchor in anchors]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.4 * widths[0]


def test_the_same_history_gives_the_same_forecast(fitted: PairForecast) -> None:
    assert fit(make_history()) == fitted


def test_a_price_that_never_moves_is_forecast_to_stay() -> None:
    """Stablecoins exist, and zero volatility must not divide anything by zero."""
    history = make_history(150, flat)
    past = replay(DailySeries.of(history), HORIZONS, every=25, longest=150)
    forecast = fit(history, None, past)
    prediction = Evaluator(forecast).at(forecast.end)
    assert prediction.low == pytest.approx(250, abs=0.05)  # candles that are 1 % high, and never close elsewhere
    assert prediction.price == pytest.approx(250, abs=0.01)
    assert prediction.high == pytest.approx(250, abs=0.05)


def test_the_fitted_band_contains_the_curve_also_with_residuals_on_one_side_only() -> None:
    assert fitted_band(np.array([0.1, 0.2, 0.3])).low == 0
    assert fitted_band(np.array([-0.3, -0.2])).high == 0


@pytest.mark.parametrize(
    "close",
    [
        lambda day: 100 * 1.001**day,
        lambda day: 100 * math.exp(0.01 * math.sin(2 * math.pi * day / 7)),
        lambda day: 100 * math.exp(0.3 * math.sin(2 * math.pi * day / 365.25)),
    ],
    ids=["growth", "week", "year"],
)
def test_a_curve_without_noise_is_fitted_at_once(close: Callable[[int], float]) -> None:
    """Stan finds nothing to improve there, and would try for minutes."""
    history = make_history(900, close)
    model, scale, trend, seasonalities = fit_prophet(history, seed=0)
    curve = Curve(scale, trend, seasonalities)
    fitted = [curve.at(candle.open_time.toordinal()) for candle in history.candles]
    assert fitted == pytest.approx(history.candles.log_close.tolist(), abs=0.02)
    assert model_from_json(to_json(model)).predict(model.history).yhat.tolist() == pytest.approx(fitted, rel=1e-9)
