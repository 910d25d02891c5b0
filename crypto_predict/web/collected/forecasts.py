"""Minute forecasts of a database, and their live record, as values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import NamedTuple

from crypto_predict.market import EPOCH, Interval, Pair, Span
from crypto_predict.market.forecast import LEVELS, MinuteForecast, MinuteScores
from crypto_predict.market.ports import ACTIVE, CollectedSeries, MarketReader, MinuteRecord, StreamState
from crypto_predict.web.collected.answers import Page
from crypto_predict.web.collected.questions import LATEST, MinutesQuestion, PastQuestion
from crypto_predict.web.collected.series import choose, of_pair, rank
from crypto_predict.web.http.errors import WebError
from crypto_predict.wording import duration

MINUTE = Interval.MINUTE_1
OLDEST = timedelta(minutes=2)  # since its cutoff, that a forecast still answers: two of its minutes have passed then
HEARTBEAT = timedelta(seconds=60)  # a running collector stores the state of a stream every 15 s
STORED_AFTER = timedelta(seconds=2)  # from a close, until the forecast made at it is stored
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


@dataclass(frozen=True, slots=True)
class MinuteScore:
    """The forecasts of one horizon whose outcome is known; relative to persistence, which expects the last price.

    Persistence has a Gaussian distribution with the volatility of the last day. None: its loss is zero.
    """

    horizon_minutes: int
    forecasts: int
    relative_mae: float | None
    relative_winkler: float | None  # of the central 80 % interval
    relative_crps: float | None
    coverage_50: float  # the share of outcomes inside the central 50 % interval
    coverage_80: float
    coverage_90: float


@dataclass(frozen=True, slots=True)
class MinutesRecord:
    """The live record of the minute forecasts of one pair from one source."""

    pair: Pair
    source: str
    simulated: bool
    since: datetime  # UTC, the first outcome
    until: datetime  # UTC, the newest one
    by_horizon: tuple[MinuteScore, ...]


class PastMinute(NamedTuple):
    """What was forecast for a close, and what it was."""

    made: MinuteForecast
    close: float | None  # None if the candle is not stored, or is still to come


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


class Newest(NamedTuple):
    """The answer to a question about the next minutes."""

    ahead: MinutesAhead
    lasts: timedelta  # until the forecast after it is expected


def newest(reader: MarketReader, question: MinutesQuestion, now: datetime) -> Newest:
    """Return the newest forecast, made at most `OLDEST` before `now`.

    Raises:
        DatabaseError: The database cannot be read.
        NotCollected: The database does not hold minutes of the pair, or not from that source.
        NoMinuteForecast: There is no forecast that is new enough.
    """
    found, _ = choose(of_pair(reader, question.pair, MINUTE), MINUTE, question.source)
    before = Span(EPOCH, now + OLDEST)  # later ones are of a clock that was wrong
    made = next(iter(reader.minute_forecasts(found.series, before, 1, newest=True)), None)
    if made is None or now - made.cutoff > OLDEST:
        raise _missing(reader, found, made, now)
    series = found.series
    ahead = tuple(_ahead(made, minutes) for minutes in range(1, question.horizon + 1))
    answer = MinutesAhead(series.pair, series.source, found.simulated, made.cutoff, made.price, ahead)
    return Newest(answer, made.cutoff + MINUTE.length + STORED_AFTER - now)


def past(reader: MarketReader, question: PastQuestion) -> Page[PastMinute]:
    """Return a page of forecasts of one horizon, by the close that each was made for: from `start` on, before `end`.

    Without a start they are the newest `limit` before the end. Only forecasts of the last day or so are stored.

    Raises:
        DatabaseError: The database cannot be read.
        NotCollected: The database does not hold minutes of the pair, or not from that source.
    """
    asked, ahead = question.page, question.horizon * MINUTE.length
    found, _ = choose(of_pair(reader, asked.pair, MINUTE), MINUTE, asked.source)
    made_in = Span((asked.start or EPOCH) - ahead, (asked.end or LATEST) - ahead)
    is_newest = asked.start is None
    made = reader.minute_forecasts(found.series, made_in, asked.limit + 1, newest=is_newest)
    if not made:
        return Page(found, MINUTE, (), None, None)
    opening = Span(made[0].cutoff + ahead - MINUTE.length, made[-1].cutoff + ahead)  # of the candles with these closes
    stored = reader.candles(found.series, opening, (opening.end - opening.start) // MINUTE.length)
    closes = {candle.open_time + MINUTE.length: candle.close for candle, _ in stored}
    rows = [PastMinute(one, closes.get(one.cutoff + ahead)) for one in made]
    if len(rows) <= asked.limit:
        return Page(found, MINUTE, rows, None, None)
    if is_newest:
        return Page(found, MINUTE, rows[1:], None, rows[1].made.cutoff + ahead)
    return Page(found, MINUTE, rows[:-1], rows[-1].made.cutoff + ahead, None)


def records(reader: MarketReader) -> list[MinutesRecord]:
    """Return the live record of every series that has one, sorted by pair and source.

    Raises:
        DatabaseError: The database cannot be read.
    """
    stored = reader.minute_records()
    found = [one for one in reader.collected() if one.series in stored] if stored else []
    return [_record(one, stored[one.series]) for one in sorted(found, key=lambda one: rank(one.series))]


def prices(made: MinuteForecast, minutes: int) -> list[float]:
    """Return the point and the quantiles for so many minutes after the cutoff, rounded."""
    return [float(f"{one:.{_DIGITS}g}") for one in (made.points[minutes - 1], *made.quantiles[minutes - 1])]


def until_next(now: datetime) -> timedelta:
    """Return the time until outcomes of the next close are stored."""
    return MINUTE.ceil(now - STORED_AFTER) + STORED_AFTER - now


def _missing(
    reader: MarketReader, found: CollectedSeries, made: MinuteForecast | None, now: datetime
) -> NoMinuteForecast:
    """Return why there is no new forecast; `made` is the newest one, if there is one."""
    title, close = f"{found.series.pair} from {found.series.source}", found.newest_close
    known = close if made is None else made.cutoff
    lag = None if known is None else now - known
    retry = MINUTE.floor(now) + MINUTE.length + STORED_AFTER - now
    state = next(
        iter(reversed(reader.streams(found.series.source, found.series.pair, Span(now - HEARTBEAT, LATEST)))), None
    )
    if found.state != ACTIVE:
        reason = "its collection has ended"
    elif state is None:
        reason = "the collector does not run"
    elif state.state is not StreamState.CONNECTED:
        reason = f"the stream of its exchange is {state.state.value}: {state.reason}"
    elif close is None:
        reason = "it has no candles yet"
    elif now - close > OLDEST:
        reason = f"its last candle closed {duration(now - close)} ago"
    elif made is None:
        reason = "nothing has been forecast yet, for which more candles are needed"
    else:
        reason = f"its last candles cannot carry a forecast; the newest one is {duration(now - made.cutoff)} old"
    return NoMinuteForecast(f"the next minutes of {title} are not forecast: {reason}", lag, retry)


def _ahead(made: MinuteForecast, minutes: int) -> MinuteAhead:
    point, *quantiles = prices(made, minutes)
    by_level = {repr(level): price for level, price in zip(LEVELS, quantiles, strict=True)}
    time = made.cutoff + minutes * MINUTE.length
    return MinuteAhead(minutes, time, point, quantiles[_LOW], quantiles[_HIGH], by_level)


def _record(found: CollectedSeries, record: MinuteRecord) -> MinutesRecord:
    series, scores = found.series, tuple(map(_score, record.scores))
    return MinutesRecord(series.pair, series.source, found.simulated, record.since, record.until, scores)


def _score(sums: MinuteScores) -> MinuteScore:
    return MinuteScore(
        horizon_minutes=sums.horizon_minutes,
        forecasts=sums.forecasts,
        relative_mae=_ratio(sums.error, sums.persistence_error),
        relative_winkler=_ratio(sums.winkler, sums.persistence_winkler),
        relative_crps=_ratio(sums.crps, sums.persistence_crps),
        coverage_50=sums.inside_50 / sums.forecasts,
        coverage_80=sums.inside_80 / sums.forecasts,
        coverage_90=sums.inside_90 / sums.forecasts,
    )


def _ratio(loss: float, of_persistence: float) -> float | None:
    ratio = loss / of_persistence if of_persistence else math.inf
    return ratio if math.isfinite(ratio) else None  # JSON has no infinity
