"""What a model file says of the forecasts that were released before it: the live record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from crypto_predict.market import Pair


@dataclass(frozen=True, slots=True)
class LiveForecast:
    """One published forecast beside what really happened."""

    made_at: datetime  # when the model that said so was trained
    build: str  # that model's
    target: date  # the day whose close it was
    horizon_days: int  # from the day it was made to the target; 1 is the close of that very day
    prediction: float
    low: float
    high: float
    persistence: float  # the newest price at the time
    actual: float


@dataclass(frozen=True, slots=True)
class LiveScore:
    """How published forecasts over one horizon did."""

    horizon_days: int
    due: int
    mae: float  # log price
    relative_mae: float | None  # to persistence; None where persistence was never wrong
    skill: float | None
    coverage: float


@dataclass(frozen=True, slots=True)
class LiveRecord:
    """The published forecasts of one pair: how many are due, and how they did. None where none is due yet."""

    simulated: bool
    releases: int  # whose forecasts are in the ledger
    due: int
    pending: int
    mae: float | None  # log price
    relative_mae: float | None
    skill: float | None
    coverage: float | None
    by_horizon: tuple[LiveScore, ...]
    latest: tuple[LiveForecast, ...]  # the newest targets first, at most 30
    words: str  # what it amounts to


@dataclass(frozen=True, slots=True)
class Scorecard:
    """What the ledger says of every forecast that was ever released. Served whole at ``/scorecard``."""

    entries: int  # of the ledger
    head: str  # the SHA-256 of its last entry, by which this model names the whole chain
    pairs: dict[Pair, LiveRecord]
