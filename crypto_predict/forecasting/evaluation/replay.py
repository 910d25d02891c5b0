"""The rolling-origin evaluation: the forecast of every past cutoff, from nothing but the history before it.

A cutoff is an index into the series: the history up to and including its close is known, everything after it is not.
The target is the close `horizon` steps later (Tashman, "Out-of-sample tests of forecasting accuracy", International
Journal of Forecasting 16, 2000). A step is one place of the series, a day here: the candidates are daily models.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import date
from functools import partial
from multiprocessing.connection import wait
from operator import attrgetter
from statistics import NormalDist
from threading import Thread

import numpy as np
from threadpoolctl import threadpool_limits

from crypto_predict.baked.schema import KNOTS
from crypto_predict.forecasting.candidates.combination import learn_weights
from crypto_predict.forecasting.candidates.models import Answers, ask_all
from crypto_predict.forecasting.candidates.prophet_alone import ProphetReplay, replay_prophet
from crypto_predict.forecasting.distribution.interval import GAUSSIAN, half_widths
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import BoolArray, FloatArray, IntArray
from crypto_predict.market.forecast import LEVELS

HORIZONS = (1, 7, 30, 90)  # steps, scored by default
FIRST_CUTOFF = 365  # steps of history before the first cutoff, or half of a history shorter than two such spans
LEAST_HISTORY = 120  # steps; a shorter history has no backtest
_WORTH_A_PROCESS = 200  # cutoffs; fewer are finished before a second process has started

Progress = Callable[[int], object]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Row:
    """One forecast and its outcome. Prices in the quote currency."""

    cutoff: date
    horizon_days: int
    target: date
    actual: float
    prediction: float
    low: float
    high: float
    persistence: float  # the close of the cutoff


@dataclass(frozen=True)
class Forecasts:
    """The forecasts over one horizon whose outcome is known, by ascending cutoff: (n,) each, in log price."""

    horizon: int
    cutoffs: IntArray  # indices into the series
    actual: FloatArray
    predicted: FloatArray
    low: FloatArray
    high: FloatArray
    persistence: FloatArray  # the close of the cutoff

    @property
    def quantiles(self) -> FloatArray:
        """Quantiles at `LEVELS`, (n, 7): Gaussian on either side of the median, through the ends of the interval."""
        scores = np.array([NormalDist().inv_cdf(level) for level in LEVELS]) / GAUSSIAN
        below, above = self.predicted - self.low, self.high - self.predicted
        return self.predicted[:, None] + scores * np.where(scores < 0, below[:, None], above[:, None])

    def only(self, chosen: BoolArray) -> Forecasts:
        """Return the `chosen` (n,) ones."""
        prices = (self.actual, self.predicted, self.low, self.high, self.persistence)
        return Forecasts(self.horizon, self.cutoffs[chosen], *(price[chosen] for price in prices))


@dataclass(frozen=True)
class Replay:
    """Every forecast that could be made over one history."""

    series: DailySeries
    cutoffs: IntArray  # (m,) indices into the series, ascending; the last one is the last step
    horizons: tuple[int, ...]  # steps, ascending
    predicted: FloatArray  # (m, candidates, horizons) increments of log price
    weights: FloatArray  # (m, candidates, horizons) of the combination
    half_widths: FloatArray  # (m, horizons) half-widths of the interval in log price
    prophet: ProphetReplay  # Prophet alone at the same cutoffs

    def forecasts(self, horizon: int) -> Forecasts:
        """Return the forecasts of one horizon. Neither cutoff nor target is a step without a candle."""
        column, due = self.horizons.index(horizon), np.isfinite(self.actual(horizon))
        cutoffs = self.cutoffs[due]
        centre = self.series.log_close[cutoffs]
        predicted = centre + np.sum(self.predicted[due, :, column] * self.weights[due, :, column], axis=1)
        half_width = self.half_widths[due, column]
        return Forecasts(
            horizon,
            cutoffs,
            actual=self.series.log_close[cutoffs + horizon],
            predicted=predicted,
            low=np.minimum(centre - half_width, predicted),
            high=np.maximum(centre + half_width, predicted),
            persistence=centre,
        )

    def rows(self, horizons: Sequence[int] = HORIZONS) -> list[Row]:
        """Return the same forecasts in prices, sorted by cutoff, then by horizon."""
        rows = []
        for found in map(self.forecasts, horizons):
            columns = np.exp([found.actual, found.predicted, found.low, found.high, found.persistence])
            for cutoff, prices in zip(found.cutoffs.tolist(), columns.T.tolist(), strict=True):
                target = self.series.day(cutoff + found.horizon)
                rows.append(Row(self.series.day(cutoff), found.horizon, target, *prices))
        return sorted(rows, key=attrgetter("cutoff", "horizon_days"))

    def actual(self, horizon: int) -> FloatArray:
        """Return (m,) the actual increments of log price; NaN where unknown, or where a step has no candle."""
        return self.series.increments(self.cutoffs, horizon)


def splits(count: int, every: int) -> Iterator[int]:
    """Yield the cutoffs in a history of `count` steps, ascending: the last step, and each `every` steps before it.

    The first has `FIRST_CUTOFF` steps of history, or half of a history shorter than twice that.
    """
    first = max(0, min(FIRST_CUTOFF, count // 2) - 1)
    yield from range(first + (count - 1 - first) % every, count, every)


def replay(  # noqa: PLR0913, PLR0917 the last two have defaults
    series: DailySeries,
    horizons: Iterable[int],
    every: int,
    longest: int,
    progress: Progress = bool,
    processes: int | None = None,
) -> Replay | None:
    """Repeat every forecast of the history; None if it is shorter than `LEAST_HISTORY`.

    Cutoffs are `every` steps apart, and each forecast uses at most the `longest` steps of history before it. `progress`
    is called with the number of cutoffs finished since the last call. The result does not depend on the number of
    `processes`: one for each core if not given, or only this one if there are few cutoffs.
    """
    if len(series) < LEAST_HISTORY:
        return None
    asked = tuple(sorted(set(horizons)))
    alone = tuple(sorted({*KNOTS, *asked}))
    cutoffs = np.array(list(splits(len(series), every)))
    known = [series.until(int(cutoff), longest) for cutoff in cutoffs]
    if processes is None:
        processes = os.cpu_count() or 1 if len(known) >= _WORTH_A_PROCESS else 1
    answers = list(_answers(partial(ask_all, horizons=asked, alone=alone), known, progress, processes))
    predicted = np.array([one.increments for one in answers])
    weights = [
        learn_weights(cutoffs, predicted[:, :, column], series.increments(cutoffs, horizon), horizon)
        for column, horizon in enumerate(asked)
    ]
    widths = np.array([half_widths(series.log_close, horizon)[cutoffs] for horizon in asked]).T
    widths = np.maximum.accumulate(widths, axis=1)  # never smaller further ahead, as in what is baked
    prophet = replay_prophet(series, cutoffs, alone, answers)
    return Replay(series, cutoffs, asked, predicted, np.stack(weights, axis=2), widths, prophet)


def _answers(
    ask: Callable[[DailySeries], Answers], known: Sequence[DailySeries], progress: Progress, processes: int
) -> Iterator[Answers]:
    """Yield the candidates' forecasts at each cutoff, in order."""
    done = 0
    if processes > 1:
        # A spawned process inherits no lock that another thread holds, as a forked one does.
        context = multiprocessing.get_context("spawn")
        try:
            with ProcessPoolExecutor(processes, context, initializer=_begin_work) as pool:
                for answers in pool.map(ask, known, chunksize=8):
                    progress(1)
                    done += 1
                    yield answers
        except BrokenProcessPool as error:
            _log.warning("the backtest continues in one process: %s", error)
    with threadpool_limits(1):  # the matrices are small: threads would only wait for one another
        for answers in map(ask, known[done:]):
            progress(1)
            yield answers


def _begin_work() -> None:
    """Limit a worker process to one thread, and end it when its parent ends, however that happens."""
    threadpool_limits(1)  # applies to loaded libraries: finding this function has loaded all of them
    parent = multiprocessing.parent_process()
    if parent is not None:
        Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)  # the main thread may wait for work for ever
