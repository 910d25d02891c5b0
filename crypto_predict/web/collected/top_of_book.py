"""The best bid and ask of a pair, about each minute.

Quotes ascend, one a row. Without `start` the answer is the newest `limit` quotes before `end`, and `Link` has the page
before it (`rel="prev"`). With `start` it begins there, and `Link` has the next page (`rel="next"`).
"""

from datetime import datetime, timedelta

from crypto_predict.market import EPOCH, Interval, Quote, Span
from crypto_predict.market.collected import CollectedSeries
from crypto_predict.market.ports import QuoteReader
from crypto_predict.web.collected import pages
from crypto_predict.web.collected.candles import ARRIVAL
from crypto_predict.web.collected.documented import INSTANT, NUMBER, Sample, page_schema, table_operation
from crypto_predict.web.collected.pages import LATEST, Page, Question, Table, Values

MINUTE = Interval.MINUTE_1


def read(reader: QuoteReader, collected: CollectedSeries, asks: Question, _: datetime) -> Page[Quote]:
    """Return a page of quotes from `start` on and before `end`; without a start the newest `limit` before the end."""
    span = Span(asks.start or EPOCH, asks.end or LATEST)
    key = collected.series
    rows = reader.quotes(key.source, key.pair, span, asks.limit + 1, newest=asks.start is None)
    return pages.cut(collected, rows, asks, lambda quote: quote.time)


def until_next(page: Page[Quote], now: datetime) -> timedelta:
    """Return the time until a quote is expected after the last one of a page; zero if it is late."""
    if not page.rows:
        return timedelta()
    return max(page.rows[-1].time + MINUTE.length + ARRIVAL - now, timedelta())


def _rows(page: Page[Quote], _: Question, __: str) -> list[Values]:
    return [(pages.instant(quote.time), quote.bid, quote.bid_size, quote.ask, quote.ask_size) for quote in page.rows]


def _example(sample: Sample) -> list[Quote]:
    first, second = (candle.open_time for candle in sample.candles)
    return [Quote(first, 67_099.5, 0.25, 67_100.5, 1.5), Quote(second, 67_079.5, 0.5, 67_080.5, 0.75)]


TABLE = Table(
    path="/top-of-book/{}",
    name="quotes",
    columns=("time", "bid", "bid_size", "ask", "ask_size"),
    read=read,
    rows=_rows,
    until_next=until_next,
)
OPERATION = table_operation(TABLE, __doc__, 3, {"Quotes": page_schema(TABLE, [INSTANT, NUMBER])}, _example)
