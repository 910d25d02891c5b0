"""The vocabulary of the market, and the `ports` between the parts that use it.

Every instant is a time-zone-aware datetime in UTC. A candle is named by its opening, which it includes; it ends where
the next one opens, which it does not include.
"""

from crypto_predict.market.candle import Candle, Gap, Quote, StoredCandle, aggregate, digest, price_decimals, resample
from crypto_predict.market.interval import DAY, EPOCH, FIRST_DAY, FIRST_EXPECTED, Interval, Span
from crypto_predict.market.pair import Pair, SeriesKey

__all__ = [
    "DAY",
    "EPOCH",
    "FIRST_DAY",
    "FIRST_EXPECTED",
    "Candle",
    "Gap",
    "Interval",
    "Pair",
    "Quote",
    "SeriesKey",
    "Span",
    "StoredCandle",
    "aggregate",
    "digest",
    "price_decimals",
    "resample",
]
