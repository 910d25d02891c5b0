"""Poloniex's spot market, which trades USDT in place of dollars.

* ``rest``: its past candles and its quotes
* ``stream``: its live trades
"""

from crypto_predict.market import Interval
from crypto_predict.sources.exchange import Address, Exchange, Rate, Symbols

EXCHANGE = Exchange(
    id="poloniex",
    name="Poloniex",
    symbols=Symbols("_", longest=41, substitutes={"USD": "USDT"}),
    api=Address("POLONIEX_API_URL", "https://api.poloniex.com"),
    stream=Address("POLONIEX_STREAM_URL", "wss://ws.poloniex.com/ws/public"),
    intervals={interval: interval.name for interval in Interval if interval is not Interval.WEEK_1},
    page=500,
    rate=Rate(weight=200, seconds=1),
    source="crypto_predict.sources.poloniex.rest:Poloniex",
    feed="crypto_predict.sources.poloniex.stream:feed",
    unknown_pair=frozenset({"24101", "10040"}),
)
