"""Many pairs streaming from a replay server into SQLite, at the speed of the clock: ``python -m bench.live``.

The server, the collector and the reader are processes of their own. A candle, or the minute forecast at its close,
counts as stored when the reader, which looks ten times a second, finds it. The first minutes are not measured, in which
the history comes and coefficients are fitted.
"""

import argparse
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from bench.figures import Figure, table
from crypto_predict.errors import DatabaseError
from crypto_predict.market import Interval
from crypto_predict.store import Database, open_reader
from tests.support.replay.motion import numbered_pairs

PAIRS, MINUTES = 200, 10
HISTORY = timedelta(hours=25)  # before the start: enough for a first fit
MOST_STORED, MOST_LAG, MOST_FORECAST = 1.0, 5.0, 2.0  # seconds after the close
MOST_GROWTH, MOST_SHARE = 1.05, 0.5  # of memory, and of one core
LOOK = 0.1  # seconds from one look of the reader to the next
PATIENCE = 30.0  # seconds after a close, when the reader stops to look


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.live", description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--minutes", type=int, default=MINUTES)
    options = parser.parse_args()
    print(table(list(measure(options.pairs, options.minutes))))


def measure(pairs: int = PAIRS, minutes: int = MINUTES) -> Iterator[Figure]:
    """Collect `pairs` for `minutes`: when candles and forecasts are stored, the memory and the share of a core."""
    latest: list[float] = []  # seconds from the close to the last candle of each minute
    medians: list[float] = []
    forecasts: list[float] = []  # seconds from the close to the last forecast of each minute
    memory: list[int] = []
    with tempfile.TemporaryDirectory() as folder, serving(pairs) as url:
        database = Path(folder, "market.db")
        with collecting(url, database, pairs) as process, _opened(database) as reader:
            _wait_for_all(reader, pairs)
            close = _next_close()
            used = _cpu_seconds(process)
            began = time.monotonic()
            for _ in range(minutes):
                delays, forecast_at = _delays(reader, database, close)
                latest.append(max(delays))
                medians.append(statistics.median(delays))
                forecasts.append(forecast_at)
                memory.append(process.memory_info().rss)
                close += Interval.MINUTE_1.length
            share = (_cpu_seconds(process) - used) / (time.monotonic() - began)
    name = f"{pairs} pairs, {minutes} minutes live"
    yield Figure(f"{name}: a close is stored after, median", statistics.median(medians), MOST_STORED, "limit", "s", 1)
    yield Figure(f"{name}: the last one of a minute, worst", max(latest), MOST_LAG, "limit", "s", 1)
    yield Figure(f"{name}: the last forecast, median", statistics.median(forecasts), MOST_FORECAST, "limit", "s", 1)
    yield Figure(f"{name}: the last forecast, worst", max(forecasts), MOST_FORECAST, "limit", "s", 1)
    yield Figure(f"{name}: memory at the end", memory[-1] / 1e6, memory[1] / 1e6, "after 2 minutes", "MB", MOST_GROWTH)
    yield Figure(f"{name}: share of one core", share, MOST_SHARE, "limit", "", 1)


@contextmanager
def serving(pairs: int) -> Iterator[str]:
    """Run an exchange in motion in a process; give its address."""
    begin = Interval.MINUTE_1.floor(datetime.now(UTC) - HISTORY)
    command = [sys.executable, "-m", "tests.support.replay", str(pairs), begin.isoformat()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@contextmanager
def collecting(url: str, database: Path, pairs: int) -> Iterator[psutil.Process]:
    """Run the collector in a process.

    Raises:
        RuntimeError: It ended before.
    """
    named = ",".join(map(str, numbered_pairs(pairs)))
    options = ["--source", "binance", "--pair", named, "--database", str(database)]
    environ = {**os.environ, "BINANCE_API_URL": url, "BINANCE_STREAM_URL": url.replace("http", "ws")}
    log = Path(database.parent, "log")
    with log.open("w") as errors:
        command = [sys.executable, "collect.py", *options]
        with subprocess.Popen(command, env=environ, stderr=errors) as process:
            try:
                yield psutil.Process(process.pid)
                if process.poll() is not None:
                    raise RuntimeError(log.read_text()[-2000:])
            finally:
                process.terminate()


@contextmanager
def _opened(database: Path) -> Iterator[Database]:
    """Wait until the database is there, and open it."""
    while True:
        try:
            reader = open_reader(str(database))
            break
        except DatabaseError:
            time.sleep(LOOK)
    with reader:
        yield reader


def _wait_for_all(reader: Database, pairs: int) -> None:
    """Wait until every pair has its history and coefficients, and a minute more."""
    complete = 0
    while complete < pairs or len(reader.minute_models()) < pairs:
        time.sleep(1)
        now = Interval.MINUTE_1.floor(datetime.now(UTC))
        whole = (one for one in reader.collected() if one.newest_close == now and not one.gaps)
        complete = sum(len(reader.coverage(one.series)) == 1 for one in whole)
    time.sleep(60)


def _next_close() -> datetime:
    return Interval.MINUTE_1.floor(datetime.now(UTC)) + Interval.MINUTE_1.length


def _delays(reader: Database, database: Path, close: datetime) -> tuple[list[float], float]:
    """Return the seconds from the close of a minute until each pair's candle is found, and until all forecasts are."""
    time.sleep(max(0.0, (close - datetime.now(UTC)).total_seconds()))
    found: list[float] = []
    pairs, forecasts, passed = 1, 0, 0.0
    while (len(found) < pairs or forecasts < pairs) and passed < PATIENCE:
        series = reader.collected()
        pairs = len(series)
        stored = sum(one.newest_close is not None and one.newest_close >= close for one in series)
        passed = (datetime.now(UTC) - close).total_seconds()
        found += [passed] * (stored - len(found))
        forecasts = _forecasts(database, close)
        passed = (datetime.now(UTC) - close).total_seconds()
        time.sleep(LOOK)
    return found + [PATIENCE] * (pairs - len(found)), passed


def _forecasts(database: Path, cutoff: datetime) -> int:
    """Count the forecasts of a cutoff, in one question for all pairs."""
    query = "SELECT count(*) FROM forecasts WHERE cutoff = ?"
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return int(connection.execute(query, (int(cutoff.timestamp()),)).fetchone()[0])


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
