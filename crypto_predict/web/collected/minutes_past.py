"""What was forecast some minutes before each close, beside the close.

Closes ascend, one a row, each with the forecast made `horizon` minutes before it, at `cutoff`: `prediction` and the
quantiles. `close` is null if the candle is missing or still to come; closes without a forecast are left out. Forecasts
are kept for a day. Without `start` the answer is the newest `limit` closes before `end`. Pages are those of `/candles`.
"""

from datetime import datetime
from typing import NamedTuple

from crypto_predict.market import EPOCH, Span
from crypto_predict.market.collected import CollectedSeries
from crypto_predict.market.forecast import MinuteForecast
from crypto_predict.web.collected import minutes_ahead
from crypto_predict.web.collected.calls import until_close
from crypto_predict.web.collected.database import Connection
from crypto_predict.web.collected.endpoint import INSTANT, LATEST, MINUTE, NULL, NUMBER, Question, instant
from crypto_predict.web.collected.tables import Page, Table, Values, cut


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
        return Page(collected, ())
    openings = Span(forecasts[0].cutoff + ahead - MINUTE.length, forecasts[-1].cutoff + ahead)  # of their closes
    stored = reader.candles(collected.series, openings, (openings.end - openings.start) // MINUTE.length)
    closes = {candle.open_time + MINUTE.length: candle.close for candle, _ in stored}
    rows = [PastMinute(forecast, closes.get(forecast.cutoff + ahead)) for forecast in forecasts]
    return cut(collected, rows, asks, lambda row: row.forecast.cutoff + ahead)


def _values(row: PastMinute, asks: Question) -> Values:
    forecast, close = row
    at = instant(forecast.cutoff + asks.horizon * MINUTE.length)
    return [at, close, instant(forecast.cutoff), forecast.price, *minutes_ahead.prices(forecast, asks.horizon)]


TABLE = Table(
    path="/forecast/{}/minutes/past",
    name="forecasts",
    columns=("time", "close", "cutoff", "price", "prediction", *minutes_ahead.QUANTILES),
    kinds=[INSTANT, NUMBER, NULL],
    remark=" The second may be null.",
    read=read,
    values=_values,
    until_next=lambda _, __, now: until_close(now),
    parameters=("horizon",),
    members=lambda _, asks: {"horizon": asks.horizon},
)
OPERATION = TABLE.operation(
    __doc__,
    5,
    "PastMinutes",
    lambda sample: [PastMinute(minutes_ahead.example(sample.day), close) for close in (67_110.5, None)],
    horizon={"type": "integer"},
)
