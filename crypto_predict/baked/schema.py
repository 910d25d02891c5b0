"""What a model file holds: frozen dataclasses of plain values, the model card among them.

Times are UTC. Prices are in the pair's quote currency; curves, corrections and bands are natural logarithms of it. A
day stands for the close of that UTC day, as it does for Prophet: the candle opens at midnight and closes 24 h later.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from crypto_predict.baked.scorecard import Scorecard
from crypto_predict.baked.scores import Backtest
from crypto_predict.market import DAY, Gap, Pair

VERSION = 3  # of the schema; raised whenever an older program could misread the file
HORIZON_DAYS = 365  # how far past its last candle a model answers
COVERAGE = 0.8  # the share of outcomes that the central interval is meant to hold
MOST_PAIRS = 36  # a server holds every one of them in memory
MOST_DAYS = 250_000  # that all pairs together answer for
KNOTS = (1, 2, 3, 5, 7, 14, 30, 60, 90, 180, 365)  # days ahead at which an interval is calibrated

_LABEL = re.compile(r"[A-Za-z0-9._+-]{1,100}")  # what appears in headers, metrics and tags of images
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Trend:
    """Prophet's piecewise linear growth (Taylor and Letham, "Forecasting at Scale", 2018, section 3.1.2).

    Scaled time t is 0 on day `start` and 1 on `days` later. The slope is `growth` before the first changepoint and
    changes by `deltas[j]` at t = `changepoints[j]`, where the line stays continuous.
    """

    start: date
    days: int
    growth: float
    offset: float
    changepoints: tuple[float, ...]  # (C,) ascending, scaled time
    deltas: tuple[float, ...]  # (C,)

    def faults(self) -> list[str]:
        """What makes this trend impossible to evaluate."""
        found = []
        if self.days < 1:
            found.append(f"days must be positive, not {self.days}")
        if len(self.changepoints) != len(self.deltas):
            found.append(f"{len(self.changepoints)} changepoints but {len(self.deltas)} deltas")
        if list(self.changepoints) != sorted(self.changepoints):
            found.append("changepoints must ascend")
        return found


@dataclass(frozen=True, slots=True)
class Seasonality:
    """A Fourier series over t, days since 1970-01-01 (the same paper, section 3.2).

    The sum of ``a[n] sin(2 pi n t / period) + b[n] cos(2 pi n t / period)`` for n = 1 to N.
    """

    name: str
    period: float  # days
    coefficients: tuple[float, ...]  # (2 N,): a[1], b[1], a[2], b[2], ...

    def faults(self) -> list[str]:
        """What makes this seasonality impossible to evaluate."""
        found = []
        if self.period <= 0:
            found.append(f"period must be positive, not {self.period}")
        if len(self.coefficients) % 2:
            found.append(f"coefficients come in pairs, not {len(self.coefficients)}")
        return found


@dataclass(frozen=True, slots=True)
class Band:
    """The central 80 % interval around the curve, as distances in log price; `low` <= 0 <= `high`."""

    low: float
    high: float

    def faults(self) -> list[str]:
        """What makes this band no interval around the curve."""
        return [] if self.low <= 0 <= self.high else [f"{self.low} and {self.high} do not enclose the curve"]


@dataclass(frozen=True, slots=True)
class Anchor:
    """The newest price there is, from which the forecast sets out."""

    at: datetime  # the close of the last closed hourly candle; of the last daily one where there is no newer
    price: float

    def faults(self) -> list[str]:
        """What makes this no price."""
        return [] if self.price > 0 else [f"price must be positive, not {self.price}"]


@dataclass(frozen=True, slots=True)
class PairForecast:
    """Everything needed to answer for one pair, from its first candle to 365 days past its last.

    The forecast sets out from the anchor. Of the way Prophet's curve goes from there it takes the share
    `prophet_weights`, and adds what the other candidates have to say; weights of nothing mean "tomorrow equals today".

    What Prophet alone forecasts is the curve itself, with the interval `prophet_bands` around it: none where no
    backtest could calibrate one.
    """

    first: date  # the first candle's day
    last: date  # the last candle's day
    last_close: float
    anchor: Anchor  # at or after the last candle's close, and before the next one's
    scale: float  # what trend and seasonalities are multiplied by to give log price
    trend: Trend
    seasonalities: tuple[Seasonality, ...]
    level_correction: float  # log anchor price minus the curve at the anchor
    prophet_weights: tuple[float, ...]  # (365,) 1, 2, ... days after `last`
    other_increments: tuple[float, ...]  # (365,) log price since the anchor, weighted, of all candidates but Prophet
    fitted_band: Band  # days up to `last`
    forecast_bands: tuple[Band, ...]  # (365,) 1, 2, ... days after `last`
    prophet_bands: tuple[Band, ...]  # (11,) around the curve, `KNOTS` days after `last`; or none

    @property
    def last_close_time(self) -> datetime:
        """The instant at which the last candle closed."""
        return datetime.combine(self.last, time.min, UTC) + DAY

    @property
    def end(self) -> date:
        """The last day this forecast answers for."""
        return self.last + timedelta(days=HORIZON_DAYS)

    def faults(self) -> list[str]:
        """What makes this forecast contradict itself."""
        found = []
        if self.last < self.first:
            found.append(f"last day {self.last} lies before first day {self.first}")
        if self.last > date.max - timedelta(days=HORIZON_DAYS):
            found.append(f"last day {self.last} leaves no room for {HORIZON_DAYS} days of forecast in the calendar")
        elif not self.last_close_time <= self.anchor.at < self.last_close_time + DAY:
            found.append(f"the anchor of {self.anchor.at} is not within a day after the close of {self.last}")
        if self.last_close <= 0:
            found.append(f"last_close must be positive, not {self.last_close}")
        by_horizon = {
            "prophet weights": self.prophet_weights,
            "other increments": self.other_increments,
            "forecast bands": self.forecast_bands,
        }
        found += [
            f"{len(values)} {name}, not {HORIZON_DAYS}"
            for name, values in by_horizon.items()
            if len(values) != HORIZON_DAYS
        ]
        if len(self.prophet_bands) not in {0, len(KNOTS)}:
            found.append(f"{len(self.prophet_bands)} prophet bands, not {len(KNOTS)} or none")
        return found


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a forecast stands some days after the last candle. Prices, not logarithms."""

    horizon_days: int
    day: date
    prediction: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Gate:
    """The verdict of the release gate."""

    passed: bool
    enforced: bool  # False after --no-gate: what was found did not keep the model from being written
    reasons: tuple[str, ...]  # why it must not ship; none where it passed
    thresholds: dict[str, float]


@dataclass(frozen=True, slots=True)
class PairCard:
    """Where one pair's history came from, and where its forecast stands."""

    source: str
    simulated: bool
    first: datetime  # opening of the first candle
    last: datetime  # opening of the last candle
    candles: int
    warm_up: int  # candles before `first` that only the backtest and the interval know
    gaps: tuple[Gap, ...]
    quarantined: int  # candles that the source sent and no market can have made
    history_sha256: str  # of every candle, the warm-up included
    last_close: float
    anchor: Anchor
    forecast: tuple[Standing, ...]
    backtest: Backtest | None  # None where the history is too short for any

    def faults(self) -> list[str]:
        """What must not reach a terminal or a page."""
        found = [] if self.source.isprintable() else [f"source {self.source!r:.80} is not printable"]
        if not _SHA256.fullmatch(self.history_sha256):
            found.append("history_sha256 is not 64 hexadecimal digits")
        return found


@dataclass(frozen=True, slots=True)
class Card:
    """The model card: what a reader must know before trusting the model. Served whole at ``/model``."""

    version: str  # semantic version of the release
    build: str  # version and training time: 0.3.1-20240518121047
    git_revision: str | None
    trained_at: datetime
    python: str
    packages: dict[str, str]  # name to version, of what decides the numbers
    days: int  # longest history asked for
    seed: int
    coverage: float  # the interval's nominal share
    simulated: bool  # True when any pair's prices were invented
    pairs: dict[Pair, PairCard]
    gate: Gate

    def faults(self) -> list[str]:
        """What cannot be the label of a metric or a line of text."""
        labels = {"version": self.version, "build": self.build, "python": self.python, **self.packages}
        if self.git_revision is not None:
            labels["git_revision"] = self.git_revision
        found = [
            f"{name} {label!r:.80} is not a label of ASCII letters, digits and . _ + -"
            for name, label in labels.items()
            if not _LABEL.fullmatch(label)
        ]
        found += [f"package {name!r:.80} is not a name" for name in self.packages if not _LABEL.fullmatch(name)]
        found += [f"reason {one!r:.80} is not printable" for one in self.gate.reasons if not one.isprintable()]
        return found


@dataclass(frozen=True, slots=True)
class Model:
    """A whole model file."""

    card: Card
    forecasts: dict[Pair, PairForecast]
    scorecard: Scorecard

    def faults(self) -> list[str]:
        """What makes this model contradict itself."""
        found = [] if self.forecasts else ["no pair at all"]
        if list(self.card.pairs) != list(self.forecasts):
            found.append("card and forecasts name different pairs")
        return found + size_faults({pair: (one.end - one.first).days for pair, one in self.forecasts.items()})


def size_faults(days: Mapping[Pair, int]) -> list[str]:
    """What is more than a model can hold, of pairs and of the days that each of them answers for."""
    found = []
    if len(days) > MOST_PAIRS:
        found.append(f"{len(days)} pairs are more than a model can hold ({MOST_PAIRS})")
    if (total := sum(days.values())) > MOST_DAYS:
        found.append(f"{total:,} days of all pairs are more than a model can hold ({MOST_DAYS:,})")
    return found
