"""Measure the export of a database as Parquet: its speed, its size and its memory; and kill it at random moments.

``python -m bench.dataset`` prints the figures. The size is that of real minutes, beside the checkout if they are there.
"""

import csv
import gzip
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy

from bench.figures import Figure, table
from crypto_predict.market import EPOCH, Candle, Interval, Pair, SeriesKey, Span
from crypto_predict.store import open_writer

ROOT = Path(__file__).parents[1]
SERIES = SeriesKey("bench", Pair("BTC", "USDT"), Interval.MINUTE_1)
START, MINUTE = datetime(2005, 1, 1, tzinfo=UTC), timedelta(minutes=1)
ROWS, PART = 10_000_000, 500_000
KILLS = 30
SHARE = 0.27  # of the rows a second that the driver reads: 250,000 on a quiet machine, where it reads 920,000
_REAL = ROOT.parent / "shared" / "data" / "bitfinex_BTC-USD_1m_2019Q1.csv.gz"
# Every field has a value, and prices have two digits, as of an exchange.
_FILL = """
    INSERT INTO price_history
    WITH RECURSIVE minutes(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM minutes WHERE n < :rows - 1)
    SELECT 1, :start + 60 * n, price, price + 3, price - 2, price + 1,
           volume, volume * price, 17, volume / 2, price / 2, price + 0.5
    FROM (SELECT n, 60000 + n % 9973 / 100.0 AS price, (n * 7919) % 100003 / 1000.0 AS volume FROM minutes)
"""


def measure(folder: Path) -> list[Figure]:
    """Return the figures; the databases are made in `folder`."""
    part, whole = _written(folder / "part.db"), _filled(folder / "whole.db", ROWS)
    start = min(_run("--help")[0] for _ in range(3))
    took, peak, _ = _run("--export", folder / "whole", whole)
    bare = max(_read(part) for _ in range(3))
    rate, peer = f"export to Parquet, of {ROWS:,} rows", "SQLite's bare driver, read"
    figures = [
        Figure(rate, ROWS / (took - start), bare, peer, "/s", SHARE, at_least=True),
        Figure(f"{rate}: memory", peak / 1e6, 250, "limit", "MB", 1),
    ]
    if _REAL.exists():
        output = _run("--export", folder / "real", _real(folder / "real.db"))[2]
        rows, size = (int(text.replace(",", "")) for text in re.findall(r"([\d,]+) (?:rows|bytes)", output))
        figures.append(Figure("export of real minutes: bytes a row", size / rows, 25, "limit", "", 1))
    return [*figures, _kills(part, folder)]


def _read(database: Path) -> float:
    """Return the rows a second that the driver of SQLite reads."""
    with closing(sqlite3.connect(database)) as driver:
        began = time.perf_counter()
        rows = driver.execute("SELECT * FROM price_history")
        count = sum(len(page) for page in iter(lambda: rows.fetchmany(1_000), []))
        return count / (time.perf_counter() - began)


def _run(option: str, folder: Path | str = "", database: Path | str = "", seconds: float = 0) -> tuple[float, int, str]:
    """Run the command, or kill it after `seconds`; return the seconds it took, its peak of memory and its report."""
    words = [option, str(folder), "--database", str(database)] if database else [option]
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as report:
        process = subprocess.Popen([sys.executable, "collect.py", *words], cwd=ROOT, stdout=report)
        if seconds:
            time.sleep(seconds)
            os.kill(process.pid, signal.SIGKILL)  # `Popen.kill` would take the status of one that has ended
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
        if status and not seconds:
            raise RuntimeError(f"collect.py {option} ended with {status}")
        report.seek(0)
        return took, usage.ru_maxrss * 1024, report.read()


def _kills(database: Path, folder: Path) -> Figure:
    """Kill exports into one folder, and imports of it, at random moments; return how often that did no harm."""
    target, copy, failures = folder / "killed", folder / "copy.db", 0
    chance = random.Random(1)
    longest = _run("--export", folder / "unharmed", database)[0]
    for _ in range(KILLS):
        _run("--export", target, database, chance.uniform(0, longest))
        if (target / "manifest.json").exists():
            failures += "sound" not in _run("--verify", target, database)[2]
        if chance.random() < 0.3:
            shutil.rmtree(target, ignore_errors=True)
    _run("--export", target, database)
    for _ in range(KILLS):
        _run("--import", target, copy, chance.uniform(0, 2 * longest))
    _run("--import", target, copy)
    failures += "sound" not in _run("--verify", target, copy)[2]
    paths = [path.relative_to(target) for path in target.rglob("*.parquet")]
    failures += sum((target / path).read_bytes() != (folder / "unharmed" / path).read_bytes() for path in paths)
    return Figure("export and import killed: unharmed", 2 * KILLS - failures, 2 * KILLS, "kills", "", 1, at_least=True)


def _filled(path: Path, rows: int) -> Path:
    """Make a database of minutes in one statement, which a write would need minutes for."""
    with open_writer(str(path)) as database:
        database.follow(SERIES, simulated=True)
        first = int(START.timestamp())
        values = {"rows": rows, "start": first}
        with database.transaction() as connection:
            connection.execute(sqlalchemy.text(_FILL), values)
            connection.execute(
                sqlalchemy.text(
                    "UPDATE symbols SET candles = :rows, first_open = :start, last_open = :start + 60 * (:rows - 1)"
                ),
                values,
            )
            connection.execute(sqlalchemy.text("INSERT INTO coverage VALUES (1, :start, :start + 60 * :rows)"), values)
    return path


def _written(path: Path) -> Path:
    """Make a database of minutes as a collector does, with the VWAP that an import computes again."""
    with open_writer(str(path)) as database:
        database.follow(SERIES, simulated=True)
        for first in range(0, PART, 50_000):
            candles = [_minute(number) for number in range(first, first + 50_000)]
            database.write(SERIES, candles, Span(candles[0].open_time, candles[-1].open_time + MINUTE))
    return path


def _minute(number: int) -> Candle:
    price, volume = 60_000 + number % 9_973 / 100, number * 7_919 % 100_003 / 1000
    prices = price, price + 3, price - 2, price + 1
    return Candle(START + number * MINUTE, *prices, volume, volume * price, 17, volume / 2, price / 2)


def _real(path: Path) -> Path:
    with gzip.open(_REAL, "rt", newline="") as file, open_writer(str(path)) as database:
        rows = list(csv.reader(file))[1:]
        candles = [_candle(*row) for row in rows]
        database.follow(SERIES, simulated=False)
        database.write(SERIES, candles, Span(candles[0].open_time, candles[-1].open_time + MINUTE))
    return path


def _candle(milliseconds: str, *numbers: str) -> Candle:
    first, high, low, close, volume = map(float, numbers)
    return Candle(EPOCH + timedelta(milliseconds=int(milliseconds)), first, high, low, close, volume)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        print(table(measure(Path(name))))
