"""One pair: the prices that it is trained on, its backtest, its forecast, its card, and its faults."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Never

from tqdm import tqdm

from crypto_predict.baked.evaluation import COMBINED, Evaluator
from crypto_predict.baked.schema import HORIZON_DAYS, Anchor, Loss, Model, PairCard, PairForecast, Standing
from crypto_predict.errors import Refused, SourceError, UnusableHistory
from crypto_predict.forecasting.combined.combination import LEARNED
from crypto_predict.forecasting.daily import forecast_pair
from crypto_predict.forecasting.evaluation.replay import HORIZONS, LEAST_HISTORY, Row, replay, splits
from crypto_predict.forecasting.evaluation.scoring import only, score, volatility
from crypto_predict.forecasting.evaluation.touches import corridor_scores, touch_scores
from crypto_predict.forecasting.gate.quality import anchor_faults, cross_check_faults, history_faults
from crypto_predict.forecasting.gate.thresholds import GateThresholds
from crypto_predict.forecasting.gate.verdict import calibration_faults, champion_faults
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history import MIN_CANDLES, History, candles_since, closing_limit, compare_last_close, read_history
from crypto_predict.market import DAY, Candle, Interval, Pair
from crypto_predict.market.ports import CandleSource
from crypto_predict.sources.network.session import answer_within
from crypto_predict.threads import started
from crypto_predict.training.hours import HourlyHistory, learn_hours, read_hours
from crypto_predict.training.options import TrainSettings
from crypto_predict.training.rivals import count_steps, test_models
from crypto_predict.wording import as_line, counted

# Days read before those that a fit sees: the first forecasts of the backtest have a year behind them, and the interval
# starts from more days than it is scored on.
WARM_UP = 365
CROSS_CHECK_SECONDS = 20  # for the answers of all other exchanges together, of which one candle is needed

# The history with its warm-up, its source, the card without forecast and backtest, what a gate that is not enforced
# has found, and the hours.
PairHistory = tuple[History, CandleSource, PairCard, tuple[str, ...], HourlyHistory]

_log = logging.getLogger(__name__)


def read_pair(sources: Sequence[CandleSource], pair: Pair, settings: TrainSettings, now: datetime) -> PairHistory:
    """Read the history of one pair, and the newest price, where its forecast starts.

    Raises:
        Refused: The gate is enforced and accepts the history of no source, or not the newest price.
        UnusableHistory: No source has a usable history.
    """
    limit, thresholds, enforced = closing_limit(settings.until, now), settings.thresholds, settings.enforced

    def judge(history: History) -> list[str]:
        return history_faults(history, thresholds, limit, settings.days)

    days = settings.days + WARM_UP
    past, source = read_history(sources, pair, Interval.DAY_1, days, settings.until, now, judge if enforced else None)
    history = past.last(settings.days)
    if len(history.candles) < MIN_CANDLES:  # the others are warm-up, from before a gap
        fault = f"{len(history.candles)} usable candles in the last {settings.days} days, {MIN_CANDLES} are needed"
        raise UnusableHistory(f"{pair} from {history.source}", [fault])
    exchanges = sources[sources.index(source) + 1 :]
    with answer_within(CROSS_CHECK_SECONDS):
        # Another exchange answers meanwhile.
        check = started(lambda: compare_last_close(history, source, exchanges), "question")
    anchor, faults = newest_price(history, source, limit, thresholds)
    faults += cross_check_faults(history, check.result(), thresholds)
    if enforced and faults:
        raise Refused([f"{pair}: {history.source}: {fault}" for fault in faults])
    card = PairCard(
        source=history.source,
        traded=history.traded,
        # A reason may quote an exchange or a file.
        passed_over=tuple(map(as_line, history.passed_over)),
        cross_check=check.result(),
        simulated=history.simulated,
        first=history.candles[0].open_time,
        last=history.candles[-1].open_time,
        candles=len(history.candles),
        warm_up=len(past.candles) - len(history.candles),
        gaps=history.gaps,
        quarantined=history.quarantined,
        history_sha256=past.sha256(),
        last_close=history.candles[-1].close,
        volatility=volatility(DailySeries.of(past).log_close),
        anchor=anchor,
        forecast=(),
        backtest=None,
        models=(),
        pairwise=(),
        served=COMBINED,
        not_served=None,
        hours=(),
        no_hours=None,
        touches=(),
        corridors=(),
    )
    objections = () if enforced else (*judge(past), *faults)
    return past, source, card, objections, read_hours(history, source, anchor, settings, now)


def newest_price(
    history: History, source: CandleSource, limit: datetime, thresholds: GateThresholds
) -> tuple[Anchor, list[str]]:
    """Return the close of the newest hourly candle that closed by `limit` (UTC), and its faults.

    The last daily close takes its place if it has faults, or if no hour has closed after that day.
    """
    last, hour, hours = history.candles[-1], Interval.HOUR_1, list[Candle]()
    if hour in source.intervals:
        try:
            # The last hour of the day is left out: with it, the day itself would be known.
            hours = candles_since(history, source, hour, DAY - hour.length, limit)
        except (SourceError, UnusableHistory) as error:
            _log.warning("%s: no hourly candles, the forecast starts at the last daily close: %s", history.pair, error)
    faults = anchor_faults(hours, last, thresholds)
    if not hours or faults:
        return Anchor(last.open_time + DAY, last.close), faults
    return Anchor(hours[-1].open_time + hour.length, hours[-1].close), []


def candles_after(history: History, source: CandleSource, now: datetime) -> list[Candle]:
    """Return the sound daily candles of the `HORIZON_DAYS` days after `history`, ascending, from the same source.

    If the source fails, log a warning and return none. Only pictures show these candles, after the training.
    """
    try:
        limit = closing_limit(None, now)
        candles = candles_since(history, source, Interval.DAY_1, HORIZON_DAYS * DAY, limit)
    except (SourceError, UnusableHistory) as error:
        _log.warning("%s: the picture does not show the prices that followed: %s", history.pair, error)
        return []
    return [candle for candle in candles if not candle.faults()]


@dataclass(frozen=True, slots=True)
class TrainedPair:
    """What a model has of one pair, and what stands beside it."""

    forecast: PairForecast
    card: PairCard  # with the backtest at the horizons of the settings
    prophet: Any  # the fitted model, by whose annotations every attribute may be None
    rows: tuple[Row, ...]  # of the backtest, at the same horizons
    faults: tuple[str, ...]  # that the gate finds in the history and in the scores
    seconds: float


def train_pair(
    read: PairHistory, settings: TrainSettings, progress: "tqdm[Never]", champion: Model | None
) -> TrainedPair:
    """Replay the forecasts of the past, score them, and make the forecast of the future.

    Every release is scored at `HORIZONS`, too, so that the next one can be compared with it. `progress` gets one step
    for each cutoff. The model that answers by default is compared with that of `champion`, if both are of real prices,
    or both of simulated ones. Another model than ours is no reason for a fault: ours answers in its place, and is then
    not compared with it. `UnusableHistory` is raised if the forecast would leave the range of numbers.
    """
    began = time.perf_counter()
    past, _, card, faults, hourly = read
    pair, scored, series = past.pair, sorted({*HORIZONS, *settings.horizons}), DailySeries.of(past)
    progress.set_description_str(f"{pair}: {len(past.candles)} candles, running the backtest")
    replayed = replay(series, {*LEARNED, *scored}, settings.every, settings.days, progress.update)
    forecast, prophet = forecast_pair(past.last(settings.days), card.anchor, replayed, settings.seed)
    backtest = None if replayed is None else score(replayed, scored)
    replaced, losses = _default_of(champion, pair, simulated=card.simulated)
    progress.set_description_str(f"{pair}: testing {counted(len(settings.rivals), 'other model')}")
    tested = test_models(past, replayed, forecast, losses, settings, progress.update)
    if backtest is not None and tested.losses is not None:
        backtest = replace(backtest, losses=tested.losses)
    elif backtest is not None and replayed is not None:
        faults += tuple(calibration_faults(map(replayed.forecasts, scored), settings.thresholds))
        if replaced == COMBINED:
            faults += tuple(champion_faults(backtest.losses, losses, settings.thresholds))
    hours = learn_hours(hourly, progress.set_description_str)
    forecast = replace(
        forecast,
        models=tested.quantiles,
        hindcasts=tested.hindcasts,
        hours=hours.quantiles,
        touches=(*hours.touches, *forecast.touches),
    )
    touches = () if replayed is None else replayed.touches
    card = replace(
        card,
        forecast=tuple(_standings(forecast, tested.served)),
        backtest=None if backtest is None else only(backtest, settings.horizons),
        models=tested.reports,
        pairwise=tested.pairwise,
        served=tested.served,
        not_served=tested.not_served,
        hours=hours.scores,
        no_hours=hours.missing,
        touches=(*hours.touch_scores, *touch_scores(touches)),
        corridors=(*hours.corridor_scores, *corridor_scores(touches)),
    )
    rows = () if replayed is None else tuple(replayed.rows(settings.horizons))
    return TrainedPair(forecast, card, prophet, rows, faults, time.perf_counter() - began)


def _standings(forecast: PairForecast, model: str) -> Iterator[Standing]:
    """Yield what a model predicts, by horizon."""
    evaluator = Evaluator(forecast)
    for horizon in HORIZONS:
        day = forecast.last + timedelta(days=horizon)
        yield Standing(horizon, day, *evaluator.at(day, model))


def _default_of(champion: Model | None, pair: Pair, *, simulated: bool) -> tuple[str, tuple[Loss, ...]]:
    """Return the model that answers by default in the champion, and its losses: none if they cannot be compared."""
    card = None if champion is None else champion.card.pairs.get(pair)
    if card is None or card.backtest is None or card.simulated != simulated:
        return COMBINED, ()
    return card.served, card.backtest.losses


def count_cutoffs(past: History, settings: TrainSettings) -> int:
    """Return the number of cutoffs that a backtest has, those of all models together."""
    days = len(DailySeries.of(past))
    ours = len(list(splits(days, settings.every))) if days >= LEAST_HISTORY else 0
    return ours + count_steps(past, settings)
