"""The candidates' forecasts of markets made for them; none of them ever raises an error."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from crypto_predict.forecasting.candidates import NAMES, autoregression
from crypto_predict.forecasting.candidates.candidate import WEEK, WINDOW
from crypto_predict.forecasting.candidates.smoothing import Theta
from crypto_predict.forecasting.evaluation.replay import forecast_weekly
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray
from tests.support.markets import random_walk, series_of, trending

HORIZONS = (1, 7, 30, 90)
PROPHET = "prophet"
MANY_DAYS = np.array(HORIZONS)


def growing(daily: float, days: int = 400) -> FloatArray:
    """Log closes that grow by the same every day."""
    return np.linspace(5.0, 5.0 + daily * (days - 1), days)


MARKETS: dict[str, Callable[[int], FloatArray]] = {
    "a random walk": lambda days: random_walk(1, days),
    "a trending one": lambda days: trending(2, days, 0.9),
    "flat": lambda days: np.full(days, 5.5),
    "flat at a price of one": np.zeros,
    "a stable coin": lambda days: 1e-4 * np.random.default_rng(3).standard_normal(days),
    "constant growth": lambda days: growing(0.01, days),
    "constant decline": lambda days: growing(-0.01, days),
    "between 1 and 1e20 by turns": lambda days: np.log(1e20) * (np.arange(days) % 2),
    "a leap by 1e20 at the end": lambda days: np.log(1e20) * (np.arange(days) == days - 1),
    "a single tick": lambda days: 5 + 0.1 * (np.arange(days) == days // 2),
    "the same week again and again": lambda days: 5 + 0.1 * (np.arange(float(days)) % 7),
    "a sine": lambda days: 5 + np.sin(np.arange(float(days))),
}


def answered(series: DailySeries, horizons: Sequence[int] = HORIZONS, since: int = 0) -> FloatArray:
    """Return (candidates, horizons) the increments forecast at the end, `since` days after the last estimation."""
    aligned = replace(series, days=series.days - (series.days[-1] - since) % WEEK)
    return np.asarray(forecast_weekly(aligned, np.array([len(series) - 1]), horizons, (), len(series))[0][0])


def predicted(name: str, log_close: FloatArray) -> FloatArray:
    """The increments forecast by one candidate at the end of these closes."""
    return np.asarray(answered(series_of(log_close))[NAMES.index(name)])


@pytest.mark.parametrize("days", [30, 31, 36, 60, 365, 400])
@pytest.mark.parametrize("market", list(MARKETS))
def test_every_candidate_has_a_number_for_every_horizon_and_no_warning(market: str, days: int) -> None:
    """An optimiser that does not converge and a singular matrix must not become warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        increments = answered(series_of(MARKETS[market](days)), since=days % WEEK if days >= 36 else 0)
    assert increments.shape == (len(NAMES), len(HORIZONS))
    assert np.isfinite(increments).all()


@pytest.mark.parametrize("days", [30, 60, 365, 400, 800])
@pytest.mark.parametrize("level", [0.0, 5.5, -20.0])
def test_a_market_that_never_moves_is_forecast_to_stay(days: int, level: float) -> None:
    """Also one that trades once a week.

    Seven days apart, Prophet's weekly terms are all the same; on Thursdays, as 1970 began, half of them are zero.
    """
    assert np.abs(answered(series_of(np.full(days, level)))).max() < 1e-6
    weekly = series_of(np.full(700, level), missing=[day for day in range(700) if day % 7 != 1])
    assert np.isfinite(answered(weekly)).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_forecast_of_a_horizon_does_not_depend_on_other_horizons(name: str) -> None:
    row, series = NAMES.index(name), series_of(random_walk(5, 400))
    alone = [answered(series, [horizon])[row, 0] for horizon in HORIZONS]
    assert predicted(name, random_walk(5, 400)).tolist() == pytest.approx(alone, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", [name for name in NAMES if name != PROPHET])
def test_all_candidates_but_prophet_see_the_last_year_only(name: str) -> None:
    """A market that moved differently before does not help."""
    log_close = random_walk(6, 700)
    before = len(log_close) - WINDOW
    otherwise = np.concatenate([random_walk(7, before), log_close[before:]])
    assert predicted(name, log_close).tobytes() == predicted(name, otherwise).tobytes()
    assert predicted(PROPHET, log_close).tobytes() != predicted(PROPHET, otherwise).tobytes()


@pytest.mark.parametrize("name", [name for name in NAMES if name != PROPHET])
@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_the_quote_currency_does_not_matter(name: str, factor: float) -> None:
    """Prophet's priors are on a scale of the price itself, which is why it is not among these."""
    log_close = random_walk(8, 400)
    dearer = predicted(name, log_close + np.log(factor))
    assert dearer == pytest.approx(predicted(name, log_close), abs=1e-4)


def test_prophet_is_fitted_to_candles_only() -> None:
    """Days that repeat the close before would flatten the curve."""
    grown, missing = growing(0.01), range(100, 200)
    row = NAMES.index(PROPHET)
    assert answered(series_of(grown, missing))[row] == pytest.approx(0.01 * MANY_DAYS, rel=1e-3)


@pytest.mark.parametrize("candles", [0, 1, 2, 3, 29])
def test_a_history_that_is_nearly_all_gap_is_forecast_too(candles: int) -> None:
    """A window inside an outage of a year may contain no candle."""
    series = series_of(random_walk(13, 900), missing=range(100, 900 - candles)).until(899, 365)
    assert np.isfinite(answered(series)).all()
    assert np.count_nonzero(series.known) == candles


def test_estimates_are_made_on_sundays_and_go_on_with_every_close() -> None:
    """Between two Sundays, further closes move the forecasts; the parameters, those of the last Sunday, stay."""
    log_close = random_walk(14, 500)
    sunday, saturday = 493, 499  # places
    series = series_of(log_close)
    series = replace(series, days=series.days - (series.days[sunday] % WEEK))
    assert series.day(sunday).strftime("%A") == "Sunday"
    increments, curve, _ = forecast_weekly(series, np.arange(sunday, saturday + 1), HORIZONS, (7,), 500)
    year = log_close[sunday - WINDOW + 1 : sunday + 1] - log_close[sunday]
    theta, coefficients = Theta.estimate(year), autoregression.fit(year)
    for row, day in enumerate(range(sunday, saturday + 1)):
        expected = theta.forecast(MANY_DAYS) - log_close[day] + log_close[sunday]
        assert increments[row, NAMES.index("theta")] == pytest.approx(expected, abs=1e-6)
        newest = np.diff(log_close[: day + 1])[None, : -autoregression.LAGS - 1 : -1]
        expected = autoregression.increments(coefficients, newest, MANY_DAYS)[0]
        assert increments[row, NAMES.index("autoregression")] == pytest.approx(expected, abs=1e-9)
        theta = theta.update(log_close[min(day + 1, 499)] - log_close[sunday])
    assert len({row.tobytes() for row in increments}) == WEEK
    assert len(np.unique(curve)) == WEEK
