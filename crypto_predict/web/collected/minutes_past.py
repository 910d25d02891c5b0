"""``/forecast/{pair}/minutes/past``: what was forecast some minutes before each close, beside the close."""

from __future__ import annotations

from typing import NamedTuple

from crypto_predict.market import EPOCH, Interval, Span
from crypto_predict.market.forecast import MinuteForecast
from crypto_predict.market.ports import MarketReader
from crypto_predict.web.collected import documented, minutes_ahead, pages
from crypto_predict.web.collected.calls import CONTENT_TYPES, Call, until_close
from crypto_predict.web.collected.documented import INSTANT, NULL, NUMBER, Sample
from crypto_predict.web.collected.minutes_ahead import QUANTILES, prices
from crypto_predict.web.collected.pages import LATEST, Page, Question, Table, Values
from crypto_predict.web.collected.series import choose, of_pair
from crypto_predict.web.http.operation import Operation
from crypto_predict.web.http.response import Rendered

MINUTE = Interval.MINUTE_1
COLUMNS = ("time", "close", "cutoff", "price", "prediction", *QUANTILES)
TABLE = Table("/forecast/{}/minutes/past", "forecasts", COLUMNS, ("horizon",))


class PastMinute(NamedTuple):
    """What was forecast for a close, and what it was."""

    forecast: MinuteForecast
    close: float | None  # None if the candle is not stored, or is still to come


def answer(call: Call, pair: str) -> Rendered:
    """Return a page."""
    asks = pages.question(pair, call.query, "horizon")
    content_type = call.content_type(asks.format)
    with call.reading() as reader:
        page = read(reader, asks)
    return call.live(render(page, asks, content_type), until_close(call.now))


def read(reader: MarketReader, asks: Question) -> Page[PastMinute]:
    """Return a page of forecasts of one horizon, by the close that each was made for: from `start` on, before `end`.

    Without a start they are the newest `limit` before the end. Only forecasts of the last day or so are stored.

    Raises:
        DatabaseError: The database cannot be read.
        NotCollected: The database does not hold minutes of the pair, or not from that source.
    """
    ahead = asks.horizon * MINUTE.length
    collected, _ = choose(of_pair(reader, asks.pair, MINUTE), MINUTE, asks.source)
    cutoffs = Span((asks.start or EPOCH) - ahead, (asks.end or LATEST) - ahead)
    forecasts = reader.minute_forecasts(collected.series, cutoffs, asks.limit + 1, newest=asks.start is None)
    if not forecasts:
        return Page(collected, MINUTE, (), None, None)
    openings = Span(forecasts[0].cutoff + ahead - MINUTE.length, forecasts[-1].cutoff + ahead)  # of their closes
    stored = reader.candles(collected.series, openings, (openings.end - openings.start) // MINUTE.length)
    closes = {candle.open_time + MINUTE.length: candle.close for candle, _ in stored}
    rows = [PastMinute(forecast, closes.get(forecast.cutoff + ahead)) for forecast in forecasts]
    return pages.cut(collected, rows, asks, lambda row: row.forecast.cutoff + ahead)


def render(page: Page[PastMinute], asks: Question, content_type: str) -> Rendered:
    """Render a page as `JSON` or `CSV`."""
    horizon = asks.horizon

    def values(row: PastMinute) -> Values:
        forecast, close = row
        at, cutoff = (pages.instant(time) for time in (forecast.cutoff + horizon * MINUTE.length, forecast.cutoff))
        return [at, close, cutoff, forecast.price, *prices(forecast, horizon)]

    return pages.render(TABLE, page.mapped(values), asks, content_type, {"horizon": horizon})


def _examples(sample: Sample) -> list[Rendered]:
    forecast = minutes_ahead.example(sample.candles[0].open_time)
    page = sample.page([PastMinute(forecast, 67_110.5), PastMinute(forecast, None)])
    return sample.pages(lambda *asks: render(page, *asks), *CONTENT_TYPES)


OPERATION = Operation[Sample](
    rule="/forecast/<path:pair>/minutes/past",
    answer=answer,
    is_file=True,
    tag=documented.TAG,
    place=5,
    summary="What was forecast some minutes before each close, beside the close",
    description="""\
Closes ascend, one a row, each with the forecast made `horizon` minutes before it, at `cutoff`: `prediction` and the
quantiles. `close` is null if the candle is missing or still to come; closes without a forecast are left out. Forecasts
are kept for a day. Without `start` the answer is the newest `limit` closes before `end`. Pages are those of `/candles`.
""",
    parameters=documented.page_parameters("horizon"),
    schemas=lambda: {
        "PastMinutes": documented.page_schema(
            TABLE, [INSTANT, NUMBER, NULL], " The second may be null.", horizon={"type": "integer"}
        )
    },
    examples=_examples,
    headers=documented.page_headers,
    failures=documented.page_failures,
)
