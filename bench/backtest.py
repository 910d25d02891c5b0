"""A backtest of 100 cutoffs, here and with Prophet's own cross-validation: the seconds, and the errors of both."""

import logging
import time
from collections.abc import Collection, Iterator, Sequence
from datetime import date
from statistics import fmean

import pandas as pd

from bench import models
from bench.figures import Figure
from crypto_predict.forecasting.combined.combination import LEARNED
from crypto_predict.forecasting.evaluation.replay import HORIZONS, Row, replay, splits
from crypto_predict.forecasting.evaluation.scoring import score
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history import History
from crypto_predict.wording import counted

CUTOFFS = 100
LONGEST = 90  # days ahead: so much history must follow a cutoff to be scored


def measure(source: str) -> Iterator[Figure]:
    """Run our whole backtest, and Prophet's cross-validation over 100 of the same cutoffs.

    Ours combines Prophet with persistence, calibrates the interval and computes every score; Prophet's fits
    Prophet. Ours also runs over the few cutoffs too near the end to be scored 90 days ahead. Errors are mean absolute
    errors as a share of the price.
    """
    history = models.read(source)
    series = DailySeries.of(history)
    every = (len(series) - 365 - LONGEST) // CUTOFFS
    scored = [cutoff for cutoff in splits(len(series), every) if cutoff + LONGEST < len(series)][-CUTOFFS:]
    cutoffs = [series.day(cutoff) for cutoff in scored]
    seconds, rows = _ours(series, every, cutoffs)
    prophets_seconds, forecasts = _prophets(history, cutoffs)
    yield Figure("backtest of 100 cutoffs", seconds, prophets_seconds, "Prophet's cross_validation", "s", 1 / 3)
    for days in HORIZONS:
        name, due = f"error {counted(days, 'day')} ahead", [row for row in rows if row.horizon_days == days]
        ours = 100 * fmean(abs(row.prediction / row.actual - 1) for row in due)
        persistence = 100 * fmean(abs(row.persistence / row.actual - 1) for row in due)
        ahead = forecasts[forecasts["ds"] - forecasts["cutoff"] == pd.Timedelta(days=days)]
        prophets = 100 * float((ahead["yhat"] / ahead["y"] - 1).abs().mean())
        yield Figure(name, ours, prophets, "Prophet out of the box", "%", 1)
        yield Figure(name, ours, persistence, "persistence", "%", 1)


def _ours(series: DailySeries, every: int, cutoffs: Collection[date]) -> tuple[float, list[Row]]:
    started = time.perf_counter()
    past = replay(series, {*LEARNED, *HORIZONS}, every, models.DAYS)
    assert past is not None, "five years are enough for a backtest"
    assert score(past, HORIZONS) is not None
    return time.perf_counter() - started, [row for row in past.rows() if row.cutoff in cutoffs]


def _prophets(history: History, cutoffs: Sequence[date]) -> tuple[float, pd.DataFrame]:
    from prophet.diagnostics import cross_validation  # noqa: PLC0415 after its loggers have been quietened

    for chatty in ("prophet", "cmdstanpy"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    model, days = models.fit_prophet(history), list(pd.to_datetime(list(cutoffs)))
    started = time.perf_counter()
    forecasts = cross_validation(model, horizon=f"{LONGEST} days", cutoffs=days, parallel="processes")
    return time.perf_counter() - started, forecasts
