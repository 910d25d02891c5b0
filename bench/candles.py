"""Answers out of SQLite databases of 0.5 and of 5 million candles: one day of minutes, and the next minutes."""

import random
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench import models
from bench.figures import Figure, in_turn
from bench.load import Server, drive, running
from bench.minute_forecasts import step
from bench.serving import PEER_SETTINGS
from crypto_predict.market import DAY, Candle, Interval, Pair, SeriesKey, Span
from crypto_predict.store import open_writer

PAIRS, MINUTES = 10, 500_000  # the small database has the first pair alone
BATCH = 10_000  # candles in one transaction, as a collector writes them
START = datetime(2025, 1, 1, tzinfo=UTC)
LIMIT = 15  # ms
LIMIT_AHEAD = 7  # times bare Flask: 10 ms on a quiet machine, where 8 clients wait 1.44 ms for each of its answers
REQUESTS, ROUNDS = 30, 5
CLIENTS, REQUESTS_AHEAD = 8, 800
KEEP = DAY  # of minute forecasts, as the collector keeps them


def measure(source: str, folder: Path) -> Iterator[Figure]:
    """Fill both databases in `folder` and measure each behind a server; the model there is reused, if there is one."""
    model, small, large = folder / "model.pkl", folder / "small.db", folder / "large.db"
    if not model.exists():
        models.bake(source, model)
    candles = random_candles(START, MINUTES, 0)
    _write(candles, large, 0)
    shutil.copy(large, small)
    for number in range(1, PAIRS):
        _write(candles, large, number)
    flask = ["-m", "bench.bare", "--waitress", PEER_SETTINGS]
    with _serving(model, small) as of_few, _serving(model, large) as of_many, running(flask, "/bitcoin") as bare:
        times = in_turn({"small": lambda: _milliseconds(of_few), "large": lambda: _milliseconds(of_many)}, ROUNDS)
        ahead = in_turn(
            {
                "large": lambda: _milliseconds_ahead(of_many, large),
                "bare": lambda: 1000 * drive(bare.port, ["/bitcoin"] * REQUESTS_AHEAD, CLIENTS).median_latency,
            },
            ROUNDS,
        )
    name = "the next 15 minutes, 8 clients, 5 million candles"
    yield Figure(name, ahead["large"], ahead["bare"], "bare Flask", "ms", LIMIT_AHEAD)
    yield Figure("one day of minutes out of 5 million", times["large"], LIMIT, "limit", "ms", 1)
    yield Figure("the same, against out of 0.5 million", times["large"], times["small"], "itself", "ms", 1.2)


def random_candles(first: datetime, count: int, seed: int) -> list[Candle]:
    """Return minutes with every column and as many digits as an exchange has."""
    chance, price, found = random.Random(seed), 60_000.0, []
    for number in range(count):
        volume, trades = round(chance.expovariate(0.2), 5), chance.randrange(5_000)
        close = round(price * (1 + chance.gauss(0, 0.0005)), 2)
        high, low = round(max(price, close) * 1.0003, 2), round(min(price, close) * 0.9997, 2)
        turnover = round(volume * close, 7)
        opening = first + timedelta(minutes=number)
        found.append(
            Candle(opening, price, high, low, close, volume, turnover, trades, round(volume / 3, 5), turnover / 4)
        )
        price = close
    return found


def _write(candles: list[Candle], database: Path, number: int) -> None:
    """Write the candles as those of the pair of this number."""
    series = _series(number)
    with open_writer(str(database)) as writer:
        writer.follow(series, simulated=False)
        for first in range(0, MINUTES, BATCH):
            batch = candles[first : first + BATCH]
            writer.write(series, batch, Span(batch[0].open_time, batch[-1].open_time + Interval.MINUTE_1.length))


def _series(number: int) -> SeriesKey:
    return SeriesKey("binance", Pair(f"C{number}", "USDT"), Interval.MINUTE_1)


def _serving(model: Path, database: Path) -> AbstractContextManager[Server]:
    command = ["api.py", "--model", str(model), "--database", str(database), "--host", "127.0.0.1"]
    return running(command, "/series")


def _milliseconds(server: Server) -> float:
    """Return the median time of days all over the span, one request after the other."""
    chance = random.Random(0)
    days = (START + chance.randrange(MINUTES // 1440) * DAY for _ in range(REQUESTS))
    paths = [f"/candles/C0-USDT?interval=1m&start={day:%Y-%m-%d}&end={day + DAY:%Y-%m-%d}&limit=1440" for day in days]
    return 1000 * drive(server.port, paths, 1).median_latency


def _milliseconds_ahead(server: Server, database: Path) -> float:
    """Return the median time of the newest minute forecast, of all pairs in turn, each with forecasts of a day."""
    newest = Interval.MINUTE_1.ceil(datetime.now(UTC))
    with open_writer(str(database)) as writer:
        steps = [step(newest - KEEP + number * Interval.MINUTE_1.length) for number in range(1, 1_441)]
        writer.write_forecasts({_series(number): steps for number in range(PAIRS)}, KEEP)
    paths = [f"/forecast/C{number % PAIRS}-USDT/minutes" for number in range(REQUESTS_AHEAD)]
    return 1000 * drive(server.port, paths, CLIENTS).median_latency
