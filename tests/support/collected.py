"""A market of minutes with gaps, written to a database as a collector does."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from crypto_predict.market import DAY, Candle, Interval, Pair, Quote, SeriesKey, Span, aggregate
from crypto_predict.store import open_writer

BTC, USDT = Pair("BTC", "USD"), Pair("BTC", "USDT")
START = datetime(2026, 11, 1, 0, 3, tzinfo=UTC)  # the first day and its first hour are incomplete
END = datetime(2026, 11, 4, 9, 47, tzinfo=UTC)
LATE = END + timedelta(seconds=10)  # a time at which nothing is missing
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
GAPS = [
    Span(NOON + timedelta(minutes=3), NOON + timedelta(minutes=4)),
    Span(NOON + timedelta(minutes=17), NOON + timedelta(minutes=45)),
    Span(NOON + timedelta(hours=3), NOON + timedelta(hours=6)),
]

MINUTES = SeriesKey("simulated", BTC, Interval.MINUTE_1)
DAYS = SeriesKey("alpaca", BTC, Interval.DAY_1)
TETHER = SeriesKey("binance", USDT, Interval.MINUTE_1)


def minutes(start: datetime = START, end: datetime = END, seed: int = 0) -> list[Candle]:
    """Return the minutes from `start` to `end`, without those in `GAPS`; some have no volume."""
    return [candle for candle in _walk(start, end, seed) if not any(candle.open_time in gap for gap in GAPS)]


def days() -> list[Candle]:
    """Return ten days that end before `END`."""
    first = Interval.DAY_1.floor(END) - 10 * DAY
    return list(aggregate(_walk(first, first + 10 * DAY, 7), Interval.DAY_1))


def fill(database: str) -> None:
    """Write simulated minutes and quotes of BTC/USD, real days of the same pair, and real minutes of BTC/USDT."""
    tether = [candle._replace(quote_volume=candle.volume * candle.close, trades=3) for candle in minutes(seed=3)]
    result = days()
    with open_writer(database) as writer:
        for series, candles, covered in (
            (MINUTES, minutes(), Span(START, END)),
            (DAYS, result, Span(result[0].open_time, result[-1].open_time + DAY)),
            (TETHER, tether, Span(START, END)),
        ):
            writer.follow(series, simulated=series is MINUTES)
            writer.write(series, candles, covered)
        writer.write_quotes(MINUTES.source, BTC, quotes())


def quotes() -> list[Quote]:
    """Return the quotes of the last two hours, one in each minute, at irregular seconds."""
    chance = random.Random(1)
    result = []
    for minute in range(-120, 0):
        time = END + timedelta(minutes=minute, microseconds=chance.randrange(60_000_000))
        bid = 60_000 + chance.random()
        result.append(Quote(time, bid, chance.random(), bid + 0.5, chance.random()))
    return result


def _walk(start: datetime, end: datetime, seed: int) -> Iterator[Candle]:
    chance, price, opening = random.Random(seed), 60_000.0, start
    while opening < end:
        close = price * (1 + chance.uniform(-0.001, 0.001))
        high, low = max(price, close) + chance.random(), min(price, close) - chance.random()
        volume = 0.0 if chance.random() < 0.1 else chance.random()
        yield Candle(opening, price, high, low, close, volume)
        price, opening = close, opening + timedelta(minutes=1)
