"""What the modes of ``collect.py`` do, from settings and a database to a report."""

import gc
import json
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import wait
from contextlib import closing
from datetime import datetime
from functools import partial
from threading import Event
from typing import Protocol

from tqdm.contrib.logging import logging_redirect_tqdm

from crypto_predict.collecting import gaps, outages, rollups, status
from crypto_predict.collecting.backfill import backfill, catch_up
from crypto_predict.collecting.fetching import Collected, FetchDatabase, Progress, Run
from crypto_predict.collecting.options import DEFAULT_INTERVAL, CollectSettings, Mode
from crypto_predict.collecting.registry import is_named
from crypto_predict.command_line import BAD_ARGUMENTS, DONE, FAILED, NO_HISTORY, exit_code
from crypto_predict.errors import CryptoPredictError, InvalidValue, SeriesHeld, UnusableHistory
from crypto_predict.market.collected import CollectedSeries
from crypto_predict.market.ports import OutageWriter, SeriesReader
from crypto_predict.sources.catalog import EXCHANGES, SIMULATED, open_sources
from crypto_predict.threads import started
from crypto_predict.wording import counted

_THREADS = 8  # series at once; each exchange has one rate budget for all of them
_PATIENCE = 2.0  # seconds for the threads to end after an interrupt; what they are about to store is stored or not

# What became of one series: what was added to it, why it failed, or why it was skipped, which is not an error.
Outcome = Collected | CryptoPredictError | str
Job = Callable[[], Collected | str]


class CollectDatabase(FetchDatabase, OutageWriter, Protocol):
    """What ``--backfill`` and ``--once`` read and write."""


def collect(settings: CollectSettings, database: CollectDatabase, now: datetime) -> dict[str, Outcome]:
    """Run ``--backfill`` or ``--once`` and return what became of each series, by its name.

    A failed one does not harm the others. After an interrupt everything that was reported as stored is stored. Raise
    `InvalidValue` if a setting of a source is not valid, or `settings` name what is not stored.
    """
    gc.freeze()  # the libraries stay: the collections that millions of candles cause need not look through them
    with logging_redirect_tqdm(), closing(Progress()) as progress:  # log lines appear above the bar
        run = Run(database, now, settings.until, progress, Event())
        jobs = _backfills(settings, run) if settings.mode is Mode.BACKFILL else _catch_ups(settings, run)
        outcomes = _in_threads(jobs, run.stopped)
    outages.bring_up_to_date(database, now)
    return {name: outcomes[name] for name in jobs}


def report(settings: CollectSettings, database: outages.RegisterDatabase, now: datetime) -> str:
    """Return the report of a mode that does not write. Raise `InvalidValue` for what is not stored."""
    stored = selected(database, settings)
    if settings.mode is Mode.STATUS:
        rows, shards = status.rows(database, stored, now), status.shard_rows(database)
        document = {"time": status.iso(now), "series": rows, "shards": shards}
        return json.dumps(document, indent=1) if settings.as_json else status.as_table(rows, shards)
    if settings.mode is Mode.OUTAGES:
        register = outages.Register(database, stored, settings, now)
        return outages.as_json(register) if settings.as_json else outages.as_text(register)
    holes = gaps.find(database, [collected.series for collected in stored], settings, now)
    return gaps.as_json(holes) if settings.as_json else gaps.as_text(holes, now)


def rebuild_rollups(settings: CollectSettings, database: rollups.RollupDatabase) -> str:
    """Run ``--rebuild-rollups`` and return its report. Raise `InvalidValue` for what is not stored."""
    stored = selected(database, settings)
    with logging_redirect_tqdm(), closing(Progress()) as progress:
        return rollups.rebuild(database, stored, progress)


def summary(outcomes: Mapping[str, Outcome], database: SeriesReader) -> str:
    """Return one line for each series."""
    stored = {collected.series: collected for collected in database.collected()}
    lines = []
    for name, outcome in outcomes.items():
        if isinstance(outcome, Collected):
            parts = [f"{outcome.series}: {counted(outcome.changed, 'candle')} new or changed"]
            if outcome.quarantined:
                parts.append(f"{counted(outcome.quarantined, 'row')} rejected")
            now = stored.get(outcome.series)
            if now is not None and now.newest_close is not None:
                parts.append(f"up to {now.newest_close:%Y-%m-%d %H:%M} UTC")
                parts.append(f"{counted(now.gaps, 'gap')} ({counted(now.missing, 'candle')} missing)")
            lines.append(", ".join(parts))
        else:
            lines.append(f"{name}: {'skipped' if isinstance(outcome, str) else 'failed'}: {outcome}")
    return "\n".join(lines) or status.NOTHING


def worst_code(outcomes: Mapping[str, Outcome]) -> int:
    """Return the exit code of a run: that of a failed database, else of a failed source, else of a held series."""
    codes = {exit_code(outcome) for outcome in outcomes.values() if isinstance(outcome, CryptoPredictError)}
    return next((code for code in (FAILED, NO_HISTORY, BAD_ARGUMENTS) if code in codes), DONE)


def selected(database: SeriesReader, settings: CollectSettings) -> list[CollectedSeries]:
    """Return the stored series of the pairs, sources and interval that `settings` name; all where they name none."""
    stored = database.collected()
    for pair in settings.pairs if stored else ():
        if not any(is_named(collected.series, pair) for collected in stored):
            pairs = ", ".join(sorted({str(collected.series.pair) for collected in stored}))
            raise InvalidValue("--pair", str(pair), f"stored; these are: {pairs}")
    of_pairs = [
        collected
        for collected in stored
        if not settings.pairs or any(is_named(collected.series, pair) for pair in settings.pairs)
    ]
    sources = settings.sources or {collected.series.source for collected in of_pairs}
    selection = [
        collected
        for collected in of_pairs
        if collected.series.source in sources and settings.interval in {None, collected.series.interval}
    ]
    if of_pairs and not selection:
        interval = [] if settings.interval is None else [settings.interval.label]
        names = [name for name, given in (("--source", settings.sources), ("--interval", interval)) if given]
        labels = sorted({f"{collected.series.interval.label} from {collected.series.source}" for collected in of_pairs})
        request = ", ".join([*settings.sources, *interval])
        raise InvalidValue(" and ".join(names), request, f"stored; these are: {', '.join(labels)}")
    return selection


def _backfills(settings: CollectSettings, run: Run) -> dict[str, Job]:
    sources = open_sources(settings.sources, settings.environ, 0, settings.pairs)
    interval = settings.interval or DEFAULT_INTERVAL
    return {
        f"{pair} {interval.label}": partial(backfill, run, sources, pair, interval, settings.start)
        for pair in settings.pairs
    }


def _catch_ups(settings: CollectSettings, run: Run) -> dict[str, Job]:
    stored = selected(run.database, settings)
    names = sorted({collected.series.source for collected in stored} & {*EXCHANGES, SIMULATED})
    sources = {source.id: source for source in open_sources(names, settings.environ, 0, ())}

    def job(collected: CollectedSeries) -> Collected | str:
        source = sources.get(collected.series.source)
        if source is None:
            fault = f"it was collected from {collected.series.source}, which this version does not have"
            raise UnusableHistory(str(collected.series.pair), [fault])
        try:
            return catch_up(run, source, collected)
        except SeriesHeld as error:  # another collector writes the series, so it needs nothing from this run
            return error.reason

    return {str(collected.series): partial(job, collected) for collected in stored}


def _in_threads(jobs: Mapping[str, Job], stopped: Event) -> dict[str, Outcome]:
    """Execute the jobs, several at once, and return their outcomes.

    The threads are daemons: an interrupt does not wait for an exchange that does not answer.
    """
    waiting, outcomes = deque(jobs.items()), dict[str, Outcome]()

    def work() -> None:
        while waiting and not stopped.is_set():
            try:
                name, job = waiting.popleft()
            except IndexError:  # another thread was faster
                return
            try:
                outcomes[name] = job()
            except CryptoPredictError as error:
                outcomes[name] = error
            except BaseException:  # a defect of this program, which the caller gets
                stopped.set()
                raise

    threads = [started(work, f"collect-{number}") for number in range(min(_THREADS, len(jobs)))]
    try:
        wait(threads)
    except BaseException:
        stopped.set()
        wait(threads, _PATIENCE)
        raise
    for thread in threads:
        thread.result()
    return outcomes
