"""The training pipeline: histories, backtests, fits, the gate's verdict and the ledger; then one model file."""

import importlib.metadata
import logging
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, fields
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
from crypto_predict.baked.schema import COVERAGE, Card, Gate, Model, PairCard
from crypto_predict.errors import InvalidValue, Refused, RefusedKeys, SourceError, UnusableHistory
from crypto_predict.forecasting.combined.prophet_fit import to_json
from crypto_predict.forecasting.evaluation.replay import Row
from crypto_predict.forecasting.gate.verdict import verdict
from crypto_predict.forecasting.record import Record
from crypto_predict.market import Pair
from crypto_predict.market.ports import CandleSource
from crypto_predict.settings import ledger_beside
from crypto_predict.sources.side_by_side import side_by_side
from crypto_predict.sources.stored import CollectedMarket
from crypto_predict.training import outputs
from crypto_predict.training.collected import complete, open_by_pair, resolve
from crypto_predict.training.options import TrainSettings
from crypto_predict.training.pair import PairHistory, TrainedPair, candles_after, count_cutoffs, read_pair, train_pair
from crypto_predict.training.report import BAR
from crypto_predict.version import __version__
from crypto_predict.wording import counted

_log = logging.getLogger(__name__)

AT_ONCE = 4  # histories that are read, within the rate budgets of the exchanges

_PACKAGES = ("arch", "cmdstanpy", "numpy", "pandas", "prophet", "scipy")  # those that decide the numbers
_ROOT = Path(__file__).resolve().parents[2]
_LONGEST = 300  # characters of a reason in the log

# Allowed lead of a training time over the clock of this machine: clocks differ a little.
CLOCKS_APART = timedelta(minutes=1)


def train(
    settings: TrainSettings,
    now: datetime,
    open_database: Callable[[], CollectedMarket] | None = None,
    check: Callable[[PairHistory], None] | None = None,
) -> tuple[Model, dict[Pair, float], bool]:
    """Train every pair and write the outputs, the model file last: it changes only if everything else succeeded.

    Candles that are not closed at `now` (UTC) are not used. `open_database` is called for the source ``store`` and the
    collected pairs, of which one that cannot be trained is left out, or keeps the champion's forecast for a while.
    `check` is called with each history, and may end the training by an error; no progress is shown then.

    Returns:
        The model as written, the seconds that each pair took, and whether the collected pairs, if wanted, are known.

    Raises:
        InvalidValue: The settings contradict themselves or the ledger, the champion cannot be read, an output cannot be
            written where they say, another process writes it, or the model would be too large to be read back.
        CryptoPredictError: As the steps document it; `Refused` lists the faults of all pairs.
        OSError: A file cannot be written.
    """
    settings, collected = resolve(outputs.with_earlier(settings), open_database)
    output = settings.output
    files = outputs.check_outputs(settings)
    trained_at = settings.trained_at or now.replace(microsecond=0)
    if trained_at > now + CLOCKS_APART:
        raise InvalidValue("SOURCE_DATE_EPOCH", trained_at, f"before now, {now:%Y-%m-%d %H:%M:%S} UTC: check the clock")
    with outputs.locked_outputs(files):
        champion = outputs.read_champion(settings.champion)
        record = outputs.continue_record(settings.ledger, output, champion, removed=outputs.clean_up(output, files))
        record.check_follows(trained_at)
        sources = open_by_pair(settings, collected, champion, open_database)
        # The matrices are small: threads would only wait for one another.
        with (
            threadpool_limits(1),
            logging_redirect_tqdm(),
            tqdm(total=len(settings.pairs), bar_format=BAR, disable=None if check is None else True) as progress,
        ):
            histories, left_out = _read_histories(sources, settings, now, progress)
            if check is not None:
                for history in histories.values():
                    check(history)
            outputs.check_room({pair: len(past.candles) for pair, (past, *_) in histories.items()}, settings)
            progress.total = sum(1 + count_cutoffs(past, settings) for past, *_ in histories.values())
            trained = _train_pairs(histories, settings, champion, left_out, progress)
        _write_backtest(trained, settings)  # also if the gate refuses the model: it shows why
        faults = {pair: result.faults for pair, result in trained.items()}
        if settings.collected and settings.enforced and not all(faults.values()):
            left_out |= {pair: faults.pop(pair) for pair in trained if faults[pair]}
        if left_out:
            texts = [f"{pair}: {'; '.join(reasons)}"[:_LONGEST] for pair, reasons in left_out.items()]
            _log.warning("left out: %s", " | ".join(texts))
        gate = verdict(faults, settings.thresholds, enforced=settings.enforced)
        released = {pair: trained[pair] for pair in faults}
        forecasts = {pair: result.forecast for pair, result in released.items()}
        card = _card({pair: result.card for pair, result in released.items()}, gate, settings, trained_at)
        _settle(record, histories)
        record.release(card, forecasts)
        if settings.enforced and not gate.passed:
            raise Refused(gate.reasons)
        model = complete(Model(card, forecasts, record.scorecard()), settings, champion, left_out, now)
        data = outputs.readable(model, output)
        _draw(histories, released, settings, card, now)
        outputs.keep_ledger(output, record.ledger)
        _write(data, record, settings, trained_at)
        if settings.repeat is not None:
            newest = max(forecast.anchor.at for forecast in forecasts.values())
            _log.info("%s was written; its newest price is of %s", output, f"{newest:%Y-%m-%d %H:%M} UTC")
    seconds = {pair: trained[pair].seconds if pair in trained else 0.0 for pair in model.forecasts}
    return model, seconds, not settings.collected or any(collected.values())


def _write_backtest(trained: Mapping[Pair, TrainedPair], settings: TrainSettings) -> None:
    """Write the forecasts of the past, if they are wanted."""
    if settings.backtest is not None:
        rows = ((pair, *astuple(row)) for pair, result in trained.items() for row in result.rows)
        write_atomically(settings.backtest, outputs.as_csv(("pair", *(field.name for field in fields(Row))), rows))


def _write(model: bytes, record: Record, settings: TrainSettings, trained_at: datetime) -> None:
    """Write the ledger, then the model, as readers drop the entries after the one that it names; and the schedule.

    A trainer that repeats its trainings writes the schedule by itself.
    """
    output, plan = settings.output, schedule_beside(settings.output)
    written: dict[Path, Content] = {ledger_beside(output): record.ledger.content(), output: model}
    if settings.repeat is None and settings.trained_every is not None:
        next_at = trained_at + settings.trained_every
        written = {plan: schedule.content(Schedule(settings.trained_every, next_at)), **written}
    write_in_order(written)
    if settings.repeat is None and settings.trained_every is None and plan.exists():
        plan.unlink()  # nobody plans another training


def _settle(record: Record, histories: Mapping[Pair, PairHistory]) -> None:
    """Record the outcomes of released forecasts, of days and of hours."""
    record.settle(past for past, *_ in histories.values())
    for *_, hourly in histories.values():
        if not isinstance(hourly, str):
            record.settle_hours(hourly)


def _read_histories(
    sources: Mapping[Pair, Sequence[CandleSource]], settings: TrainSettings, now: datetime, progress: "tqdm[Never]"
) -> tuple[dict[Pair, PairHistory], dict[Pair, Sequence[str]]]:
    """Read the history of every pair before the first one is fitted: a refusal names the faults of all pairs.

    Return the histories, and of the collected pairs that are left out the faults; if none is left, the first is raised.
    """
    histories: dict[Pair, PairHistory] = {}
    failed: dict[Pair, Refused | UnusableHistory | SourceError] = {}
    progress.set_description_str(f"reading the history of {counted(len(settings.pairs), 'pair')}")
    jobs = [partial(read_pair, sources[pair], pair, settings, now) for pair in settings.pairs]
    for pair, history in zip(settings.pairs, side_by_side(jobs, AT_ONCE, progress.update), strict=True):
        try:
            histories[pair] = history.result()
        except RefusedKeys:
            raise
        except (Refused, UnusableHistory, SourceError) as error:
            if not settings.collected and not isinstance(error, Refused):
                raise
            failed[pair] = error
    if failed and not (settings.collected and histories):
        refusals = [reason for error in failed.values() if isinstance(error, Refused) for reason in error.reasons]
        raise Refused(refusals) if refusals else next(iter(failed.values()))
    return histories, {pair: reasons_of(error) for pair, error in failed.items()}


def reasons_of(error: Refused | UnusableHistory | SourceError) -> Sequence[str]:
    """Return why a pair cannot be trained, a reason a line."""
    if isinstance(error, UnusableHistory):
        return error.faults
    return error.reasons if isinstance(error, Refused) else (str(error),)


def _train_pairs(
    histories: Mapping[Pair, PairHistory],
    settings: TrainSettings,
    champion: Model | None,
    left_out: dict[Pair, Sequence[str]],
    progress: "tqdm[Never]",
) -> dict[Pair, TrainedPair]:
    """Train every pair; note in `left_out` which collected pair cannot be trained, unless none can."""
    trained: dict[Pair, TrainedPair] = {}
    for pair, history in histories.items():
        try:
            trained[pair] = train_pair(history, settings, progress, champion)
        except UnusableHistory as error:
            if not settings.collected or (not trained and pair == list(histories)[-1]):
                raise
            left_out[pair] = error.faults
    return trained


def _draw(
    histories: Mapping[Pair, PairHistory],
    trained: Mapping[Pair, TrainedPair],
    settings: TrainSettings,
    card: Card,
    now: datetime,
) -> None:
    """Write the picture of each pair and Prophet's own JSON, if they are wanted."""
    for pair, result in trained.items():
        if settings.picture is not None:
            past, source, *_ = histories[pair]
            history = past.last(settings.days)
            # Only the picture shows the prices after a forecast of the past.
            followed = [] if settings.until is None else candles_after(history, source, now)
            from crypto_predict.training.picture import save_picture  # noqa: PLC0415 its library takes long to import

            save_picture(history, result.forecast, card, pair.fill(settings.picture), followed)
        if settings.prophet_json is not None:
            write_atomically(pair.fill(settings.prophet_json), to_json(result.prophet).encode())


def _card(pairs: dict[Pair, PairCard], gate: Gate, settings: TrainSettings, trained_at: datetime) -> Card:
    """Build the card of a whole model, trained at `trained_at` (UTC): what to know before trusting it."""
    version = settings.version or __version__
    return Card(
        version=version,
        build=f"{version}-{trained_at:%Y%m%d%H%M%S}",
        git_revision=settings.git_revision or _git_revision(),
        trained_at=trained_at,
        python=platform.python_version(),
        packages=packages(),
        days=settings.days,
        seed=settings.seed,
        coverage=COVERAGE,
        simulated=any(pair.simulated for pair in pairs.values()),
        pairs=pairs,
        gate=gate,
    )


def packages() -> dict[str, str]:
    """Return the versions of the packages that decide the numbers, by their names."""
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


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
