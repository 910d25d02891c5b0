"""Both models of one comparison, trained on the same history."""

import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from crypto_predict.baked import store
from crypto_predict.forecasting.evaluation.replay import HORIZONS
from crypto_predict.history import History, read_history
from crypto_predict.market import Interval, Pair
from crypto_predict.sources.catalog import open_sources
from crypto_predict.training.options import TrainSettings
from crypto_predict.training.pipeline import train

BTC = Pair("BTC", "USD")
DAYS = 1825
CUTOFF_EVERY = 30  # days; serving is not faster for a longer backtest


def bake(source: str, path: Path) -> tuple[int, int]:
    """Train this project's model and write its file; return its first and its last day as ordinals."""
    settings = TrainSettings(
        pairs=(BTC,),
        sources=(source,),
        days=DAYS,
        horizons=HORIZONS,
        every=CUTOFF_EVERY,
        output=path,
        enforced=False,
    )
    train(settings, datetime.now(UTC))
    forecast = store.load(path).forecasts[BTC]
    return forecast.first.toordinal(), forecast.end.toordinal()


def pickle_prophet(source: str, path: Path) -> None:
    """Fit Prophet out of the box to the same closes and pickle it, which its own documentation advises against."""
    with pd.option_context("mode.string_storage", "python"):  # the peer's image has no pyarrow
        path.write_bytes(pickle.dumps(fit_prophet(read(source))))


def fit_prophet(history: History) -> Any:
    """Fit Prophet out of the box."""
    from prophet import Prophet  # noqa: PLC0415 after crypto_predict.forecasting has quietened its loggers

    days = pd.to_datetime([candle.open_time.replace(tzinfo=None) for candle in history.candles])
    model = Prophet(interval_width=0.8)
    return model.fit(pd.DataFrame({"ds": days, "y": [candle.close for candle in history.candles]}))


def read(source: str) -> History:
    """Read the daily history that is measured on."""
    sources = open_sources((source,), {}, 0, (BTC,))
    history, _ = read_history(sources, BTC, Interval.DAY_1, DAYS, None, datetime.now(UTC))
    return history
