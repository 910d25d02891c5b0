"""The last price of every collected pair, as values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from crypto_predict.market import DAY, Pair
from crypto_predict.market.ports import LastPrice, MarketReader
from crypto_predict.web.collected.series import best, rank

TOLERANCE = timedelta(minutes=10)  # before the time a day ago, in which a close must lie: not every minute has trades
_DIGITS = 6  # after the decimal point of a change: a ten-thousandth of a percent


@dataclass(frozen=True, slots=True)
class PairPrice:
    """The last price of one pair, in its quote currency, from the source that answers where none is asked for."""

    pair: Pair
    source: str
    simulated: bool
    state: str
    price: float | None  # the newest close; None before the first candle
    time: datetime | None  # of that close, UTC
    change_24h: float | None  # relative to the close a day before it; None if that is not known


def last(reader: MarketReader) -> list[PairPrice]:
    """Return the last price of every collected pair, sorted by pair.

    Raises:
        DatabaseError: The database cannot be read.
    """
    found = sorted(reader.last_prices(DAY, TOLERANCE), key=lambda one: rank(one.series))
    return [_of_pair(best(of_pair)) for _, of_pair in groupby(found, key=lambda one: one.series.pair)]


def _of_pair(one: LastPrice) -> PairPrice:
    change = one.price / one.earlier - 1 if one.price and one.earlier else math.inf
    series, change_24h = one.series, round(change, _DIGITS) if math.isfinite(change) else None
    return PairPrice(series.pair, series.source, one.simulated, one.state, one.price, one.newest_close, change_24h)
