"""Coefficients of the minute forecasts of one pair: fitted to its past, kept as JSON, applied to its newest minute.

For each horizon, log price at its end is::

    log price now + point + scale * q(level)

* The scale is ``exp(x b)``, where x are features of the size of moves (`features.sizes`) and of the target's calendar.
  b starts from `fit_scale`, whose prior is the mean of the log volatilities times the root of the horizon: a random
  walk. Then b is moved to where exp(x b), times a constant, is the quantile of the size of moves that four fifths stay
  below: what the 80 % interval is scored by. That is a quantile regression in logs (`fit_quantile`).
* q(level) are the conformal quantiles (Lei et al., "Distribution-Free Predictive Inference for Regression", Journal of
  the American Statistical Association 113, 2018) of past moves divided by their scale, for quarters of the scale from
  the quietest to the wildest: where prices move in ticks and often not at all, quiet minutes have another distribution.
  New moves weigh more than old ones, so that coverage follows the market with every daily fit.
* The point is a ridge regression on features of direction (`features.signs`), used with the weight that it has earned:
  almost always 0, which is persistence.

While a fit chooses, it splits its minutes in time order: 80 % to fit, 10 % to choose the weight of the point, 10 % to
confirm it. Moves of the last two parts are standardised by the scale that was fitted on the first, so the newest
quantiles are out of sample. The coefficients that remain are fitted on everything.

Coefficients are fitted at `KNOTS` and are linear in the logarithm of the horizon in between. Quantiles never cross, and
those above and below the middle never come nearer to the newest price with the horizon.
"""

import json
import math
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np

from crypto_predict.errors import InvalidValue, UnusableHistory
from crypto_predict.forecasting.distribution.binned import Shrinkage, binned_quantiles
from crypto_predict.forecasting.distribution.quantiles import widening
from crypto_predict.forecasting.distribution.scale import fit_scale
from crypto_predict.forecasting.minutes import features
from crypto_predict.forecasting.minutes.features import Minutes, MinuteState
from crypto_predict.history.columns import BoolArray, FloatArray, IntArray
from crypto_predict.market.forecast import LEVELS, MINUTES_AHEAD, MinuteForecast
from crypto_predict.wording import counted

KNOTS = (1, 2, 4, 8, 15)  # horizons in minutes at which coefficients are fitted
BINS = 4  # quarters of the scale, from the quietest to the wildest, with quantiles of their own
INSIDE = 0.8  # the share of moves below the quantile that the scale follows: the 80 % interval's
LEAST_MINUTES = 1_440  # candles: each hour of the day was seen once
LEAST_MOVES = 100  # fewer do not show how far a price goes

PRIOR = 30.0  # moves that the prior of a coefficient counts for: half an hour, small beside a day
WEEKDAY_PRIOR = 1_440.0  # the same for a weekday: the minutes of one day say little about other days of its name
MEMORY = 5 * features.DAY  # minutes in which a move's weight in the quantiles halves: a working week
SHRINKAGE = Shrinkage(BINS, pooled=300.0, symmetry=5_000.0)  # how rising and falling differ takes long to learn
SMOOTHING = (0.3, 0.2, 0.2)  # of the indicator of `fit_quantile` in log scale, one Newton step each
OVERLAP = 3  # of moves in a fit: those of h minutes begin h / OVERLAP minutes apart, as nearer ones say the same
TICK_SHARE = 0.05  # the smallest of the moves that are not zero, of which this share is smaller, stands for a tick

POINT_PRIOR = 1_000.0  # moves that a direction of zero counts for
WEIGHTS = (0.25, 0.5, 1.0)  # of the point that are tried
EVIDENCE = 2.0  # standard errors by which the point has to beat persistence to be used


_VERSION = 1
_FREE = 1e-3  # strength of a prior that does not matter
_STEEP = 30.0  # where the smoothed indicator is 0 or 1
_MOST_MOVE = 5.0  # scales: more is an outlier of the ridge regression
_MOST_LOG_SCALE = 0.0  # a price that grows to 2.7 times itself, or falls to a third
_MIDDLE = LEVELS.index(0.5)
# A tenth of a tick at 10 and 90 %, in proportion to Gaussian quantiles at the other levels: no interval is narrower.
# That is less than any move: quantiles differ where nearly no minute moves, and say no more than that it does not.
_LEAST_REACH = 0.1 * np.array([NormalDist().inv_cdf(level) for level in LEVELS]) / NormalDist().inv_cdf(0.9)
_AHEAD = np.arange(1, MINUTES_AHEAD + 1)
_FEATURES = 1 + features.SIZES + features.CALENDAR


@dataclass(frozen=True, eq=False)
class Coefficients:
    """What was learned from the past of one pair."""

    minutes: int  # candles that it was fitted on
    usual: float  # mean size of a minute's return: what `features` are relative to
    tick: float  # about the least change of log price
    scale: FloatArray  # (5, f) of a constant, the features of `sizes` and the calendar, at `KNOTS`
    centres: FloatArray  # (5, 4) log scales in the middle of each bin, ascending
    quantiles: FloatArray  # (5, 4, 7) of moves in units of the scale, at `LEVELS`, in each bin
    direction: FloatArray  # (5, d) of the features of `signs`, in units of the scale; 0: persistence

    @classmethod
    def fit(cls, minutes: Minutes, start: "Coefficients | None" = None) -> "Coefficients":
        """Return the coefficients fitted on a history of minutes; `start`, an earlier fit, saves time.

        Raises:
            UnusableHistory: There are too few candles, or the price hardly moves.
        """
        candles, sizes = int(minutes.traded.sum()), np.abs(minutes.returns[minutes.returns != 0])
        if candles < LEAST_MINUTES:
            raise UnusableHistory("the minutes", [f"{candles:,} candles, {LEAST_MINUTES:,} are needed for a fit"])
        if len(sizes) < LEAST_MOVES:
            fault = f"the price moved in {len(sizes):,} of {len(minutes):,} minutes, {LEAST_MOVES} are needed for a fit"
            raise UnusableHistory("the minutes", [fault])
        usual, tick = float(sizes.sum()) / len(minutes), float(np.quantile(sizes, TICK_SHARE))
        inputs = (features.sizes(minutes.known, usual), features.signs(minutes.known, usual))
        knots = [
            _fit_knot(minutes, *inputs, tick, horizon, None if start is None else start.scale[index])
            for index, horizon in enumerate(KNOTS)
        ]
        scale, centres, quantiles, direction = (np.stack(column) for column in zip(*knots, strict=True))
        return cls(candles, usual, tick, scale, centres, quantiles, direction)

    @classmethod
    def from_json(cls, text: str) -> "Coefficients":
        """Return the coefficients that `to_json` wrote.

        Raises:
            InvalidValue: The text is not such JSON, or another version wrote it: fit them again.
        """
        expected = f"JSON of version {_VERSION}, as `Coefficients.to_json` writes it; fit the coefficients again"
        try:
            content = json.loads(text)
            is_readable = content.pop("version") == _VERSION
            fit = cls(
                int(content.pop("minutes")),
                float(content.pop("usual")),
                float(content.pop("tick")),
                **{name: np.array(content.pop(name), dtype=np.float64) for name in _SHAPES},
            )
        except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
            raise InvalidValue("coefficients", text, expected) from error
        arrays = {name: getattr(fit, name) for name in _SHAPES}
        if (
            not is_readable
            or content
            or {name: array.shape for name, array in arrays.items()} != _SHAPES
            or not all(np.isfinite(array).all() for array in arrays.values())
            or not (0 < fit.usual < math.inf and 0 < fit.tick < math.inf)
            or np.any(np.diff(fit.centres) < 0)
            or np.any(np.diff(fit.quantiles) < 0)
        ):
            raise InvalidValue("coefficients", text, expected)
        return fit

    def to_json(self) -> str:
        """Return the coefficients as JSON, from which `from_json` makes equal ones."""
        content = {"version": _VERSION, "minutes": self.minutes, "usual": self.usual, "tick": self.tick}
        arrays = {name: getattr(self, name).tolist() for name in _SHAPES}
        return json.dumps({**content, **arrays}, allow_nan=False)

    def forecast(self, state: MinuteState) -> MinuteForecast:
        """Return the forecast at the close of the newest candle of `state`.

        Raises:
            UnusableHistory: `state` cannot carry one; the error has its `fault`.
        """
        if (fault := state.fault()) is not None:
            raise UnusableHistory("the minutes", [fault])
        points, quantiles = (
            state.price * np.exp(moves[0]) for moves in self.moves(state.known(), np.array([state.minute]))
        )
        return MinuteForecast(state.cutoff, state.price, tuple(points.tolist()), tuple(map(tuple, quantiles.tolist())))

    def moves(self, known: FloatArray, minute: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the forecasts at the closes of the minutes that open at `minute` (n,), with their row of `Minutes`.

        These are the points (n, 15) and the quantiles (n, 15, 7), ascending in the last axis, as changes of log price.
        """
        scale, centres, quantiles, direction = self._ahead
        constant, sizes, calendar = np.split(scale, [1, 1 + features.SIZES], axis=1)
        ahead = np.tile(_AHEAD, len(minute))
        target = features.calendar(np.repeat(minute, MINUTES_AHEAD), ahead)
        target = target.reshape(-1, MINUTES_AHEAD, features.CALENDAR)
        log_scale = constant[:, 0] + features.sizes(known, self.usual) @ sizes.T + (target * calendar).sum(axis=2)
        log_scale = np.minimum(log_scale, _MOST_LOG_SCALE)  # (n, 15)
        scale = np.exp(log_scale)
        points = features.signs(known, self.usual) @ direction.T * scale
        around = scale[..., None] * _units(log_scale, centres, quantiles)
        below, _, above = np.split(around, [_MIDDLE, _MIDDLE + 1], axis=2)
        below = np.minimum(below, self.tick * _LEAST_REACH[:_MIDDLE])
        above = np.maximum(above, self.tick * _LEAST_REACH[_MIDDLE + 1 :])
        middle = points[..., None]
        return points, widening(np.concatenate([middle + below, middle, middle + above], axis=2))

    @cached_property
    def _ahead(self) -> tuple[FloatArray, ...]:
        """Scale, centres, quantiles and direction at 1 to 15 minutes, (15, ...) each."""
        return tuple(np.tensordot(_BETWEEN, getattr(self, name), 1) for name in _SHAPES)


def _units(log_scale: FloatArray, centres: FloatArray, quantiles: FloatArray) -> FloatArray:
    """Return (n, 15, 7) the quantiles in units of the scale, linear in the log scale between centres of bins."""
    horizon = _AHEAD - 1
    bin_below = (log_scale[..., None] >= centres[:, 1:-1]).sum(axis=2)  # (n, 15) the bin at or below
    low, high = centres[horizon, bin_below], centres[horizon, bin_below + 1]
    width = high - low
    share = np.clip(np.divide(log_scale - low, width, out=np.zeros_like(width), where=width > 0), 0, 1)[..., None]
    return np.asarray(quantiles[horizon, bin_below] * (1 - share) + quantiles[horizon, bin_below + 1] * share)


def _fit_knot(  # noqa: PLR0913, PLR0917 the first four are those of all horizons
    minutes: Minutes, sizes: FloatArray, signs: FloatArray, tick: float, horizon: int, start: FloatArray | None
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return scale, centres, quantiles and direction at one horizon, from the features `sizes` and `signs`."""
    moves = minutes.moves(horizon)
    count, stride = len(minutes), max(1, horizon // OVERLAP)
    moves[: min(features.DAY, count // 4)] = np.nan  # means over a few minutes are not yet what they will be
    rows = np.flatnonzero(~np.isnan(moves))[::stride]
    if len(rows) < LEAST_MOVES:
        distance = f"{counted(len(rows), 'pair')} of candles {counted(horizon, 'minute')} apart"
        raise UnusableHistory("the minutes", [f"{distance}, {LEAST_MOVES} are needed for a fit"])
    moves = moves[rows]
    calendar = features.calendar(minutes.minute[rows], np.full(len(rows), horizon))
    x = np.concatenate([np.ones((len(rows), 1)), sizes[rows], calendar], axis=1)
    sizes = np.maximum(np.abs(moves), tick / 2)  # prices are known to half a tick
    chosen_from, confirmed_from = rows[[len(rows) * 8 // 10, len(rows) * 9 // 10]]
    is_fitted = rows + horizon < chosen_from
    first = _fit_log_scale(x[is_fitted], sizes[is_fitted], horizon, stride, start)
    scale = _fit_log_scale(x, sizes, horizon, stride, first)
    log_scale = np.where(is_fitted, x @ scale, x @ first)
    standardised = moves / np.exp(log_scale)
    is_choosing = ~is_fitted & (rows + horizon < confirmed_from)
    signs = signs[rows]
    direction = _earned_direction(signs, standardised, np.exp(log_scale), is_fitted, is_choosing, stride / horizon)
    weights = 0.5 ** ((count - rows) / MEMORY)
    centres, quantiles = binned_quantiles(
        log_scale, standardised - signs @ direction, weights, stride / horizon, SHRINKAGE
    )
    return scale, centres, quantiles, direction


def _fit_log_scale(x: FloatArray, sizes: FloatArray, horizon: int, stride: int, start: FloatArray | None) -> FloatArray:
    """Return the coefficients (f,) of the log scale of moves of `horizon` minutes, `stride` minutes apart."""
    prior, strength = np.zeros(_FEATURES), np.full(_FEATURES, PRIOR * horizon / stride)
    prior[0], strength[0] = math.log(horizon) / 2, _FREE
    prior[1 : 1 + features.VOLATILITIES] = 1 / features.VOLATILITIES
    strength[-features.WEEKDAYS :] = WEEKDAY_PRIOR * horizon / stride
    used = x.any(axis=0)  # a column of zeros is one that the source does not have
    x, strength = x[:, used], strength[used]
    coefficients = prior.copy()
    mean = fit_scale(x, sizes, prior[used], strength, None if start is None else start[used])
    coefficients[used] = fit_quantile(x, sizes, mean, strength)
    return coefficients


def fit_quantile(x: FloatArray, sizes: FloatArray, start: FloatArray, strength: FloatArray) -> FloatArray:
    """Return the coefficients (f,) with which exp(x b) is the quantile of `sizes` (n,), positive, at `INSIDE`.

    They minimise the pinball loss of exp(x b) plus ``strength (b - start)^2 / 2`` in Newton's steps: Koenker and
    Bassett, "Regression quantiles", Econometrica 46, 1978. The indicator in the derivative of the loss is smoothed over
    the log scale: Fernandes, Guerre and Horta, "Smoothing quantile regressions", Journal of Business and Economic
    Statistics 39, 2021. `start` are the coefficients of a scale.
    """
    logs = np.log(sizes)
    start = start.copy()
    start[0] += np.quantile(logs - x @ start, INSIDE)
    coefficients = start.copy()
    for width in SMOOTHING:
        log_quantile = x @ coefficients
        below = 1 / (1 + np.exp(np.clip((log_quantile - logs) / -width, -_STEEP, _STEEP)))  # smoothed: size < quantile
        weight = np.exp(log_quantile - log_quantile.max())
        weight /= weight.mean()  # the loss is in prices: wild minutes count more
        gradient = x.T @ (weight * (below - INSIDE)) + strength * (coefficients - start)
        curvature = (x.T * (weight * below * (1 - below) / width)) @ x
        curvature[np.diag_indices_from(curvature)] += strength
        step = np.linalg.solve(curvature, gradient)
        coefficients -= step / max(float(np.abs(x @ step).max()), 1.0)
    return coefficients


def _earned_direction(  # noqa: PLR0913, PLR0917 each is one fact of the question
    signs: FloatArray,
    standardised: FloatArray,
    scale: FloatArray,
    is_fitted: BoolArray,
    is_choosing: BoolArray,
    independent: float,
) -> FloatArray:
    """Return the coefficients (d,) of the direction; 0 unless they beat persistence where they were not fitted.

    The arguments are parallel: features (n, d), moves in units of the scale and the scale (n,), and in which of the
    three parts they are. `independent` is the share of moves that do not overlap.
    """
    bounded = np.clip(standardised, -_MOST_MOVE, _MOST_MOVE)
    predicted = scale * (signs @ _ridge(signs[is_fitted], bounded[is_fitted]))
    actual = scale * standardised

    def gains(weight: float, part: BoolArray) -> FloatArray:
        return np.abs(actual[part]) - np.abs(actual[part] - weight * predicted[part])

    weight = max(WEIGHTS, key=lambda weight: float(gains(weight, is_choosing).sum()))
    if gains(weight, is_choosing).sum() > 0:
        gained = gains(weight, ~is_fitted & ~is_choosing)
        if gained.mean() > EVIDENCE * gained.std() / math.sqrt(max(independent * len(gained), 1.0)):
            return np.asarray(weight * _ridge(signs, bounded))
    return np.zeros(signs.shape[1])


def _ridge(x: FloatArray, y: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.solve(x.T @ x + POINT_PRIOR * np.eye(x.shape[1]), x.T @ y))


# (15, 5) the weights with which values at `KNOTS` make those at 1 to 15 minutes.
_BETWEEN = np.column_stack([np.interp(np.log(_AHEAD), np.log(KNOTS), unit) for unit in np.eye(len(KNOTS))])
_SHAPES = {
    "scale": (len(KNOTS), _FEATURES),
    "centres": (len(KNOTS), BINS),
    "quantiles": (len(KNOTS), BINS, len(LEVELS)),
    "direction": (len(KNOTS), features.SIGNS),
}
