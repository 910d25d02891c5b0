"""The price of a pair in each of the next minutes, with quantiles.

At the close of each minute, `cutoff`, the collector forecasts the closes of the next 15. `prediction` is close to the
price at the cutoff, which is hard to beat; the quantiles say how far the price may move. `low` and `high` are those of
10 % and 90 %.

A forecast is answered for two minutes. After that the answer is 503 with the reason, `lag_seconds` since the cutoff (or
since the last candle, if nothing was ever forecast) and `Retry-After`. [/scorecard](/scorecard) has the outcomes.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import quote

from crypto_predict.market import EPOCH, Span
from crypto_predict.market.collected import ACTIVE, CollectedSeries, StreamState
from crypto_predict.market.forecast import LEVELS, MINUTES_AHEAD, MinuteForecast
from crypto_predict.web.collected import endpoint
from crypto_predict.web.collected.calls import Call
from crypto_predict.web.collected.database import Connection
from crypto_predict.web.collected.endpoint import INSTANT, LATEST, MINUTE, DatabaseOperation, Question, Sample, instant
from crypto_predict.web.collected.series import choose, of_pair
from crypto_predict.web.http import schemas
from crypto_predict.web.http.operation import Failure
from crypto_predict.web.http.problems import Problem
from crypto_predict.web.http.queries import FORMAT
from crypto_predict.web.http.response import PAIR, SERIES, Rendered, file_headers, render, simulated_header, table
from crypto_predict.web.http.schemas import BOOLEAN, TEXT, Schema
from crypto_predict.web.model.snapshots import STORED_AFTER
from crypto_predict.wording import duration

OLDEST = timedelta(minutes=2)  # since its cutoff, that a forecast still answers: two of its minutes have passed then
HEARTBEAT = timedelta(seconds=60)  # a running collector stores the state of a stream every 15 s
QUANTILES = tuple(f"quantile_{level}" for level in LEVELS)  # columns
COLUMNS = ("time", "minutes", "cutoff", "price", "prediction", "low", "high", *QUANTILES)
_DIGITS = 10  # of a price: more than the model knows
_LOW, _HIGH = LEVELS.index(0.1), LEVELS.index(0.9)

_PRICE: Schema = {"type": "number"}  # in the pair's quote currency
_QUANTILES: Schema = {"type": "object", "additionalProperties": _PRICE}  # by level
_PRICES = {"prediction": _PRICE, "low": _PRICE, "high": _PRICE, "quantiles": _QUANTILES}
_MINUTE = schemas.record({"minutes": {"type": "integer"}, "time": INSTANT, **_PRICES})
_SERIES = {"pair": schemas.PAIR, "source": TEXT, "simulated": BOOLEAN}
_SCHEMA = schemas.record({**_SERIES, "cutoff": INSTANT, "price": _PRICE, "forecast": schemas.listed(_MINUTE)})


def newest(reader: Connection, asks: Question, now: datetime) -> tuple[CollectedSeries, MinuteForecast]:
    """Return the newest forecast, made at most `OLDEST` before `now`, and its series; else raise a `Problem`."""
    collected, _ = choose(of_pair(reader, asks.pair, MINUTE), MINUTE, asks.source)
    before = Span(EPOCH, now + OLDEST)  # later ones are of a clock that was wrong
    forecast = next(iter(reader.minute_forecasts(collected.series, before, 1, newest=True)), None)
    if forecast is None or now - forecast.cutoff > OLDEST:
        raise _missing(reader, collected, forecast, now)
    return collected, forecast


def prices(forecast: MinuteForecast, minutes: int) -> list[float]:
    """Return the point and the quantiles for so many minutes after the cutoff, rounded."""
    point, quantiles = forecast.points[minutes - 1], forecast.quantiles[minutes - 1]
    return [float(f"{price:.{_DIGITS}g}") for price in (point, *quantiles)]


def answer(call: Call, pair: str) -> Rendered:
    """Return the newest forecast, which is read once for all requests up to the next close: no newer one can exist."""
    asks = endpoint.question(pair, call.query, "horizon", "source", FORMAT)
    represent = tabulated if asks.format == "csv" else rendered

    def read(reader: Connection) -> tuple[Rendered, datetime]:
        collected, forecast = newest(reader, asks, call.now)
        return represent(collected, forecast, asks.horizon), min(forecast.cutoff, call.now) + MINUTE.length

    answered, close = call.shared(asks, read)
    return call.live(answered, close + STORED_AFTER - call.now)


def rendered(collected: CollectedSeries, forecast: MinuteForecast, horizon: int) -> Rendered:
    """Render the first minutes of a forecast as JSON."""
    rows = []
    for minutes, time, point, quantiles in _minutes(forecast, horizon):
        by_level = {repr(level): price for level, price in zip(LEVELS, quantiles, strict=True)}
        interval = {"low": quantiles[_LOW], "high": quantiles[_HIGH]}  # the central 80 %
        rows.append({"minutes": minutes, "time": time, "prediction": point, **interval, "quantiles": by_level})
    of_series = {"pair": collected.series.pair, "source": collected.series.source, "simulated": collected.simulated}
    answered = {**of_series, "cutoff": forecast.cutoff, "price": forecast.price, "forecast": rows}
    return render(answered, simulated=collected.simulated)


def tabulated(collected: CollectedSeries, forecast: MinuteForecast, horizon: int) -> Rendered:
    """Render the first minutes of a forecast as CSV, with a column for each quantile."""
    start, series = (instant(forecast.cutoff), forecast.price), collected.series
    rows = [
        (instant(time), minutes, *start, point, quantiles[_LOW], quantiles[_HIGH], *quantiles)
        for minutes, time, point, quantiles in _minutes(forecast, horizon)
    ]
    body, source = table(COLUMNS, rows), (SERIES[0], quote(series.source, safe=":/"))
    headers = [*file_headers(body, series.pair.slug, "forecast", "minutes"), (PAIR, str(series.pair)), source]
    return Rendered(body, [*headers, *simulated_header(collected.simulated)])


def _minutes(forecast: MinuteForecast, horizon: int) -> Iterator[tuple[int, datetime, float, list[float]]]:
    """Yield each of the next minutes, its end (UTC), the close that is expected then, and the quantiles."""
    for minutes in range(1, horizon + 1):
        point, *quantiles = prices(forecast, minutes)
        yield minutes, forecast.cutoff + minutes * MINUTE.length, point, quantiles


def _missing(reader: Connection, collected: CollectedSeries, forecast: MinuteForecast | None, now: datetime) -> Problem:
    """Return why there is no new forecast; `forecast` is the newest one, if there is one."""
    series, close = collected.series, collected.newest_close
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
    newest_at, second = close if forecast is None else forecast.cutoff, timedelta(seconds=1)
    lag = None if newest_at is None else max((now - newest_at) // second, 0)  # None if nothing is stored yet
    retry = (MINUTE.floor(now) + MINUTE.length + STORED_AFTER - now) // second
    detail = f"the next minutes of {series.pair} from {series.source} are not forecast: {reason}"
    return Problem(503, detail, retry_seconds=max(retry, 1), lag_seconds=lag)


def example(cutoff: datetime, horizon: int = MINUTES_AHEAD) -> MinuteForecast:
    """Return an invented forecast."""
    return MinuteForecast(cutoff, 67_100.0, (67_100.3,) * horizon, (endpoint.QUANTILES,) * horizon)


def _failures(sample: Sample) -> list[Failure]:
    detail = "the next minutes of BTC/USD from binance are not forecast: the collector does not run"
    missing = Problem(503, detail, retry_seconds=42, lag_seconds=310)
    text = "There is no new forecast, or the database cannot be read; `detail` has the reason."
    return [endpoint.not_collected(sample), Failure("NoMinuteForecast", text, missing)]


OPERATION = DatabaseOperation(
    rule="/forecast/<path:pair>/minutes",
    answer=answer,
    is_file=True,
    text=__doc__,
    place=4,
    parameters=lambda sample: sample.parameters("pair", "horizon", "source", "format"),
    schemas={"MinutesAhead": _SCHEMA},
    examples=lambda sample: [
        represent(sample.collected, example(sample.day), 2) for represent in (rendered, tabulated)
    ],
    failures=_failures,
)
