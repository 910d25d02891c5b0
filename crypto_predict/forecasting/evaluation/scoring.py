"""From the forecasts of a backtest to the figures of the model card, always beside persistence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from crypto_predict.baked.schema import COVERAGE
from crypto_predict.baked.scores import Backtest, CandidateScore, Loss, ProphetBacktest, ProphetScore, Score, YearScore
from crypto_predict.forecasting.arrays import FloatArray, IntArray, spacing
from crypto_predict.forecasting.candidates.models import CANDIDATES
from crypto_predict.forecasting.distribution.interval import GAUSSIAN
from crypto_predict.forecasting.evaluation import metrics
from crypto_predict.forecasting.evaluation.replay import Replay, Row
from crypto_predict.wording import counted, days_listed, listed

GAUSSIAN_DAYS = 365  # of daily returns behind persistence's Gaussian interval
SIGNIFICANCE = 0.05  # two-sided, of the words
_WORTH_SAYING = 0.0005  # of the error: less reads as 0.0 %, however certain it is
_LEAST_RETURNS = 30


def score(replay: Replay, horizons: Sequence[int]) -> Backtest | None:
    """The whole backtest at these horizons; None where no forecast has come due at any of them."""
    scored = [forecasts for horizon in horizons if (forecasts := _Forecasts.of(replay, horizon)) is not None]
    if not scored:
        return None
    return Backtest(
        first_cutoff=replay.series.day(int(replay.cutoffs[0])),
        last_cutoff=replay.series.day(int(replay.cutoffs[-1])),
        cutoffs=len(replay.cutoffs),
        scores=tuple(forecasts.score() for forecasts in scored),
        years=tuple(year for forecasts in scored for year in forecasts.by_year()),
        candidates=tuple(one for forecasts in scored for one in _candidates(replay, forecasts.horizon)),
        prophet=_prophet([one.score_of_prophet(replay) for one in scored]),
        losses=tuple(loss for forecasts in scored for loss in forecasts.losses()),
    )


def only(backtest: Backtest, horizons: Sequence[int]) -> Backtest:
    """The same with the scores of these horizons alone; the losses stay, for they are what releases are compared by."""
    return replace(
        backtest,
        scores=tuple(score for score in backtest.scores if score.horizon_days in horizons),
        years=tuple(year for year in backtest.years if year.horizon_days in horizons),
        candidates=tuple(one for one in backtest.candidates if one.horizon_days in horizons),
        prophet=_prophet([one for one in _scores_of_prophet(backtest) if one.horizon_days in horizons]),
    )


def gaussian_half_widths(log_close: FloatArray, horizon: int) -> FloatArray:
    """(n,) half-widths of persistence's interval if log price is a Gaussian random walk: z sigma sqrt(h).

    Sigma is the standard deviation of the daily returns of the past year; NaN before there are thirty of them.
    """
    returns = np.diff(log_close)
    sigma = np.full(len(log_close), np.nan)
    for end in range(_LEAST_RETURNS, len(log_close)):
        sigma[end] = np.std(returns[max(0, end - GAUSSIAN_DAYS) : end], ddof=1)
    return np.asarray(GAUSSIAN * sigma * np.sqrt(horizon))


@dataclass(frozen=True)
class _Forecasts:
    """The forecasts over one horizon whose outcome is known, in the order of their cutoffs; (n,) each."""

    horizon: int
    rows: tuple[Row, ...]
    spacing: float  # days between cutoffs
    step: float  # mean absolute daily return before the first cutoff
    square_step: float  # mean square of the same
    actual: FloatArray  # log price, as are the next four
    predicted: FloatArray
    low: FloatArray
    high: FloatArray
    persistence: FloatArray
    gaussian: FloatArray  # half-width of persistence's interval

    @classmethod
    def of(cls, replay: Replay, horizon: int) -> _Forecasts | None:
        """Those of a replay; None where none has come due."""
        rows = tuple(replay.rows([horizon]))
        if not rows:
            return None
        cutoffs = np.array([row.cutoff.toordinal() for row in rows])
        before = replay.series.log_close[: int(replay.cutoffs[0]) + 1].tolist()
        half_widths = gaussian_half_widths(replay.series.log_close, horizon)
        return cls(
            horizon=horizon,
            rows=rows,
            spacing=spacing(cutoffs),
            step=metrics.naive_scale(before),
            square_step=metrics.naive_square_scale(before),
            actual=np.log([row.actual for row in rows]),
            predicted=np.log([row.prediction for row in rows]),
            low=np.log([row.low for row in rows]),
            high=np.log([row.high for row in rows]),
            persistence=np.log([row.persistence for row in rows]),
            gaussian=half_widths[cutoffs - replay.series.days[0]],
        )

    def only(self, chosen: IntArray) -> _Forecasts:
        """Those at the indices `chosen`."""
        rows = tuple(self.rows[index] for index in chosen)
        arrays = (self.actual, self.predicted, self.low, self.high, self.persistence, self.gaussian)
        return _Forecasts(
            self.horizon, rows, self.spacing, self.step, self.square_step, *(array[chosen] for array in arrays)
        )

    def score(self) -> Score:
        """Every figure of the card."""
        actual, predicted = self.actual.tolist(), self.predicted.tolist()
        prices, forecasts = [row.actual for row in self.rows], [row.prediction for row in self.rows]
        low, high = self.low.tolist(), self.high.tolist()
        sigma = ((self.high - self.low) / (2 * GAUSSIAN)).tolist()
        tail = (1 - COVERAGE) / 2
        direction = metrics.direction(
            (self.actual - self.persistence).tolist(), (self.predicted - self.persistence).tolist()
        )
        relative, p_value = self.relative_mae(), self._p_value()
        return Score(
            horizon_days=self.horizon,
            forecasts=len(self.rows),
            mae=_figure(metrics.mae(actual, predicted)),
            rmse=_figure(metrics.rmse(actual, predicted)),
            mae_price=_figure(metrics.mae(prices, forecasts)),
            rmse_price=_figure(metrics.rmse(prices, forecasts)),
            mape=_figure(metrics.mape(prices, forecasts)),
            mase=_figure(metrics.mase(actual, predicted, self.step)) if self.step else None,
            rmsse=_figure(metrics.rmsse(actual, predicted, self.square_step)) if self.square_step else None,
            pinball=_figure((metrics.pinball(actual, low, tail) + metrics.pinball(actual, high, 1 - tail)) / 2),
            crps=_figure(metrics.crps_gaussian(actual, predicted, sigma)),
            winkler=_figure(metrics.winkler(actual, low, high, COVERAGE)),
            coverage=_figure(self.coverage()),
            relative_mae=relative,
            skill=None if relative is None else _figure(1 - relative),
            relative_winkler=self.relative_winkler(),
            direction=None if direction is None else _figure(direction.share),
            direction_low=None if direction is None else _figure(direction.low),
            direction_high=None if direction is None else _figure(direction.high),
            p_value=p_value,
            words=words(self.horizon, relative, p_value),
        )

    def by_year(self) -> Iterator[YearScore]:
        """The same in short, by the calendar year of the cutoff."""
        years = np.array([row.cutoff.year for row in self.rows])
        for year in np.unique(years):
            part = self.only(np.flatnonzero(years == year))
            yield YearScore(
                year=int(year),
                horizon_days=self.horizon,
                forecasts=len(part.rows),
                relative_mae=part.relative_mae(),
                coverage=_figure(part.coverage()),
                relative_winkler=part.relative_winkler(),
            )

    def score_of_prophet(self, replay: Replay) -> ProphetScore | None:
        """How Prophet alone did at the same cutoffs; None where it could be fitted at none of them."""
        at = np.searchsorted(replay.series.days[replay.cutoffs], [row.cutoff.toordinal() for row in self.rows])
        curve, half_width = (values[at] for values in replay.prophet.at(self.horizon))
        part = replace(self, predicted=curve, low=curve - half_width, high=curve + half_width).only(
            np.flatnonzero(np.isfinite(curve))
        )
        if not part.rows:
            return None
        return ProphetScore(
            horizon_days=self.horizon,
            forecasts=len(part.rows),
            relative_mae=part.relative_mae(),
            coverage=_figure(part.coverage()),
            relative_winkler=part.relative_winkler(),
        )

    def losses(self) -> Iterator[Loss]:
        """What each forecast cost, of the first cutoff in every week since the epoch."""
        week = None
        for row, actual, predicted, low, high in zip(
            self.rows, self.actual, self.predicted, self.low, self.high, strict=True
        ):
            if (newest := row.cutoff.toordinal() // 7) != week:
                week = newest
                winkler = metrics.interval_score(float(actual), float(low), float(high), COVERAGE)
                yield Loss(row.cutoff, self.horizon, _figure(abs(float(actual - predicted))), _figure(winkler))

    def coverage(self) -> float:
        """The share of outcomes inside the interval."""
        return metrics.coverage(self.actual.tolist(), self.low.tolist(), self.high.tolist())

    def relative_mae(self) -> float | None:
        """The mean absolute error of log price, to that of persistence."""
        return _ratio(np.abs(self.actual - self.predicted), np.abs(self.actual - self.persistence))

    def relative_winkler(self) -> float | None:
        """The Winkler score, to that of persistence with its Gaussian interval."""
        ours = _winkler(self.actual, self.low, self.high)
        return _ratio(ours, _winkler(self.actual, self.persistence - self.gaussian, self.persistence + self.gaussian))

    def _p_value(self) -> float | None:
        ours, theirs = np.abs(self.actual - self.predicted), np.abs(self.actual - self.persistence)
        overlap = max(1, int(np.ceil(self.horizon / self.spacing)))
        test = metrics.diebold_mariano(ours.tolist(), theirs.tolist(), overlap)
        return None if test is None else _figure(test.p_value)


class Verdict(Enum):
    """What a comparison of errors with persistence amounts to."""

    BETTER = "better than persistence"
    WORSE = "worse than persistence"
    SAME = "no better than persistence"
    PERSISTENCE = "it is persistence, no candidate has earned a weight"
    UNKNOWN = "not comparable with persistence (too few forecasts, or a price that never moved)"


def verdict(relative_mae: float | None, p_value: float | None) -> Verdict:
    """Whether an error relative to persistence's differs from 1 by more than chance explains."""
    if relative_mae is None or p_value is None:
        return Verdict.UNKNOWN
    if p_value < SIGNIFICANCE and abs(1 - relative_mae) >= _WORTH_SAYING:
        return Verdict.BETTER if relative_mae < 1 else Verdict.WORSE
    return Verdict.PERSISTENCE if relative_mae == 1 and p_value == 1 else Verdict.SAME


def words(horizon: int, relative_mae: float | None, p_value: float | None) -> str:
    """What a comparison with persistence amounts to: "no better than persistence at 7 days, p = 0.41"."""
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
    """What the scores of Prophet alone amount to, at one horizon or more."""
    errors = {one.horizon_days: f"{one.relative_mae:.2f}" for one in scores if one.relative_mae is not None}
    compared = f"error {listed(list(errors.values()))} times persistence's at {days_listed(list(errors))}"
    held = f"its interval held {listed([f'{100 * one.coverage:.0f}' for one in scores])} % of the outcomes"
    return f"Prophet alone: {compared if errors else 'not comparable with persistence'}; {held}"


def _prophet(scores: Sequence[ProphetScore | None]) -> ProphetBacktest | None:
    known = tuple(one for one in scores if one is not None)
    return ProphetBacktest(known, prophet_words(known)) if known else None


def _scores_of_prophet(backtest: Backtest) -> tuple[ProphetScore, ...]:
    return () if backtest.prophet is None else backtest.prophet.scores


def _candidates(replay: Replay, horizon: int) -> Iterator[CandidateScore]:
    """Every candidate alone at the cutoffs whose outcome is known, and its weight in the newest forecast."""
    column = replay.horizons.index(horizon)
    actual = replay.actual(horizon)
    due = np.flatnonzero(np.isfinite(actual))
    weights = replay.combinations[column].weights[-1]
    for index, name in enumerate(CANDIDATES):
        error = np.abs(actual[due] - replay.predicted[due, index, column])
        yield CandidateScore(name, horizon, _ratio(error, np.abs(actual[due])), _figure(float(weights[index])))


def _winkler(actual: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    rows = zip(actual.tolist(), low.tolist(), high.tolist(), strict=True)
    return np.array([metrics.interval_score(*row, COVERAGE) for row in rows])


def _ratio(ours: FloatArray, theirs: FloatArray) -> float | None:
    """Of the means; None where theirs is zero or not known."""
    reference = float(np.mean(theirs))
    return _figure(float(np.mean(ours)) / reference) if reference > 0 else None


def _figure(value: float) -> float:
    """Six significant digits: more would only pretend."""
    return float(f"{value:.6g}")
