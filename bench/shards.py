"""Several collectors as shards of one PostgreSQL, one of them killed: ``python -m bench.shards``.

An exchange in motion, the database and each collector are processes of their own, at the speed of the clock. Time of a
processor says what a shard needs, whatever else the machine does.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg

from bench.live import HISTORY, serving
from crypto_predict.market import Interval, SeriesKey, Span
from crypto_predict.market.collected import ACTIVE, Shard
from crypto_predict.store import Database, open_writer
from tests.support.databases import new_postgresql
from tests.support.replay.motion import numbered_pairs

PAIRS, SHARDS, MINUTES = 500, 4, 5
PATIENCE = 1_800.0  # seconds for something to become true

_MINUTE = Interval.MINUTE_1
_ROWS = "SELECT xact_commit, tup_inserted + tup_updated FROM pg_stat_database WHERE datname = current_database()"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.shards", description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--shards", type=int, default=SHARDS)
    parser.add_argument("--minutes", type=int, default=MINUTES)
    options = parser.parse_args()
    for line in measure(options.pairs, options.shards, options.minutes):
        print(line, flush=True)


def measure(pairs: int, of: int, minutes: int) -> Iterator[str]:
    """Collect for some minutes, kill the first collector, start it again, and look whether everything is there."""
    database = new_postgresql()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(serving(pairs))
        reader = stack.enter_context(open_writer(database))
        for pair in numbered_pairs(pairs):
            series = SeriesKey("binance", pair, _MINUTE)
            reader.follow(series, simulated=False)
            reader.set_state(series, ACTIVE, datetime.now(UTC) - HISTORY)
        shards = [Shard(number, of) for number in range(1, of + 1)]
        running = [stack.enter_context(_collecting(url, database, shard, folder)) for shard in shards]
        yield f"{_after(lambda: _is_whole(reader, pairs)):.0f} s until every pair has its history"
        for shard in shards:
            yield f"shard {shard}: {sum(pair in shard for pair in numbered_pairs(pairs))} pairs"
        time.sleep(60)
        yield from _figures(dict(zip(shards, running, strict=True)), database, minutes)
        killed, others = shards[0], tuple(f"process {process.pid} " for process in running[1:])
        running[0].kill()
        killed_at = datetime.now(UTC)
        seconds = _after(lambda: _collector(reader, killed).startswith(others))
        yield f"one is killed: taken over after {seconds:.1f} s"
        seconds = _after(lambda: _is_stored(reader, killed, killed_at + timedelta(seconds=60)))
        yield f"the minute that closes a minute after the kill is stored of all its pairs after {seconds:.1f} s more"
        time.sleep(60)
        yield from _figures(dict(zip(shards[1:], running[1:], strict=True)), database, minutes)
        again = stack.enter_context(_collecting(url, database, killed, folder))
        seconds = _after(lambda: _collector(reader, killed).startswith(f"process {again.pid} "))
        yield f"started again: it has its shard back after {seconds:.1f} s"
        time.sleep(120)
        yield _summary(reader)


@contextmanager
def _collecting(url: str, database: str, shard: Shard, folder: Path) -> Iterator[psutil.Process]:
    """Run a collector of one shard in a process."""
    options = ["--source", "binance", "--database", database, "--shard", str(shard)]
    environ = {**os.environ, "BINANCE_API_URL": url, "BINANCE_STREAM_URL": url.replace("http", "ws")}
    command = [sys.executable, "collect.py", *options]
    with (
        (folder / f"{shard.number}.log").open("a") as log,
        subprocess.Popen(command, env=environ, stderr=log) as process,
    ):
        try:
            yield psutil.Process(process.pid)
        finally:
            process.kill()


def _after(condition: Callable[[], object]) -> float:
    """Return the seconds until a condition is true."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > PATIENCE:
            raise RuntimeError(f"not within {PATIENCE:.0f} s")
        time.sleep(0.5)
    return time.monotonic() - began


def _is_whole(reader: Database, pairs: int) -> bool:
    """Whether each pair has its history."""
    return sum(series.candles >= HISTORY // _MINUTE.length for series in reader.collected()) == pairs


def _figures(collectors: Mapping[Shard, psutil.Process], database: str, minutes: int) -> Iterator[str]:
    """Measure each collector and the database for some minutes."""
    with psycopg.connect(database, autocommit=True) as connection:
        before, counted = [_cpu_seconds(process) for process in collectors.values()], _rows(connection)
        began = time.monotonic()
        time.sleep(60 * minutes)
        passed = (time.monotonic() - began) / 60
        for (shard, process), earlier in zip(collectors.items(), before, strict=True):
            cpu, memory = (_cpu_seconds(process) - earlier) / passed, process.memory_info().rss / 1e6
            yield f"the process of shard {shard}: {cpu:.2f} s of a core a minute, {memory:.0f} MB"
        transactions, rows = ((now - then) / passed for now, then in zip(_rows(connection), counted, strict=True))
        yield f"the database: {transactions:.0f} transactions and {rows:.0f} rows a minute"


def _rows(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    """Return how many transactions were committed, and rows inserted or updated."""
    row = connection.execute(_ROWS).fetchone()
    assert row is not None
    return row[0], row[1]


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _collector(reader: Database, shard: Shard) -> str:
    return next((state.collector for state in reader.shards() if state.shard == shard), "")


def _is_stored(reader: Database, shard: Shard, instant: datetime) -> bool:
    """Whether each pair of a shard has the candle that closes next after an instant."""
    close = _MINUTE.ceil(instant)
    return all(
        series.newest_close is not None and series.newest_close >= close
        for series in reader.collected()
        if series.series.pair in shard
    )


def _summary(reader: Database) -> str:
    """Say how many minutes are missing, and how many were stored with other values before."""
    series = reader.collected()
    spans = [stored for stored in series if stored.first_open is not None and stored.newest_close is not None]
    missing = doubled = 0
    for stored in spans:
        assert stored.first_open is not None
        assert stored.newest_close is not None
        span = Span(stored.first_open, stored.newest_close)
        missing += (span.end - span.start) // _MINUTE.length - len(reader.candles(stored.series, span, 10**6))
        doubled += len(reader.revisions(stored.series, span))
    return f"{len(series)} pairs: {missing} minutes missing, {doubled} stored with other values before"


if __name__ == "__main__":
    main()
