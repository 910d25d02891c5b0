"""The model card: what a reader must know before trusting a model."""

import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.baked.schema import COVERAGE, Card, Gate, PairCard, Standing
from crypto_predict.forecasting.evaluation.replay import HORIZONS
from crypto_predict.forecasting.evaluation.scoring import only, volatility
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.market import Pair
from crypto_predict.training.options import TrainSettings
from crypto_predict.training.pair import TrainedPair
from crypto_predict.version import __version__

_PACKAGES = ("cmdstanpy", "numpy", "pandas", "prophet", "scipy", "statsmodels")  # those that decide the numbers
_ROOT = Path(__file__).resolve().parents[2]


def build_card(pairs: Mapping[Pair, PairCard], gate: Gate, settings: TrainSettings, trained_at: datetime) -> Card:
    """Build the card of a whole model, trained at `trained_at` (UTC)."""
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


def build_pair_card(trained: TrainedPair, horizons: Sequence[int]) -> PairCard:
    """Build the card of one pair: its history, its backtest at `horizons`, and its forecast in 1, 7, 30 and 90 days."""
    history, past, forecast = trained.read.history, trained.read.past, trained.forecast
    evaluator = Evaluator(forecast)
    standings = []
    for horizon in HORIZONS:
        day = forecast.last + timedelta(days=horizon)
        prediction = evaluator.at(day)
        standings.append(Standing(horizon, day, prediction.price, prediction.low, prediction.high))
    return PairCard(
        source=history.source,
        traded=history.traded,
        passed_over=tuple(map(_printable, history.passed_over)),
        cross_check=trained.read.cross_check,
        simulated=history.simulated,
        first=history.candles[0].open_time,
        last=history.candles[-1].open_time,
        candles=len(history.candles),
        warm_up=len(past.candles) - len(history.candles),
        gaps=history.gaps,
        quarantined=history.quarantined,
        history_sha256=past.sha256(),
        last_close=forecast.last_close,
        volatility=volatility(DailySeries.of(past).log_close),
        anchor=forecast.anchor,
        forecast=tuple(standings),
        backtest=None if trained.backtest is None else only(trained.backtest, horizons),
    )


def _printable(text: str) -> str:
    """Return a text without control characters: a reason may quote an exchange or a file."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _git_revision() -> str | None:
    """Return the commit that this program was checked out at; None outside of a checkout."""
    if not (_ROOT / ".git").exists():
        return None
    command = ["git", "-C", str(_ROOT), "rev-parse", "HEAD"]
    try:
        git = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603 fixed words
    except (OSError, subprocess.SubprocessError):
        return None
    return git.stdout.strip()
