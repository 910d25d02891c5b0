"""One test for all models, ours and other people's: the same cutoffs, histories that end there, common targets.

A model gets a copy of the history up to each cutoff and forecasts some horizons; nothing that follows is handed over.
Its answer at the newest cutoff, of all days ahead, is what a release bakes. Every figure of a model is of the forecasts
whose outcome is known, beside persistence at the same targets, and two models are compared at those that they share.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from crypto_predict.baked.schema import HORIZON_DAYS, KNOTS
from crypto_predict.forecasting.distribution.quantiles import GAUSSIAN, enclosing
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.evaluation.replay import Replay, gaussian_half_widths, splits
from crypto_predict.forecasting.models.calibration import around, half_widths, interpolated
from crypto_predict.forecasting.models.contract import MOST_MOVED, Model, ModelFailed, checked, frame
from crypto_predict.forecasting.models.published import read_published
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history import History
from crypto_predict.history.columns import FloatArray, IntArray
from crypto_predict.market.forecast import LEVELS
from crypto_predict.wording import counted, days_listed, duration

_LEAST_SECONDS = 5.0  # from which the time of a test is worth a line
_MIDDLE = LEVELS.index(0.5)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Issued:
    """The forecasts that a model has made, in log price."""

    name: str
    cutoffs: IntArray  # (m,) indices into the series, ascending
    horizons: tuple[int, ...]  # days, ascending
    points: FloatArray  # (m, horizons); NaN where there is no forecast
    quantiles: FloatArray  # (m, horizons, 7) at `LEVELS`
    ahead: FloatArray | None  # (365, 7) at the newest cutoff, 1, 2, ... days ahead; None if it has no such forecast
    fits: int
    seconds: float

    def forecasts(self, series: DailySeries, horizon: int) -> Forecasts:
        """Return the forecasts of one horizon whose outcome is known, and of which persistence has a distribution."""
        column, increments = self.horizons.index(horizon), series.increments(self.cutoffs, horizon)
        deviation = (gaussian_half_widths(series.log_close, 1) / GAUSSIAN)[self.cutoffs] * np.sqrt(horizon)
        due = np.isfinite(increments) & np.isfinite(self.points[:, column]) & np.isfinite(deviation)
        cutoffs = self.cutoffs[due]
        centre = series.log_close[cutoffs]
        return Forecasts(
            horizon,
            cutoffs,
            actual=centre + increments[due],
            predicted=self.points[due, column],
            persistence=centre,
            quantiles=self.quantiles[due, column],
            deviation=deviation[due],
        )


def cutoffs_of(model: Model, series: DailySeries, every: int, step: int = 1) -> IntArray:
    """Return the cutoffs (m,) of a model, ascending, the last day included; no cutoff is a day without a candle.

    They are `every` days apart, or as many as between two fits if that is more and the model does not update. Those of
    ours are `step` days apart; which of them a model shares depends on the day alone, so that the next release has the
    same ones.
    """
    apart = every if model.updates else max(every, model.refit_every)
    cutoffs = np.array(list(splits(len(series), step)))
    kept = series.known[cutoffs] & (series.days[cutoffs] % apart < step)
    if model.first_cutoff is not None:
        kept &= series.days[cutoffs] >= model.first_cutoff.toordinal()
    kept[-1] = True
    return np.asarray(cutoffs[kept])


def issue(  # noqa: PLR0913, PLR0917 the last has a default
    model: Model,
    history: History,
    scored: Sequence[int],
    every: int,
    limit: float,
    progress: Callable[[int], object] = bool,
    step: int = 1,
) -> Issued:
    """Let a model forecast at its cutoffs of a daily history, `scored` days ahead, and 1 to 365 after the newest.

    `every` and `step` are those of `cutoffs_of`. After `limit` seconds only the newest forecast is still asked for.
    `progress` gets the number of cutoffs done.

    Raises:
        ModelFailed: It fails, or its answers are not prices.
    """
    series, whole, name = DailySeries.of(history), frame(history), model.name
    days, cutoffs = history.candles.days, cutoffs_of(model, series, every, step)
    horizons = tuple(sorted({*KNOTS, *scored}))
    apart = -(-model.refit_every // every) if model.updates else 1  # cutoffs from one fit to the next
    counts = counted(-(-len(cutoffs) // apart), "fit"), counted(len(cutoffs), "forecast")
    _log.info("%s: the model %s makes %s and %s", history.pair, name, *counts)
    logs = np.full((len(cutoffs), len(horizons), len(LEVELS)), np.nan)
    fits, fitted, begun, are_points = 0, -1, time.monotonic(), False
    for index, cutoff in enumerate(cutoffs.tolist()):
        is_last = index == len(cutoffs) - 1
        if time.monotonic() - begun > limit and not is_last:
            continue
        count = int(np.searchsorted(days, series.days[cutoff], side="right"))
        past, close = whole.iloc[:count].copy(), float(history.candles.close[count - 1])
        if fitted < 0 or not model.updates or cutoff - fitted >= model.refit_every:
            model.fit(past)
            fits, fitted = fits + 1, cutoff
        else:
            model.update(past)
        asked_for = tuple(range(1, HORIZON_DAYS + 1)) if is_last else horizons
        answer = checked(name, model.forecast(asked_for, LEVELS), close, asked_for, LEVELS)
        if index and are_points != (answer.ndim == 1):
            raise ModelFailed(name, "its answers are points and quantiles by turns")
        are_points = answer.ndim == 1
        rows = np.repeat(answer[:, None], len(LEVELS), axis=1) if are_points else answer
        logs[index] = rows[np.array(horizons) - 1] if is_last else rows
        if index == 0 and (seconds := (time.monotonic() - begun) * len(cutoffs) / apart) >= _LEAST_SECONDS:
            _log.info("%s: the model %s takes about %s", history.pair, name, duration(timedelta(seconds=seconds)))
        progress(1)
    tested = int(np.isfinite(logs[:-1, 0, 0]).sum())
    if not tested and len(cutoffs) > 1:
        raise ModelFailed(name, f"no forecast within {limit:g} seconds")
    if tested < len(cutoffs) - 1:
        text = "%s: the model %s is scored on %d of %d cutoffs, those of %s"
        _log.warning(text, history.pair, name, tested, len(cutoffs) - 1, duration(timedelta(seconds=limit)))
    points = logs[:, :, _MIDDLE]
    if are_points:
        widths = half_widths(series, cutoffs, horizons, points)
        logs, rows = around(points, widths), _ahead(rows[:, _MIDDLE], widths[-1], horizons)
    return Issued(name, cutoffs, horizons, points, logs, rows, fits, time.monotonic() - begun)


def published(name: str, path: Path, history: History, scored: Sequence[int]) -> Issued:
    """Return the forecasts of a file (`models.published`) at the days of a history that it has them for.

    Raises:
        ModelFailed: As `read_published`, or no forecast is of these days.
    """
    series, (forecasts, are_points) = DailySeries.of(history), read_published(path)
    days = sorted({day for day, horizon in forecasts if horizon in scored} & set(history.candles.days.tolist()))
    if not days:
        raise ModelFailed(name, f"it has no forecast at a day of the history, {days_listed(sorted(scored))} ahead")
    newest = [forecasts.get((int(series.days[-1]), day)) for day in range(1, HORIZON_DAYS + 1)]
    ahead = None if any(row is None for row in newest) else np.array(newest)
    # Points that are served need a range on every day.
    horizons = tuple(sorted({*scored, *(KNOTS if are_points and ahead is not None else ())}))
    nothing = np.full(len(LEVELS), np.nan)
    logs = np.array([[forecasts.get((day, horizon), nothing) for horizon in horizons] for day in days])
    cutoffs, points = np.array(days) - series.days[0], logs[:, :, _MIDDLE]
    far = np.abs(logs - series.log_close[cutoffs][:, None, None]) > math.log(MOST_MOVED)
    if far.any():
        row = int(np.argmax(far.any(axis=(1, 2))))
        day, close = series.day(cutoffs[row]), math.exp(series.log_close[cutoffs[row]])
        raise ModelFailed(name, f"a price forecast on {day} is {MOST_MOVED:,.0f} times off the close, {close:g}")
    if are_points:
        widths = half_widths(series, cutoffs, horizons, points)
        logs = around(points, widths)
        ahead = None if ahead is None else _ahead(ahead[:, _MIDDLE], widths[-1], horizons)
    return Issued(name, cutoffs, horizons, points, logs, ahead, 0, 0.0)


def ours(replay: Replay) -> Issued:
    """Return the combined forecasts of a replay."""
    centre = replay.series.log_close[replay.cutoffs][:, None]
    points = centre + replay.predicted * replay.weights
    quantiles = np.stack(
        [enclosing(centre + replay.quantiles[:, place], points[:, place]) for place in range(len(replay.horizons))],
        axis=1,
    )
    return Issued("combined", replay.cutoffs, replay.horizons, points, quantiles, None, len(replay.cutoffs), 0.0)


def prophet(replay: Replay, curve: FloatArray) -> Issued:
    """Return the forecasts of Prophet alone in a replay; `curve` (365,) are its log prices after the last day."""
    alone = replay.prophet
    quantiles = around(alone.curve, alone.half_widths)
    ahead = _ahead(curve, alone.half_widths[-1], alone.horizons)
    return Issued("prophet", replay.cutoffs, alone.horizons, alone.curve, quantiles, ahead, len(replay.cutoffs), 0.0)


def _ahead(points: FloatArray, widths: FloatArray, horizons: Sequence[int]) -> FloatArray:
    """Return (365, 7) the quantiles around `points` (365,), from the half-widths (horizons, 3) at some horizons."""
    return around(points, interpolated(widths, horizons, range(1, len(points) + 1)))
