"""A market with everything that an export has: gaps, outages, quiet minutes, several months, series and sources."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from crypto_predict.market import Candle, Interval, Pair, SeriesKey, Span
from crypto_predict.market.collected import StreamSpan, StreamState
from crypto_predict.store import WritableDatabase, open_writer

MINUTES = SeriesKey("binance", Pair("BTC", "USDT"), Interval.MINUTE_1)
DAYS = SeriesKey("alpaca", Pair("ETH", "USD"), Interval.DAY_1)
MINUTE = timedelta(minutes=1)
START = datetime(2026, 10, 31, 22, tzinfo=UTC)  # two hours before a month ends
COUNT = 240  # openings of minutes, of which some have no candle
SILENT = range(130, 150)  # which have none, in November; the exchange was down in the first ten of them


def candle(number: int) -> Candle:
    """Return the candle that opens `number` minutes after `START`; every seventh one is quiet."""
    price, volume = 100 + number % 97 / 7, 0.0 if number % 7 == 0 else number / 3
    return Candle(
        START + number * MINUTE, price, price + 3, price - 2, price + 1, volume, volume * price, 17 if volume else 0
    )


def minutes(count: int = COUNT) -> list[Candle]:
    """Return the candles of the first `count` minutes."""
    return [candle(number) for number in range(count) if number not in SILENT]


def at(number: int) -> datetime:
    """Return an opening."""
    return START + number * MINUTE


def fill(database: WritableDatabase) -> None:
    """Store a market of minutes and one of days."""
    database.follow(MINUTES, simulated=False)
    database.write(MINUTES, minutes(), Span(at(-30), at(COUNT)))
    for start, end, state, reason in (
        (0, 130, StreamState.CONNECTED, ""),
        (130, 140, StreamState.EXCHANGE_DOWN, "HTTP 503"),
        (140, 150, StreamState.DISCONNECTED, "no answer"),
        (150, COUNT, StreamState.CONNECTED, ""),
    ):
        database.write_streams("binance", [MINUTES.pair], StreamSpan(Span(at(start), at(end)), state, reason))
    database.follow(DAYS, simulated=True)
    day = Interval.DAY_1.floor(START)
    days = [Candle(day - number * timedelta(days=1), 3.0, 4.0, 2.0, 3.5, 10.0) for number in range(40, 0, -1)]
    database.write(DAYS, days, Span(days[0].open_time, day))


def filled(url: str) -> str:
    """Fill a new database and return its address."""
    with open_writer(url) as database:
        fill(database)
    return url


def content(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a folder by its path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a folder."""
    result: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return result


def entries(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what the manifest has of each file."""
    for series in manifest(folder)["series"]:
        yield from series["files"]


def paths(folder: Path) -> Sequence[str]:
    """Return the paths of the Parquet files of a folder, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet"))
