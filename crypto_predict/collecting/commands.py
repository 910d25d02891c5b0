"""What the modes of ``collect.py`` do, from settings and a database to a report."""

import gc
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from threading import Event, Thread

from crypto_predict.collecting import gaps, status
from crypto_predict.collecting.backfill import backfill, catch_up
from crypto_predict.collecting.choice import selected
from crypto_predict.collecting.fetching import Collected, FetchDatabase, Run
from crypto_predict.collecting.options import DEFAULT_INTERVAL, CollectSettings, Mode
from crypto_predict.collecting.progress import Progress
from crypto_predict.command_line import BAD_ARGUMENTS, DONE, FAILED, NO_HISTORY, exit_code
from crypto_predict.errors import CryptoPredictError, SeriesHeld, UnusableHistory
from crypto_predict.market.collected import CollectedSeries
from crypto_predict.market.ports import CandleSource, SeriesReader
from crypto_predict.sources.catalog import EXCHANGES, SIMULATED, open_sources
from crypto_predict.wording import counted

_THREADS = 8  # series at once; each exchange has one rate budget for all of them
_PATIENCE = 2.0  # seconds for the threads to end after an interrupt; what they are about to store is stored or not

Job = Callable[[], Collected]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one series."""

    name: str  # pair and interval
    collected: Collected | None = None
    error: CryptoPredictError | None = None  # None: done
    skipped: str | None = None  # why it was not collected, which is not an error

    def line(self, stored: Sequence[CollectedSeries]) -> str:
        """Describe it in one line; `stored` is the contents of the database afterwards."""
        if self.skipped is not None:
            return f"{self.name}: skipped: {self.skipped}"
        if self.collected is None:
            return f"{self.name}: failed: {self.error}"
        series = self.collected.series
        now = next((collected for collected in stored if collected.series == series), None)
        changed = counted(self.collected.changed, "candle")
        parts = [f"{series}: {changed} new or changed"]
        if self.collected.quarantined:
            parts.append(f"{counted(self.collected.quarantined, 'row')} rejected")
        if now is not None and now.newest_close is not None:
            parts.append(f"up to {now.newest_close:%Y-%m-%d %H:%M} UTC")
            parts.append(f"{counted(now.gaps, 'gap')} ({counted(now.missing, 'candle')} missing)")
        return ", ".join(parts)


def collect(settings: CollectSettings, database: FetchDatabase, now: datetime) -> list[Outcome]:
    """Run ``--backfill`` or ``--once`` and return what became of each series. A failed one does not harm the others.

    Raises:
        InvalidValue: A setting of a source is not valid, or `settings` name what is not stored.
        DatabaseError: The database cannot be read.
        KeyboardInterrupt: The run was interrupted. Everything that was reported as stored is stored.
    """
    gc.freeze()  # the libraries stay: the collections that millions of candles cause need not look through them
    stopped = Event()
    with Progress() as progress:
        run = Run(database, now, settings.until, progress, stopped)
        jobs = _backfills(settings, run) if settings.mode is Mode.BACKFILL else _catch_ups(settings, run)
        outcomes = [Outcome(name, error=job) for name, job in jobs.items() if isinstance(job, CryptoPredictError)]
        outcomes += _in_threads({name: job for name, job in jobs.items() if callable(job)}, stopped)
    if settings.mode is Mode.ONCE:
        outcomes = [_skipped_if_held(outcome) for outcome in outcomes]
    return sorted(outcomes, key=lambda outcome: list(jobs).index(outcome.name))


def report(settings: CollectSettings, database: status.ReportDatabase, now: datetime) -> str:
    """Return the report of ``--status`` or ``--explain-gap``.

    Raises:
        InvalidValue: `settings` name what is not stored.
        DatabaseError: The database cannot be read.
    """
    stored = selected(database.collected(), settings)
    if settings.mode is Mode.STATUS:
        rows = status.rows(database, stored, now)
        return status.as_json(rows, now) if settings.as_json else status.as_table(rows)
    holes = gaps.find(database, [collected.series for collected in stored], settings, now)
    return gaps.as_json(holes) if settings.as_json else gaps.as_text(holes, now)


def summary(outcomes: Sequence[Outcome], database: SeriesReader) -> str:
    """Return one line for each series.

    Raises:
        DatabaseError: The database cannot be read.
    """
    stored = database.collected()
    return "\n".join(outcome.line(stored) for outcome in outcomes) or status.NOTHING


def worst_code(outcomes: Sequence[Outcome]) -> int:
    """Return the exit code of a run: that of a failed database, else of a failed source, else of a held series."""
    codes = {exit_code(outcome.error) for outcome in outcomes if outcome.error is not None}
    return next((code for code in (FAILED, NO_HISTORY, BAD_ARGUMENTS) if code in codes), DONE)


def _backfills(settings: CollectSettings, run: Run) -> Mapping[str, Job | CryptoPredictError]:
    sources = open_sources(settings.sources, settings.environ, 0, settings.pairs)
    interval = settings.interval or DEFAULT_INTERVAL
    return {
        f"{pair} {interval.label}": partial(backfill, run, sources, pair, interval, settings.start)
        for pair in settings.pairs
    }


def _catch_ups(settings: CollectSettings, run: Run) -> Mapping[str, Job | CryptoPredictError]:
    stored = selected(run.database.collected(), settings)
    names = sorted({collected.series.source for collected in stored} & {*EXCHANGES, SIMULATED})
    sources = {source.id: source for source in open_sources(names, settings.environ, 0, ())}
    return {str(collected.series): _catch_up(run, sources, collected) for collected in stored}


def _catch_up(run: Run, sources: Mapping[str, CandleSource], stored: CollectedSeries) -> Job | CryptoPredictError:
    source = sources.get(stored.series.source)
    if source is None:
        fault = f"it was collected from {stored.series.source}, which this version does not have"
        return UnusableHistory(str(stored.series.pair), [fault])
    return partial(catch_up, run, source, stored)


def _in_threads(jobs: Mapping[str, Job], stopped: Event) -> list[Outcome]:
    """Execute the jobs, several at once, and return their outcomes.

    The threads are daemons: an interrupt does not wait for an exchange that does not answer.
    """
    waiting, outcomes, crashes = deque(jobs.items()), list[Outcome](), list[BaseException]()

    def work() -> None:
        while waiting and not stopped.is_set():
            try:
                name, job = waiting.popleft()
            except IndexError:  # another thread was faster
                return
            try:
                outcomes.append(Outcome(name, job()))
            except CryptoPredictError as error:
                outcomes.append(Outcome(name, error=error))
            except BaseException as error:  # noqa: BLE001 a defect of this program: raised again below
                crashes.append(error)
                stopped.set()

    threads = [Thread(target=work, name=f"collect-{number}", daemon=True) for number in range(min(_THREADS, len(jobs)))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        stopped.set()
        for thread in threads:
            thread.join(_PATIENCE / len(threads))
        raise
    if crashes:
        raise crashes[0]
    return outcomes


def _skipped_if_held(outcome: Outcome) -> Outcome:
    """Another collector writes the series, so it needs nothing from this run."""
    if isinstance(outcome.error, SeriesHeld):
        return Outcome(outcome.name, skipped=outcome.error.reason)
    return outcome
