"""The test of all models of one pair, ours and those that ``--rivals`` names, and what the model file gets of each."""

import hashlib
import itertools
import logging
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np

from crypto_predict.baked import evaluation
from crypto_predict.baked.evaluation import COMBINED, MODELS, PROPHET, Curve
from crypto_predict.baked.models import MOST_MODELS, Hindcast, ModelReport, PairwiseScore, Quantiles
from crypto_predict.baked.schema import HORIZON_DAYS, Loss, PairForecast
from crypto_predict.command_line import SECRETS
from crypto_predict.errors import InvalidValue, SourceError
from crypto_predict.forecasting.evaluation import harness
from crypto_predict.forecasting.evaluation.comparison import compare, score_model
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.evaluation.harness import Issued
from crypto_predict.forecasting.evaluation.hindcasts import hindcast
from crypto_predict.forecasting.evaluation.replay import HORIZONS, LEAST_HISTORY, Replay, splits
from crypto_predict.forecasting.evaluation.scoring import weekly_losses
from crypto_predict.forecasting.gate.thresholds import GateThresholds
from crypto_predict.forecasting.gate.verdict import calibration_faults, champion_faults, serving_faults
from crypto_predict.forecasting.models.contract import Model, ModelFailed
from crypto_predict.forecasting.models.deribit import Deribit
from crypto_predict.forecasting.models.gaussian import Gaussian
from crypto_predict.forecasting.models.rival import Rival
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history import History
from crypto_predict.history.columns import FloatArray
from crypto_predict.prerequisites import quick_imports
from crypto_predict.sources.deribit import CURRENCIES, read_index
from crypto_predict.training.options import TrainSettings
from crypto_predict.wording import as_line, listed

BUILT_IN = "built in"
REQUIREMENTS = "requirements.txt"  # beside the file of a rival

_MOST_REQUIREMENTS = 50  # lines
_LONGEST_NAME = 30

_log = logging.getLogger(__name__)

Progress = Callable[[int], object]


class Tested(NamedTuple):
    """What the test of one pair has shown."""

    reports: tuple[ModelReport, ...]  # ours first, then in the order of `--rivals`
    pairwise: tuple[PairwiseScore, ...]
    quantiles: dict[str, Quantiles]  # of the models that are served beside ours and Prophet
    hindcasts: dict[str, Hindcast]  # ours first
    served: str  # the model that answers by default
    not_served: str | None  # why it is not the one of the settings
    losses: tuple[Loss, ...] | None  # of the default if that is not ours


class _Origin(TypedDict):
    """The fields of a report that say who made the model."""

    source: str
    sha256: str | None
    requirements: tuple[str, ...]


class _Steps:
    """The steps of one model: a progress bar gets exactly as many as were counted before the training."""

    def __init__(self, expected: int, progress: Progress) -> None:
        self._left, self._progress = expected, progress

    def __call__(self, count: int) -> None:
        """Pass on so many steps."""
        steps = min(count, self._left)
        self._left -= steps
        self._progress(steps)

    def finish(self) -> None:
        """Pass on those that are left: a model may have fewer cutoffs, or fail."""
        self(self._left)


def test_models(  # noqa: PLR0913, PLR0917 all that a test may need
    history: History,
    replay: Replay | None,
    forecast: PairForecast,
    champion: Sequence[Loss],
    settings: TrainSettings,
    progress: Progress,
) -> Tested:
    """Let every model forecast the past days of a history, score it, and compare it with the others.

    A model that fails is left out with its reason; nothing else changes. The one of ``--serve`` does not answer if the
    gate would refuse its scores, alone or beside the losses of what answered in the `champion`. Without a `replay` the
    history is too short for any test. `progress` gets the steps of `count_steps`.
    """
    if replay is None:
        short = f"{settings.serve} is not tested: the history is too short"
        return Tested((), (), {}, {}, COMBINED, None if settings.serve == COMBINED else short, None)
    series, models = replay.series, {COMBINED: harness.ours(replay)}
    reports = [_report(models[COMBINED], COMBINED, replay, settings.horizons)]
    quantiles: dict[str, Quantiles] = {}
    for source in settings.rivals:
        steps = _Steps(_count_steps(source, len(series), settings), progress)
        try:
            issued = _issued(source, history, replay, forecast, settings, steps)
            _check_name(issued.name, source, models)
            if issued.ahead is not None and issued.name not in MODELS:
                quantiles[issued.name] = _baked(issued.name, issued.ahead, forecast)
        except ModelFailed as failed:
            _log.warning("%s: model %s is left out: %s", history.pair, failed.name, failed.reason)
            reports.append(_left_out(source, {report.name for report in reports}, failed.reason))
        else:
            models[issued.name] = issued
            reports.append(_report(issued, source, replay, settings.horizons))
        steps.finish()
    due = [
        [
            (name, forecasts)
            for name, issued in models.items()
            if horizon in issued.horizons and len((forecasts := issued.forecasts(series, horizon)).cutoffs)
        ]
        for horizon in settings.horizons
    ]
    first = forecast.first.toordinal()
    hindcasts = {name: hindcast(issued, series, first) for name, issued in models.items()}
    has_forecast = {COMBINED, *quantiles, *([PROPHET] if forecast.prophet_bands else [])}
    not_served, losses = _not_served(settings.serve, reports, has_forecast), None
    if not_served is None and settings.serve != COMBINED:
        served = _due(models[settings.serve], series, {*HORIZONS, *settings.horizons})
        losses = tuple(loss for forecasts in served for loss in weekly_losses(series, forecasts))
        not_served = _refusal(settings.serve, served, losses, champion, settings.thresholds)
    if not_served is not None:
        _log.warning("%s: the default is the model %s: %s", history.pair, COMBINED, not_served)
    return Tested(
        reports=tuple(reports),
        pairwise=tuple(pairwise for forecasts in due for pairwise in compare(forecasts)),
        quantiles=quantiles,
        hindcasts={name: value for name, value in hindcasts.items() if value is not None},
        served=settings.serve if not_served is None else COMBINED,
        not_served=not_served,
        losses=losses if not_served is None else None,
    )


def count_steps(history: History, settings: TrainSettings) -> int:
    """Return the number of forecasts that the test of all models but ours makes at most."""
    days = len(DailySeries.of(history))
    return sum(_count_steps(source, days, settings) for source in settings.rivals) if days >= LEAST_HISTORY else 0


def _count_steps(source: str, days: int, settings: TrainSettings) -> int:
    if source == PROPHET or source.endswith(".csv"):  # whose forecasts are there already
        return 0
    return len(list(splits(days, _every(source, settings))))


def _every(source: str, settings: TrainSettings) -> int:
    return settings.every if source in BUILT_INS else settings.rival_every


def _issued(  # noqa: PLR0913, PLR0917 all that a model may need
    source: str, history: History, replay: Replay, forecast: PairForecast, settings: TrainSettings, progress: Progress
) -> Issued:
    """Return the forecasts of the model that `--rivals` names."""
    if source == PROPHET:
        return harness.prophet(replay, _curve(forecast))
    if source.endswith(".csv"):
        return harness.published(_label(source), Path(source), history, settings.horizons)
    run: Callable[..., Issued] = partial(
        harness.issue,
        history=history,
        scored=settings.horizons,
        every=_every(source, settings),
        progress=progress,
        step=settings.every,
    )
    if source not in BUILT_INS:
        with Rival(Path(source), settings.rival_seconds, SECRETS, settings.rival_user) as rival:
            return run(rival, limit=settings.rival_seconds)
    try:
        # No limit: on a busy machine the same history would give another model file.
        return run(BUILT_INS[source](history, settings), limit=math.inf)
    except (ArithmeticError, ValueError) as error:  # a history that it cannot be fitted to
        raise ModelFailed(source, f"{type(error).__name__}: {error}") from error


def _deribit(history: History, settings: TrainSettings) -> Deribit:
    if history.pair.base not in CURRENCIES or history.pair.quote in CURRENCIES:
        raise ModelFailed(Deribit.name, f"there is no index of {history.pair}, only of {listed(CURRENCIES)} in dollars")
    try:
        return Deribit(read_index(history.pair.base, history.candles[-1].open_time.date(), settings.environ))
    except SourceError as error:
        raise ModelFailed(Deribit.name, error.reason) from error
    except InvalidValue as error:
        raise ModelFailed(Deribit.name, str(error)) from error


# The libraries of these models take up to a second to import: that is for trainings that name them.
def _garch(*_: object) -> Model:
    with quick_imports():
        from crypto_predict.forecasting.models.garch import Garch  # noqa: PLC0415 see above
    return Garch()


def _autoregression(*_: object) -> Model:
    with quick_imports():
        from crypto_predict.forecasting.models.autoregression import Autoregression  # noqa: PLC0415 see above
    return Autoregression()


def _smoothing(name: str, *_: object) -> Model:
    with quick_imports():
        from crypto_predict.forecasting.models.smoothing import Smoothing  # noqa: PLC0415 see above
    return Smoothing(name)


BUILT_INS: dict[str, Callable[[History, TrainSettings], Model]] = {
    Gaussian.name: lambda *_: Gaussian(),
    "garch": _garch,
    Deribit.name: _deribit,
    "autoregression": _autoregression,
    **{name: partial(_smoothing, name) for name in ("theta", "damped-trend", "local-level")},
}


def _check_name(name: str, source: str, models: Mapping[str, Issued]) -> None:
    """Raise `ModelFailed` if a model cannot have this name beside the `models`, or would be one too many."""
    if name in models or (source not in {PROPHET, *BUILT_INS} and name in {PROPHET, *BUILT_INS}):
        raise ModelFailed(name, f"another model has the name {name}")
    if len(models) > MOST_MODELS:
        raise ModelFailed(name, f"a pair has at most {MOST_MODELS} models beside ours")


def _baked(name: str, ahead: FloatArray, forecast: PairForecast) -> Quantiles:
    """Return the quantiles of a model as they are baked.

    Raises:
        ModelFailed: Its prices could not be shown with the decimals of the pair.
    """
    quantiles = tuple(tuple(float(f"{value:.7g}") for value in row) for row in ahead.tolist())
    if faults := evaluation.faults(replace(forecast, models={name: quantiles})):
        raise ModelFailed(name, faults[0])
    return quantiles


def _not_served(name: str, reports: Sequence[ModelReport], has_forecast: Collection[str]) -> str | None:
    """Return why the model of this name cannot answer by default; None if it can."""
    if name == COMBINED:
        return None
    report = next((report for report in reports if report.name == name), None)
    if report is None:
        return f"{name} is not among the models that were tested, {listed([report.name for report in reports])}"
    if report.left_out is not None:
        return f"{name} is left out: {report.left_out}"
    if name not in has_forecast:
        return f"{name} has no forecast of the coming days"
    if not report.scores:
        return f"{name} has no forecast that has come due"
    return next((f"{name} {fault}" for fault in serving_faults(report.scores)), None)


def _refusal(
    name: str,
    due: Sequence[Forecasts],
    losses: Sequence[Loss],
    champion: Sequence[Loss],
    thresholds: GateThresholds,
) -> str | None:
    """Return why the gate would refuse a release in which this model answers by default; None if it would not."""
    faults = calibration_faults(due, thresholds)
    faults += champion_faults(losses, champion, thresholds)
    return f"{name} does not pass the gate: {faults[0]}" if faults else None


def _due(issued: Issued, series: DailySeries, horizons: Collection[int]) -> list[Forecasts]:
    """Return the forecasts of a model whose outcome is known, by horizon, of those of `horizons` that it has any of."""
    past = (issued.forecasts(series, horizon) for horizon in sorted({*horizons} & {*issued.horizons}))
    return [forecasts for forecasts in past if len(forecasts.cutoffs)]


def _curve(forecast: PairForecast) -> FloatArray:
    """Return (365,) Prophet's log prices after the last day."""
    curve, last = Curve(forecast.scale, forecast.trend, forecast.seasonalities), forecast.last.toordinal()
    return np.array([curve.at(last + day) for day in range(1, HORIZON_DAYS + 1)])


def _report(issued: Issued, source: str, replay: Replay, horizons: Sequence[int]) -> ModelReport:
    cutoffs = issued.cutoffs[np.isfinite(issued.points).any(axis=1)]
    return ModelReport(
        name=issued.name,
        cutoffs=len(cutoffs),
        fits=issued.fits,
        first_cutoff=replay.series.day(cutoffs[0]) if len(cutoffs) else None,
        scores=tuple(map(score_model, _due(issued, replay.series, horizons))),
        left_out=None,
        **_origin(source),
    )


def _left_out(source: str, names: Collection[str], reason: str) -> ModelReport:
    """Return the report of a model that is left out, under a name that differs from the other `names`."""
    label = _label(source)
    numbered = (f"{label[: _LONGEST_NAME - 4]}-{number}" for number in itertools.count(2))
    name = next(name for name in itertools.chain([label], numbered) if name not in names)
    return ModelReport(name=name, cutoffs=0, fits=0, first_cutoff=None, scores=(), left_out=reason, **_origin(source))


def _origin(source: str) -> _Origin:
    if not source.endswith((".py", ".csv")):
        return {"source": BUILT_IN, "sha256": None, "requirements": ()}
    path = Path(source)
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    return {"source": as_line(source), "sha256": digest, "requirements": _requirements(path)}


def _requirements(path: Path) -> tuple[str, ...]:
    """Return the lines of the requirements beside a rival's file that name a package.

    Options and addresses are left out: they may contain a password, and a model file is public.
    """
    try:
        lines = (path.parent / REQUIREMENTS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ()
    named = [as_line(re.split("[#@]", line)[0]) for line in lines]
    return tuple(text for text in named if text and not text.startswith("-") and "://" not in text)[:_MOST_REQUIREMENTS]


def _label(source: str) -> str:
    """Return the name of a model that has not said it, from what `--rivals` names."""
    words = re.sub("[^a-z0-9]+", "-", Path(source).stem.lower()).strip("-")
    return (words if words[:1].isalpha() else f"model-{words}")[:_LONGEST_NAME].strip("-")
