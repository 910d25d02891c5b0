"""What a model file says of the forecasts that were released before it: the live record.

Releases follow each other within hours and each forecasts thirty days, so one day is forecast over and over, and
forecasts that overlap err together. The count of forecasts says how many were published; the count of days beside it
says how much happened that they could be measured by.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from crypto_predict.market import Pair


@dataclass(frozen=True, slots=True)
class LiveForecast:
    """One published forecast beside what really happened. Prices are in the pair's quote currency."""

    made_at: datetime  # when the model that said so was trained
    build: str  # that model's
    target: date  # the day whose close it was
    horizon_days: int  # from the last close known when it was made to the target; 1 is the next daily close
    prediction: float
    low: float  # of the central 80 % interval
    high: float
    persistence: float  # the newest price at the time, from which the forecast set out
    actual: float  # the close of the target as it was first recorded


@dataclass(frozen=True, slots=True)
class LiveScore:
    """How published forecasts over one horizon did."""

    horizon_days: int
    due: int  # forecasts whose outcome is known
    days: int  # different targets among them
    mae: float  # log price
    relative_mae: float | None  # to persistence, below 1 is better; None where persistence was never wrong
    skill: float | None  # 1 - relative_mae
    coverage: float  # the share of outcomes inside the interval


@dataclass(frozen=True, slots=True)
class LiveRecord:
    """The published forecasts of one pair, and how they did. A figure is None where none has come due."""

    since: datetime  # when the first of them was made
    releases: int  # whose forecasts are in the ledger
    due: int  # forecasts whose outcome is known
    days: int  # different targets among them
    hindsight: int  # of those due, made when the target had closed already, by a history that was cut off before it
    pending: int  # forecasts without an outcome so far
    overdue: int  # of those pending, whose day the history has passed without bringing its candle
    mae: float | None  # log price
    relative_mae: float | None  # to persistence, below 1 is better
    skill: float | None  # 1 - relative_mae
    coverage: float | None  # the share of outcomes inside the interval
    by_horizon: tuple[LiveScore, ...]  # ascending; horizons of which none is due are left out
    latest: tuple[LiveForecast, ...]  # one a target day, of the newest 30, newest first: see `forecasting.live_record`
    words: str  # what it amounts to


@dataclass(frozen=True, slots=True)
class Scorecard:
    """What the ledger says of every forecast that was ever released. Served whole at ``/scorecard``.

    Forecasts of invented prices are kept apart: they are compared with the invented market, and say nothing of a real
    one.
    """

    entries: int  # of the ledger
    head: str  # the SHA-256 of its last entry, by which this model names the whole chain; 64 zeros where it is empty
    pairs: dict[Pair, LiveRecord]
    simulated: dict[Pair, LiveRecord]
