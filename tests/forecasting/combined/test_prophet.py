"""The exact fit of Prophet's model, against Prophet itself."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crypto_predict.forecasting.combined import prophet_fit  # noqa: F401 its import is what keeps Prophet's quiet
from crypto_predict.forecasting.combined.prophet import ProphetMap, fit_map, forecast_weekly
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray, IntArray
from tests.support.markets import FIRST_DAY, random_walk, series_of, trending

from prophet import Prophet  # isort: skip  after what keeps its import quiet

AHEAD = np.arange(91)  # days
SLOPE, LINE, SEASON, NOISE = 0.05, 5.0, 10.0, 0.5  # the scales of Prophet's priors


@dataclass(frozen=True)
class Parameters:
    """The parameters of Prophet's model, in its scaled units."""

    k: float
    m: float
    delta: FloatArray
    beta: FloatArray
    sigma_obs: float


@dataclass(frozen=True)
class Case:
    """One history, and both fits of it."""

    days: IntArray
    log_close: FloatArray
    ours: ProphetMap
    prophet: Any  # fitted from its own start
    started: Any  # fitted from where our fit ended
    scaled: FloatArray  # (n,) what Prophet fits to
    time: FloatArray  # (n,) Prophet's scaled time
    slopes: FloatArray  # (n, C) the time since each changepoint
    waves: FloatArray  # (n, K) the seasonal features


# (days, of which are missing at random)
HISTORIES = [(45, 0), (60, 10), (100, 0), (365, 30), (729, 0), (731, 0), (900, 150), (1825, 0)]


@pytest.fixture(scope="module", params=HISTORIES, ids=[f"{days} days without {gaps}" for days, gaps in HISTORIES])
def case(request: pytest.FixtureRequest) -> Case:
    count, gaps = request.param
    market = random_walk if count % 2 else lambda seed, days: trending(seed, days, 0.6)
    places = np.sort(np.random.default_rng(count).permutation(np.arange(1, count - 1))[gaps:])
    places = np.concatenate([[0], places, [count - 1]])
    days, log_close = FIRST_DAY + places, market(count, count)[places]
    ours, model = fit_map(days, log_close), fitted(days, log_close)
    time = model.history["t"].to_numpy()
    return Case(
        days=days,
        log_close=log_close,
        ours=ours,
        prophet=model,
        started=fitted(days, log_close, parameters_of(ours)),
        scaled=model.history["y_scaled"].to_numpy(),
        time=time,
        slopes=np.maximum(time[:, None] - model.changepoints_t, 0.0),
        waves=model.make_all_seasonality_features(model.history)[0].to_numpy(),
    )


def fitted(days: IntArray, log_close: FloatArray, start: Parameters | None = None) -> Any:
    """Return Prophet, fitted by its own optimiser."""
    model = Prophet(uncertainty_samples=0)
    init = {} if start is None else {"init": vars(start)}
    return model.fit(pd.DataFrame({"ds": dates(days), "y": log_close}), seed=0, **init)


def dates(days: IntArray) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([pd.Timestamp.fromordinal(int(day)) for day in days])


def parameters_of(fit: ProphetMap) -> Parameters:
    line, deltas, coefficients = np.split(fit.parameters, [2, 2 + len(fit.changepoints)])
    return Parameters(float(line[0]), float(line[1]), deltas, coefficients, fit.noise)


def prophets_parameters(model: Any) -> Parameters:
    k, m, delta, beta, noise = (
        np.asarray(model.params[name]).reshape(-1) for name in ("k", "m", "delta", "beta", "sigma_obs")
    )
    return Parameters(float(k[0]), float(m[0]), delta, beta, float(noise[0]))


def negative_log_posterior(case: Case, at: Parameters) -> float:
    """Up to a constant, as in "Forecasting at Scale", with the features that Prophet computed from the history."""
    residuals = residuals_of(case, at)
    return float(
        len(residuals) * np.log(at.sigma_obs)
        + residuals @ residuals / (2 * at.sigma_obs**2)
        + (at.k**2 + at.m**2) / (2 * LINE**2)
        + np.abs(at.delta).sum() / SLOPE
        + at.beta @ at.beta / (2 * SEASON**2)
        + at.sigma_obs**2 / (2 * NOISE**2)
    )


def residuals_of(case: Case, at: Parameters) -> FloatArray:
    fit = at.k * case.time + at.m + case.slopes @ at.delta + case.waves @ at.beta
    return np.asarray(case.scaled - fit, dtype=np.float64)


def increments(curve: FloatArray) -> FloatArray:
    return np.asarray(curve[1:] - curve[0])


def predicted(model: Any, days: IntArray) -> FloatArray:
    return np.asarray(model.predict(pd.DataFrame({"ds": dates(days)}))["yhat"].to_numpy())


def test_changepoints_and_seasonalities_are_those_that_prophet_chooses(case: Case) -> None:
    assert case.ours.changepoints.tolist() == pytest.approx(case.prophet.changepoints_t.tolist(), rel=1e-12)
    assert case.ours.scale == case.prophet.y_scale
    assert list(case.ours.seasonalities) == [
        (season["period"], season["fourier_order"]) for season in case.prophet.seasonalities.values()
    ]


def test_the_objective_is_the_posterior_of_prophets_model(case: Case) -> None:
    assert case.ours.objective == pytest.approx(negative_log_posterior(case, parameters_of(case.ours)), abs=1e-5)


def test_prophets_own_optimiser_finds_nothing_better(case: Case) -> None:
    assert case.ours.objective <= negative_log_posterior(case, prophets_parameters(case.prophet))


def test_prophet_started_at_the_maximum_stays_there(case: Case) -> None:
    """Changes of slope below 1e-5 count as zero; nothing else is left to gain."""
    gained = case.ours.objective - negative_log_posterior(case, prophets_parameters(case.started))
    assert gained < 2e-3
    ahead = case.days[-1] + AHEAD
    assert increments(case.ours.at(ahead)) == pytest.approx(increments(predicted(case.started, ahead)), abs=1e-3)


def test_the_curve_is_what_prophet_predicts_with_these_parameters(case: Case) -> None:
    ours = parameters_of(case.ours)
    model = Prophet(uncertainty_samples=0)
    vars(model).update({**vars(case.started), "params": {n: np.atleast_2d(p) for n, p in vars(ours).items()}})
    days = np.arange(case.days[0], case.days[-1] + 91)
    assert case.ours.at(days) == pytest.approx(predicted(model, days), rel=1e-9)


def test_the_gradient_vanishes_except_for_slopes_held_at_zero(case: Case) -> None:
    """The conditions of Karush, Kuhn and Tucker, which only the maximum fulfils for a given noise.

    The likelihood's gradient balances each prior's. That of a Laplace prior is 1 / 0.05 = 20 either way, and anything
    up to it holds a change of slope at zero.
    """
    ours = parameters_of(case.ours)
    pull = residuals_of(case, ours) / ours.sigma_obs**2
    scale = float(np.abs(pull).sum())  # what the sums below cancel from
    assert pull @ case.time == pytest.approx(ours.k / LINE**2, abs=1e-6 * scale)
    assert pull.sum() == pytest.approx(ours.m / LINE**2, abs=1e-6 * scale)
    assert pull @ case.waves == pytest.approx(ours.beta / SEASON**2, abs=1e-6 * scale)
    price = (pull @ case.slopes) * SLOPE  # 1 at a full price, -1 at the other way's
    assert np.all(np.abs(price) < 1 + 1e-2)
    bought = np.abs(ours.delta) > 1e-2
    assert price[bought] == pytest.approx(np.sign(ours.delta[bought]), abs=1e-2)


@pytest.mark.parametrize("days", [30, 33, 100, 365, 800, 1825])
@pytest.mark.parametrize(("level", "daily"), [(0.0, 0.0), (5.5, 0.0), (-20.0, 0.0), (12.0, 0.001), (12.0, -0.01)])
def test_a_market_that_never_moves_and_constant_growth_go_on(days: int, level: float, daily: float) -> None:
    """Their noise is zero, by which everything else is divided."""
    grown = level + daily * np.arange(days + 90.0)
    fit = fit_map(np.arange(FIRST_DAY, FIRST_DAY + days), grown[:days])
    expected = pytest.approx(grown, abs=1e-4 if daily else 1e-6)
    assert fit.at(np.arange(FIRST_DAY, FIRST_DAY + days + 90)) == expected


@pytest.mark.parametrize("factor", [1.0, 1e-3, 50.0], ids=["as it is", "a stable coin", "wild"])
@pytest.mark.parametrize("level", [-10.0, 0.0, 10.0])
def test_any_level_and_any_size_of_moves_is_fitted(factor: float, level: float) -> None:
    """The curve is never further off, on the whole, than the plain mean is."""
    log_close = level + factor * (random_walk(3, 800) - 10)
    days = np.arange(FIRST_DAY, FIRST_DAY + 800)
    residuals = log_close - fit_map(days, log_close).at(days)
    assert np.mean(residuals**2) < np.var(log_close)


@pytest.mark.parametrize("shape", [np.zeros_like, np.ones_like, lambda at: at * 0.01], ids=["zero", "one", "line"])
@pytest.mark.parametrize("count", [3, 4, 10, 31])
def test_a_handful_of_candles_has_a_fit(count: int, shape: Callable[[FloatArray], FloatArray]) -> None:
    log_close = shape(np.arange(float(count)))
    days = np.arange(FIRST_DAY, FIRST_DAY + count)
    assert fit_map(days, log_close).at(days) == pytest.approx(log_close, abs=1e-4)


def test_a_curve_that_is_updated_follows_the_fit_to_the_same_closes() -> None:
    """Six days are added to 800. In the days after them, a curve that is held is three times as far away."""
    updated, held = list[float](), list[float]()
    for seed in range(8):
        log_close, days = random_walk(seed, 806), FIRST_DAY + np.arange(806)
        before, fresh = fit_map(days[:800], log_close[:800]), fit_map(days, log_close)
        curve, later = before.update(days[800:], log_close[800:]), days[-1] + AHEAD[:8]
        updated.append(float(np.abs(curve.at(later) - fresh.at(later)).mean()))
        held.append(float(np.abs(before.at(later) - fresh.at(later)).mean()))
    assert np.mean(updated) < np.mean(held) / 3
    assert before.update(np.arange(0), np.zeros(0)) is before


@pytest.mark.parametrize("days", [30, 31, 36, 60, 365, 800])
@pytest.mark.parametrize("level", [0.0, 5.5, -20.0])
def test_a_market_that_never_moves_is_forecast_to_stay(days: int, level: float) -> None:
    """Also one that trades once a week.

    Seven days apart, the weekly terms are all the same; on Thursdays, as 1970 began, half of them are zero.
    """
    assert newest(series_of(np.full(days, level))) == pytest.approx([level] * 3, abs=1e-6)
    weekly = series_of(np.full(700, level), missing=[day for day in range(700) if day % 7 != 1])
    assert np.isfinite(newest(weekly)).all()


def test_a_curve_is_fitted_to_candles_only() -> None:
    """Days that repeat the close before would flatten the curve."""
    grown = series_of(5 + 0.01 * np.arange(400.0), missing=range(100, 200))
    assert newest(grown) - grown.log_close[-1] == pytest.approx([0.01, 0.07, 0.3], rel=1e-3)


@pytest.mark.parametrize("candles", [0, 1, 2, 3, 29, 30])
def test_a_history_that_is_nearly_all_gap_has_no_curve(candles: int) -> None:
    """A window inside an outage of a year may contain no candle."""
    series = series_of(random_walk(13, 900), missing=range(100, 900 - candles)).until(899, 365)
    assert np.count_nonzero(series.known) == candles
    assert np.isfinite(newest(series)).all() == (candles >= 30)


def test_a_curve_is_fitted_on_sundays_and_goes_on_with_every_close() -> None:
    series = series_of(random_walk(14, 500))
    sunday = 493  # its place
    series = replace(series, days=series.days - series.days[sunday] % 7)
    assert series.day(sunday).strftime("%A") == "Sunday"
    curve, noise = forecast_weekly(series, np.arange(sunday, 500), (0, 7), 500)
    fitted = fit_map(series.days[: sunday + 1], series.log_close[: sunday + 1])
    for row, day in enumerate(range(sunday, 500)):
        updated = fitted.update(series.days[sunday + 1 : day + 1], series.log_close[sunday + 1 : day + 1])
        assert curve[row] == pytest.approx(updated.at(series.days[day] + np.array([0, 7])), rel=1e-12)
        assert noise[row] == pytest.approx(updated.noise * updated.scale)
    assert len(np.unique(curve[:, 1])) == 7


def newest(series: DailySeries) -> FloatArray:
    """Return the curve 1, 7 and 30 days after a series, which ends on a Sunday."""
    series = replace(series, days=series.days - series.days[-1] % 7)
    return np.asarray(forecast_weekly(series, np.array([len(series) - 1]), (1, 7, 30), len(series))[0][0])
