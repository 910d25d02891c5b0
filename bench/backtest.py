"""How long a backtest of 100 cutoffs takes, here and with Prophet's own cross-validation."""

from __future__ import annotations

import logging
import time
from datetime import date

import numpy as np
import pandas as pd

from bench.models import BTC, DAYS, history_of
from crypto_predict.forecasting.backtest import HORIZONS, replay, splits
from crypto_predict.forecasting.interval import KNOTS
from crypto_predict.forecasting.scoring import score
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history import History

CUTOFFS = 100
LONGEST = 90  # days ahead: so much history must follow a cutoff to be scored


def seconds(source: str) -> tuple[float, float]:
    """What our whole backtest takes, and Prophet's cross-validation over 100 of the same cutoffs.

    Ours makes five candidates' forecasts, combines them, calibrates the interval and works out every score; Prophet's
    fits Prophet. Ours also runs over the few cutoffs too near the end to be scored 90 days ahead.
    """
    history = history_of(source, BTC, DAYS)
    series = DailySeries.of(history)
    every = (len(series) - 365 - LONGEST) // CUTOFFS
    cutoffs = [cutoff for cutoff in splits(len(series), every) if cutoff + LONGEST < len(series)][-CUTOFFS:]
    return _ours(series, every), _prophets(history, [series.day(cutoff) for cutoff in cutoffs])


def _ours(series: DailySeries, every: int) -> float:
    started = time.perf_counter()
    past = replay(series, {*KNOTS, *HORIZONS}, every, DAYS)
    assert past is not None, "five years are enough for a backtest"
    assert score(past, HORIZONS) is not None
    return time.perf_counter() - started


def _prophets(history: History, cutoffs: list[date]) -> float:
    from prophet import Prophet  # noqa: PLC0415 after crypto_predict.forecasting has quietened its loggers
    from prophet.diagnostics import cross_validation  # noqa: PLC0415 likewise

    for chatty in ("prophet", "cmdstanpy"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    days = pd.to_datetime([candle.open_time.replace(tzinfo=None) for candle in history.candles])
    model = Prophet(interval_width=0.8)
    model.fit(pd.DataFrame({"ds": days, "y": np.array([candle.close for candle in history.candles])}))
    started = time.perf_counter()
    cross_validation(model, horizon=f"{LONGEST} days", cutoffs=list(pd.to_datetime(cutoffs)), parallel="processes")
    return time.perf_counter() - started
