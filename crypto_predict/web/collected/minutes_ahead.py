"""The price of a pair in each of the next minutes, with quantiles.

At the close of each minute, `cutoff`, the collector forecasts the closes of the next 15. `prediction` is close to the
price at the cutoff, which is hard to beat; the quantiles say how far the price may move. `low` and `high` are those of
10 % and 90 %.

A forecast is answered for two minutes. After that the answer is 503 with the reason, `lag_seconds` since the cutoff (or
since the last candle, if nothing was ever forecast) and `Retry-After`. [/scorecard](/scorecard) has the outcomes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from urllib.parse import quote

from crypto_predict.market import EPOCH, Interval, Pair, Span
from crypto_predict.market.collected import ACTIVE, CollectedSeries, StreamState
from crypto_predict.market.forecast import LEVELS, MINUTES_AHEAD, MinuteForecast
from crypto_predict.web.collected import documented
from crypto_predict.web.collected.calls import STORED_AFTER, Call
from crypto_predict.web.collected.database import Connection
from crypto_predict.web.collected.documented import DatabaseOperation, Sample
from crypto_predict.web.collected.pages import LATEST, Question, instant, question
from crypto_predict.web.collected.series import choose, of_pair
from crypto_predict.web.http.errors import WebError
from crypto_predict.web.http.operation import Failure, failure
from crypto_predict.web.http.queries import FORMAT
from crypto_predict.web.http.response import PAIR, SERIES, Rendered, file_headers, render, simulated_header, table
from crypto_predict.wording import duration

MINUTE = Interval.MINUTE_1
OLDEST = timedelta(minutes=2)  # since its cutoff, that a forecast still answers: two of its minutes have passed then
HEARTBEAT = timedelta(seconds=60)  # a running collector stores the state of a stream every 15 s
QUANTILES = tuple(f"quantile_{level}" for level in LEVELS)  # columns
COLUMNS = ("time", "minutes", "cutoff", "price", "prediction", "low", "high", *QUANTILES)
_DIGITS = 10  # of a price: more than the model knows
_LOW, _HIGH = LEVELS.index(0.1), LEVELS.index(0.9)


@dataclass(frozen=True, slots=True)
class MinuteAhead:
    """The close that is expected at the end of one of the next minutes, in the pair's quote currency."""

    minutes: int  # after the cutoff
    time: datetime  # UTC, the end of that minute
    prediction: float
    low: float  # of the central 80 % interval
    high: float
    quantiles: dict[str, float]  # by level


@dataclass(frozen=True, slots=True)
class MinutesAhead:
    """The newest forecast of a pair."""

    pair: Pair
    source: str
    simulated: bool
    cutoff: datetime  # UTC, the close of the last candle that it rests on
    price: float  # at the cutoff
    forecast: tuple[MinuteAhead, ...]


class NoMinuteForecast(WebError):
    """The newest forecast is too old, or there is none; `lag` says for how long, None if nothing is stored yet."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, reason: str, lag: timedelta | None, retry: timedelta) -> None:
        super().__init__(reason)
        self.lag_seconds = None if lag is None else max(lag // timedelta(seconds=1), 0)
        self.retry_seconds = max(retry // timedelta(seconds=1), 1)  # until a forecast can be there

    @property
    def members(self) -> Mapping[str, object]:
        """The lag, in whole seconds."""
        return {"lag_seconds": self.lag_seconds}


def newest(reader: Connection, asks: Question, now: datetime) -> MinutesAhead:
    """Return the newest forecast, made at most `OLDEST` before `now`.

    Raises:
        NotCollected: The database does not hold minutes of the pair, or not from that source.
        NoMinuteForecast: There is no forecast that is new enough.
    """
    collected, _ = choose(of_pair(reader, asks.pair, MINUTE), MINUTE, asks.source)
    series, before = collected.series, Span(EPOCH, now + OLDEST)  # later ones are of a clock that was wrong
    forecast = next(iter(reader.minute_forecasts(series, before, 1, newest=True)), None)
    if forecast is None or now - forecast.cutoff > OLDEST:
        raise _missing(reader, collected, forecast, now)
    ahead = tuple(_ahead(forecast, minutes) for minutes in range(1, asks.horizon + 1))
    return MinutesAhead(series.pair, series.source, collected.simulated, forecast.cutoff, forecast.price, ahead)


def prices(forecast: MinuteForecast, minutes: int) -> list[float]:
    """Return the point and the quantiles for so many minutes after the cutoff, rounded."""
    point, quantiles = forecast.points[minutes - 1], forecast.quantiles[minutes - 1]
    return [float(f"{price:.{_DIGITS}g}") for price in (point, *quantiles)]


def answer(call: Call, pair: str) -> Rendered:
    """Return the newest forecast, which is read once for all requests up to the next close: no newer one can exist."""
    asks = question(pair, call.query, "horizon", "source", FORMAT)

    def read(reader: Connection) -> tuple[Rendered, datetime]:
        ahead = newest(reader, asks, call.now)
        rendered = tabulated(ahead) if asks.format == "csv" else render(ahead, simulated=ahead.simulated)
        return rendered, min(ahead.cutoff, call.now) + MINUTE.length

    rendered, close = call.shared(asks, read)
    return call.live(rendered, close + STORED_AFTER - call.now)


def tabulated(ahead: MinutesAhead) -> Rendered:
    """Render a forecast as CSV, with a column for each quantile."""
    start, rows = (instant(ahead.cutoff), ahead.price), []
    for minute in ahead.forecast:
        prices = minute.prediction, minute.low, minute.high, *minute.quantiles.values()
        rows.append((instant(minute.time), minute.minutes, *start, *prices))
    body = table(COLUMNS, rows)
    source = (SERIES[0], quote(ahead.source, safe=":/"))
    headers = [*file_headers(body, ahead.pair.slug, "forecast", "minutes"), (PAIR, str(ahead.pair)), source]
    return Rendered(body, [*headers, *simulated_header(ahead.simulated)])


def _missing(
    reader: Connection, collected: CollectedSeries, forecast: MinuteForecast | None, now: datetime
) -> NoMinuteForecast:
    """Return why there is no new forecast; `forecast` is the newest one, if there is one."""
    title, close = f"{collected.series.pair} from {collected.series.source}", collected.newest_close
    newest_at = close if forecast is None else forecast.cutoff
    lag = None if newest_at is None else now - newest_at
    retry = MINUTE.floor(now) + MINUTE.length + STORED_AFTER - now
    series = collected.series
    states = reader.streams(series.source, series.pair, Span(now - HEARTBEAT, LATEST))
    state = states[-1] if states else None
    if collected.state != ACTIVE:
        reason = "its collection has ended"
    elif state is None:
        reason = "the collector does not run"
    elif state.state is not StreamState.CONNECTED:
        reason = f"the stream of its exchange is {state.state.value}: {state.reason}"
    elif close is None:
        reason = "it has no candles yet"
    elif now - close > OLDEST:
        reason = f"its last candle closed {duration(now - close)} ago"
    elif forecast is None:
        reason = "nothing has been forecast yet, for which more candles are needed"
    else:
        reason = f"its last candles cannot carry a forecast; the newest one is {duration(now - forecast.cutoff)} old"
    return NoMinuteForecast(f"the next minutes of {title} are not forecast: {reason}", lag, retry)


def _ahead(forecast: MinuteForecast, minutes: int) -> MinuteAhead:
    point, *quantiles = prices(forecast, minutes)
    by_level = {repr(level): price for level, price in zip(LEVELS, quantiles, strict=True)}
    time = forecast.cutoff + minutes * MINUTE.length
    return MinuteAhead(minutes, time, point, quantiles[_LOW], quantiles[_HIGH], by_level)


def example(cutoff: datetime, horizon: int = MINUTES_AHEAD) -> MinuteForecast:
    """Return an invented forecast."""
    return MinuteForecast(cutoff, 67_100.0, (67_100.3,) * horizon, (documented.QUANTILES,) * horizon)


def _examples(sample: Sample) -> list[object]:
    series, cutoff = sample.example.series, sample.candles[0].open_time
    rows = tuple(_ahead(example(cutoff), minutes) for minutes in (1, 2))
    ahead = MinutesAhead(series.pair, series.source, False, cutoff, 67_100.0, rows)
    return [ahead, tabulated(ahead)]


def _failures(sample: Sample) -> list[Failure]:
    reason = "the next minutes of BTC/USD from binance are not forecast: the collector does not run"
    missing = NoMinuteForecast(reason, timedelta(seconds=310), timedelta(seconds=42))
    text = "There is no new forecast, or the database cannot be read; `detail` has the reason."
    return [documented.not_collected(sample), failure("NoMinuteForecast", text, missing)]


OPERATION = DatabaseOperation(
    rule="/forecast/<path:pair>/minutes",
    answer=answer,
    is_file=True,
    text=__doc__,
    place=4,
    parameters=lambda sample: sample.parameters("pair", "horizon", "source", "format"),
    schemas={"MinutesAhead": MinutesAhead},
    examples=_examples,
    failures=_failures,
)
