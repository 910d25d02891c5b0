"""The training pipeline: for every pair its history, its fit and its card; then one model file."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Never

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from crypto_predict.baked import store
from crypto_predict.baked.schema import Model
from crypto_predict.errors import InvalidValue, Refused
from crypto_predict.forecasting.forecast import FittedForecast, forecast_pair
from crypto_predict.forecasting.quality import history_faults
from crypto_predict.history import History, Judge, closing_limit, read_history
from crypto_predict.market import Interval, Pair
from crypto_predict.settings import TrainSettings
from crypto_predict.sources.catalog import open_sources
from crypto_predict.sources.port import Source
from crypto_predict.training.card import build_card, build_pair_card
from crypto_predict.training.picture import save_picture

PICTURE_FORMATS = (".svg", ".png", ".pdf")
_BAR = "{desc} |{bar:30}| {n_fmt}/{total_fmt} steps, {elapsed}"


@dataclass(frozen=True, slots=True)
class TrainedPair:
    """What training one pair gave."""

    history: History
    fitted: FittedForecast
    fit_seconds: float


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What one run gave: the model as written, and how long each fit took."""

    model: Model
    output: Path
    fit_seconds: dict[Pair, float]


def train(settings: TrainSettings, now: datetime) -> TrainingRun:
    """Train every pair and write what was asked for, the model file last: it changes only if all else succeeded.

    Args:
        settings: What to do.
        now: The present, in UTC; a candle that is not closed by then never enters a fit.

    Raises:
        InvalidValue: The settings contradict themselves, or an output cannot be written where they say.
        Refused: The gate found what must not ship; all of it, of every pair.
        UnusableHistory: Some pair has no usable history in any source.
        OSError: A file cannot be written.
    """
    _check_outputs(settings)
    sources = open_sources(settings.sources, settings.exchanges, settings.seed, settings.pairs)
    steps = 2 * len(settings.pairs)
    with logging_redirect_tqdm(), tqdm(total=steps, bar_format=_BAR, disable=None) as progress:
        histories = _read_histories(sources, settings, now, progress)
        trained = {pair: _train_pair(history, settings, progress) for pair, history in histories.items()}
    return _write(settings, trained, settings.trained_at or now.replace(microsecond=0))


def utc_now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


def _read_histories(
    sources: Sequence[Source], settings: TrainSettings, now: datetime, progress: tqdm[Never]
) -> dict[Pair, History]:
    """The history of every pair, before the first of them is fitted: a refusal names the faults of all."""
    histories: dict[Pair, History] = {}
    reasons: list[str] = []
    judge = _judge(settings, now)
    for pair in settings.pairs:
        progress.set_description_str(f"{pair}: reading history")
        try:
            histories[pair] = read_history(
                sources,
                pair,
                Interval.DAY_1,
                settings.days,
                settings.until,
                now,
                judge if settings.enforce_gate else None,
            )
        except Refused as error:
            reasons += error.reasons
        progress.update()
    if reasons:
        raise Refused(reasons)
    return histories


def _judge(settings: TrainSettings, now: datetime) -> Judge:
    """The history half of the gate."""
    limit = closing_limit(settings.until, now)
    return lambda history: history_faults(history, settings.gate, limit, settings.days)


def _train_pair(history: History, settings: TrainSettings, progress: tqdm[Never]) -> TrainedPair:
    progress.set_description_str(f"{history.pair}: fitting {len(history.candles)} candles")
    started = time.perf_counter()
    fitted = forecast_pair(history, settings.seed)
    seconds = time.perf_counter() - started
    progress.update()
    return TrainedPair(history, fitted, seconds)


def _write(settings: TrainSettings, trained: dict[Pair, TrainedPair], trained_at: datetime) -> TrainingRun:
    """Write every file that was asked for, the model last: a new model means that all of it succeeded."""
    cards = {pair: build_pair_card(result.history, result.fitted.forecast) for pair, result in trained.items()}
    model = Model(
        card=build_card(settings, cards, trained_at),
        forecasts={pair: result.fitted.forecast for pair, result in trained.items()},
    )
    for pair, result in trained.items():
        if settings.prophet_json is not None:
            store.write_atomically(_path_for(settings.prophet_json, pair), result.fitted.prophet.to_json().encode())
        if settings.picture is not None:
            save_picture(result.history, result.fitted.forecast, model.card, _path_for(settings.picture, pair))
    store.save(model, settings.output)
    return TrainingRun(model, settings.output, {pair: result.fit_seconds for pair, result in trained.items()})


def _check_outputs(settings: TrainSettings) -> None:
    """Refuse now what could not be written after minutes of work, or would destroy what is no model."""
    written = {settings.output.resolve()}
    _check_folder("--output", settings.output)
    for option, template in (("--prophet-json", settings.prophet_json), ("--picture", settings.picture)):
        if template is None:
            continue
        paths = {_path_for(template, pair) for pair in settings.pairs}
        if len(paths) < len(settings.pairs):
            raise InvalidValue(option, str(template), "one file a pair: write {base}-{quote} in its name")
        for path in paths:
            _check_folder(option, path)
            if path.resolve() in written:
                raise InvalidValue(option, str(path), "a file of its own")
            written.add(path.resolve())
    for read in (path for source in settings.sources for path in _read_files(source, settings.pairs)):
        if read.resolve() in written:
            raise InvalidValue("--source", f"file:{read}", "another file than those that are written")
    if settings.picture is not None and settings.picture.suffix.lower() not in PICTURE_FORMATS:
        raise InvalidValue("--picture", str(settings.picture), f"a file ending in {', '.join(PICTURE_FORMATS)}")


def _check_folder(option: str, path: Path) -> None:
    if path.exists() and not path.is_file():
        raise InvalidValue(option, str(path), "a regular file")
    if not os.access(path.resolve().parent, os.W_OK):
        raise InvalidValue(option, str(path), "a file in a folder that exists and can be written to")


def _read_files(source: str, pairs: Sequence[Pair]) -> list[Path]:
    """The files that a source reads."""
    kind, _, path = source.partition(":")
    return [_path_for(Path(path), pair) for pair in pairs] if kind == "file" else []


def _path_for(template: Path, pair: Pair) -> Path:
    """The template with the pair's currencies in place of ``{base}`` and ``{quote}``."""
    return Path(str(template).replace("{base}", pair.base).replace("{quote}", pair.quote))
