"""A backtest of 100 cutoffs, here and with Prophet's own cross-validation: how long it takes, and how far both err."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import fmean

import pandas as pd

from bench.models import BTC, DAYS, history_of
from crypto_predict.forecasting.candidates.combination import LEARNED
from crypto_predict.forecasting.evaluation.replay import HORIZONS, Row, replay, splits
from crypto_predict.forecasting.evaluation.scoring import score
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history import History

CUTOFFS = 100
LONGEST = 90  # days ahead: so much history must follow a cutoff to be scored


@dataclass(frozen=True, slots=True)
class Comparison:
    """What both took and how far both erred, on the same cutoffs."""

    ours: float  # seconds
    prophets: float
    our_errors: dict[int, float]  # by days ahead: mean absolute error, a share of the price
    prophets_errors: dict[int, float]
    persistence_errors: dict[int, float]  # of "the price stays what it is"


def compare(source: str) -> Comparison:
    """Run our whole backtest, and Prophet's cross-validation over 100 of the same cutoffs.

    Ours makes five candidates' forecasts, combines them, calibrates the interval and works out every score; Prophet's
    fits Prophet. Ours also runs over the few cutoffs too near the end to be scored 90 days ahead.
    """
    history = history_of(source, BTC, DAYS)
    series = DailySeries.of(history)
    every = (len(series) - 365 - LONGEST) // CUTOFFS
    scored = [cutoff for cutoff in splits(len(series), every) if cutoff + LONGEST < len(series)][-CUTOFFS:]
    cutoffs = [series.day(cutoff) for cutoff in scored]
    ours, rows = _ours(series, every)
    prophets, forecasts = _prophets(history, cutoffs)
    return Comparison(
        ours=ours,
        prophets=prophets,
        our_errors=_errors(rows, cutoffs, "prediction"),
        prophets_errors={days: _prophets_error(forecasts, days) for days in HORIZONS},
        persistence_errors=_errors(rows, cutoffs, "persistence"),
    )


def _ours(series: DailySeries, every: int) -> tuple[float, list[Row]]:
    started = time.perf_counter()
    past = replay(series, {*LEARNED, *HORIZONS}, every, DAYS)
    assert past is not None, "five years are enough for a backtest"
    assert score(past, HORIZONS) is not None
    return time.perf_counter() - started, list(past.rows())


def _prophets(history: History, cutoffs: Sequence[date]) -> tuple[float, pd.DataFrame]:
    from prophet import Prophet  # noqa: PLC0415 after crypto_predict.forecasting has quietened its loggers
    from prophet.diagnostics import cross_validation  # noqa: PLC0415 likewise

    for chatty in ("prophet", "cmdstanpy"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    days = pd.to_datetime([candle.open_time.replace(tzinfo=None) for candle in history.candles])
    model = Prophet(interval_width=0.8)
    model.fit(pd.DataFrame({"ds": days, "y": [candle.close for candle in history.candles]}))
    started = time.perf_counter()
    forecasts = cross_validation(
        model, horizon=f"{LONGEST} days", cutoffs=list(pd.to_datetime(list(cutoffs))), parallel="processes"
    )
    return time.perf_counter() - started, forecasts


def _errors(rows: Sequence[Row], cutoffs: Sequence[date], forecast: str) -> dict[int, float]:
    chosen = [row for row in rows if row.cutoff in cutoffs]
    return {
        days: fmean(abs(getattr(row, forecast) / row.actual - 1) for row in chosen if row.horizon_days == days)
        for days in HORIZONS
    }


def _prophets_error(forecasts: pd.DataFrame, days: int) -> float:
    ahead = forecasts[forecasts["ds"] - forecasts["cutoff"] == pd.Timedelta(days=days)]
    return float((ahead["yhat"] / ahead["y"] - 1).abs().mean())
