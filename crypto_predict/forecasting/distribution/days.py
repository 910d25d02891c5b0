"""The distribution of log price at the closes of the next days, from the daily candles so far.

Each quantile is a predicted scale (`scale`) times a calibrated quantile of past moves in units of theirs (`quantiles`).
Features of the scale, each from the candles up to the cutoff:

* the mean log standard deviation of a day, over five half-lives from a day to a year: a cascade of horizons (Corsi, "A
  Simple Approximate Long-Memory Model of Realized Volatility", Journal of Financial Econometrics 7, 2009). The
  deviation of a day is from its range, which is several times as precise as its return. Means are of logarithms, so
  that one shock is not yet a regime (Alizadeh, Brandt and Diebold, "Range-Based Estimation of Stochastic Volatility
  Models", Journal of Finance 57, 2002);
* the distance of the price from its own means of the last four to 256 days, in predicted deviations: a market with a
  trend moves more, whichever way (Zumbach, "Volatility processes and volatility forecast with long memory",
  Quantitative Finance 4, 2004);
* the volume of the last day, relative to the quarter before;
* the long memory of `volatility`: squared returns over one year and over three.

The prior is the mean of the five log deviations for tomorrow, and fades into the long memory with the horizon, as
variance does in a GARCH(1,1) process (Bollerslev, "Generalized autoregressive conditional heteroskedasticity", Journal
of Econometrics 31, 1986). It counts for `PRIOR_MOVES` moves times the square of the horizon, and h consecutive moves
over h days count as one: five years hold 1,800 days but twenty quarters, and these come in regimes. So coefficients are
learned for days and weeks, and the prior is kept for months. That was chosen on the first 800 days of four coins, where
weeks could be learned and months could not.

Markets move less on Saturdays and Sundays, when banks and funds are closed. Every day of the week has a factor, learned
from the moves of the past with a memory of a year, which starts as a third less on these two.

A day without a candle changes nothing: it is no quiet day. The next return is spread over the days that it took.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from crypto_predict.forecasting.distribution.quantiles import calibrate, widening
from crypto_predict.forecasting.distribution.scale import Averages, fit_scale, garman_klass
from crypto_predict.forecasting.distribution.volatility import memories
from crypto_predict.forecasting.series import DailySeries, at_horizons
from crypto_predict.history.columns import FloatArray, IntArray

HALF_LIVES = (1, 4, 16, 64, 256)  # days, each four times the one before
TREND_HALF_LIVES = HALF_LIVES[1:]
PERSISTENCE = 0.8  # per day, of the lead of the recent memory over the long one: half of it is gone after three days
PRIOR_MOVES = 50  # times the squared horizon: weight of the prior coefficients, in non-overlapping moves
BURN_IN = 60  # days before the first move that counts
REFITTED_EVERY = 7  # days, or a 25th of the history if that is longer: a fit differs by less from the one before

_RETURN_SHARE = 0.25  # of a day's variance that is from its return: bounds the error of a source with false ranges
_STILL = 0.01  # least variance of a day, in units of the past quarter's mean: a frozen price is not a calm market
_FLOOR = 1e-12  # least variance of a day: a market that never moves has no scale
_LEAST_MOVE = 1e-6  # for the same reason
_QUARTER = HALF_LIVES.index(64)
_WEEKS = HALF_LIVES.index(16)
_LEAST_VOLUME = 0.01  # of the past quarter's mean: days without a trade have no logarithm
_WEEK = 7
_SUNDAY, _SATURDAY = 0, 6  # ordinals modulo 7
_WEEKEND = 2 / 3  # the prior of its moves, in units of those of other days
_WEEKDAY_HALF_LIFE = 52  # weeks: habits change within years
_WEEKDAY_PRIOR = 13  # weeks: weight of the prior, a quarter
_MOST_SIZE = 4.0  # of a move in predicted deviations, for the factor of its weekday
# Brownian motion that returns to its start after a unit of time has a mean squared range of pi^2 / 6 (that of Kuiper's
# statistic), so a `garman_klass` of pi^2 / 12 on average; without that condition it is 1.
_OF_RETURN = _RETURN_SHARE + (1 - _RETURN_SHARE) * (1 - math.pi**2 / 12)  # how much depends on the squared return
_LOG_MEAN_SIZE = 0.5 * math.log(2 / math.pi)  # of a standard Gaussian


@dataclass(frozen=True)
class DailyState:
    """What is known about the moves to come, at each of n closes or at one instant."""

    days: IntArray  # (n,) proleptic Gregorian ordinals of the last closes
    sizes: FloatArray  # (n, 5) mean logarithm of a day's standard deviation, by half-life
    memory: FloatArray  # (n,) logarithm of the standard deviation of daily returns over years
    trends: FloatArray  # (n, 4) logarithm of 1 + the distance of the price from its mean, in deviations, by half-life
    volume: FloatArray  # (n,) logarithm of the last day's volume relative to the quarter's mean
    weekdays: FloatArray  # (n, 7) factors of the moves of each day of the week, by ordinal modulo 7

    def at(self, rows: IntArray, days: IntArray) -> "DailyState":
        """Return the state of these `rows` (m,) at other `days` (m,)."""
        columns = (self.sizes, self.memory, self.trends, self.volume, self.weekdays)
        return DailyState(days, *(column[rows] for column in columns))

    def features(self) -> FloatArray:
        """Return (n, k) the features of the scale, the constant first."""
        return np.column_stack([np.ones(len(self.days)), self.sizes, self.memory, self.trends, self.volume])

    def effective_days(self, horizon: int, elapsed: float = 0.0) -> FloatArray:
        """Return (n,) the number of average days with as much variance as the days up to a close.

        It is the close `horizon` days after the last one, of which `elapsed` in [0, 1) is over.
        """
        squares = self.weekdays**2
        weeks, rest = divmod(horizon, _WEEK)
        ahead = [squares[np.arange(len(squares)), (self.days + day) % _WEEK] for day in range(1, max(rest, 1) + 1)]
        average = weeks * squares.sum(axis=1) - elapsed * ahead[0]
        return np.asarray(average + sum(ahead[:rest]))


@dataclass(frozen=True)
class DailyDistribution:
    """What the candles of a history have taught about the moves over some horizons, at its last close."""

    state: DailyState  # at the last close
    horizons: tuple[int, ...]  # days, ascending
    coefficients: FloatArray  # (horizons, k) of the features
    quantiles: FloatArray  # (horizons, 7) of the standardised move, at `LEVELS`
    _sizes: Averages  # of `DailyState.sizes`, after the last candle
    _closes: Averages  # of log price
    _last_close: float  # log price

    def ahead(self, move: float, elapsed: float, days: Sequence[int]) -> FloatArray:
        """Return (d, 7) the quantiles at `LEVELS` of log price at coming closes, minus that of an instant.

        Since the last close log price has changed by `move`, and `elapsed` of a day has passed, in [0, 1). `days` are
        ascending, in days after that close. Quantiles further ahead are never nearer.
        """
        state = self._later(move, elapsed)
        # Of one average day, since that changes slowly from one horizon to the next.
        logs = self.coefficients @ state.features()[0] - 0.5 * np.log(self.horizons)
        effective = np.array([state.effective_days(day, elapsed)[0] for day in days])
        scales = np.exp(at_horizons(logs, self.horizons, days)) * np.sqrt(effective)
        standard = np.column_stack([at_horizons(column, self.horizons, days) for column in self.quantiles.T])
        return widening(scales[:, None] * standard)

    def _later(self, move: float, elapsed: float) -> DailyState:
        """Return the state at an instant after the last close.

        Log price has changed by `move` in this share of a day. If it moved as far as expected, little changes.
        """
        expected = math.exp(2 * self.state.sizes[0, 1:3].mean())
        variance = expected * (1 - _OF_RETURN * elapsed) + _OF_RETURN * move**2
        sizes = self._sizes.exceeded(0.5 * math.log(variance / expected))[None]
        price = self._last_close + move
        distances = np.abs(price - self._closes.exceeded(elapsed * (price - self._closes.means)))[None]
        return replace(self.state, sizes=sizes, trends=_log_trends(distances, sizes))


def learn(series: DailySeries, horizons: Iterable[int]) -> tuple[DailyDistribution, FloatArray]:
    """Return the distribution after n >= 2 days, and the forecasts up to then.

    These are (n, horizons, 7) quantiles at `LEVELS` of the move of log price from each close, each from nothing but the
    history up to it; further ahead they are never nearer. Horizons that have no completed move keep the prior.
    """
    ascending, size_means, close_means = tuple(sorted(set(horizons))), Averages(HALF_LIVES), Averages(TREND_HALF_LIVES)
    state = _states(series, size_means, close_means)
    features = state.features()
    coefficients, standard, forecasts = [], [], []
    for horizon in ascending:
        moves = series.increments(np.arange(len(series)), horizon)
        effective = state.effective_days(horizon)
        logs, latest = _log_scales(features, moves / np.sqrt(effective / horizon), horizon)
        scales = np.exp(logs) * np.sqrt(effective / horizon)
        issued, quantiles = calibrate(moves / scales, horizon, BURN_IN)
        coefficients.append(latest)
        standard.append(quantiles)
        forecasts.append(scales[:, None] * issued)
    distribution = DailyDistribution(
        state.at(np.array([-1]), series.days[-1:]),
        ascending,
        np.array(coefficients),
        np.array(standard),
        size_means,
        close_means,
        float(series.log_close[-1]),
    )
    return distribution, widening(np.stack(forecasts, axis=1))


def _states(series: DailySeries, size_means: Averages, close_means: Averages) -> DailyState:
    """Return the state at every close (n,). The means, empty before, are those after the last one."""
    days, closes = series.days[series.known], series.log_close[series.known]
    returns, steps = np.diff(closes, prepend=closes[0]), np.diff(days, prepend=days[0] - 1)
    opens, highs, lows = (price[series.known] for price in (series.log_open, series.log_high, series.log_low))
    previous = np.where(steps == 1, closes - returns, opens)
    previous[0] = opens[0]
    variances = (1 - _RETURN_SHARE) * garman_klass(opens, highs, lows, closes, previous)
    variances += _RETURN_SHARE * (closes - previous) ** 2
    deviations = _log_deviations(variances)
    weekdays = _weekday_factors(days, np.abs(closes - previous), deviations)
    known_before = np.concatenate([weekdays[:1], weekdays[:-1]])[np.arange(len(days)), days % _WEEK]
    sizes = size_means.add_all(deviations - np.log(known_before))
    distances = np.abs(closes[:, None] - close_means.add_all(closes))
    _, long = memories(np.cumsum(returns / np.sqrt(steps)))
    state = DailyState(
        days,
        sizes,
        0.5 * np.log(np.maximum(long, _FLOOR)),
        _log_trends(distances, sizes),
        _log_volumes(series.volume[series.known]),
        weekdays,
    )
    latest = np.cumsum(series.known) - 1  # the candle of each day, or the one before
    return state.at(latest, series.days)


def _log_scales(features: FloatArray, moves: FloatArray, horizon: int) -> tuple[FloatArray, FloatArray]:
    """Return (n,) the log scale predicted at each of n closes, and (k,) the coefficients after the last.

    `moves` (n,) are those over `horizon` days after each close, NaN where unknown. Every fit sees the completed ones.
    """
    usable, sizes = np.isfinite(moves), np.maximum(np.abs(moves), _LEAST_MOVE)
    usable[: BURN_IN // 2] = False  # where the means are of few days
    coefficients = prior = _prior(horizon)
    strength = np.full(len(prior), float(PRIOR_MOVES * horizon**3))
    logs, now = np.empty(len(moves)), 0
    while now < len(moves):
        if now >= BURN_IN:
            completed = np.flatnonzero(usable[: max(now + 1 - horizon, 0)])
            coefficients = fit_scale(features[completed], sizes[completed], prior, strength, coefficients)
        until = now + max(REFITTED_EVERY, now // 25)
        # row by row, so that no later row changes a bit
        logs[now:until] = (features[now:until] * coefficients).sum(axis=1)
        now = until
    return logs, coefficients


def _prior(horizon: int) -> FloatArray:
    """Return the prior coefficients (k,) of `DailyState.features`."""
    # The mean share of the recent memory's lead over the long one that remains over the horizon.
    lead = (1 - PERSISTENCE**horizon) / (horizon * (1 - PERSISTENCE))
    sizes = [lead / len(HALF_LIVES)] * len(HALF_LIVES)
    return np.array([0.5 * math.log(horizon) + _LOG_MEAN_SIZE, *sizes, 1 - lead, *[0.0] * len(TREND_HALF_LIVES), 0.0])


def _log_deviations(variances: FloatArray) -> FloatArray:
    """Return the logarithms of the standard deviations of days, from their variances (n,), bounded from below."""
    quarter = Averages([HALF_LIVES[_QUARTER]]).add_all(variances)[:, 0]
    typical = np.concatenate([variances[:1], quarter[:-1]])
    return np.asarray(0.5 * np.log(variances + _STILL * typical + _FLOOR))


def _log_trends(distances: FloatArray, sizes: FloatArray) -> FloatArray:
    """Return (n, 4) log(1 + distance), the `distances` (n, 4) being in deviations of a quarter, `sizes` (n, 5)."""
    deviations = np.exp(sizes[:, [_QUARTER]]) * np.sqrt(TREND_HALF_LIVES)
    return np.asarray(np.log1p(distances / deviations))


def _log_volumes(volume: FloatArray) -> FloatArray:
    """Return (n,) the logarithm of the newest volume relative to the quarter's mean; 0 if there was none."""
    newest, quarter = Averages([HALF_LIVES[0], HALF_LIVES[_QUARTER]]).add_all(volume).T
    relative = np.divide(newest, quarter, out=np.ones(len(volume)), where=quarter > 0)
    return np.asarray(np.log(np.maximum(relative, _LEAST_VOLUME)))


def _weekday_factors(days: IntArray, moves: FloatArray, deviations: FloatArray) -> FloatArray:
    """Return (n, 7) the size of the moves of each day of the week, as known at each close.

    They are relative to the days of a week: the mean of their squares is 1.
    """
    prior = np.ones(_WEEK)
    prior[[_SUNDAY, _SATURDAY]] = _WEEKEND
    prior /= prior.mean()
    roots = np.sqrt(prior)  # means of roots, as few large moves say little about what a day is usually like
    expected = np.exp(Averages([HALF_LIVES[_WEEKS]]).add_all(deviations)[:-1, 0])  # of the day after
    relative = np.minimum(moves[1:] / expected, _MOST_SIZE)
    decay, weights, totals = 0.5 ** (1 / _WEEKDAY_HALF_LIFE), np.zeros(_WEEK), np.zeros(_WEEK)
    sizes = np.empty((len(days), _WEEK))
    sizes[0] = roots
    for index, (day, size) in enumerate(zip((days[1:] % _WEEK).tolist(), relative.tolist(), strict=True), start=1):
        weights[day] = decay * weights[day] + 1
        totals[day] = decay * totals[day] + math.sqrt(size)
        mean = max(totals.sum() / weights.sum(), _FLOOR)
        sizes[index] = (totals / mean + _WEEKDAY_PRIOR * roots) / (weights + _WEEKDAY_PRIOR)
    factors = sizes**2
    return np.asarray(factors / np.sqrt(np.mean(factors**2, axis=1, keepdims=True)))
