"""The vocabulary of the market.

* ``pair``: pairs of currencies, and the names of series
* ``interval``: intervals and spans of time
* ``candle``: candles, the volume-weighted average price of their session, quotes and gaps
* ``verdict``: whether an opening was traded, quiet, or not listened to
* ``forecast``: forecasts of the next minutes, and the sums of their scores
* ``clock``: the clock that live collecting goes by
* ``events``: what a live stream sends
* ``collected``: the values of a collection, as a database has them
* ``register``: outages of exchanges and of the collector, each as one event
* ``downtime``: the same as it is reported, and the downtime of each month
* ``ports``: the interfaces between the parts

Every instant is a time-zone-aware datetime in UTC. A candle is named by its opening, which it includes; it ends where
the next one opens, which it does not include.
"""

from crypto_predict.market.candle import (
    Candle,
    Gap,
    Quote,
    StoredCandle,
    StoredGap,
    aggregate,
    digest,
    price_decimals,
    resample,
)
from crypto_predict.market.interval import DAY, EPOCH, FIRST_DAY, FIRST_EXPECTED, Interval, Span
from crypto_predict.market.pair import Pair, SeriesKey

__all__ = ["Candle", "Gap", "Quote", "StoredCandle", "StoredGap", "aggregate", "digest", "price_decimals", "resample"]
__all__ += ["DAY", "EPOCH", "FIRST_DAY", "FIRST_EXPECTED", "Interval", "Span"]
__all__ += ["Pair", "SeriesKey"]
