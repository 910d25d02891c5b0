"""Coinbase's spot market, in dollars and without keys.

* ``rest``: its past candles and its quotes
* ``stream``: its live trades
"""

from crypto_predict.market import Interval
from crypto_predict.sources.exchange import Address, Exchange, Rate, Symbols

EXCHANGE = Exchange(
    id="coinbase",
    name="Coinbase",
    symbols=Symbols("-", longest=41),
    api=Address("COINBASE_API_URL", "https://api.exchange.coinbase.com"),
    stream=Address("COINBASE_STREAM_URL", "wss://ws-feed.exchange.coinbase.com"),
    intervals={
        interval: str(interval.seconds)
        for interval in (Interval.MINUTE_1, Interval.MINUTE_5, Interval.MINUTE_15, Interval.HOUR_1, Interval.DAY_1)
    },
    page=300,
    rate=Rate(weight=10, seconds=1),
    source="crypto_predict.sources.coinbase.rest:Coinbase",
    feed="crypto_predict.sources.coinbase.stream:feed",
    unknown_pair=frozenset({"NotFound"}),
)
