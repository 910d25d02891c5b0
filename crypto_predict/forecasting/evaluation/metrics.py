"""How good forecasts were: pure formulas, each with its source.

The sequences of one call are parallel, ``(n,)`` with n >= 1, of finite numbers; anything else is a ValueError. Errors
and losses are in the unit of what is handed in (price or log price), and smaller is better. Three functions of a single
outcome have a twin that averages them: `quantile_loss` and `pinball`, `interval_score` and `winkler`, `gaussian_score`
and `crps_gaussian`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import mul
from statistics import NormalDist, fmean

Numbers = Sequence[float]


def mae(actual: Numbers, predicted: Numbers) -> float:
    """Mean absolute error: ``mean |y - f|``.

    Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", 3rd edition, 2021, section 5.8.
    """
    return fmean(abs(y - f) for y, f in _rows(actual=actual, predicted=predicted))


def rmse(actual: Numbers, predicted: Numbers) -> float:
    """Root mean squared error: ``sqrt(mean (y - f)^2)``. The same section."""
    return math.sqrt(_mean_square_error(actual, predicted))


def mape(actual: Numbers, predicted: Numbers) -> float:
    """Mean absolute percentage error as a share, 0.05 being 5 %: ``mean |(y - f) / y|``. The same section.

    Raises:
        ValueError: An actual value is 0, of which there are no shares.
    """
    rows = _rows(actual=actual, predicted=predicted)
    if 0 in actual:
        raise ValueError("actual holds 0, of which no error is a share")
    return fmean(abs((y - f) / y) for y, f in rows)


def mase(actual: Numbers, predicted: Numbers, scale: float) -> float:
    """Mean absolute scaled error: ``MAE / scale``, the scale being `naive_scale` of the history.

    Hyndman and Koehler, "Another look at measures of forecast accuracy", International Journal of Forecasting 22, 2006.
    """
    return mae(actual, predicted) / _positive("scale", scale)


def rmsse(actual: Numbers, predicted: Numbers, scale: float) -> float:
    """Root mean squared scaled error: ``sqrt(MSE / scale)``, the scale being `naive_square_scale` of the history.

    Makridakis, Spiliotis and Assimakopoulos, "M5 accuracy competition", International Journal of Forecasting 38, 2022.
    """
    return math.sqrt(_mean_square_error(actual, predicted) / _positive("scale", scale))


def naive_scale(history: Numbers) -> float:
    """What "the next value equals this one" was off by in the sample: ``mean |y[t] - y[t-1]|``, of n >= 2 values."""
    return fmean(map(abs, _steps(history)))


def naive_square_scale(history: Numbers) -> float:
    """The same squared: ``mean (y[t] - y[t-1])^2``, of n >= 2 values."""
    return fmean(step * step for step in _steps(history))


def skill(error: float, reference_error: float) -> float:
    """Skill score: ``1 - error / reference error``; 1 is perfect, 0 as good as the reference, negative worse.

    Murphy, "Skill scores based on the mean square error", Monthly Weather Review 116, 1988.

    Raises:
        ValueError: The reference error is not positive.
    """
    return 1 - error / _positive("reference_error", reference_error)


def quantile_loss(actual: float, quantile: float, level: float) -> float:
    """The pinball loss of one outcome: ``(y - q) level`` at or above the quantile, ``(q - y) (1 - level)`` below it.

    Koenker and Bassett, "Regression quantiles", Econometrica 46, 1978.
    """
    error, level = actual - quantile, _share("level", level)
    return max(error * level, -error * (1 - level))


def pinball(actual: Numbers, quantile: Numbers, level: float) -> float:
    """The mean of `quantile_loss`; least in expectation at the quantile of this level, between 0 and 1."""
    return fmean(quantile_loss(y, q, level) for y, q in _rows(actual=actual, quantile=quantile))


def interval_score(actual: float, low: float, high: float, coverage: float) -> float:
    """The Winkler score of one outcome: the interval's width, and 2 / (1 - coverage) times what it missed by.

    Winkler, "A decision-theoretic approach to interval estimation", Journal of the American Statistical Association 67,
    1972; Gneiting and Raftery, "Strictly proper scoring rules, prediction, and estimation", the same journal 102, 2007,
    equation 43.

    Raises:
        ValueError: `low` lies above `high`, or `coverage` is not between 0 and 1.
    """
    if low > high:
        raise ValueError(f"low {low} lies above high {high}")
    missed = max(low - actual, actual - high, 0.0)
    return high - low + 2 / (1 - _share("coverage", coverage)) * missed


def winkler(actual: Numbers, low: Numbers, high: Numbers, coverage: float) -> float:
    """The mean of `interval_score`, for central intervals meant to hold the share `coverage` of outcomes."""
    return fmean(
        interval_score(y, below, above, coverage) for y, below, above in _rows(actual=actual, low=low, high=high)
    )


def coverage(actual: Numbers, low: Numbers, high: Numbers) -> float:
    """The share of outcomes inside their interval, both ends included.

    Christoffersen, "Evaluating interval forecasts", International Economic Review 39, 1998.
    """
    return fmean(below <= y <= above for y, below, above in _rows(actual=actual, low=low, high=high))


def gaussian_score(actual: float, mean: float, sigma: float) -> float:
    """The continuous ranked probability score of one outcome, the forecast being N(mean, sigma^2).

    ``sigma (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi))`` with ``z = (y - mean) / sigma``, and the absolute error at a
    sigma of 0: Gneiting and Raftery, 2007, equation 21, with the sign that makes smaller better.
    """
    error = actual - mean
    if sigma <= 0:
        if sigma < 0:
            raise ValueError(f"sigma must be zero or positive, not {sigma}")
        return abs(error)
    z = error / sigma
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return error * math.erf(z / math.sqrt(2)) + sigma * (2 * density - 1 / math.sqrt(math.pi))


def crps_gaussian(actual: Numbers, mean: Numbers, sigma: Numbers) -> float:
    """The mean of `gaussian_score`."""
    return fmean(gaussian_score(y, m, s) for y, m, s in _rows(actual=actual, mean=mean, sigma=sigma))


@dataclass(frozen=True, slots=True)
class Share:
    """A share of trials with its confidence interval: 0 <= `low` <= `share` <= `high` <= 1."""

    share: float
    low: float
    high: float
    trials: int


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> Share:
    """The share of successes with its score interval, which holds at few trials and at shares near 0 and 1 too.

    ``(p + z^2/2n +- z sqrt(p (1 - p) / n + z^2/4n^2)) / (1 + z^2/n)``: Wilson, "Probable inference, the law of
    succession, and statistical inference", Journal of the American Statistical Association 22, 1927.

    Raises:
        ValueError: There is no trial, or there are not between 0 and `trials` successes.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} successes of {trials} trials are no share")
    z = NormalDist().inv_cdf((1 + _share("confidence", confidence)) / 2)
    share, spread = successes / trials, z * z / trials
    centre = (share + spread / 2) / (1 + spread)
    reach = math.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    # Rounding alone could put an end beyond the share, at none or all of the trials.
    return Share(share, min(share, max(0.0, centre - reach)), max(share, min(1.0, centre + reach)), trials)


def direction(actual_moves: Numbers, predicted_moves: Numbers) -> Share | None:
    """Of the moves where neither is zero, the share that went the way it was said; None where there is no such move.

    Pesaran and Timmermann, "A simple nonparametric test of predictive performance", Journal of Business and Economic
    Statistics 10, 1992; the interval, of 95 %, is Wilson's.
    """
    rows = _rows(actual_moves=actual_moves, predicted_moves=predicted_moves)
    right = [(move > 0) == (said > 0) for move, said in rows if move and said]
    return wilson_interval(sum(right), len(right)) if right else None


@dataclass(frozen=True, slots=True)
class DieboldMariano:
    """The outcome of a test of equal accuracy."""

    statistic: float  # positive where the losses exceed the reference's
    p_value: float  # two-sided


def diebold_mariano(losses: Numbers, reference_losses: Numbers, overlap: int) -> DieboldMariano | None:
    """Test whether two forecasters' mean loss differs beyond chance.

    Diebold and Mariano, "Comparing predictive accuracy", Journal of Business and Economic Statistics 13, 1995, with
    autocovariances up to ``overlap - 1``; where their plain sum is no positive variance, with Bartlett's weights (Newey
    and West, Econometrica 55, 1987). Small samples are allowed for by the factor and Student's t of Harvey, Leybourne
    and Newbold, "Testing the equality of prediction mean squared errors", International Journal of Forecasting 13,
    1997.

    Args:
        losses: (n,) in the order of the cutoffs.
        reference_losses: (n,) of the other forecaster, at the same cutoffs.
        overlap: How many consecutive cutoffs have forecast spans that overlap, their own included: the horizon where
            cutoffs are one step apart (h in the papers), 1 where no two overlap.

    Returns:
        None where the losses are too few: n <= overlap, at which the factor is no longer positive.
    """
    if overlap < 1:
        raise ValueError(f"overlap must be at least 1, not {overlap}")
    rows = _rows(losses=losses, reference_losses=reference_losses)
    differences = [loss - reference for loss, reference in rows]  # (n,)
    n = len(differences)
    if n <= overlap:
        return None
    mean = fmean(differences)
    factor = math.sqrt((n + 1 - 2 * overlap + overlap * (overlap - 1) / n) / n)
    statistic = factor * _ratio(mean, math.sqrt(_long_run_variance(differences, mean, overlap) / n))
    return DieboldMariano(statistic, _student_two_sided(statistic, n - 1))


def _long_run_variance(values: Numbers, mean: float, lags: int) -> float:
    """The variance of ``sqrt(n)`` times the mean of values whose autocovariances end before `lags`."""
    deviations = [value - mean for value in values]
    covariances = [sum(map(mul, deviations, deviations[lag:]), 0.0) / len(values) for lag in range(lags)]
    plain = covariances[0] + 2 * sum(covariances[1:])
    if plain > 0:
        return plain
    bartlett = sum((1 - lag / lags) * covariance for lag, covariance in enumerate(covariances[1:], start=1))
    return max(0.0, covariances[0] + 2 * bartlett)  # in exact arithmetic never below zero


def _ratio(mean: float, deviation: float) -> float:
    """Their ratio; a difference that never varies is infinitely many deviations away from zero."""
    if deviation > 0:
        return mean / deviation
    return math.copysign(math.inf, mean) if mean else 0.0


def _student_two_sided(statistic: float, freedom: int) -> float:
    """How likely Student's t lies at least this far from 0, for whole degrees of freedom, to within 1e-13.

    Abramowitz and Stegun, "Handbook of Mathematical Functions", 1964, equations 26.7.3 (odd) and 26.7.4 (even).
    """
    angle = math.atan(abs(statistic) / math.sqrt(freedom))
    odd, cosine = freedom % 2, math.cos(angle)
    term, series = cosine if odd else 1.0, 0.0
    for power in range(odd, freedom - 1, 2):
        series += term
        term *= (power + 1) / (power + 2) * cosine * cosine
    within = math.sin(angle) * series
    if odd:
        within = (angle + within) * 2 / math.pi
    return max(0.0, 1 - within)


def _mean_square_error(actual: Numbers, predicted: Numbers) -> float:
    return fmean((y - f) * (y - f) for y, f in _rows(actual=actual, predicted=predicted))


def _steps(history: Numbers) -> list[float]:
    values = [value for (value,) in _rows(history=history)]
    if len(values) < 2:
        raise ValueError("history holds a single value, and a step needs two")
    return [after - before for before, after in pairwise(values)]


def _rows(**series: Numbers) -> Iterator[tuple[float, ...]]:
    """The sequences side by side, once they have been found parallel, finite and not empty."""
    lengths = {name: len(values) for name, values in series.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"sequences of different lengths: {', '.join(f'{n} {name}' for name, n in lengths.items())}")
    if not any(lengths.values()):
        raise ValueError(f"nothing to measure: {' and '.join(series)} empty")
    for name, values in series.items():
        for index, value in enumerate(values):
            if not math.isfinite(value):
                raise ValueError(f"{name}[{index}] is {value}, which is no finite number")
    return zip(*series.values(), strict=True)


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ValueError(f"{name} must be positive, not {value}")
    return value


def _share(name: str, value: float) -> float:
    if not 0 < value < 1:
        raise ValueError(f"{name} must lie between 0 and 1, not {value}")
    return value
