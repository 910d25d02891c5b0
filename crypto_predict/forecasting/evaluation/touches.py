"""How often prices were touched on the way, beside how probable a close beyond them was: the curves, and their scores.

The highest and the lowest price after a close are known once the horizon is due. By the rule of reflection
(`baked.touches`) each had a probability to be touched. If the rule were right, these would be uniform. The quantiles of
their scores say how far off it is: they are the conformal calibration of a touch (Lei et al., "Distribution-Free
Predictive Inference for Regression", Journal of the American Statistical Association 113, 2018).

Highs and lows are taken together, since how they differ changes from one year to the next. How far prices get on the
whole changes, too: this level is learned from two years. The shape of the curve, far beside near, is learned from all
of the past. While few spans are known that do not overlap, both are shrunk towards those of the next shorter horizon,
and those of the shortest towards the rule.

These constants were chosen on the first half of four histories; ``python -m bench.touches`` scores the second.

A corridor around the price is left when one of its borders is touched. That the price stays in it has the probability
of `baked.touches.stay`, from those of the two touches; how often such corridors held is scored as touches are.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import special

from crypto_predict.baked.touches import (
    DAY_MOVES,
    HOUR_MOVES,
    LEAST_TOUCH,
    REFLECTED,
    SCORED_DAYS,
    SCORED_HOURS,
    SERIES,
    TENTHS,
    TERMS,
    TOUCHED,
    TouchCurve,
    TouchScore,
    TouchTenth,
)
from crypto_predict.forecasting.distribution import days, hours
from crypto_predict.forecasting.distribution.quantiles import GAUSSIAN_MOVES
from crypto_predict.forecasting.evaluation import metrics
from crypto_predict.history.columns import BoolArray, FloatArray, IntArray
from crypto_predict.market.forecast import LEVELS

HORIZONS = (1, 7, 14, 30)  # days at which curves are learned
HOUR_HORIZONS = (1, 3, 6, 12)  # hours at which curves are learned; that of a day is learned from days
LEVEL_SPANS = GAUSSIAN_MOVES  # weight of the prior level, in spans that do not overlap
SHAPE_SPANS = LEVEL_SPANS / 4  # weight of the prior shape: it changes less from market to market

_LEAST = 1e-12  # probability of a touch that has a score
_LEAST_SCORE = 0.001  # of a curve: a price that never moves reaches nothing
_LEAST_STEP = 1.01  # from one score of a curve to the next
_LEVELS = np.array(LEVELS)
_REFLECTED = np.array(REFLECTED)
_DIGITS = 6  # of a curve as it is baked


class Path(Protocol):
    """Candles in steps of equal length, whose prices are natural logarithms: a day each in `DailySeries`."""

    @property
    def log_close(self) -> FloatArray:
        """Return the closes (n,)."""

    @property
    def log_high(self) -> FloatArray:
        """Return the highs (n,)."""

    @property
    def log_low(self) -> FloatArray:
        """Return the lows (n,)."""

    @property
    def known(self) -> BoolArray:
        """Return whether each step (n,) has a candle."""


class Steps(NamedTuple):
    """What differs between steps of a day and of an hour."""

    burn_in: int  # steps before the first forecast
    memory: int  # steps from which the level is learned
    relearned_every: int  # steps between two curves of a backtest
    moves: tuple[float, ...]  # (10,) of the last price, that are asked for


BY_DAY = Steps(days.BURN_IN, 730, 91, DAY_MOVES)
BY_HOUR = Steps(hours.BURN_IN, 8_760, 168, HOUR_MOVES)


class TouchForecasts(NamedTuple):
    """The answers of one horizon whose outcome is known, about `Steps.moves`: (m, 10) each, at m cutoffs."""

    cutoffs: IntArray  # (m,) indices into the path
    closed: FloatArray  # the probability of a close beyond the price
    probability: FloatArray  # of a touch
    touched: BoolArray


class LearnedTouches(NamedTuple):
    """What highs and lows have taught about touches over one horizon."""

    horizon: int  # steps
    latest: FloatArray  # (6,) scores at `TOUCHED`, after the last step
    forecasts: TouchForecasts  # out of sample


class _Extremes(NamedTuple):
    """The highest and the lowest price after each of k closes, and their scores by the rule of reflection."""

    starts: IntArray  # (k,) indices into the path, ascending
    highest: FloatArray  # (k,) log price minus that of the close, at least 0
    lowest: FloatArray  # (k,) at most 0
    scores: FloatArray  # (k, 2)


def learn_touches(
    path: Path, quantiles: Mapping[int, FloatArray], cutoffs: IntArray, kind: Steps = BY_DAY
) -> Iterator[LearnedTouches]:
    """Yield what highs and lows have taught, by horizon, ascending, and the answers at the `cutoffs` (m,), ascending.

    `quantiles` (n, 7) are those of the move of log price until each horizon, in steps, as forecast at each close of the
    path. An answer rests on what was known at its cutoff, or up to `kind.relearned_every` steps before.
    """
    steps, first, moves = len(path.log_close), kind.burn_in, np.log1p(kind.moves)
    times = [*range(first, max(steps, first + 1), kind.relearned_every), max(steps - 1, first)]
    curves = np.zeros((len(times), len(TOUCHED)))
    for horizon, forecast in sorted(quantiles.items()):
        known = _extremes(path, horizon, forecast, first)
        curves = np.array(
            [_curve(known, horizon, now, kind.memory, prior) for now, prior in zip(times, curves, strict=True)]
        )
        scores = np.array(list(map(_ascending, curves)))
        rows = np.flatnonzero(np.isin(known.starts, cutoffs))
        asked = known.starts[rows]
        learned = np.searchsorted(times[:-1], asked, side="right") - 1
        closed, probability = _answers(forecast[asked], scores[learned], moves)
        highest, lowest = known.highest[rows, None], known.lowest[rows, None]
        touched = np.where(moves > 0, highest >= moves, lowest <= moves)
        yield LearnedTouches(horizon, scores[-1], TouchForecasts(asked, closed, probability, touched))


def curve_of(learned: LearnedTouches, steps_a_day: float = 1.0) -> TouchCurve:
    """Return the newest curve as it is baked."""
    scores = tuple(float(f"{value:.{_DIGITS}g}") for value in learned.latest.tolist())
    return TouchCurve(learned.horizon / steps_a_day, scores)


def _curve(known: _Extremes, horizon: int, now: int, memory: int, prior: FloatArray) -> FloatArray:
    """Return the curve learned from the extremes that were due at the step `now`; (6,) log ratios, as the `prior`."""
    due = known.starts + horizon
    past, recent = known.scores[due <= now], known.scores[(due <= now) & (due > now - memory)]
    if not len(past):
        return prior
    level, shape = _level(prior), prior - _level(prior)
    if len(recent):
        level += _trust(len(recent) / horizon, LEVEL_SPANS) * (_level(_ratios(recent)) - level)
    learned = _ratios(past)
    shape += _trust(len(past) / horizon, SHAPE_SPANS) * (learned - _level(learned) - shape)
    return np.asarray(level + shape)


def _ratios(scores: FloatArray) -> FloatArray:
    """Return (6,) the logarithms of the scores that extremes reached with `TOUCHED`, relative to those by the rule."""
    return np.asarray(np.log(np.maximum(np.quantile(scores, 1 - np.array(TOUCHED)), _LEAST_SCORE) / _REFLECTED))


def _level(ratios: FloatArray) -> float:
    """Return how far prices get on the whole: the mean of the ratios between the outermost two."""
    return float(ratios[1:-1].mean())


def _trust(spans: float, prior_spans: float) -> float:
    return spans / (spans + prior_spans)


def _ascending(ratios: FloatArray) -> FloatArray:
    """Return (6,) the scores of a curve, each above the one before."""
    scores = list[float]()
    for score in (_REFLECTED * np.exp(ratios)).tolist():
        scores.append(max(score, _LEAST_STEP * scores[-1]) if scores else score)
    return np.array(scores)


def _extremes(path: Path, horizon: int, quantiles: FloatArray, first: int) -> _Extremes:
    """Return the extremes over the `horizon` steps after each close from the `first` on, if all steps have a candle.

    `quantiles` (n, 7) are those forecast at each of n closes.
    """
    if len(path.log_close) <= first + horizon:
        nothing = np.empty(0)
        return _Extremes(np.empty(0, dtype=np.int64), nothing, nothing, np.empty((0, 2)))
    whole = np.asarray(sliding_window_view(path.known, horizon + 1).all(axis=1))
    starts = first + np.flatnonzero(whole[first:])
    closes = path.log_close[starts]
    highest = np.maximum(sliding_window_view(path.log_high[1:], horizon)[starts].max(axis=1) - closes, 0.0)
    lowest = np.minimum(sliding_window_view(path.log_low[1:], horizon)[starts].min(axis=1) - closes, 0.0)
    scores = [_scores(quantiles[starts], move[:, None]) for move in (highest, lowest)]
    return _Extremes(starts, highest, lowest, np.concatenate(scores, axis=1))


def by_reflection(quantiles: FloatArray, moves: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (n, k) the probabilities of a close beyond these moves (n, k), and of a touch by the rule of reflection.

    `quantiles` (n, 7) are those of the move until the close.
    """
    of_each = np.repeat(quantiles, moves.shape[1], axis=0)
    below = metrics.pit(moves.ravel(), of_each, _LEVELS).reshape(moves.shape)
    start = metrics.pit(np.zeros(len(quantiles)), quantiles, _LEVELS)[:, None]
    closed, ahead = np.where(moves < 0, below, 1 - below), np.where(moves < 0, start, 1 - start)
    ratio = np.divide(closed, ahead, out=np.ones_like(closed), where=ahead > closed)
    return closed, np.where(moves == 0, 1.0, ratio)


def _scores(quantiles: FloatArray, moves: FloatArray) -> FloatArray:
    """Return (n, k) the scores of a touch by the rule of reflection, at least 0."""
    _, touched = by_reflection(quantiles, moves)
    return np.asarray(np.maximum(-special.ndtri(np.maximum(touched, _LEAST) / 2), 0.0))


def _answers(quantiles: FloatArray, curves: FloatArray, asked_moves: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (n, 10) the probabilities of a close beyond moves (10,), and of a touch by the curves (n, 6)."""
    moves = np.tile(asked_moves, (len(quantiles), 1))
    closed, scores = by_reflection(quantiles, moves)[0], _scores(quantiles, moves)
    probability = np.empty_like(closed)
    for row, (curve, asked) in enumerate(zip(curves, scores, strict=True)):
        inner = np.interp(asked, [0.0, *curve], [0.0, *REFLECTED])
        probability[row] = 2 * special.ndtr(-np.where(asked > curve[-1], asked * REFLECTED[-1] / curve[-1], inner))
    return closed, np.maximum(probability, closed)


def touch_scores(learned: Sequence[LearnedTouches], kind: Steps = BY_DAY) -> tuple[TouchScore, ...]:
    """Return the scores at the horizons of `SCORED_DAYS`, or `SCORED_HOURS`, that something has come due at."""
    scored = SCORED_DAYS if kind is BY_DAY else SCORED_HOURS
    scores = [score_touches(each.horizon, each.forecasts, kind) for each in learned if each.horizon in scored]
    return tuple(filter(None, scores))


def score_touches(horizon: int, forecasts: TouchForecasts, kind: Steps = BY_DAY) -> TouchScore | None:
    """Return the scores of one horizon, in steps; None if nothing has come due."""
    _, closed, probability, touched = forecasts
    rule = np.minimum(2 * closed, 1)
    return score_of(touch_sums(rule, probability, touched), horizon, kind) if len(touched) else None


def corridor_scores(learned: Sequence[LearnedTouches], kind: Steps = BY_DAY) -> tuple[TouchScore, ...]:
    """Return the scores that the price stays between two of `Steps.moves` that are opposite, as `touch_scores`."""
    scored = SCORED_DAYS if kind is BY_DAY else SCORED_HOURS
    scores = [score_corridors(each.horizon, each.forecasts, kind) for each in learned if each.horizon in scored]
    return tuple(filter(None, scores))


def score_corridors(horizon: int, forecasts: TouchForecasts, kind: Steps = BY_DAY) -> TouchScore | None:
    """Return the scores of the corridors of one horizon, in steps; None if nothing has come due.

    By the rule of reflection a corridor is left as often as a close is beyond either border, twice.
    """
    if not len(forecasts.touched):
        return None
    below, above = slice(None, len(kind.moves) // 2), slice(None, len(kind.moves) // 2 - 1, -1)
    _, closed, probability, touched = forecasts
    rule = np.maximum(1 - 2 * (closed[:, below] + closed[:, above]), 0)
    stays = _stay(probability[:, above], probability[:, below])
    return score_of(touch_sums(rule, stays, ~(touched[:, below] | touched[:, above])), horizon, kind)


def _stay(touched: FloatArray, other: FloatArray) -> FloatArray:
    """Return `baked.touches.stay` of arrays, by the sum over reflections, or over waves where borders are near."""
    most, least = 1 - np.maximum(touched, other), np.maximum(1 - touched - other, 0)
    up, down = (-special.ndtri(np.clip(each, LEAST_TOUCH, 1) / 2) for each in (touched, other))
    width = np.maximum(up + down, np.finfo(np.float64).tiny)
    shifts = [2 * turn * width for turn in range(-TERMS, TERMS + 1)]
    reflections = sum(
        special.ndtr(up + shift)
        - special.ndtr(shift - down)
        - special.ndtr(shift - up)
        + special.ndtr(shift - up - width)
        for shift in shifts
    )
    waves = sum(
        4 / (np.pi * wave) * np.sin(np.pi * wave * down / width) * np.exp(-((np.pi * wave / width) ** 2) / 2)
        for wave in range(1, 2 * TERMS, 2)
    )
    return np.asarray(np.clip(np.where(width > SERIES, reflections, waves), least, most))


class TouchSums(NamedTuple):
    """What the scores of answers rest on; the sums of some answers and of others add up."""

    cutoffs: int
    squares: FloatArray  # (2,) of the errors of the answers, and of the rule of reflection
    tenths: FloatArray  # (10, 3) by the probability that was said: questions, what was said, what came

    def plus(self, other: "TouchSums") -> "TouchSums":
        """Return the sums over both."""
        return TouchSums(self.cutoffs + other.cutoffs, self.squares + other.squares, self.tenths + other.tenths)


def touch_sums(rule: FloatArray, probability: FloatArray, came: BoolArray) -> TouchSums:
    """Return the sums over k answers at each of m cutoffs, (m, k) each, beside those by the rule of reflection."""
    errors = (probability - came, rule - came)
    place = np.minimum((probability * TENTHS).astype(int), TENTHS - 1).ravel()
    columns = (np.ones(came.size), probability.ravel(), came.ravel().astype(np.float64))
    return TouchSums(
        cutoffs=len(came),
        squares=np.array([np.sum(error**2) for error in errors]),
        tenths=np.stack([np.bincount(place, column, TENTHS) for column in columns], axis=1),
    )


def score_of(sums: TouchSums, horizon: int, kind: Steps) -> TouchScore:
    """Return the scores of one horizon, in steps, from the sums over one answer or more."""
    questions, said, came = sums.tenths.sum(axis=0)
    share = came / questions
    tenths = [_tenth(*row) for row in sums.tenths.tolist()]
    shares = [(tenth.questions / questions, tenth) for tenth in tenths]
    return TouchScore(
        horizon_days=horizon if kind is BY_DAY else None,
        horizon_hours=None if kind is BY_DAY else horizon,
        cutoffs=sums.cutoffs,
        questions=round(questions),
        said=_figure(said / questions),
        came=_figure(share),
        brier=_figure(sums.squares[0] / questions),
        brier_reflection=_figure(sums.squares[1] / questions),
        reliability=_figure(sum(part * (tenth.said - tenth.came) ** 2 for part, tenth in shares)),
        resolution=_figure(sum(part * (tenth.came - share) ** 2 for part, tenth in shares)),
        uncertainty=_figure(share * (1 - share)),
        tenths=tuple(tenths),
    )


def _tenth(questions: float, said: float, came: float) -> TouchTenth:
    if not questions:
        return TouchTenth(0, 0.0, 0.0)
    return TouchTenth(round(questions), _figure(said / questions), _figure(came / questions))


def _figure(value: float | np.floating[Any]) -> float:
    """Round to six significant digits, as every figure of a backtest."""
    return float(f"{value:.6g}")
