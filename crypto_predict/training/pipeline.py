"""The training pipeline: for every pair its history, its fit and its card; then one model file."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from crypto_predict.baked import store
from crypto_predict.baked.schema import Model, PairCard
from crypto_predict.errors import InvalidValue
from crypto_predict.forecasting.forecast import FittedForecast, forecast_pair
from crypto_predict.history import read_history
from crypto_predict.market import Interval, Pair
from crypto_predict.settings import TrainSettings
from crypto_predict.sources.catalog import open_sources
from crypto_predict.sources.port import Source
from crypto_predict.training.card import build_card, build_pair_card

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainedPair:
    """What training one pair gave."""

    fitted: FittedForecast
    card: PairCard
    fit_seconds: float


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What one run gave: the model as written, and how long each fit took."""

    model: Model
    output: Path
    fit_seconds: dict[Pair, float]


def train(settings: TrainSettings, now: datetime) -> TrainingRun:
    """Train every pair and write the model file; nothing is written unless all of it succeeded.

    Args:
        settings: What to do.
        now: The present, in UTC; a candle that is not closed by then never enters a fit.

    Raises:
        InvalidValue: The settings contradict themselves, or an output cannot be written where they say.
        UnusableHistory: Some pair has no usable history in any source.
        OSError: A file cannot be written.
    """
    _check_outputs(settings)
    sources = open_sources(settings.sources, settings.exchanges, settings.seed, settings.pairs)
    with tqdm(total=2 * len(settings.pairs), bar_format=_BAR, disable=None) as progress:
        trained = {pair: _train_pair(pair, sources, settings, now, progress) for pair in settings.pairs}
    return _bake(settings, trained, settings.trained_at or now.replace(microsecond=0))


_BAR = "{desc} |{bar:30}| {n_fmt}/{total_fmt} steps, {elapsed}"


def _train_pair(
    pair: Pair, sources: Sequence[Source], settings: TrainSettings, now: datetime, progress: tqdm[None]
) -> TrainedPair:
    progress.set_description(f"{pair}: reading history")
    history = read_history(sources, pair, Interval.DAY_1, settings.days, settings.until, now)
    progress.update()
    progress.set_description(f"{pair}: fitting {len(history.candles)} candles")
    started = time.perf_counter()
    fitted = forecast_pair(history, settings.seed)
    seconds = time.perf_counter() - started
    progress.update()
    return TrainedPair(fitted, build_pair_card(history, fitted.forecast), seconds)


def _bake(settings: TrainSettings, trained: dict[Pair, TrainedPair], trained_at: datetime) -> TrainingRun:
    model = Model(
        card=build_card(settings, {pair: result.card for pair, result in trained.items()}, trained_at),
        forecasts={pair: result.fitted.forecast for pair, result in trained.items()},
    )
    if settings.prophet_json is not None:
        for pair, result in trained.items():
            path = _path_for(settings.prophet_json, pair)
            store.write_atomically(path, result.fitted.prophet.to_json().encode())
            _log.info("wrote Prophet's own model of %s to %s", pair, path)
    store.save(model, settings.output)
    return TrainingRun(model, settings.output, {pair: result.fit_seconds for pair, result in trained.items()})


def _check_outputs(settings: TrainSettings) -> None:
    """Refuse now what could not be written after minutes of work."""
    outputs = {"--output": settings.output}
    if settings.prophet_json is not None:
        paths = {_path_for(settings.prophet_json, pair) for pair in settings.pairs}
        if len(paths) < len(settings.pairs):
            raise InvalidValue("--prophet-json", str(settings.prophet_json), "one file a pair: write {base}-{quote}")
        outputs["--prophet-json"] = settings.prophet_json
    for option, path in outputs.items():
        if path.is_dir() or not path.parent.is_dir():
            raise InvalidValue(option, str(path), "a file in a folder that exists")


def _path_for(template: Path, pair: Pair) -> Path:
    return Path(str(template).replace("{base}", pair.base).replace("{quote}", pair.quote))


def utc_now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)
