import math
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crypto_predict.baked.evaluation import Curve, Evaluator
from crypto_predict.baked.schema import HORIZON_DAYS, PairForecast
from crypto_predict.forecasting.forecast import FittedForecast, forecast_pair
from crypto_predict.history import read_history
from crypto_predict.market import Interval
from crypto_predict.sources.csv_file import CsvFile
from tests.histories import flat, make_history, wandering

REAL = Path("../shared/data/binance_BTC-USDT_1d.csv")


@pytest.fixture(scope="module")
def fitted() -> FittedForecast:
    return forecast_pair(make_history(), seed=0)


def assert_equals_prophet(fitted: FittedForecast) -> None:
    forecast = fitted.forecast
    days = pd.date_range(forecast.first, forecast.end)
    expected = fitted.prophet.model.predict(pd.DataFrame({"ds": days}))["yhat"].to_numpy()
    curve = Curve(forecast.scale, forecast.trend, forecast.seasonalities)
    actual = np.array([curve.at(day.toordinal()) for day in days])
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=0)


def test_the_baked_curve_equals_prophets_own_predict(fitted: FittedForecast) -> None:
    """Serving carries no Prophet, so what it computes in plain Python must be the same, to 1e-9 relative."""
    assert_equals_prophet(fitted)


@pytest.mark.parametrize("days", [30, 200, 1825])
def test_the_baked_curve_equals_prophets_for_every_set_of_seasonalities(days: int) -> None:
    """Prophet adds a yearly seasonality only from two years of history on."""
    fitted = forecast_pair(make_history(days), seed=0)
    assert {s.name for s in fitted.forecast.seasonalities} == ({"weekly", "yearly"} if days > 730 else {"weekly"})
    assert_equals_prophet(fitted)


def test_the_baked_curve_equals_prophets_over_a_history_with_gaps() -> None:
    assert_equals_prophet(forecast_pair(make_history(missing=frozenset({5, 6, 7, 400, 898})), seed=0))


def test_the_forecast_of_real_history_equals_prophets_too() -> None:
    if not REAL.exists():
        pytest.skip(f"{REAL} is not here")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    history = read_history([CsvFile(str(REAL))], make_history().pair, Interval.DAY_1, 1825, None, now)
    assert history.candles[-1].close == 107_146.5
    assert_equals_prophet(forecast_pair(history, seed=0))


def test_the_forecast_starts_at_the_last_known_price(fitted: FittedForecast) -> None:
    """Prophet's curve stands well off the market at the end of a history; the forecast must not."""
    forecast = fitted.forecast
    after_the_close = datetime.combine(forecast.last + timedelta(days=1), datetime.min.time(), UTC) + timedelta(
        seconds=1
    )
    assert forecast.last_close == wandering(899)
    assert Evaluator(forecast).at(after_the_close).price == pytest.approx(forecast.last_close, rel=1e-5)


def test_from_the_last_price_on_the_forecast_moves_as_prophets_curve_does(fitted: FittedForecast) -> None:
    forecast = fitted.forecast
    curve = Curve(forecast.scale, forecast.trend, forecast.seasonalities)
    last = forecast.last.toordinal()
    for horizon in (1, 7, 30, 90, 365):
        predicted = Evaluator(forecast).at_close(date.fromordinal(last + horizon)).price
        increment = curve.at(last + horizon) - curve.at(last)
        assert predicted == pytest.approx(forecast.last_close * math.exp(increment), rel=1e-6)


def test_the_fitted_band_holds_four_fifths_of_the_sample(fitted: FittedForecast) -> None:
    history, evaluator = make_history(), Evaluator(fitted.forecast)
    predictions = [evaluator.at_close(candle.open_time.date()) for candle in history.candles]
    inside = [p.low <= c.close <= p.high for p, c in zip(predictions, history.candles, strict=True)]
    assert sum(inside) / len(inside) == pytest.approx(0.8, abs=0.005)


def test_the_forecast_band_grows_with_the_square_root_of_the_horizon(fitted: FittedForecast) -> None:
    bands = fitted.forecast.forecast_bands
    assert len(bands) == HORIZON_DAYS
    assert all(near.low > far.low and near.high < far.high for near, far in pairwise(bands))
    assert bands[99].high == pytest.approx(10 * bands[0].high)


def test_a_gap_does_not_widen_the_band() -> None:
    """One return over a week of missing days is as large as seven, not as one day's."""

    def drift(day: int) -> float:
        return 100 * math.exp(0.05 * (-1) ** day + 0.0001 * day)

    whole = forecast_pair(make_history(400, drift), seed=0).forecast
    gapped = forecast_pair(make_history(400, drift, missing=frozenset(range(100, 106))), seed=0).forecast
    assert gapped.forecast_bands[0].high == pytest.approx(whole.forecast_bands[0].high, rel=0.02)


def test_the_same_history_gives_the_same_forecast(fitted: FittedForecast) -> None:
    assert forecast_pair(make_history(), seed=0).forecast == fitted.forecast


def test_a_price_that_never_moves_is_forecast_to_stay() -> None:
    """Stablecoins exist, and zero volatility must not divide anything by zero."""
    forecast: PairForecast = forecast_pair(make_history(120, flat), seed=0).forecast
    prediction = Evaluator(forecast).at_close(forecast.end)
    assert prediction.low == pytest.approx(250, abs=0.02)
    assert prediction.price == pytest.approx(250, abs=0.01)
    assert prediction.high == pytest.approx(250, abs=0.02)
