"""The figures of the model card from the forecasts of a backtest, always relative to persistence."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np

from crypto_predict.baked.schema import (
    COVERAGE,
    Backtest,
    Confidence,
    Loss,
    ProphetBacktest,
    ProphetScore,
    QuantileScore,
    Score,
    Verdict,
    YearScore,
    verdict,
)
from crypto_predict.forecasting.distribution.quantiles import interval_score, quantile_loss
from crypto_predict.forecasting.evaluation import metrics
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.evaluation.replay import GAUSSIAN_STEPS, Replay
from crypto_predict.forecasting.series import DailySeries, spacing
from crypto_predict.forecasting.significance import confidence, diebold_mariano, resample
from crypto_predict.history.columns import BoolArray, FloatArray, IntArray
from crypto_predict.market.forecast import LEVELS
from crypto_predict.wording import counted, days_listed, listed

_LEVELS = np.array(LEVELS)


def score(replay: Replay, horizons: Sequence[int]) -> Backtest | None:
    """Return the whole backtest at these horizons; None if no forecast has come due at any of them."""
    due = [forecasts for horizon in horizons if len((forecasts := replay.forecasts(horizon)).cutoffs)]
    if not due:
        return None
    return Backtest(
        first_cutoff=replay.series.day(replay.cutoffs[0]),
        last_cutoff=replay.series.day(replay.cutoffs[-1]),
        cutoffs=len(replay.cutoffs),
        scores=tuple(_score(replay, forecasts) for forecasts in due),
        years=tuple(year for forecasts in due for year in _years(replay, forecasts)),
        prophet=_prophet(list(filter(None, [_prophet_score(replay, forecasts) for forecasts in due]))),
        losses=tuple(loss for forecasts in due for loss in weekly_losses(replay.series, forecasts)),
    )


def only(backtest: Backtest, horizons: Sequence[int]) -> Backtest:
    """Return the scores of these horizons alone. All losses stay, since the next release is compared by them."""
    alone = () if backtest.prophet is None else backtest.prophet.scores
    return replace(
        backtest,
        scores=tuple(score for score in backtest.scores if score.horizon_days in horizons),
        years=tuple(year for year in backtest.years if year.horizon_days in horizons),
        prophet=_prophet([score for score in alone if score.horizon_days in horizons]),
    )


def _prophet(scores: Sequence[ProphetScore]) -> ProphetBacktest | None:
    return ProphetBacktest(tuple(scores), prophet_words(scores)) if scores else None


def volatility(log_close: FloatArray) -> float:
    """Return the deviation of a day in persistence's distribution at the last of n >= 3 log closes, one per day."""
    return _figure(np.std(np.diff(log_close)[-GAUSSIAN_STEPS:], ddof=1))


def _score(replay: Replay, forecasts: Forecasts) -> Score:
    """Return every figure of one horizon."""
    actual, predicted = forecasts.actual, forecasts.predicted
    prices, price_forecasts = np.exp(actual), np.exp(predicted)
    mae, rmse = metrics.mae(actual, predicted), metrics.rmse(actual, predicted)
    steps = np.diff(replay.series.log_close[: int(replay.cutoffs[0]) + 1])
    naive_mae, naive_rmse = np.mean(np.abs(steps)), np.sqrt(np.mean(steps**2))  # of persistence before the backtest
    direction = metrics.direction(actual - forecasts.persistence, predicted - forecasts.persistence)
    overlap = max(1, math.ceil(forecasts.horizon / spacing(forecasts.cutoffs)))
    ours, reference, inside = forecasts.losses(), forecasts.reference_losses(), forecasts.inside()
    test = diebold_mariano(ours["mae"], reference["mae"], overlap)
    relative = {f"relative_{name}": _ratio(ours[name], losses) for name, losses in reference.items()}
    relative_mae, p_value = relative["relative_mae"], None if test is None else _figure(test[1])
    pit = metrics.pit(actual, forecasts.quantiles, _LEVELS)
    figures = {name: np.mean(values) for name, values in (ours | inside).items()} | {
        **relative,
        "rmse": rmse,
        "mae_price": metrics.mae(prices, price_forecasts),
        "rmse_price": metrics.rmse(prices, price_forecasts),
        "mape": metrics.mape(prices, price_forecasts),
        "mase": mae / naive_mae if naive_mae else None,
        "rmsse": rmse / naive_rmse if naive_rmse else None,
        "skill": None if relative_mae is None else 1 - relative_mae,
        **dict(zip(("direction", "direction_low", "direction_high"), direction or (None,) * 3, strict=True)),
        "p_value": p_value,
        "pit_p_value": metrics.uniformity(pit[disjoint(forecasts.cutoffs, forecasts.horizon)]),
    }
    rounded: dict[str, Any] = {name: None if value is None else _figure(value) for name, value in figures.items()}
    resamples = resample(len(actual), overlap)
    return Score(
        horizon_days=forecasts.horizon,
        forecasts=len(actual),
        quantiles=tuple(_quantile_scores(forecasts, resamples)),
        confidence=_intervals(resamples, {**ours, **inside}, reference),
        pit=tuple(map(_figure, metrics.pit_histogram(pit))),
        words=words(forecasts.horizon, relative_mae, p_value),
        **rounded,
    )


def _intervals(
    resamples: tuple[FloatArray, float] | None,
    losses: Mapping[str, FloatArray | BoolArray],
    reference: dict[str, FloatArray],
) -> dict[str, Confidence]:
    """Return the confidence intervals of means of losses or hits, and of losses relative to a reference, (n,) each."""
    intervals = {name: confidence(resamples, values) for name, values in losses.items()}
    intervals |= {f"relative_{name}": confidence(resamples, losses[name], values) for name, values in reference.items()}
    return {name: Confidence(_figure(ends.low), _figure(ends.high)) for name, ends in intervals.items() if ends}


def _quantile_scores(forecasts: Forecasts, resamples: tuple[FloatArray, float] | None) -> Iterator[QuantileScore]:
    """Yield the scores of each quantile, beside that of persistence's Gaussian distribution."""
    for level, quantile in zip(LEVELS, forecasts.quantiles.T, strict=True):
        naive = forecasts.persistence + forecasts.deviation * NormalDist().inv_cdf(level)
        loss, below = quantile_loss(forecasts.actual, quantile, level), forecasts.actual <= quantile
        reference = quantile_loss(forecasts.actual, naive, level)
        yield QuantileScore(
            level=level,
            below=_figure(np.mean(below)),
            pinball=_figure(np.mean(loss)),
            relative_pinball=_ratio(loss, reference),
            confidence=_intervals(resamples, {"pinball": loss, "below": below}, {"pinball": reference}),
        )


def disjoint(cutoffs: IntArray, horizon: int) -> IntArray:
    """Return indices of ascending cutoffs (n,) whose spans of `horizon` steps do not overlap: the first, and so on."""
    indices, free = list[int](), -1
    for index, cutoff in enumerate(cutoffs.tolist()):
        if cutoff >= free:
            indices.append(index)
            free = cutoff + horizon
    return np.array(indices)


def _years(replay: Replay, forecasts: Forecasts) -> Iterator[YearScore]:
    """Yield the summary of each calendar year of cutoffs."""
    years = np.array([replay.series.day(cutoff).year for cutoff in forecasts.cutoffs])
    for year in np.unique(years).tolist():
        chosen = forecasts.only(years == year)
        yield YearScore(year=year, horizon_days=forecasts.horizon, **_summary(chosen, chosen.low, chosen.high))


def _prophet_score(replay: Replay, forecasts: Forecasts) -> ProphetScore | None:
    """Return the summary of Prophet alone at the same cutoffs, and its weight in the newest forecast.

    None if it could not be fitted at any of them.
    """
    column = replay.prophet.horizons.index(forecasts.horizon)
    rows = np.searchsorted(replay.cutoffs, forecasts.cutoffs)
    curve, half_width = replay.prophet.curve[rows, column], replay.prophet.half_widths_80[rows, column]
    fitted = np.isfinite(curve)
    if not fitted.any():
        return None
    alone = replace(forecasts, predicted=curve).only(fitted)
    low, high = (curve - half_width)[fitted], (curve + half_width)[fitted]
    weight = _figure(replay.weights[-1, replay.horizons.index(forecasts.horizon)])
    return ProphetScore(horizon_days=forecasts.horizon, weight=weight, **_summary(alone, low, high))


def weekly_losses(series: DailySeries, forecasts: Forecasts) -> Iterator[Loss]:
    """Yield the losses of the first cutoff in every week since the epoch."""
    errors = np.abs(forecasts.actual - forecasts.predicted)
    winkler = interval_score(forecasts.actual, forecasts.low, forecasts.high, COVERAGE)
    _, first = np.unique(series.days[forecasts.cutoffs] // 7, return_index=True)
    for index in first:
        day = series.day(forecasts.cutoffs[index])
        yield Loss(day, forecasts.horizon, _figure(errors[index]), _figure(winkler[index]))


def _summary(forecasts: Forecasts, low: FloatArray, high: FloatArray) -> dict[str, Any]:
    """Return the figures that all scores share, relative to persistence with its Gaussian interval."""
    actual, reference = forecasts.actual, forecasts.reference_losses()
    return {
        "forecasts": len(actual),
        "relative_mae": _ratio(np.abs(actual - forecasts.predicted), reference["mae"]),
        "coverage": _figure(np.mean((low <= actual) & (actual <= high))),
        "relative_winkler": _ratio(interval_score(actual, low, high, COVERAGE), reference["winkler"]),
    }


def words(horizon: int, relative_mae: float | None, p_value: float | None) -> str:
    """Describe a comparison with persistence: "no better than persistence at 7 days, p = 0.41"."""
    at = f"at {counted(horizon, 'day')}"
    if relative_mae is None or p_value is None:
        return f"not comparable with persistence {at}: too few forecasts, or a price that never moved"
    p = f"p = {p_value:.2f}" if p_value >= 0.01 else "p < 0.01"
    match verdict(relative_mae, p_value):
        case Verdict.BETTER | Verdict.WORSE as different:
            return f"{different.value} {at} by {abs(1 - relative_mae):.1%}, {p}"
        case Verdict.PERSISTENCE:
            return f"{Verdict.SAME.value} {at}, {p}: {Verdict.PERSISTENCE.value}"
        case same:
            return f"{same.value} {at}, {p}"


def prophet_words(scores: Sequence[ProphetScore]) -> str:
    """Describe the scores of Prophet alone, at one horizon or more."""
    errors = {score.horizon_days: f"{score.relative_mae:.2f}" for score in scores if score.relative_mae is not None}
    compared = f"error {listed(list(errors.values()))} times persistence's at {days_listed(list(errors))}"
    coverage = f"its interval held {listed([f'{100 * score.coverage:.0f}' for score in scores])} % of the outcomes"
    return f"Prophet alone: {compared if errors else 'not comparable with persistence'}; {coverage}"


def _ratio(ours: FloatArray, theirs: FloatArray) -> float | None:
    """Return the ratio of the means; None where the second is zero or unknown."""
    reference = float(np.mean(theirs))
    return _figure(float(np.mean(ours)) / reference) if reference > 0 else None


def _figure(value: float | np.floating[Any]) -> float:
    """Round to six significant digits: more would suggest a precision that is not there."""
    return float(f"{value:.6g}")
