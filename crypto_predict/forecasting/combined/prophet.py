"""Prophet's maximum a posteriori estimate by our own solver, in milliseconds: the library only confirms it.

Prophet fits by maximum a posteriori: a line with Laplace-distributed changes of slope, Fourier seasonalities and
Gaussian noise (Taylor and Letham, "Forecasting at Scale", The American Statistician 72, 2018). Its general-purpose
optimiser takes most of a second and stops short of the maximum. Given the noise and, for each change of slope, a
Gaussian bound on its Laplace prior (|d| <= (d^2 / |d0| + |d0|) / 2, with equality at d = d0: Hunter and Lange, "A
Tutorial on MM Algorithms", The American Statistician 58, 2004), the maximum is the solution of one linear system, and
repeating that converges to it. Extrapolation makes a third of the rounds enough (SQUAREM: Varadhan and Roland, "Simple
and Globally Convergent Methods for Accelerating the Convergence of Any EM Algorithm", Scandinavian Journal of
Statistics 35, 2008). A fit takes some three milliseconds, and Prophet itself, started there, has nothing left to do.

The constants are Prophet's defaults.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg.lapack import dposv
from threadpoolctl import threadpool_limits

from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray, IntArray

LEAST_CANDLES = 30  # for a fit
CHANGEPOINTS = 25  # at most
CHANGEPOINT_RANGE = 0.8  # of the history, from its start
SLOPE_SCALE = 0.05  # of the Laplace prior of a change of slope
LINE_SCALE = 5.0  # of the normal priors of slope and offset
SEASONALITY_SCALE = 10.0  # of the normal prior of a Fourier coefficient
NOISE_SCALE = 0.5  # of the half-normal prior of the noise
YEAR, WEEK = (365.25, 10), (7.0, 3)  # period in days, Fourier order
YEARLY_FROM, WEEKLY_FROM = 730, 14  # days of history from which a seasonality is fitted

_MOST_ROUNDS = 300  # of three linear systems each
_ROUNDS_OF_UPDATE = 4  # of one linear system each; more change the forecast by less than a hundredth
_TOLERANCE = 1e-10  # of the objective, relative
_LONGEST = 100.0  # extrapolation, in rounds
_LEAST_SHARE = 0.1  # of a change of slope that an extrapolation keeps: near zero, rounds hardly move
_SMALLEST = 1e-5  # smaller changes of slope count as zero; keeps the bound finite
_EPOCH = 719_163  # 1970-01-01
_DAYS_OF_WEEK = 7

Progress = Callable[[int], object]


# What a round needs of n closes; its cost does not depend on their number: the Gram matrix of the features (P, P), the
# features times the closes (P,), the squared closes, and n.
_Sums = tuple[FloatArray, FloatArray, float, int]


@dataclass(frozen=True)
class ProphetMap:
    """A fitted curve: Prophet's parameters at the maximum of the posterior, in Prophet's scaled units."""

    first: int  # the first day's ordinal
    span: int  # days from the first to the last of the fit
    scale: float  # what the curve is multiplied by to give log price
    changepoints: FloatArray  # (C,) scaled time
    seasonalities: tuple[tuple[float, int], ...]  # (period, order)
    parameters: FloatArray  # (2 + C + K,) slope and offset, changes of slope, coefficients of the Fourier terms
    noise: float  # standard deviation
    objective: float  # negative log posterior, up to a constant
    _sums: _Sums
    _state: FloatArray  # (C + 1,) of the last round

    def at(self, days: IntArray) -> FloatArray:
        """Return (n,) the curve in log price at the closes of the days (n,)."""
        return np.asarray(self.scale * (self._features(days) @ self.parameters), dtype=np.float64)

    def update(self, days: IntArray, log_close: FloatArray) -> "ProphetMap":
        """Return the curve with the log closes (k,) of later days (k,) added.

        Changepoints stay where they are, and a few rounds from the last maximum take the place of a fit. That takes a
        fraction of a millisecond.
        """
        if not len(days):
            return self
        gram, moments, square, count = self._sums
        features, y, state = self._features(days), log_close / self.scale, self._state
        sums = (gram + features.T @ features, moments + features.T @ y, square + float(y @ y), count + len(y))
        for _ in range(_ROUNDS_OF_UPDATE):
            parameters, state, objective = _round(sums, state)
        noise = math.exp(state[-1] / 2)
        return replace(self, parameters=parameters, noise=noise, objective=objective, _sums=sums, _state=state)

    def _features(self, days: IntArray) -> FloatArray:
        return _features((days - self.first) / self.span, days, self.changepoints, self.seasonalities)


def fit_map(days: IntArray, log_close: FloatArray) -> ProphetMap:
    """Fit the model to log closes.

    `days` (n,) are ascending ordinals, n >= 3, and `log_close` (n,) natural logarithms of their closes. With fewer
    candles than parameters (33, or 53 with a year) the posterior need not have a maximum: the curve may then go through
    every close.
    """
    first, span = int(days[0]), int(days[-1] - days[0])
    scale = float(np.abs(log_close).max()) or 1.0
    time = (days - first) / span
    candles = int(CHANGEPOINT_RANGE * len(days))
    # Evenly spaced candles, the first one left out.
    places = np.linspace(0, candles - 1, min(CHANGEPOINTS, candles - 1) + 1).round().astype(np.int64)[1:]
    changepoints = time[places]
    seasonalities = tuple(kind for kind, least in ((YEAR, YEARLY_FROM), (WEEK, WEEKLY_FROM)) if span >= least)
    features, y = _features(time, days, changepoints, seasonalities), log_close / scale
    sums = (features.T @ features, features.T @ y, float(y @ y), len(y))
    start = np.append(np.full(len(changepoints), SLOPE_SCALE), math.log(float(np.var(y)) or 1e-12))
    parameters, state, objective = _maximise(sums, start)
    noise = math.exp(state[-1] / 2)
    return ProphetMap(first, span, scale, changepoints, seasonalities, parameters, noise, objective, sums, state)


def _maximise(sums: _Sums, state: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Return parameters, state and objective at the maximum, from a state to start at.

    Two rounds show how fast the rounds converge. Their extrapolation is the next state if a third round, from there,
    finds nothing worse.
    """
    best = math.inf
    for _ in range(_MOST_ROUNDS):
        _, first, _ = _round(sums, state)
        theta, second, objective = _round(sums, first)
        if best - objective <= _TOLERANCE * abs(objective):
            break
        move = first - state
        change = second - first - move
        length = min(max(float(np.linalg.norm(move)) / (float(np.linalg.norm(change)) or 1e-300), 1.0), _LONGEST)
        further = state + 2 * length * move + length**2 * change
        further[:-1] = np.maximum(further[:-1], _LEAST_SHARE * second[:-1])
        _, extrapolated, reached = _round(sums, further)
        state, best = (extrapolated, reached) if reached <= objective else (second, objective)
    return theta, second, objective


def _round(sums: _Sums, state: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Return the parameters that maximise the bound at a state, the state and the objective there.

    A state is (C + 1,): the sizes of the changes of slope, and the logarithm of the noise's variance.
    """
    gram, moments, square, count = sums
    slopes = slice(2, 1 + len(state))  # the changes of slope among the parameters
    gaussian = np.full(len(moments), SEASONALITY_SCALE**-2)  # the precisions of the normal priors
    gaussian[:2], gaussian[slopes] = LINE_SCALE**-2, 0.0
    system, precision = gram.copy(), gaussian.copy()  # the latter with those of the bounds
    precision[slopes] = 1 / (SLOPE_SCALE * np.sqrt(state[:-1] ** 2 + _SMALLEST**2))
    system.flat[:: len(system) + 1] += math.exp(state[-1]) * precision
    # A third of the time of `np.linalg.solve`. The system is symmetric, and its transpose is in the order of LAPACK.
    _, theta, failed = dposv(system.T, moments)
    if failed:
        theta = np.asarray(np.linalg.solve(system, moments), dtype=np.float64)
    sizes = np.abs(theta[slopes])
    residual = max(square - 2 * float(theta @ moments) + float(theta @ gram @ theta), 1e-12)
    variance = _best_variance(residual, count)
    likelihood = count * math.log(variance) / 2 + residual / (2 * variance)
    priors = float(gaussian @ theta**2) / 2 + float(sizes.sum()) / SLOPE_SCALE
    objective = likelihood + priors + variance / (2 * NOISE_SCALE**2)
    return theta, np.append(sizes, math.log(variance)), objective


def _best_variance(residual: float, count: int) -> float:
    """Return the variance v that minimises n log(v) / 2 + rss / 2 v + v / 2 s^2: the root of v^2 / s^2 + n v = rss.

    This form of the root does not subtract, which would leave only rounding errors in a market that does not move.
    """
    return 2 * residual / (count + math.sqrt(count**2 + 4 * residual / NOISE_SCALE**2))


def _features(
    time: FloatArray, days: IntArray, changepoints: FloatArray, seasonalities: tuple[tuple[float, int], ...]
) -> FloatArray:
    """Return one row per day: scaled time, 1, the time since each changepoint, the Fourier terms."""
    end = 2 + len(changepoints)
    features = np.empty((len(days), end + sum(2 * order for _, order in seasonalities)))
    features[:, 0], features[:, 1] = time, 1.0
    np.maximum(time[:, None] - changepoints, 0.0, out=features[:, 2:end])
    for period, order in seasonalities:
        angles = 2 * np.pi * (days - _EPOCH)[:, None] * np.arange(1, order + 1) / period  # (n, order)
        start, end = end, end + 2 * order
        features[:, start:end:2], features[:, start + 1 : end : 2] = np.sin(angles), np.cos(angles)
    return features


def forecast_weekly(
    series: DailySeries, cutoffs: IntArray, horizons: Sequence[int], longest: int, progress: Progress = bool
) -> tuple[FloatArray, FloatArray]:
    """Return the forecasts of the curve at each cutoff, from nothing but the history up to it.

    These are log prices (m, horizons), and the standard deviation of the closes around the curve (m,); NaN if a gap
    left too few candles, or if parameters are not identifiable.

    The curve is fitted once a week, on Sundays, to at most the `longest` days before, and every further close updates
    it. The day of the week is fixed, so that the same closes give the same fits whenever a history starts. `cutoffs`
    (m,) are ascending indices into the series, `horizons` days ahead. `progress` gets the number of cutoffs done.
    """
    curve, noise = np.full((len(cutoffs), len(horizons)), np.nan), np.full(len(cutoffs), np.nan)
    sundays, ahead = np.maximum(cutoffs - series.days[cutoffs] % _DAYS_OF_WEEK, 0), np.array(horizons)
    # The matrices are small: threads would only wait for one another.
    with threadpool_limits(1), np.errstate(all="ignore"):
        for sunday in np.unique(sundays).tolist():
            rows, past = np.flatnonzero(sundays == sunday), series.until(sunday, longest)
            progress(len(rows))
            if np.count_nonzero(past.known) < LEAST_CANDLES:
                continue
            with suppress(np.linalg.LinAlgError):  # a history of a few exact repetitions
                fit = fit_map(past.days[past.known], past.log_close[past.known])
                for row, cutoff in zip(rows, cutoffs[rows].tolist(), strict=True):
                    since = sunday + 1 + np.flatnonzero(series.known[sunday + 1 : cutoff + 1])
                    updated = fit.update(series.days[since], series.log_close[since])
                    curve[row], noise[row] = updated.at(series.days[cutoff] + ahead), updated.noise * updated.scale
    unusable = ~np.isfinite(curve).all(axis=1)
    curve[unusable], noise[unusable] = np.nan, np.nan
    return curve, noise
