"""Bars and quotes: REST and the stream name their values alike, and write only the time in another way."""

from collections.abc import Mapping
from datetime import datetime

from crypto_predict.market import Candle, Quote
from crypto_predict.sources.network.wire import number, whole


def read_candle(row: Mapping[str, object], opening: datetime) -> Candle:
    """Return a bar as a candle.

    Raises:
        Malformed: A value is missing or of another type.
    """
    open_, high, low, close, volume = (number(row.get(key), key) for key in ("o", "h", "l", "c", "v"))
    trades = None if row.get("n") is None else whole(row["n"], "n")
    return Candle(opening, open_, high, low, close, volume, trades=trades)


def read_quote(row: Mapping[str, object], time: datetime) -> Quote:
    """Return the top of the book.

    Raises:
        Malformed: A value is missing or of another type.
    """
    return Quote(time, *(number(row.get(key), key) for key in ("bp", "bs", "ap", "as")))
