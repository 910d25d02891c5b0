"""A market of minutes behind the replay server, and the real source that reads it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from crypto_predict.market import Candle, Interval, Pair, Span
from crypto_predict.sources.alpaca.rest import Alpaca
from crypto_predict.sources.alpaca.settings import AlpacaSettings
from crypto_predict.sources.network.retry import RetryPolicy
from tests.support.replay.alpaca import AlpacaExchange, Paging
from tests.support.replay.server import ReplayServer

BTC = Pair("BTC", "USD")
START = datetime(2023, 1, 1, tzinfo=UTC)
QUICK = RetryPolicy(
    attempts=3, first_wait=0.01, longest_wait=0.02, first_pause=0.001, connect_timeout=10, read_timeout=10
)

_made: list[Candle] = []  # so far; many tests need thousands


def minutes(count: int) -> list[Candle]:
    """Return `count` minutes from `START` on, each with different prices."""
    _made.extend(
        Candle(START + timedelta(minutes=i), 9.0 + i, 12.0 + i, 8.0 + i, 10.0 + i, i / 4, trades=i)
        for i in range(len(_made), count)
    )
    return _made[:count]


def full_minutes(count: int) -> list[Candle]:
    """Return `count` minutes from `START` on, each with different values in every field."""
    return [
        one._replace(quote_volume=2.5 * i, taker_base_volume=i / 8, taker_quote_volume=1.25 * i)
        for i, one in enumerate(minutes(count))
    ]


def exchange(candles: Sequence[Candle], paging: Paging | None = None, timeframe: str = "1Min") -> ReplayServer:
    """Return a server with `candles` of BTC/USD, not started yet."""
    return ReplayServer(AlpacaExchange({(BTC, timeframe): candles}, paging or Paging()))


def read(server: ReplayServer, count: int, policy: RetryPolicy = QUICK, pair: Pair = BTC) -> list[Candle]:
    """Return the first `count` minutes that the source reads from the server."""
    source = Alpaca(AlpacaSettings(server.url), policy=policy)
    return list(source.candles(pair, Interval.MINUTE_1, Span(START, START + timedelta(minutes=count))))
