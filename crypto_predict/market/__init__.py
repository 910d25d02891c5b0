"""The vocabulary of the market: its `values`, and the `ports` between the parts that use it.

Every instant is a time-zone-aware datetime in UTC. A candle is named by its opening, which it includes; it ends where
the next one opens, which it does not include.
"""

from crypto_predict.market.values import (
    DAY,
    EPOCH,
    Candle,
    Gap,
    Interval,
    Pair,
    Quote,
    SeriesKey,
    Span,
    aggregate,
    price_decimals,
)

__all__ = [
    "DAY",
    "EPOCH",
    "Candle",
    "Gap",
    "Interval",
    "Pair",
    "Quote",
    "SeriesKey",
    "Span",
    "aggregate",
    "price_decimals",
]
