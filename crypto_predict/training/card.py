"""The model card: what a reader must know before trusting a model."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.baked.schema import COVERAGE, Card, Gate, PairCard, PairForecast, Standing
from crypto_predict.baked.scores import Backtest
from crypto_predict.forecasting.evaluation.replay import HORIZONS
from crypto_predict.history import History
from crypto_predict.market import Pair
from crypto_predict.settings import TrainSettings
from crypto_predict.version import __version__

_PACKAGES = ("cmdstanpy", "numpy", "pandas", "prophet", "scipy", "statsmodels")  # those that decide the numbers
_ROOT = Path(__file__).resolve().parents[2]


def build_card(settings: TrainSettings, pairs: Mapping[Pair, PairCard], gate: Gate, trained_at: datetime) -> Card:
    """The card of a whole model; `trained_at` is in UTC."""
    version = settings.version or __version__
    return Card(
        version=version,
        build=f"{version}-{trained_at:%Y%m%d%H%M%S}",
        git_revision=settings.git_revision or _git_revision(),
        trained_at=trained_at,
        python=platform.python_version(),
        packages={name: importlib.metadata.version(name) for name in _PACKAGES},
        days=settings.days,
        seed=settings.seed,
        coverage=COVERAGE,
        simulated=any(pair.simulated for pair in pairs.values()),
        pairs=dict(pairs),
        gate=gate,
    )


def build_pair_card(history: History, past: History, forecast: PairForecast, backtest: Backtest | None) -> PairCard:
    """The card of one pair: its history, its backtest, and where its forecast stands in 1, 7, 30 and 90 days.

    Args:
        history: What was fitted.
        past: The same with the days before it that only the backtest and the interval know.
        forecast: As it will be baked.
        backtest: Of that past.
    """
    return PairCard(
        source=history.source,
        simulated=history.simulated,
        first=history.candles[0].open_time,
        last=history.candles[-1].open_time,
        candles=len(history.candles),
        warm_up=len(past.candles) - len(history.candles),
        gaps=history.gaps,
        quarantined=history.quarantined,
        history_sha256=past.sha256(),
        last_close=forecast.last_close,
        anchor=forecast.anchor,
        forecast=_standings(forecast),
        backtest=backtest,
    )


def _standings(forecast: PairForecast) -> tuple[Standing, ...]:
    evaluator = Evaluator(forecast)
    days = [forecast.last + timedelta(days=horizon) for horizon in HORIZONS]
    predictions = [evaluator.at_close(day) for day in days]
    return tuple(
        Standing(horizon, day, prediction.price, prediction.low, prediction.high)
        for horizon, day, prediction in zip(HORIZONS, days, predictions, strict=True)
    )


def _git_revision() -> str | None:
    """The commit this program was checked out at; None where it runs outside a checkout."""
    if not (_ROOT / ".git").exists():
        return None
    command = ["git", "-C", str(_ROOT), "rev-parse", "HEAD"]
    try:
        git = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603 fixed words
    except (OSError, subprocess.SubprocessError):
        return None
    return git.stdout.strip()
