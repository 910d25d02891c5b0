"""The test of all models of one pair, ours and those that ``--rivals`` names, and what the model file gets of each."""

import hashlib
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from crypto_predict.baked.evaluation import COMBINED, PROPHET, Curve
from crypto_predict.baked.models import ModelReport, PairwiseScore, Quantiles
from crypto_predict.baked.schema import HORIZON_DAYS, PairForecast
from crypto_predict.command_line import SECRETS
from crypto_predict.errors import InvalidValue, SourceError
from crypto_predict.forecasting.evaluation import harness
from crypto_predict.forecasting.evaluation.comparison import compare, score_model
from crypto_predict.forecasting.evaluation.harness import Issued
from crypto_predict.forecasting.evaluation.replay import Replay
from crypto_predict.forecasting.models.contract import Model, ModelFailed
from crypto_predict.forecasting.models.deribit import Deribit
from crypto_predict.forecasting.models.garch import Garch
from crypto_predict.forecasting.models.gaussian import Gaussian
from crypto_predict.forecasting.models.rival import Rival
from crypto_predict.history import History
from crypto_predict.history.columns import FloatArray
from crypto_predict.sources.deribit import CURRENCIES, read_index
from crypto_predict.training.options import TrainSettings
from crypto_predict.wording import listed

BUILT_IN = "built in"
REQUIREMENTS = "requirements.txt"  # beside the file of a rival

_log = logging.getLogger(__name__)


class Tested(NamedTuple):
    """What the test of one pair has shown."""

    reports: tuple[ModelReport, ...]  # ours first, then in the order of `--rivals`
    pairwise: tuple[PairwiseScore, ...]
    quantiles: dict[str, Quantiles]  # of the models that are served beside ours and Prophet


def test_models(history: History, replay: Replay | None, forecast: PairForecast, settings: TrainSettings) -> Tested:
    """Let every model forecast the past days of a history, score it, and compare it with the others.

    A model that fails is left out with its reason; nothing else changes. Without a `replay` the history is too short
    for any test.
    """
    if replay is None:
        return Tested((), (), {})
    horizons, series = settings.horizons, replay.series
    candidates: dict[str, Issued] = {COMBINED: harness.ours(replay)}
    reports = [_report(candidates[COMBINED], BUILT_IN, None, replay, horizons)]
    for name in settings.rivals:
        label, path = _label(name), Path(name) if _is_file(name) else None
        try:
            issued = _issued(name, history, replay, forecast, settings)
            if issued.name in candidates:
                raise ModelFailed(issued.name, "another model has this name")
        except ModelFailed as failed:
            _log.warning("%s: model %s is left out: %s", history.pair, failed.name, failed.reason)
            reports.append(_left_out(label, name, path, failed.reason))
            continue
        candidates[issued.name] = issued
        reports.append(_report(issued, name if path else BUILT_IN, path, replay, horizons))
    due = [
        [
            (name, forecasts)
            for name, issued in candidates.items()
            if len((forecasts := issued.forecasts(series, horizon)).cutoffs)
        ]
        for horizon in horizons
    ]
    return Tested(
        tuple(reports),
        tuple(pairwise for models in due for pairwise in compare(models)),
        {
            name: tuple(tuple(float(f"{value:.7g}") for value in row) for row in issued.ahead.tolist())
            for name, issued in candidates.items()
            if issued.ahead is not None and name not in {COMBINED, PROPHET}
        },
    )


def _issued(name: str, history: History, replay: Replay, forecast: PairForecast, settings: TrainSettings) -> Issued:
    """Return the forecasts of the model that `--rivals` names."""
    if name == PROPHET:
        return harness.prophet(replay, _curve(forecast))
    if _is_file(name) and name.endswith(".csv"):
        return harness.published(_label(name), Path(name), history, settings.horizons)
    every = settings.every if name in BUILT_INS else settings.rival_every
    run: Callable[[Model], Issued] = lambda model: harness.issue(  # noqa: E731
        model, history, settings.horizons, every, settings.rival_seconds
    )
    if name in BUILT_INS:
        return run(BUILT_INS[name](history, settings))
    with Rival(Path(name), settings.rival_seconds, SECRETS, settings.rival_user) as rival:
        return run(rival)


def _deribit(history: History, settings: TrainSettings) -> Deribit:
    if history.pair.base not in CURRENCIES or history.pair.quote in CURRENCIES:
        raise ModelFailed(Deribit.name, f"there is no index of {history.pair}, only of {listed(CURRENCIES)} in dollars")
    try:
        return Deribit(read_index(history.pair.base, history.candles[-1].open_time.date(), settings.environ))
    except SourceError as error:
        raise ModelFailed(Deribit.name, error.reason) from error
    except InvalidValue as error:
        raise ModelFailed(Deribit.name, str(error)) from error


BUILT_INS: dict[str, Callable[[History, TrainSettings], Model]] = {
    Gaussian.name: lambda *_: Gaussian(),
    Garch.name: lambda *_: Garch(),
    Deribit.name: _deribit,
}


def _curve(forecast: PairForecast) -> FloatArray:
    """Return (365,) Prophet's log prices after the last day."""
    curve, last = Curve(forecast.scale, forecast.trend, forecast.seasonalities), forecast.last.toordinal()
    return np.array([curve.at(last + day) for day in range(1, HORIZON_DAYS + 1)])


def _report(issued: Issued, source: str, path: Path | None, replay: Replay, horizons: Sequence[int]) -> ModelReport:
    due = [issued.forecasts(replay.series, horizon) for horizon in horizons if horizon in issued.horizons]
    return ModelReport(
        name=issued.name,
        source=source,
        sha256=None if path is None else _digest(path),
        requirements=_requirements(path),
        cutoffs=len(issued.cutoffs),
        fits=issued.fits,
        first_cutoff=replay.series.day(issued.cutoffs[0]),
        scores=tuple(score_model(forecasts) for forecasts in due if len(forecasts.cutoffs)),
        left_out=None,
    )


def _left_out(label: str, source: str, path: Path | None, reason: str) -> ModelReport:
    digest = None if path is None or not path.is_file() else _digest(path)
    return ModelReport(label, source if path else BUILT_IN, digest, _requirements(path), 0, 0, None, (), reason)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _requirements(path: Path | None) -> tuple[str, ...]:
    """Return the lines of the requirements beside a rival's file that name a package.

    Options and addresses are left out: they may contain a password, and a model file is public.
    """
    try:
        lines = [] if path is None else (path.parent / REQUIREMENTS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ()
    named = [re.split("[#@]", line)[0].strip() for line in lines]
    return tuple(text for text in named if text and not text.startswith("-") and "://" not in text)[:50]


def _is_file(name: str) -> bool:
    return name.endswith((".py", ".csv"))


def _label(name: str) -> str:
    """Return the name of a model that has not said it."""
    return Path(name).stem.replace("_", "-").lower()[:30]
