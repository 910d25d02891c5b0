"""A market of minutes, and a quick policy to read it."""

from datetime import UTC, datetime, timedelta

from crypto_predict.market import Candle, Pair
from crypto_predict.sources.network.retry import RetryPolicy

BTC = Pair("BTC", "USD")
START = datetime(2023, 1, 1, tzinfo=UTC)
QUICK = RetryPolicy(
    attempts=3, first_wait=0.01, longest_wait=0.02, first_pause=0.001, connect_timeout=10, read_timeout=10
)

_minutes: list[Candle] = []  # so far; many tests need thousands


def minutes(count: int) -> list[Candle]:
    """Return `count` minutes from `START` on, each with different prices."""
    _minutes.extend(
        Candle(START + timedelta(minutes=i), 9.0 + i, 12.0 + i, 8.0 + i, 10.0 + i, i / 4, trades=i)
        for i in range(len(_minutes), count)
    )
    return _minutes[:count]


def full_minutes(count: int) -> list[Candle]:
    """Return `count` minutes from `START` on, each with different values in every field."""
    return [
        candle._replace(quote_volume=2.5 * i, taker_base_volume=i / 8, taker_quote_volume=1.25 * i)
        for i, candle in enumerate(minutes(count))
    ]
