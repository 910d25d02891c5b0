"""What was forecast some minutes before each close, beside the close.

Closes ascend, one a row, each with the forecast made `horizon` minutes before it, at `cutoff`: `prediction` and the
quantiles. `close` is null if the candle is missing or still to come; closes without a forecast are left out. Forecasts
are kept for a day. Without `start` the answer is the newest `limit` closes before `end`. Pages are those of `/candles`.
"""

from datetime import datetime
from typing import NamedTuple

from crypto_predict.market import EPOCH, Interval, Span
from crypto_predict.market.collected import CollectedSeries
from crypto_predict.market.forecast import MinuteForecast
from crypto_predict.web.collected import minutes_ahead, pages
from crypto_predict.web.collected.calls import until_close
from crypto_predict.web.collected.database import Connection
from crypto_predict.web.collected.documented import INSTANT, NULL, NUMBER, Sample, page_schema, table_operation
from crypto_predict.web.collected.minutes_ahead import QUANTILES, prices
from crypto_predict.web.collected.pages import LATEST, Page, Question, Table, Values

MINUTE = Interval.MINUTE_1


class PastMinute(NamedTuple):
    """What was forecast for a close, and what it was."""

    forecast: MinuteForecast
    close: float | None  # None if the candle is not stored, or is still to come


def read(reader: Connection, collected: CollectedSeries, asks: Question, _: datetime) -> Page[PastMinute]:
    """Return a page of forecasts of one horizon, by the close that each was made for: from `start` on, before `end`.

    Without a start they are the newest `limit` before the end. Only forecasts of the last day or so are stored.
    """
    ahead = asks.horizon * MINUTE.length
    cutoffs = Span((asks.start or EPOCH) - ahead, (asks.end or LATEST) - ahead)
    forecasts = reader.minute_forecasts(collected.series, cutoffs, asks.limit + 1, newest=asks.start is None)
    if not forecasts:
        return Page(collected, MINUTE, (), None, None)
    openings = Span(forecasts[0].cutoff + ahead - MINUTE.length, forecasts[-1].cutoff + ahead)  # of their closes
    stored = reader.candles(collected.series, openings, (openings.end - openings.start) // MINUTE.length)
    closes = {candle.open_time + MINUTE.length: candle.close for candle, _ in stored}
    rows = [PastMinute(forecast, closes.get(forecast.cutoff + ahead)) for forecast in forecasts]
    return pages.cut(collected, rows, asks, lambda row: row.forecast.cutoff + ahead)


def _rows(page: Page[PastMinute], asks: Question, _: str) -> list[Values]:
    ahead = asks.horizon * MINUTE.length
    rows: list[Values] = []
    for forecast, close in page.rows:
        at, cutoff = pages.instant(forecast.cutoff + ahead), pages.instant(forecast.cutoff)
        rows.append([at, close, cutoff, forecast.price, *prices(forecast, asks.horizon)])
    return rows


def _example(sample: Sample) -> list[PastMinute]:
    forecast = minutes_ahead.example(sample.candles[0].open_time)
    return [PastMinute(forecast, 67_110.5), PastMinute(forecast, None)]


TABLE = Table(
    path="/forecast/{}/minutes/past",
    name="forecasts",
    columns=("time", "close", "cutoff", "price", "prediction", *QUANTILES),
    read=read,
    rows=_rows,
    until_next=lambda _, now: until_close(now),
    parameters=("horizon",),
    members=lambda _, asks: {"horizon": asks.horizon},
)
KINDS = [INSTANT, NUMBER, NULL]
SCHEMAS = {"PastMinutes": page_schema(TABLE, KINDS, " The second may be null.", horizon={"type": "integer"})}
OPERATION = table_operation(TABLE, __doc__, 5, SCHEMAS, _example)
