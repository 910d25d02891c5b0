"""The rolling-origin evaluation: what would have been forecast at each cutoff, with nothing but what lay before it.

A cutoff is a day at whose close the forecast is made; the history up to and including that close is known, everything
after it is not. The target `horizon` days ahead is the close of the day that many days later (Tashman, "Out-of-sample
tests of forecasting accuracy", International Journal of Forecasting 16, 2000).
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
from threading import Thread

import numpy as np
from threadpoolctl import threadpool_limits

from crypto_predict.baked.schema import KNOTS
from crypto_predict.forecasting.arrays import FloatArray, IntArray
from crypto_predict.forecasting.candidates.combination import Combination, combine
from crypto_predict.forecasting.candidates.models import Answers, ask_all
from crypto_predict.forecasting.candidates.prophet_alone import ProphetReplay, replay_prophet
from crypto_predict.forecasting.distribution.interval import half_widths
from crypto_predict.forecasting.series import DailySeries

HORIZONS = (1, 7, 30, 90)  # days, scored unless others are asked for
FIRST_CUTOFF = 365  # days of history before the first cutoff, or half of a history shorter than two years
LEAST_HISTORY = 120  # days; a shorter history says nothing about how a forecast does
_WORTH_A_PROCESS = 200  # cutoffs; fewer are done before a second process has imported what it needs

Progress = Callable[[int], object]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Row:
    """One forecast and what came of it. Prices in the quote currency."""

    cutoff: date
    horizon_days: int
    target: date
    actual: float
    prediction: float
    low: float
    high: float
    persistence: float  # the close of the cutoff


@dataclass(frozen=True)
class Replay:
    """Every forecast that could be made over one history."""

    series: DailySeries
    cutoffs: IntArray  # (m,) indices into the series, ascending; the last one is the last day
    horizons: tuple[int, ...]
    predicted: FloatArray  # (m, candidates, horizons) increments of log price
    combinations: tuple[Combination, ...]  # by horizon
    half_widths: FloatArray  # (m, horizons) half-widths of the interval in log price
    prophet: ProphetReplay  # Prophet alone at the same cutoffs

    def rows(self, horizons: Sequence[int] = HORIZONS) -> Iterator[Row]:
        """The forecasts whose outcome is known, cutoff by cutoff. A day without a candle is no target and no cutoff."""
        columns = [(self.horizons.index(horizon), horizon) for horizon in horizons]
        for row, cutoff in enumerate(self.cutoffs):
            for column, horizon in columns:
                target = cutoff + horizon
                if target < len(self.series) and self.series.known[cutoff] and self.series.known[target]:
                    yield self._row(row, column, int(cutoff), int(target))

    def actual(self, horizon: int) -> FloatArray:
        """(m,) the increments of log price that came about; NaN where it is not known yet, or a day has no candle."""
        return self.series.increments(self.cutoffs, horizon)

    def _row(self, row: int, column: int, cutoff: int, target: int) -> Row:
        log_close = self.series.log_close
        centre, half_width = log_close[cutoff], self.half_widths[row, column]
        forecast = centre + self.combinations[column].increments[row]
        return Row(
            cutoff=self.series.day(cutoff),
            horizon_days=self.horizons[column],
            target=self.series.day(target),
            actual=float(np.exp(log_close[target])),
            prediction=float(np.exp(forecast)),
            low=float(np.exp(min(centre - half_width, forecast))),
            high=float(np.exp(max(centre + half_width, forecast))),
            persistence=float(np.exp(centre)),
        )


def splits(count: int, every: int) -> Iterator[int]:
    """The cutoffs in a history of `count` days: the last day, and each `every` days before it, ascending.

    The first has a year of history behind it, or half of a history shorter than two years.
    """
    first = max(0, min(FIRST_CUTOFF, count // 2) - 1)
    yield from range(first + (count - 1 - first) % every, count, every)


def replay(
    series: DailySeries, horizons: Iterable[int], every: int, longest: int, progress: Progress = bool
) -> Replay | None:
    """Make every forecast of the history again; None where it is too short for any.

    The result does not depend on how many processes share the work.

    Args:
        series: The whole history.
        horizons: Days ahead.
        every: Days from one cutoff to the next.
        longest: Days of history that any forecast sees.
        progress: Told how many more cutoffs are done.
    """
    if len(series) < LEAST_HISTORY:
        return None
    asked = tuple(sorted(set(horizons)))
    cutoffs = np.array(list(splits(len(series), every)))
    known = [series.until(int(cutoff), longest) for cutoff in cutoffs]
    alone = tuple(sorted({*KNOTS, *asked}))
    answers = list(_answers(known, asked, alone, progress))
    predicted = np.array([one.increments for one in answers])
    combinations = tuple(
        combine(cutoffs, predicted[:, :, column], series.increments(cutoffs, horizon), horizon)
        for column, horizon in enumerate(asked)
    )
    widths = np.array([half_widths(series.log_close, horizon)[cutoffs] for horizon in asked]).T
    widths = np.maximum.accumulate(widths, axis=1)  # never smaller further ahead, as in what is baked
    return Replay(
        series, cutoffs, asked, predicted, combinations, widths, replay_prophet(series, cutoffs, alone, answers)
    )


def _answers(
    known: Sequence[DailySeries], horizons: Sequence[int], alone: Sequence[int], progress: Progress
) -> Iterator[Answers]:
    """What every candidate says at each cutoff, in order; by as many processes as there are cores."""
    ask = partial(ask_all, horizons=horizons, alone=alone)
    done = 0
    if len(known) >= _WORTH_A_PROCESS:
        try:
            for answers in _by_processes(ask, known):
                progress(1)
                done += 1
                yield answers
        except BrokenProcessPool as error:
            _log.warning("the backtest goes on in one process: %s", error)
    with threadpool_limits(1):
        for answers in map(ask, known[done:]):
            progress(1)
            yield answers


def _by_processes(ask: Callable[[DailySeries], Answers], known: Sequence[DailySeries]) -> Iterator[Answers]:
    # A process that is started anew inherits no lock that another thread holds, as a forked one does. The matrices are
    # small: threads within each process would only wait for one another.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context, initializer=_begin_work) as pool:
        yield from pool.map(ask, known, chunksize=8)


def _begin_work() -> None:
    """Make a process one that uses a single thread and does not outlive the one it works for, however that ends."""
    # It holds for the libraries that are loaded. By now they all are: it took them to find this function.
    threadpool_limits(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)  # the thread that waits for work would never look up
