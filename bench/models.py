"""Both models of one comparison, trained on the same history."""

from __future__ import annotations

import pickle
from pathlib import Path

import pandas as pd

from crypto_predict.baked import store
from crypto_predict.forecasting.evaluation.replay import HORIZONS
from crypto_predict.history import History, read_history
from crypto_predict.market import Interval, Pair
from crypto_predict.sources.catalog import open_sources
from crypto_predict.training.pipeline import train, utc_now
from crypto_predict.training.settings import BacktestPlan, GatePlan, HistoryRequest, Outputs, TrainSettings

BTC = Pair("BTC", "USD")
DAYS = 1825
CUTOFF_EVERY = 30  # days; serving is not faster for a longer backtest
SEED = 0


def bake(source: str, path: Path) -> None:
    """Train this project's model and write its file."""
    settings = TrainSettings(
        HistoryRequest((BTC,), (source,), DAYS),
        BacktestPlan(HORIZONS, CUTOFF_EVERY),
        Outputs(path),
        GatePlan(enforced=False),
    )
    train(settings, utc_now())


def pickle_prophet(source: str, path: Path) -> None:
    """Fit Prophet out of the box to the same closes and pickle it, which its own documentation advises against."""
    from prophet import Prophet  # noqa: PLC0415 after crypto_predict.forecasting has quietened its loggers

    history = history_of(source, BTC, DAYS)
    days = pd.to_datetime([candle.open_time.replace(tzinfo=None) for candle in history.candles])
    model = Prophet(interval_width=0.8)
    model.fit(pd.DataFrame({"ds": days, "y": [candle.close for candle in history.candles]}))
    path.write_bytes(pickle.dumps(model))


def first_and_last_day(path: Path) -> tuple[int, int]:
    """The range of this project's model, as ordinals: its first candle and 365 days after its last."""
    forecast = store.load(path).forecasts[BTC]
    return forecast.first.toordinal(), forecast.end.toordinal()


def history_of(source: str, pair: Pair, days: int) -> History:
    """The daily history that is measured on."""
    sources = open_sources((source,), {}, SEED, (pair,))
    history, _ = read_history(sources, pair, Interval.DAY_1, days, None, utc_now())
    return history
