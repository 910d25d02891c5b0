"""The best bid and ask of a pair, about each minute.

Quotes ascend, one a row. Without `start` the answer is the newest `limit` quotes before `end`, and `Link` has the page
before it (`rel="prev"`). With `start` it begins there, and `Link` has the next page (`rel="next"`).
"""

from datetime import datetime, timedelta

from crypto_predict.market import EPOCH, Quote, Span
from crypto_predict.market.collected import CollectedSeries
from crypto_predict.market.ports import QuoteReader
from crypto_predict.web.collected.candles import ARRIVAL
from crypto_predict.web.collected.endpoint import INSTANT, LATEST, MINUTE, NUMBER, Question, Sample, instant
from crypto_predict.web.collected.tables import Page, Table, cut


def read(reader: QuoteReader, collected: CollectedSeries, asks: Question, _: datetime) -> Page[Quote]:
    """Return a page of quotes from `start` on and before `end`; without a start the newest `limit` before the end."""
    span = Span(asks.start or EPOCH, asks.end or LATEST)
    key = collected.series
    rows = reader.quotes(key.source, key.pair, span, asks.limit + 1, newest=asks.start is None)
    return cut(collected, rows, asks, lambda quote: quote.time)


def until_next(page: Page[Quote], _: Question, now: datetime) -> timedelta:
    """Return the time until a quote is expected after the last one of a page; zero if it is late."""
    if not page.rows:
        return timedelta()
    return max(page.rows[-1].time + MINUTE.length + ARRIVAL - now, timedelta())


def _example(sample: Sample) -> list[Quote]:
    first, second = (candle.open_time for candle in sample.candles)
    return [Quote(first, 67_099.5, 0.25, 67_100.5, 1.5), Quote(second, 67_079.5, 0.5, 67_080.5, 0.75)]


TABLE: Table[Quote] = Table(
    path="/top-of-book/{}",
    name="quotes",
    columns=("time", "bid", "bid_size", "ask", "ask_size"),
    kinds=[INSTANT, NUMBER],
    read=read,
    values=lambda quote, _: (instant(quote.time), quote.bid, quote.bid_size, quote.ask, quote.ask_size),
    until_next=until_next,
)
OPERATION = TABLE.operation(__doc__, 3, "Quotes", _example)
