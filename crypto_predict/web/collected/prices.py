"""The last price of every collected pair, and its change over 24 hours.

Of each pair the newest close of the source that answers where none is asked for, and its `time`. `change_24h` is
relative to the last close of the ten minutes that end 24 hours before that time: 0.012 is 1.2 %. It is null if there
was none, as are `price` and `time` before the first candle. One read answers all requests until the next close.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Annotated

from crypto_predict.market import DAY, Pair
from crypto_predict.market.collected import ACTIVE
from crypto_predict.market.ports import SeriesReader
from crypto_predict.web.collected.calls import Call
from crypto_predict.web.collected.endpoint import DatabaseOperation, Sample
from crypto_predict.web.collected.series import STATE, best, rank
from crypto_predict.web.http.queries import parameters
from crypto_predict.web.http.response import Rendered, render_rows

TOLERANCE = timedelta(minutes=10)  # before the time a day ago, in which a close must lie: not every minute has trades
_DIGITS = 6  # after the decimal point of a change: a ten-thousandth of a percent


@dataclass(frozen=True, slots=True)
class PairPrice:
    """The last price of one pair, in its quote currency, from the source that answers where none is asked for."""

    pair: Pair
    source: str
    simulated: bool
    state: Annotated[str, STATE]
    price: float | None  # the newest close; None before the first candle
    time: datetime | None  # of that close, UTC
    change_24h: float | None  # relative to the close a day before it; None if that is not known


def last(reader: SeriesReader) -> list[PairPrice]:
    """Return the last price of every collected pair, sorted by pair."""
    result = []
    prices = sorted(reader.last_prices(DAY, TOLERANCE), key=rank)
    for pair, of_pair in groupby(prices, key=lambda price: price.series.pair):
        last = best(of_pair)
        change = last.price / last.earlier - 1 if last.price and last.earlier else math.inf
        facts = (last.simulated, last.state, last.price, last.newest_close)
        change_24h = round(change, _DIGITS) if math.isfinite(change) else None
        result.append(PairPrice(pair, last.series.source, *facts, change_24h))
    return result


def answer(call: Call) -> Rendered:
    """Return the last prices, which are read once for all requests until the next close."""
    parameters(call.query)
    return call.until_close(lambda reader: render_rows(last(reader)))


def _example(sample: Sample) -> list[list[PairPrice]]:
    series, close = sample.series, sample.candles[-1].close
    return [[PairPrice(series.pair, series.source, False, ACTIVE, close, sample.end, 0.01203)]]


OPERATION = DatabaseOperation(
    rule="/prices", answer=answer, text=__doc__, place=8, schemas={"Prices": list[PairPrice]}, examples=_example
)
