"""The models that are built in, against other programs and by what must hold for any model."""

import csv
import math
import warnings
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arch import arch_model
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crypto_predict.forecasting.evaluation.comparison import score_model
from crypto_predict.forecasting.evaluation.harness import issue
from crypto_predict.forecasting.models.autoregression import LAGS, Autoregression, estimate, increments
from crypto_predict.forecasting.models.contract import Model, ModelFailed, frame
from crypto_predict.forecasting.models.deribit import Deribit
from crypto_predict.forecasting.models.garch import Garch
from crypto_predict.forecasting.models.gaussian import Gaussian
from crypto_predict.forecasting.models.smoothing import ESTIMATES, Smoothing, Theta
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history import History
from crypto_predict.history.columns import FloatArray
from crypto_predict.market import Pair
from crypto_predict.market.forecast import LEVELS
from tests.support.histories import START, flat, history_of, make_candle, make_history
from tests.support.markets import DATA, random_walk, real_days, trending

HORIZONS = (1, 7, 30)
LEAST = 120  # days, of a history that has a backtest
INDEX = {START.date() + timedelta(days=day): 0.5 + 0.1 * math.sin(day) for day in range(1000)}
OF_POINTS: dict[str, Callable[[], Model]] = {
    "autoregression": Autoregression,
    **{name: partial(Smoothing, name) for name in ESTIMATES},
}
MODELS: dict[str, Callable[[], Model]] = {
    "gaussian": Gaussian,
    "garch": Garch,
    "deribit": lambda: Deribit(INDEX),
    **OF_POINTS,
}
MARKETS: dict[str, Callable[[int], FloatArray]] = {
    "a random walk": lambda days: random_walk(1, days),
    "a trending one": lambda days: trending(2, days, 0.9),
    "flat": lambda days: np.full(days, 5.5),
    "flat at a price of one": np.zeros,
    "a stable coin": lambda days: 1e-4 * np.random.default_rng(3).standard_normal(days),
    "constant growth": lambda days: 0.01 * np.arange(float(days)),
    "constant decline": lambda days: -0.01 * np.arange(float(days)),
    "between 1 and 1000 by turns": lambda days: np.log(1e3) * (np.arange(days) % 2),
    "a leap by 1000 at the end": lambda days: np.log(1e3) * (np.arange(days) == days - 1),
    "a single tick": lambda days: 5 + 0.1 * (np.arange(days) == days // 2),
    "the same week again and again": lambda days: 5 + 0.1 * (np.arange(float(days)) % 7),
    "a sine": lambda days: 5 + np.sin(np.arange(float(days))),
}
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


def market(log_close: FloatArray) -> History:
    """Return a history with these log closes."""
    closes = np.exp(log_close).tolist()
    return history_of(make_candle(START + timedelta(days=day), close) for day, close in enumerate(closes))


def returns_of(history: History) -> FloatArray:
    """Return the daily changes of log price in per cent, as `Garch` fits them."""
    return np.asarray(100 * np.diff(np.log(frame(history)["close"].to_numpy())))


def package(returns: FloatArray) -> Any:
    return arch_model(returns, mean="Zero", vol="GARCH", p=1, q=1, dist="t", rescale=False)


@pytest.mark.parametrize("later", [0, 1, 27])
def test_garch_expects_the_variances_that_its_package_expects(later: int) -> None:
    """Right after a fit, and after days that only its recursion has followed."""
    history = market(random_walk(3, 800))
    model, days = Garch(), list(range(1, 91))
    model.fit(frame(history).iloc[: 800 - later].copy())
    if later:
        model.update(frame(history))
    returns = returns_of(history)
    fitted = package(returns[: len(returns) - later]).fit(disp="off")
    followed = package(returns).fix(fitted.params.to_numpy())
    expected = np.cumsum(followed.forecast(horizon=90, reindex=False).variance.to_numpy()[-1])
    moves = np.log(model.forecast(days, LEVELS) / history.candles.close[-1])
    freedom = fitted.params["nu"]
    unit = stats.t(freedom, scale=math.sqrt((freedom - 2) / freedom)).ppf(LEVELS)
    assert moves == pytest.approx(np.sqrt(expected)[:, None] / 100 * unit, rel=1e-4, abs=1e-12)


def test_quantiles_of_garch_are_those_of_paths_that_follow_it() -> None:
    """Exactly so a day ahead; further ahead the sum of days is nearly a Student's t."""
    history = market(random_walk(5, 900))
    model, random = Garch(), np.random.default_rng(0)
    model.fit(frame(history))
    fitted = package(returns_of(history)).fit(disp="off")
    omega, alpha, beta, freedom = fitted.params
    last = returns_of(history)[-1]
    variance = np.full(200_000, omega + alpha * last**2 + beta * fitted.conditional_volatility[-1] ** 2)
    total, sums = np.zeros(len(variance)), {}
    for day in range(1, 31):
        move = np.sqrt(variance * (freedom - 2) / freedom) * random.standard_t(freedom, len(variance))
        total = total + move
        variance = omega + alpha * move**2 + beta * variance
        sums[day] = total
    moves = 100 * np.log(model.forecast(HORIZONS, LEVELS) / history.candles.close[-1])
    for row, (horizon, most) in enumerate(((1, 0.02), (7, 0.06), (30, 0.06))):
        simulated = np.quantile(sums[horizon], LEVELS)
        assert moves[row] == pytest.approx(simulated, abs=most * simulated[-1]), horizon


def test_quantiles_of_the_gaussian_and_of_deribit_are_those_of_random_walks() -> None:
    history, random = market(random_walk(7, 500)), np.random.default_rng(0)
    deviations = {
        Gaussian: frame(history)["close"].apply(np.log).diff().tail(365).std(),
        MODELS["deribit"]: INDEX[START.date() + timedelta(days=499)] / math.sqrt(365.25),
    }
    for build, deviation in deviations.items():
        model = build()
        model.fit(frame(history))
        moves = np.log(model.forecast(HORIZONS, LEVELS) / history.candles.close[-1])
        for row, horizon in enumerate(HORIZONS):
            paths = deviation * random.standard_normal((100_000, horizon)).sum(axis=1)
            assert moves[row] == pytest.approx(np.quantile(paths, LEVELS), abs=0.03 * deviation * math.sqrt(horizon))


def moves(model: Model, log_close: FloatArray, since: int = 0) -> FloatArray:
    """Return (horizons,) the moves that a model of points forecasts `since` days after its fit."""
    history = frame(market(log_close))
    model.fit(history.iloc[: len(history) - since].copy())
    if since:
        model.update(history)
    return np.asarray(np.log(model.forecast(HORIZONS, LEVELS) / history["close"].iloc[-1]))


@pytest.mark.parametrize("days", [60, 66, 365, 400])
@pytest.mark.parametrize("name", MARKETS)
@pytest.mark.parametrize("model", OF_POINTS.values(), ids=OF_POINTS)
def test_models_of_points_have_a_number_for_every_horizon_and_no_warning(
    model: Callable[[], Model], name: str, days: int
) -> None:
    """An optimiser that does not converge and a singular matrix must not become warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forecast = moves(model(), MARKETS[name](days), since=days % 7)
    assert forecast.shape == (len(HORIZONS),)
    assert np.isfinite(forecast).all()
    if name.startswith("flat"):
        assert np.abs(forecast).max() < 1e-6


@pytest.mark.parametrize("model", OF_POINTS.values(), ids=OF_POINTS)
def test_models_of_points_see_the_last_year_only_and_no_currency(model: Callable[[], Model]) -> None:
    """A market that moved differently before does not help."""
    log_close = random_walk(6, 700)
    otherwise = np.concatenate([random_walk(7, 335), log_close[335:]])
    assert moves(model(), log_close) == pytest.approx(moves(model(), otherwise), rel=1e-9, abs=1e-12)
    assert moves(model(), log_close + np.log(1e3)) == pytest.approx(moves(model(), log_close), abs=1e-4)


def test_models_of_points_go_on_with_every_close_and_the_parameters_of_their_fit() -> None:
    log_close = random_walk(14, 500)
    year = log_close[-365 - 6 : -6]
    theta, coefficients = Theta.estimate(year - year[-1]), estimate(year)
    for close in log_close[-6:]:
        theta = theta.update(close - year[-1])
    expected = theta.forecast(np.array(HORIZONS)) - log_close[-1] + year[-1]
    assert moves(Smoothing("theta"), log_close, since=6) == pytest.approx(expected, abs=1e-6)
    expected = increments(coefficients, np.diff(log_close)[: -LAGS - 1 : -1], np.array(HORIZONS))
    assert moves(Autoregression(), log_close, since=6) == pytest.approx(expected, abs=1e-9)


class Momentum:
    """Points: the last move goes on for a day."""

    name, refit_every, updates, first_cutoff = "momentum", 1, False, None

    def fit(self, history: pd.DataFrame) -> None:
        """Take the last two closes."""
        self._before, self._close = history["close"].iloc[-2:]

    update = fit

    def forecast(self, horizons: Sequence[int], _: object) -> FloatArray:
        """Return points."""
        return np.full(len(horizons), self._close**2 / self._before)


@given(
    days=st.integers(LEAST, 160),
    share=st.floats(0.6, 0.95),
    moves=st.lists(st.floats(-0.05, 0.05), min_size=1, max_size=5),
    name=st.sampled_from([*MODELS, "momentum"]),
)
def test_a_forecast_does_not_depend_on_what_follows_its_cutoff(
    days: int, share: float, moves: list[float], name: str
) -> None:
    """Whatever later candles are; that of points has a range of errors that were known by then."""
    build: Callable[[], Model] = MODELS.get(name, Momentum)
    log_close, changed_from = random_walk(days, days), int(share * days)
    changed = log_close.copy()
    changed[changed_from:] += np.resize(np.array(moves), days - changed_from)
    before, after = (issue(build(), market(path), HORIZONS, 7, 60) for path in (log_close, changed))
    rows = before.cutoffs < changed_from
    assert rows.any()
    assert np.array_equal(before.cutoffs, after.cutoffs)
    assert np.array_equal(before.points[rows], after.points[rows])
    assert np.array_equal(before.quantiles[rows], after.quantiles[rows])


@every_model
@pytest.mark.parametrize(
    "history",
    [
        make_history(LEAST),
        make_history(LEAST - 1),
        make_history(300, missing=frozenset({80, 81, 82, 150, 151, 298})),
        make_history(300, missing=frozenset(range(90, 140))),
    ],
    ids=["the least", "one less", "gaps", "a long gap"],
)
def test_short_histories_and_gaps_have_forecasts_of_every_day_with_a_candle(
    model: Callable[[], Model], history: History
) -> None:
    issued, series = issue(model(), history, HORIZONS, 1, 60), DailySeries.of(history)
    expected = [day for day in range(issued.cutoffs[0], len(series)) if series.known[day]]
    assert issued.cutoffs.tolist() == expected
    assert np.isfinite(issued.quantiles).all()
    assert (np.diff(issued.quantiles, axis=2) > 0).all()
    assert issued.ahead is not None
    assert (np.diff(issued.ahead, axis=1) > 0).all()


@every_model
def test_a_market_that_never_moves_has_a_forecast_without_figures_that_are_relative(
    model: Callable[[], Model],
) -> None:
    """Persistence has no error then, which nothing can be compared with."""
    history = make_history(LEAST, flat)
    issued = issue(model(), history, HORIZONS, 7, 60)
    assert issued.ahead is not None
    assert np.median(issued.ahead, axis=1) == pytest.approx(math.log(250))
    score = score_model(issued.forecasts(DailySeries.of(history), 7))
    assert (score.relative_mae, score.relative_crps, score.relative_winkler) == (None, None, None)
    assert "cannot be compared" in score.words


def test_a_gap_of_the_index_is_bridged_for_three_days_and_no_longer() -> None:
    history = frame(make_history(50))
    newest = history.index[-1].date()
    model = Deribit({newest - timedelta(days=3): 0.6, newest + timedelta(days=1): 0.9})
    model.fit(history)
    [[median, high]] = model.forecast([30], [0.5, 0.9])
    assert median == pytest.approx(history["close"].iloc[-1])
    assert math.log(high / median) == pytest.approx(0.6 * math.sqrt(30 / 365.25) * stats.norm.ppf(0.9))
    with pytest.raises(ModelFailed, match=f"the index of {newest} is missing"):
        Deribit({newest - timedelta(days=4): 0.6}).fit(history)


def test_the_index_of_real_options_is_a_range_of_about_the_right_width() -> None:
    """On real days it is as good as the volatility of the past year, and a little too wide."""
    path = DATA / "deribit_DVOL-BTC_1d.csv"
    if not path.exists():
        pytest.skip("needs the real index of volatility")
    with path.open(newline="") as file:
        index = {date.fromisoformat(row["time"]): float(row["close"]) / 100 for row in csv.DictReader(file)}
    history = history_of(real_days("BTC"), Pair("BTC", "USDT"))
    issued = issue(Deribit(index), history, HORIZONS, 1, 60)
    series = DailySeries.of(history)
    assert series.day(issued.cutoffs[0]) == min(index)
    for horizon in HORIZONS:
        score = score_model(issued.forecasts(series, horizon))
        assert score.forecasts > 900
        assert score.relative_winkler is not None
        assert 0.9 < score.relative_winkler.value < 1.05
        assert 0.78 < score.coverage_80.value < 0.9
