"""``/top-of-book/{pair}``: the best bid and ask, about each minute."""

from __future__ import annotations

from datetime import datetime, timedelta

from crypto_predict.market import EPOCH, Interval, Quote, Span
from crypto_predict.market.ports import MarketReader
from crypto_predict.web.collected import documented, pages
from crypto_predict.web.collected.calls import CONTENT_TYPES, Call
from crypto_predict.web.collected.candles import ARRIVAL
from crypto_predict.web.collected.documented import INSTANT, NUMBER, Sample
from crypto_predict.web.collected.pages import LATEST, Page, Question, Table
from crypto_predict.web.collected.series import choose, of_pair
from crypto_predict.web.http.operation import Operation
from crypto_predict.web.http.response import Rendered

MINUTE = Interval.MINUTE_1
TABLE = Table("/top-of-book/{}", "quotes", ("time", "bid", "bid_size", "ask", "ask_size"))


def answer(call: Call, pair: str) -> Rendered:
    """Return a page."""
    asks = pages.question(pair, call.query)
    content_type = call.content_type(asks.format)
    with call.reading() as reader:
        page = read(reader, asks)
    return call.live(render(page, asks, content_type), until_next(page, call.now))


def read(reader: MarketReader, asks: Question) -> Page[Quote]:
    """Return a page of quotes from `start` on and before `end`; without a start the newest `limit` before the end.

    Raises:
        DatabaseError: The database cannot be read.
        NotCollected: The database does not hold minutes of the pair, or not from that source.
    """
    collected, _ = choose(of_pair(reader, asks.pair, MINUTE), MINUTE, asks.source)
    span = Span(asks.start or EPOCH, asks.end or LATEST)
    key = collected.series
    rows = reader.quotes(key.source, key.pair, span, asks.limit + 1, newest=asks.start is None)
    return pages.cut(collected, rows, asks, lambda quote: quote.time)


def until_next(page: Page[Quote], now: datetime) -> timedelta:
    """Return the time until a quote is expected after the last one of a page; zero if it is late."""
    if not page.rows:
        return timedelta()
    return max(page.rows[-1].time + MINUTE.length + ARRIVAL - now, timedelta())


def render(page: Page[Quote], asks: Question, content_type: str) -> Rendered:
    """Render a page as `JSON` or `CSV`."""
    rows = page.mapped(lambda quote: (pages.instant(quote.time), quote.bid, quote.bid_size, quote.ask, quote.ask_size))
    return pages.render(TABLE, rows, asks, content_type)


def _examples(sample: Sample) -> list[Rendered]:
    first, second = sample.candles
    book = [
        Quote(first.open_time, 67_099.5, 0.25, 67_100.5, 1.5),
        Quote(second.open_time, 67_079.5, 0.5, 67_080.5, 0.75),
    ]
    return sample.pages(lambda *asks: render(sample.page(book), *asks), *CONTENT_TYPES)


OPERATION = Operation[Sample](
    rule="/top-of-book/<path:pair>",
    answer=answer,
    tag=documented.TAG,
    place=3,
    summary="The best bid and ask of a pair, about each minute",
    description="""\
Quotes ascend, one a row. Without `start` the answer is the newest `limit` quotes before `end`, and `Link` has the page
before it (`rel="prev"`). With `start` it begins there, and `Link` has the next page (`rel="next"`).
""",
    parameters=documented.page_parameters(),
    schemas=lambda: {"Quotes": documented.page_schema(TABLE, [INSTANT, NUMBER])},
    examples=_examples,
    headers=documented.page_headers,
    failures=documented.page_failures,
)
