"""Coinbase's candles and top of book, without keys.

Wire format::

    GET /products/BTC-USD/candles?granularity=60&start=2024-05-17T12:00:00Z&end=2024-05-17T16:59:00Z
    [[1715947260, 65214.9, 65250.0, 65249.99, 65215.01, 4.21867132], ...]
    GET /products/BTC-USD/book?level=1
    {"bids": [["65214.98", "0.0123", 2]], "asks": [["65214.99", "0.51", 7]], "sequence": 79984236331}
    {"message": "NotFound"}

A candle is its opening in seconds since 1970, low, high, open, close and volume in the base currency. The newest comes
first. ``start`` and ``end`` are openings, both included, and more than 300 candles between them are refused. Without
both, the newest candles are sent. A candle without trades does not exist. Now and then an answer is empty although
there are candles, so it is asked for again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from crypto_predict.market import Candle, Interval, Quote, Span
from crypto_predict.sources.coinbase import EXCHANGE
from crypto_predict.sources.network.paging import in_windows
from crypto_predict.sources.network.source import ExchangeSource
from crypto_predict.sources.network.wire import Malformed, decimal, instant, rows, whole

_NUMBERS = ("low", "high", "open", "close", "volume")  # after the time


class Coinbase(ExchangeSource):
    """Candles and top of book of Coinbase's spot market."""

    exchange = EXCHANGE

    def _page(self, symbol: str, interval: Interval, span: Span) -> tuple[list[Candle], bool]:
        first, last = interval.ceil(span.start), interval.ceil(span.end) - interval.length
        query = {
            "granularity": EXCHANGE.intervals[interval],
            "start": f"{first:%Y-%m-%dT%H:%M:%SZ}",
            "end": f"{last:%Y-%m-%dT%H:%M:%SZ}",
        }
        answer = self.session.read(f"/products/{symbol}/candles", query)
        return [_read_candle(row) for row in rows(answer, "candles", EXCHANGE.page)], False

    def _paged(self, ask: Callable[[Span], Sequence[Candle]], interval: Interval, span: Span) -> Iterator[Candle]:
        return in_windows(lambda part: ask(part) or ask(part), interval, span, EXCHANGE.page)

    def _quote(self, symbol: str) -> Quote:
        """Return the top of the book, with the time of the answer; an empty side has zeros."""
        answer = self.session.read(f"/products/{symbol}/book", {"level": 1})
        if not isinstance(answer, Mapping):
            raise Malformed("no book")
        return Quote(self.session.now(), *_best(answer, "bids"), *_best(answer, "asks"))


def _read_candle(row: object) -> Candle:
    if not isinstance(row, list) or len(row) <= len(_NUMBERS):
        raise Malformed(f"a candle that is not a list of {len(_NUMBERS) + 1} values")
    low, high, open_, close, volume = map(decimal, row[1:], _NUMBERS)
    return Candle(instant(whole(row[0], "time") * 1000, "time"), open_, high, low, close, volume)


def _best(book: Mapping[str, object], side: str) -> tuple[float, float]:
    """Return the first price and size of a side."""
    levels = book.get(side)
    if levels == []:
        return 0.0, 0.0
    if not (isinstance(levels, list) and isinstance(levels[0], list) and len(levels[0]) > 1):
        raise Malformed(f"a book without {side}")
    return decimal(levels[0][0], f"price of {side}"), decimal(levels[0][1], f"size of {side}")
