"""The training pipeline: histories, backtests, fits, the gate's verdict and the ledger; then one model file."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Never

from threadpoolctl import threadpool_limits
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from crypto_predict.baked import schedule
from crypto_predict.baked.files import Content, write_atomically, write_in_order
from crypto_predict.baked.schedule import Schedule, schedule_beside
from crypto_predict.baked.schema import Card, Model
from crypto_predict.errors import InvalidValue, Refused, RefusedKeys, SourceError, UnusableHistory
from crypto_predict.forecasting.gate.verdict import verdict
from crypto_predict.market import Pair
from crypto_predict.market.ports import CandleSource
from crypto_predict.sources.side_by_side import side_by_side
from crypto_predict.sources.stored import CollectedMarket
from crypto_predict.training.card import build_card, build_pair_card
from crypto_predict.training.collected import keep, open_by_pair, report_dropped, report_left_out, resolve
from crypto_predict.training.options import GatePlan, HistoryRequest, TrainSettings
from crypto_predict.training.outputs import as_csv, check_outputs, check_room, locked_outputs, readable
from crypto_predict.training.pair import (
    PairHistory,
    TrainedPair,
    candles_after,
    count_cutoffs,
    find_faults,
    read_pair,
    train_pair,
)
from crypto_predict.training.picture import save_picture
from crypto_predict.training.previous_release import (
    clean_up,
    continue_record,
    find_earlier,
    keep_ledger,
    read_champion,
)
from crypto_predict.wording import counted

_log = logging.getLogger(__name__)

_BAR = "{desc} |{bar:30}| {n_fmt}/{total_fmt} steps, {elapsed}"

AT_ONCE = 4  # histories that are read, within the rate budgets of the exchanges

# Allowed lead of a training time over the clock of this machine: clocks differ a little.
CLOCKS_APART = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """The results of one run: the model as written, and the seconds that each pair took, its backtest included."""

    model: Model
    output: Path
    seconds: dict[Pair, float]
    is_complete: bool = True  # False: the collected pairs are not known yet


def train(
    settings: TrainSettings, now: datetime, open_database: Callable[[], CollectedMarket] | None = None
) -> TrainingRun:
    """Train every pair and write the outputs, the model file last: it changes only if everything else succeeded.

    Candles that are not closed at `now` (UTC) are not used. `open_database` is called for the source ``store`` and the
    collected pairs, of which one that cannot be trained is left out, or keeps the champion's forecast for a while.

    Raises:
        InvalidValue: The settings contradict themselves or the ledger, the champion cannot be read, an output cannot be
            written where they say, another process writes it, or the model would be too large to be read back.
        BrokenLedger: The ledger to be continued cannot be trusted.
        Refused: The gate found faults; they are listed for all pairs.
        UnusableHistory: No source has a usable history of some pair.
        OSError: A file cannot be written.
    """
    plan, outputs, gate = settings.backtest, settings.outputs, settings.gate
    earlier = find_earlier(settings.earlier, outputs)
    request, collected = resolve(settings.history, open_database, earlier.champion)
    settings = replace(settings, history=request)
    files = check_outputs(outputs, request, earlier)
    trained_at = settings.release.trained_at or now.replace(microsecond=0)
    if trained_at > now + CLOCKS_APART:
        raise InvalidValue("SOURCE_DATE_EPOCH", trained_at, f"before now, {now:%Y-%m-%d %H:%M:%S} UTC: check the clock")
    with locked_outputs(files):
        champion = read_champion(earlier.champion)
        removed = clean_up(outputs, files)
        record = continue_record(earlier.ledger, outputs, champion, removed=removed)
        record.check_follows(trained_at)
        sources = open_by_pair(settings, collected, champion, open_database)
        # The matrices are small: threads would only wait for one another.
        with (
            threadpool_limits(1),
            logging_redirect_tqdm(),
            tqdm(total=len(request.pairs), bar_format=_BAR, disable=None) as progress,
        ):
            read, left_out = _read_histories(sources, request, gate, now, progress)
            check_room(
                {pair: len(pair_result.past.candles) for pair, pair_result in read.items()}, request.days, plan.horizons
            )
            progress.total = len(read) + sum(count_cutoffs(pair_result, plan.every) for pair_result in read.values())
            trained = _train_pairs(read, settings, champion, left_out, progress)
        if outputs.backtest is not None:  # also if the gate refuses the model: it shows why
            write_atomically(
                outputs.backtest, as_csv({pair: pair_result.rows for pair, pair_result in trained.items()})
            )
        faults = {pair: find_faults(pair_result, gate.thresholds, champion) for pair, pair_result in trained.items()}
        if request.collected and gate.enforced and not all(faults.values()):
            left_out |= {pair: faults.pop(pair) for pair in trained if faults[pair]}
        report_left_out(left_out)
        judged = verdict(faults, gate.thresholds, enforced=gate.enforced)
        released = {pair: trained[pair] for pair in faults}
        forecasts = {pair: pair_result.forecast for pair, pair_result in released.items()}
        cards = {pair: build_pair_card(pair_result, plan.horizons) for pair, pair_result in released.items()}
        estimates = {pair: pair_result.estimates.texts() for pair, pair_result in released.items()}
        card = build_card(cards, judged, settings.release, trained_at, days=request.days, seed=settings.seed)
        record.settle(pair_result.past for pair_result in read.values())
        record.release(card, forecasts)
        if gate.enforced and not judged.passed:
            raise Refused(judged.reasons)
        model = _completed(Model(card, forecasts, record.scorecard(), estimates), request, champion, left_out, now)
        data = readable(model, outputs.model)
        _draw(released, settings, card, now)
        keep_ledger(outputs, record.ledger)
        # In this order, as readers drop the ledger entries after the one that the model names.
        written: dict[Path, Content] = {outputs.ledger: record.ledger.content(), outputs.model: data}
        write_in_order({**_schedule(settings, trained_at), **written})
        if settings.repeat is not None:
            newest = max(forecast.anchor.at for forecast in forecasts.values())
            _log.info("%s was written; its newest price is of %s", outputs.model, f"{newest:%Y-%m-%d %H:%M} UTC")
        elif settings.release.every is None and (stale := schedule_beside(outputs.model)).exists():
            stale.unlink()  # nobody plans another training
    seconds = {pair: trained[pair].seconds if pair in trained else 0.0 for pair in model.forecasts}
    return TrainingRun(model, outputs.model, seconds, not request.collected or any(collected.values()))


def _train_pairs(
    read: Mapping[Pair, PairHistory],
    settings: TrainSettings,
    champion: Model | None,
    left_out: dict[Pair, Sequence[str]],
    progress: "tqdm[Never]",
) -> dict[Pair, TrainedPair]:
    """Train every pair; note in `left_out` which collected pair cannot be trained, unless none can."""
    plan, request = settings.backtest, settings.history
    trained: dict[Pair, TrainedPair] = {}
    for pair, task in read.items():
        try:
            trained[pair] = train_pair(task, plan, request.days, settings.seed, progress, champion)
        except UnusableHistory as error:
            if not request.collected or (not trained and pair == list(read)[-1]):
                raise
            left_out[pair] = error.faults
    return trained


def _draw(trained: Mapping[Pair, TrainedPair], settings: TrainSettings, card: Card, now: datetime) -> None:
    """Write the picture of each pair and Prophet's own JSON, if they are wanted."""
    outputs = settings.outputs
    for pair, pair_result in trained.items():
        history, source = pair_result.read.history, pair_result.read.source
        if outputs.picture is not None:
            # Only the picture shows the prices after a forecast of the past.
            followed = [] if settings.history.until is None else candles_after(history, source, now)
            save_picture(history, pair_result.forecast, card, pair.fill(outputs.picture), followed)
        if outputs.prophet_json is not None:
            write_atomically(pair.fill(outputs.prophet_json), pair_result.prophet.to_json().encode())


def _schedule(settings: TrainSettings, trained_at: datetime) -> dict[Path, Content]:
    """Return the schedule that a release has beside its model, by its path. With --repeat the trainer writes it."""
    every = settings.release.every
    if every is None or settings.repeat is not None:
        return {}
    return {schedule_beside(settings.outputs.model): schedule.content(Schedule(every, trained_at + every))}


def _completed(
    model: Model, request: HistoryRequest, champion: Model | None, left_out: Iterable[Pair], now: datetime
) -> Model:
    """Add the forecasts that pairs which were left out keep of the champion, and log what is no longer forecast."""
    if champion is not None and request.collected:
        kept = keep(left_out, champion, now)
        forecasts = model.forecasts | {pair: champion.forecasts[pair] for pair in kept}
        cards = model.card.pairs | {pair: champion.card.pairs[pair] for pair in kept}
        estimates = model.estimates | {pair: champion.estimates[pair] for pair in kept if pair in champion.estimates}
        pairs = [pair for pair in request.pairs if pair in forecasts]
        report_dropped(pairs, champion, request)
        ordered = {pair: cards[pair] for pair in pairs}
        card = replace(model.card, pairs=ordered, simulated=any(pair_card.simulated for pair_card in ordered.values()))
        model = Model(card, {pair: forecasts[pair] for pair in pairs}, model.scorecard, estimates)
    return model


def _read_histories(
    sources: Mapping[Pair, Sequence[CandleSource]],
    request: HistoryRequest,
    gate: GatePlan,
    now: datetime,
    progress: "tqdm[Never]",
) -> tuple[dict[Pair, PairHistory], dict[Pair, Sequence[str]]]:
    """Read the history of every pair before the first one is fitted: a refusal names the faults of all pairs.

    Return the histories, and of the collected pairs that are left out the faults; if none is left, the first is raised.
    """
    histories: dict[Pair, PairHistory] = {}
    failed: dict[Pair, Refused | UnusableHistory | SourceError] = {}
    progress.set_description_str(f"reading the history of {counted(len(request.pairs), 'pair')}")
    jobs = [partial(read_pair, sources[pair], pair, request, gate, now) for pair in request.pairs]
    for pair, read in zip(request.pairs, side_by_side(jobs, AT_ONCE, progress.update), strict=True):
        try:
            histories[pair] = read.result()
        except RefusedKeys:
            raise
        except Refused as error:
            failed[pair] = error
        except (UnusableHistory, SourceError) as error:
            if not request.collected:
                raise
            failed[pair] = error
    if failed and not (request.collected and histories):
        refusals = [reason for error in failed.values() if isinstance(error, Refused) for reason in error.reasons]
        raise Refused(refusals) if refusals else next(iter(failed.values()))
    return histories, {pair: _faults(error) for pair, error in failed.items()}


def _faults(error: Refused | UnusableHistory | SourceError) -> Sequence[str]:
    if isinstance(error, UnusableHistory):
        return error.faults
    return error.reasons if isinstance(error, Refused) else (str(error),)
