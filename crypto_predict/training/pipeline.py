"""The training pipeline: histories, backtests, fits, the gate's verdict and the ledger; then one model file."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Never

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from crypto_predict.baked import store
from crypto_predict.baked.files import real_path, write_atomically, write_in_order
from crypto_predict.baked.ledger import Ledger
from crypto_predict.baked.schema import Anchor, Model
from crypto_predict.baked.scores import Backtest
from crypto_predict.errors import InvalidValue, Refused, UnusableHistory, UnusableModel
from crypto_predict.forecasting.candidates.combination import LEARNED
from crypto_predict.forecasting.evaluation.replay import HORIZONS, LEAST_HISTORY, Replay, Row, replay, splits
from crypto_predict.forecasting.evaluation.scoring import only, score
from crypto_predict.forecasting.forecast import FittedForecast, forecast_pair
from crypto_predict.forecasting.gate.quality import history_faults
from crypto_predict.forecasting.gate.verdict import calibration_faults, champion_faults, verdict
from crypto_predict.forecasting.record.record import Record
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history import MIN_CANDLES, History, closing_limit, read_history
from crypto_predict.market import Interval, Pair
from crypto_predict.settings import TrainSettings
from crypto_predict.sources.catalog import open_sources
from crypto_predict.sources.port import Source
from crypto_predict.training import backtest_csv
from crypto_predict.training.anchor import newest_price
from crypto_predict.training.card import build_card, build_pair_card
from crypto_predict.training.followed import candles_after
from crypto_predict.training.outputs import (
    alone,
    check_outputs,
    check_room,
    clean_up,
    keep_ledger,
    ledger_path,
    path_for,
    readable,
    released_with,
)
from crypto_predict.training.picture import save_picture

_BAR = "{desc} |{bar:30}| {n_fmt}/{total_fmt} steps, {elapsed}"

# Days read beyond those asked for, where there are any. No fit sees them: they let the first forecasts of the backtest
# have a year behind them, and the interval start from more than it is judged by.
WARM_UP = 365

# Allowed lead of a training time over this machine's clock: clocks differ a little.
CLOCKS_APART = timedelta(minutes=1)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PairHistory:
    """The data that one pair is trained on, and its faults."""

    history: History  # of as many days as were asked for
    past: History  # the same with the warm-up before it
    anchor: Anchor
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrainedPair:
    """What training one pair gave."""

    history: History
    past: History
    fitted: FittedForecast
    rows: tuple[Row, ...]  # of the backtest
    backtest: Backtest | None
    faults: tuple[str, ...]  # what the gate found
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What one run gave: the model as written, and how long each pair took, its backtest included."""

    model: Model
    output: Path
    seconds: dict[Pair, float]


def train(settings: TrainSettings, now: datetime) -> TrainingRun:
    """Train every pair and write what was asked for, the model file last: it changes only if all else succeeded.

    Args:
        settings: What to do.
        now: The present, in UTC; a candle that is not closed by then never enters a fit.

    Raises:
        InvalidValue: The settings contradict themselves or the ledger, the champion cannot be read, an output cannot be
            written where they say, another process writes it, or a model of so much could not be read back.
        BrokenLedger: The ledger that is to be carried on cannot be trusted.
        Refused: The gate found what must not ship; all of it, of every pair.
        UnusableHistory: Some pair has no usable history in any source.
        OSError: A file cannot be written.
    """
    check_outputs(settings)
    trained_at = settings.trained_at or now.replace(microsecond=0)
    if trained_at > now + CLOCKS_APART:
        raise InvalidValue("SOURCE_DATE_EPOCH", trained_at, f"before now, {now:%Y-%m-%d %H:%M:%S} UTC: check the clock")
    with alone(settings):
        return _train(settings, now, trained_at)


def _train(settings: TrainSettings, now: datetime, trained_at: datetime) -> TrainingRun:
    """Train while no other process writes the outputs."""
    champion = _champion(settings.champion)
    record = _earlier_record(settings, champion, gone=clean_up(settings))
    record.check_follows(trained_at)
    sources = open_sources(settings.sources, settings.exchanges, settings.seed, settings.pairs)
    with logging_redirect_tqdm(), tqdm(total=len(settings.pairs), bar_format=_BAR, disable=None) as progress:
        read = _read_histories(sources, settings, now, progress)
        check_room({pair: one.past for pair, one in read.items()}, settings)
        progress.total = len(read) + sum(_cutoffs(one.past, settings) for one in read.values())
        trained = {pair: _train_pair(one, settings, champion, progress) for pair, one in read.items()}
    _write_backtest(settings, trained)
    model = _assemble(settings, trained, record, trained_at)
    if settings.enforce_gate and not model.card.gate.passed:
        raise Refused(model.card.gate.reasons)
    data = readable(model, settings)
    _draw(settings, sources, trained, model, now)
    _write(settings, trained, data, record.ledger)
    return TrainingRun(model, settings.output, {pair: result.seconds for pair, result in trained.items()})


def _champion(path: Path | None) -> Model | None:
    """Return the model that this one would replace.

    Raises:
        InvalidValue: The file is not a usable model.
    """
    if path is None:
        return None
    try:
        return store.load(path)
    except UnusableModel as error:
        raise InvalidValue("--champion", str(path), f"a usable model: {error.reason}") from error


def utc_now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


def _earlier_record(settings: TrainSettings, champion: Model | None, *, gone: bool) -> Record:
    """The record that is carried on, up to the entry that the newest of the models released with it names.

    It is a new one where that beside the output is meant, and `gone` by now.
    """
    path = settings.ledger
    if path is None:
        if champion is not None and champion.scorecard.entries:
            _log.warning("the live record begins anew: --champion has a ledger, and --ledger does not name it")
        return Record()
    if gone and real_path(path) == real_path(ledger_path(settings.output)):
        return Record()
    beside = released_with(path, settings.output)  # read before the ledger, which is written before them
    return Record.read(path, [one.scorecard.head for one in (*beside, champion) if one is not None])


def _read_histories(
    sources: Sequence[Source], settings: TrainSettings, now: datetime, progress: tqdm[Never]
) -> dict[Pair, PairHistory]:
    """The history of every pair, before the first of them is fitted: a refusal names the faults of all."""
    histories: dict[Pair, PairHistory] = {}
    reasons: list[str] = []
    for pair in settings.pairs:
        progress.set_description_str(f"{pair}: reading history")
        try:
            histories[pair] = _read_pair(sources, pair, settings, now)
        except Refused as error:
            reasons += error.reasons
        progress.update()
    if reasons:
        raise Refused(reasons)
    return histories


def _read_pair(sources: Sequence[Source], pair: Pair, settings: TrainSettings, now: datetime) -> PairHistory:
    """The history of one pair, and the newest price."""
    limit = closing_limit(settings.until, now)

    def judge(history: History) -> list[str]:
        return history_faults(history, settings.gate, limit, settings.days)

    enforced = judge if settings.enforce_gate else None  # what it lets pass has no fault
    past = read_history(sources, pair, Interval.DAY_1, settings.days + WARM_UP, settings.until, now, enforced)
    history = past.last(settings.days)
    if len(history.candles) < MIN_CANDLES:  # the rest of them is warm-up, from before a gap
        fault = f"{len(history.candles)} usable candles in the last {settings.days} days, {MIN_CANDLES} are needed"
        raise UnusableHistory(f"{pair} from {history.source}", [fault])
    anchor, faults = newest_price(sources, history, limit, settings.gate)
    if settings.enforce_gate and faults:
        raise Refused([f"{pair}: {history.source}: {fault}" for fault in faults])
    return PairHistory(history, past, anchor, () if settings.enforce_gate else (*judge(past), *faults))


def _train_pair(
    read: PairHistory, settings: TrainSettings, champion: Model | None, progress: tqdm[Never]
) -> TrainedPair:
    history, started = read.history, time.perf_counter()
    replayed = _replay(read.past, settings, progress)
    fitted = forecast_pair(history, read.anchor, replayed, settings.seed)
    # Some horizons are judged in every release, or one could not be compared with the next.
    judged = None if replayed is None else score(replayed, sorted({*HORIZONS, *settings.horizons}))
    return TrainedPair(
        history=history,
        past=read.past,
        fitted=fitted,
        rows=() if replayed is None else tuple(replayed.rows(settings.horizons)),
        backtest=None if judged is None else only(judged, settings.horizons),
        faults=(*read.faults, *_score_faults(judged, history, settings, champion)),
        seconds=time.perf_counter() - started,
    )


def _replay(past: History, settings: TrainSettings, progress: tqdm[Never]) -> Replay | None:
    progress.set_description_str(f"{past.pair}: {len(past.candles)} candles, forecasting their past")
    series, horizons = DailySeries.of(past), {*LEARNED, *HORIZONS, *settings.horizons}
    return replay(series, horizons, settings.every, settings.days, progress.update)


def _cutoffs(past: History, settings: TrainSettings) -> int:
    """How many cutoffs the backtest over this history has."""
    days = len(DailySeries.of(past))
    return len(list(splits(days, settings.every))) if days >= LEAST_HISTORY else 0


def _score_faults(
    backtest: Backtest | None, history: History, settings: TrainSettings, champion: Model | None
) -> list[str]:
    """Return the faults of the scores. A history too short for a backtest has been refused before."""
    if backtest is None:
        return []
    faults = calibration_faults(backtest, settings.gate)
    before = None if champion is None else champion.card.pairs.get(history.pair)
    if before is None or before.backtest is None or before.simulated != history.simulated:
        return faults
    return faults + champion_faults(backtest, before.backtest, settings.gate)


def _assemble(
    settings: TrainSettings, trained: Mapping[Pair, TrainedPair], record: Record, trained_at: datetime
) -> Model:
    """Return the model with its card and scorecard; `record` has its forecasts afterwards."""
    forecasts = {pair: result.fitted.forecast for pair, result in trained.items()}
    gate = verdict(
        {pair: result.faults for pair, result in trained.items()}, settings.gate, enforced=settings.enforce_gate
    )
    cards = {
        pair: build_pair_card(result.history, result.past, forecasts[pair], result.backtest)
        for pair, result in trained.items()
    }
    card = build_card(settings, cards, gate, trained_at)
    record.settle(result.past for result in trained.values())
    record.release(card, forecasts)
    return Model(card, forecasts, record.scorecard())


def _write_backtest(settings: TrainSettings, trained: Mapping[Pair, TrainedPair]) -> None:
    """Write the backtest whatever the gate says of it: it is what one looks at to understand a refusal."""
    if settings.backtest is not None:
        rows = {pair: result.rows for pair, result in trained.items()}
        write_atomically(settings.backtest, backtest_csv.as_csv(rows))


def _draw(
    settings: TrainSettings, sources: Sequence[Source], trained: Mapping[Pair, TrainedPair], model: Model, now: datetime
) -> None:
    """Draw every forecast, and the prices that followed one of the past: the training is over and cannot use them."""
    if settings.picture is None:
        return
    for pair, result in trained.items():
        followed = [] if settings.until is None else candles_after(sources, result.history, now)
        path = path_for(settings.picture, pair)
        save_picture(result.history, result.fitted.forecast, model.card, path, followed)


def _write(
    settings: TrainSettings,
    trained: Mapping[Pair, TrainedPair],
    data: bytes,
    ledger: Ledger,
) -> None:
    """Write every file that was asked for, the model last: it is the commit point of the release."""
    for pair, result in trained.items():
        if settings.prophet_json is not None:
            write_atomically(path_for(settings.prophet_json, pair), result.fitted.prophet.to_json().encode())
    keep_ledger(settings.output, ledger)
    # In this order, as readers drop ledger entries after the one that the model names.
    write_in_order({ledger_path(settings.output): ledger.content(), settings.output: data})
