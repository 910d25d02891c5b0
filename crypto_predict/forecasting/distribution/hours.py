"""The distribution of log price over the next 24 hours, from the hourly candles so far.

Each quantile is a predicted scale (`scale`) times a calibrated quantile of past moves in units of theirs, as for days.
Features of the scale, each from the candles up to the cutoff, in logarithms:

* means of the size of an hour over half-lives from one hour to 180 days: of Parkinson's deviation of the range, which
  includes the close before, and of the absolute return (Corsi, "A Simple Approximate Long-Memory Model of Realized
  Volatility", Journal of Financial Econometrics 7, 2009);
* the volume of the last hours, relative to the month before;
* the distance of the price from its own means, in predicted deviations, as for days.

Markets have hours: every hour of the day and every day of the week has a factor, learned from the sizes of the past
with a memory (Andersen and Bollerslev, "Intraday periodicity and volatility persistence in financial markets", Journal
of Empirical Finance 4, 1997). Sizes are divided by the factors of their hours, and forecasts multiplied by those ahead.

Calibrated quantiles have a memory, too, and depend on the predicted scale: in calm hours surprises are larger in units
of the scale. Factors, coefficients and quantiles are learned anew once a week, at `KNOTS`; horizons between them are
interpolated over the logarithm of the horizon.

An hour without a candle changes nothing: it is no quiet hour. No time passes in a gap, and no move ends in one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crypto_predict.forecasting.distribution.binned import Shrinkage, binned_quantiles
from crypto_predict.forecasting.distribution.quantiles import widening
from crypto_predict.forecasting.distribution.scale import Averages, fit_scale, parkinson
from crypto_predict.history.columns import BoolArray, Candles, FloatArray, IntArray
from crypto_predict.market.forecast import LEVELS

KNOTS = (1, 2, 3, 6, 12, 24)  # hours ahead at which a forecast is learned
AHEAD = DAY = 24  # hours
WEEK = 168
BURN_IN = 30 * DAY  # candles before the first fit
LEAST_HISTORY = 60 * DAY  # candles from which a forecast is made
REFITTED_EVERY = WEEK  # candles
HALF_LIVES = (1, 3, 8, 24, 72, 240, 960, 4320)  # hours, of the ranges
RETURN_HALF_LIVES = (2, 12, 168)
VOLUME_HALF_LIVES = (1, 8, 720)  # the last one is what is usual
TREND_HALF_LIVES = (8, 48, 240)
PRIOR_MOVES = 60  # times the horizon: weight of the prior coefficients
HABIT = 60 * DAY  # hours: half-life of the factors of the calendar
HABIT_PRIOR = 30 * DAY  # hours: weight of no habits
MEMORY = 180 * DAY  # hours: half-life of the calibration
SHRINKAGE = Shrinkage(bins=4, pooled=200, symmetry=300)

_STILL = 0.1  # least size of an hour in units of the month's: a frozen price is not calm
_FLOOR = 1e-7  # for a price that never moves
_MOST = 5.0  # size of an hour that the factors count, in usual ones
# (24, 6) the weights with which values at `KNOTS` make those at 1 to 24 hours.
_BETWEEN = np.column_stack(
    [np.interp(np.log(np.arange(1, AHEAD + 1)), np.log(KNOTS), unit) for unit in np.eye(len(KNOTS))]
)


@dataclass(frozen=True)
class Hours:
    """Closed hours, ascending. Prices are natural logarithms."""

    hour: IntArray  # (n,) hours since 1970, UTC, of the openings
    log_open: FloatArray  # (n,)
    log_high: FloatArray
    log_low: FloatArray
    log_close: FloatArray
    volume: FloatArray

    @staticmethod
    def of(candles: Candles) -> "Hours":
        """Return the columns of hourly candles, of which no two open at once."""
        first, high, low, close = (
            np.log(column) for column in (candles.open, candles.high, candles.low, candles.close)
        )
        return Hours(candles.open_time // 3600, first, high, low, close, candles.volume)

    def __len__(self) -> int:
        return len(self.hour)

    def moves(self, horizon: int) -> FloatArray:
        """Return (n,) the moves of log price over `horizon` hours after each close; NaN where there is no candle."""
        target = self.hour + horizon
        row = np.minimum(np.searchsorted(self.hour, target), len(self) - 1)
        return np.where(self.hour[row] == target, self.log_close[row] - self.log_close, np.nan)

    def filled(self) -> "HourPath":
        """Return every hour from the first to the last, in order; without a candle its prices are NaN."""
        place = self.hour - self.hour[0]
        known = np.zeros(place[-1] + 1, dtype=bool)
        known[place] = True
        close, high, low = (np.full(len(known), np.nan) for _ in range(3))
        close[place], high[place], low[place] = self.log_close, self.log_high, self.log_low
        return HourPath(close, high, low, known, place)

    def volatility(self, window: int) -> FloatArray:
        """Return (n,) the standard deviation of the last `window` returns of one hour; NaN before there are as many."""
        returns, volatility = np.diff(self.log_close), np.full(len(self), np.nan)
        is_hour = np.diff(self.hour) == 1
        returns = returns[is_hour]
        total, squares = (np.concatenate([[0.0], np.cumsum(values)]) for values in (returns, returns**2))
        count = np.concatenate([[0], np.cumsum(is_hour)])  # returns up to each close
        full = np.flatnonzero(count >= window)
        last, first = count[full], count[full] - window
        sums = total[last] - total[first]
        variance = (squares[last] - squares[first] - sums**2 / window) / (window - 1)
        volatility[full] = np.sqrt(np.maximum(variance, 0.0))
        return volatility


@dataclass(frozen=True)
class HourPath:
    """Hours without gaps. Prices are natural logarithms, NaN in an hour without a candle."""

    log_close: FloatArray  # (m,)
    log_high: FloatArray
    log_low: FloatArray
    known: BoolArray  # (m,) whether the hour has a candle
    place: IntArray  # (n,) of each candle among them


@dataclass(frozen=True)
class HourlyDistribution:
    """What the hours of a history have taught about the next ones, at its last close."""

    hour: int  # that opened last, in hours since 1970
    knots: FloatArray  # (6, 7) quantiles of the move at `KNOTS`, in units of the root of the calendar's variance
    habits: FloatArray  # (168,) squared factors of the hours of a week, from a Thursday's midnight

    def ahead(self) -> FloatArray:
        """Return (24, 7) the quantiles at `LEVELS` of log price 1 to 24 hours after the last close, minus its log.

        Quantiles further ahead are never nearer.
        """
        effective = np.cumsum(self.habits[(self.hour + np.arange(1, AHEAD + 1)) % WEEK])
        return widening(np.sqrt(effective)[:, None] * (_BETWEEN @ self.knots))


def learn(hours: Hours, horizons: Sequence[int] = KNOTS) -> tuple[HourlyDistribution, FloatArray]:
    """Return the distribution after n >= `LEAST_HISTORY` hours, and the forecasts up to then.

    These are (n, horizons, 7) quantiles at `LEVELS` of the move of log price over these ascending `horizons` from each
    close, each from nothing but the history up to it; NaN in the first `BURN_IN` hours.
    """
    features, habits, weeks = _features(hours)
    # The squared factors of hours 1 to 24 after each close, added up.
    effective = np.cumsum(habits[weeks[:, None], (hours.hour[:, None] + np.arange(1, AHEAD + 1)) % WEEK], axis=1)
    issued, latest = zip(*(_standard(hours, features, effective[:, knot - 1], knot) for knot in KNOTS), strict=True)
    standard = np.einsum("hk,nkl->nhl", _BETWEEN, np.stack(issued, axis=1))
    forecasts = widening(np.sqrt(effective)[:, :, None] * standard)[:, np.asarray(horizons) - 1]
    return HourlyDistribution(int(hours.hour[-1]), np.array(latest), habits[-1]), forecasts


def _standard(hours: Hours, features: FloatArray, effective: FloatArray, horizon: int) -> tuple[FloatArray, FloatArray]:
    """Return the quantiles of the moves over a horizon, divided by the root of the `effective` hours (n,) until then.

    They are (n, 7) at each close, NaN before the first fit, and (7,) after a last fit at the last close.
    """
    moves, ends = hours.moves(horizon) / np.sqrt(effective), hours.hour + horizon
    sizes, usable = np.maximum(np.abs(moves), _FLOOR), ~np.isnan(moves)
    usable[: BURN_IN // 2] = False  # where the means are of few hours
    prior = np.zeros(features.shape[1])
    prior[1 : 1 + len(HALF_LIVES)] = 1 / len(HALF_LIVES)
    strength = np.full(len(prior), float(PRIOR_MOVES * horizon))
    coefficients, logs, count = prior, np.full(len(hours), np.nan), len(hours)
    issued = np.full((count, len(LEVELS)), np.nan)
    for row in [*range(BURN_IN, count, REFITTED_EVERY), count]:
        known = np.flatnonzero(usable[:row] & (ends[:row] <= hours.hour[row - 1]))
        coefficients = fit_scale(features[known], sizes[known], prior, strength, coefficients)
        past = known[~np.isnan(logs[known])]
        scales = logs[past]
        if len(past) < BURN_IN:  # too few forecasts: the first quantiles are of the fit itself
            past, scales = known, features[known] @ coefficients
        weights = 0.5 ** ((hours.hour[row - 1] - hours.hour[past]) / MEMORY)
        bins = binned_quantiles(scales, moves[past] / np.exp(scales), weights, 1 / horizon, SHRINKAGE)
        # row by row, so that no later row changes a bit
        now = (features[row : row + REFITTED_EVERY] * coefficients).sum(axis=1)
        logs[row : row + REFITTED_EVERY] = now
        issued[row : row + REFITTED_EVERY] = _at(now, *bins)
    return issued, _at(features[-1:] @ coefficients, *bins)[0]


def _features(hours: Hours) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return the features (n, k), squared factors (weeks, 168) of hours of the week, and the week of each row (n,)."""
    close = hours.log_close
    previous = np.concatenate([hours.log_open[:1], close[:-1]])
    gap = np.diff(hours.hour, prepend=hours.hour[0]) != 1
    previous[gap] = hours.log_open[gap]
    deviations, returns = np.sqrt(parkinson(hours.log_high, hours.log_low, previous)), np.abs(close - previous)
    month = Averages([720]).add_all(deviations)[:, 0]
    usual = np.concatenate([deviations[:1], month[:-1]]) + _FLOOR
    habits, weeks = _habits(hours.hour, np.minimum(deviations / usual, _MOST))
    factors = np.sqrt(habits[weeks, hours.hour % WEEK])
    floor = _STILL * usual
    ranges = Averages(HALF_LIVES).add_all(np.log(deviations + floor) - np.log(factors))
    moves = np.log(Averages(RETURN_HALF_LIVES).add_all(returns / factors) + floor[:, None])
    volumes = Averages(VOLUME_HALF_LIVES).add_all(hours.volume / factors)
    has = volumes[:, -1:] > 0
    relative = np.divide(volumes[:, :-1], volumes[:, -1:], out=np.ones_like(volumes[:, :-1]), where=has)
    distances = np.abs(close[:, None] - Averages(TREND_HALF_LIVES).add_all(close))
    trends = np.log1p(distances / (np.exp(ranges[:, [5]]) * np.sqrt(TREND_HALF_LIVES)))
    columns = [np.ones(len(hours)), ranges, moves - ranges[:, [3]], np.log(relative + 0.05), trends]
    return np.column_stack(columns), habits, weeks


def _habits(hour: IntArray, sizes: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return (weeks, 168) squared factors of the hours of a week, and (n,) the row of each hour.

    `sizes` (n,) are relative to what is usual. The mean of the squares is 1, and the first row has nothing but ones.
    """
    weeks = np.arange(len(hour)) // REFITTED_EVERY
    result = np.ones((weeks[-1] + 1, WEEK))
    totals, weights, decay = np.zeros(WEEK), np.zeros(WEEK), 0.5 ** (REFITTED_EVERY / HABIT)
    hours_of_day, days = np.arange(WEEK) % DAY, np.arange(WEEK) // DAY
    for week in range(1, len(result)):
        part = slice((week - 1) * REFITTED_EVERY, week * REFITTED_EVERY)
        totals = decay * totals + np.bincount(hour[part] % WEEK, sizes[part], WEEK)
        weights = decay * weights + np.bincount(hour[part] % WEEK, minlength=WEEK)
        mean = max(totals.sum() / weights.sum(), _FLOOR)
        by_hour = _relative(hours_of_day, totals, weights * mean, HABIT_PRIOR / DAY * mean)
        by_hour = 0.5 * by_hour + 0.25 * (np.roll(by_hour, 1) + np.roll(by_hour, -1))  # midnight is beside 23 h
        expected = weights * mean * by_hour[hours_of_day]
        factors = by_hour[hours_of_day] * _relative(days, totals, expected, HABIT_PRIOR / 7 * mean)[days]
        result[week] = factors**2 / np.mean(factors**2)
    return result, weeks


def _relative(groups: IntArray, totals: FloatArray, expected: FloatArray, prior: float) -> FloatArray:
    """Return by group the total relative to the expected one, shrunk to 1."""
    return (np.bincount(groups, totals) + prior) / (np.bincount(groups, expected) + prior)


def _at(logs: FloatArray, centres: FloatArray, quantiles: FloatArray) -> FloatArray:
    """Return the quantiles (n, 7) at log scales (n,), with their scale."""
    between = np.column_stack([np.interp(logs, centres, column) for column in quantiles.T])
    return np.asarray(np.exp(logs)[:, None] * between)
