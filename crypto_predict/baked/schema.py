"""The content of a model file as frozen dataclasses of plain values, the model card included.

Times are UTC. Prices are in the pair's quote currency; curves, corrections and bands are natural logarithms of it. A
day stands for the close of that UTC day, as it does for Prophet: its candle opens at midnight and closes 24 h later.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from crypto_predict.baked.scores import Backtest, Scorecard
from crypto_predict.market import DAY, Gap, Pair

VERSION = 3  # of the schema; raised whenever an older program could misread the file
HORIZON_DAYS = 365  # the range of a model after its last candle
COVERAGE = 0.8  # nominal share of outcomes inside the central interval
MOST_PAIRS = 36  # a server holds all of them in memory
MOST_DAYS = 250_000  # in the ranges of all pairs together
KNOTS = (1, 2, 3, 5, 7, 14, 30, 60, 90, 180, 365)  # days ahead at which an interval is calibrated

_LABEL = re.compile(r"[A-Za-z0-9._+-]{1,100}")  # of headers, metrics and image tags
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

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        if self.days < 1:
            yield f"days must be positive, not {self.days}"
        if len(self.changepoints) != len(self.deltas):
            yield f"{len(self.changepoints)} changepoints but {len(self.deltas)} deltas"
        if list(self.changepoints) != sorted(self.changepoints):
            yield "changepoints must ascend"


@dataclass(frozen=True, slots=True)
class Seasonality:
    """A Fourier series over t, days since 1970-01-01 (the same paper, section 3.2).

    The sum of ``a[n] sin(2 pi n t / period) + b[n] cos(2 pi n t / period)`` for n = 1 to N.
    """

    name: str
    period: float  # days
    coefficients: tuple[float, ...]  # (2 N,): a[1], b[1], a[2], b[2], ...

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        if self.period <= 0:
            yield f"period must be positive, not {self.period}"
        if len(self.coefficients) % 2:
            yield f"coefficients come in pairs, not {len(self.coefficients)}"


@dataclass(frozen=True, slots=True)
class Band:
    """The central 80 % interval around the curve, as distances in log price; `low` <= 0 <= `high`."""

    low: float
    high: float

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        if not self.low <= 0 <= self.high:
            yield f"{self.low} and {self.high} do not enclose the curve"


@dataclass(frozen=True, slots=True)
class Anchor:
    """The newest price, at which the forecast starts."""

    at: datetime  # the close of the last closed hourly candle, or of the last daily one if that is newer
    price: float

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        if self.price <= 0:
            yield f"price must be positive, not {self.price}"


@dataclass(frozen=True, slots=True)
class PairForecast:
    """Everything that predictions for one pair need, from its first candle to 365 days past its last.

    The forecast starts at the anchor. It adds the move of Prophet's curve from there, times `prophet_weights`, and the
    increments of the other candidates; with zeros only, the forecast is persistence.

    The forecast of Prophet alone is the curve itself, with the interval `prophet_bands` around it; without a backtest
    this interval is not calibrated, and there are no bands.
    """

    first: date  # the first candle's day
    last: date  # the last candle's day
    last_close: float
    anchor: Anchor  # at or after the last candle's close, and before the next one's
    scale: float  # log price per unit of trend and seasonalities
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
        """The last day of the range."""
        return self.last + timedelta(days=HORIZON_DAYS)

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        if self.last < self.first:
            yield f"last day {self.last} lies before first day {self.first}"
        if self.last > date.max - timedelta(days=HORIZON_DAYS):
            yield f"last day {self.last} leaves no room for {HORIZON_DAYS} days of forecast in the calendar"
        elif not self.last_close_time <= self.anchor.at < self.last_close_time + DAY:
            yield f"the anchor of {self.anchor.at} is not within a day after the close of {self.last}"
        if self.last_close <= 0:
            yield f"last_close must be positive, not {self.last_close}"
        for name in ("prophet_weights", "other_increments", "forecast_bands"):
            if (count := len(getattr(self, name))) != HORIZON_DAYS:
                yield f"{count} {name}, not {HORIZON_DAYS}"
        if len(self.prophet_bands) not in {0, len(KNOTS)}:
            yield f"{len(self.prophet_bands)} prophet_bands, not {len(KNOTS)} or none"


@dataclass(frozen=True, slots=True)
class Standing:
    """A prediction in the model card, some days after the last candle. Prices, not logarithms."""

    horizon_days: int
    day: date
    prediction: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Gate:
    """The verdict of the release gate."""

    passed: bool
    enforced: bool  # False after --no-gate, which writes the model in spite of the reasons
    reasons: tuple[str, ...]  # why it must not ship; empty if it passed
    thresholds: dict[str, float]


@dataclass(frozen=True, slots=True)
class PairCard:
    """The facts of one pair: its history, forecast and backtest."""

    source: str
    simulated: bool
    first: datetime  # opening of the first candle
    last: datetime  # opening of the last candle
    candles: int
    warm_up: int  # candles before `first`, used by the backtest and the interval only
    gaps: tuple[Gap, ...]
    quarantined: int  # candles of the source that are impossible in a market
    history_sha256: str  # of every candle, the warm-up included
    last_close: float
    anchor: Anchor
    forecast: tuple[Standing, ...]
    backtest: Backtest | None  # None if the history is too short

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        if not self.source.isprintable():
            yield f"source {self.source!r:.80} is not printable"
        if not _SHA256.fullmatch(self.history_sha256):
            yield "history_sha256 is not 64 hexadecimal digits"


@dataclass(frozen=True, slots=True)
class Card:
    """The model card: the facts by which a reader can judge the model. Served at ``/model``."""

    version: str  # semantic version of the release
    build: str  # version and training time: 0.3.1-20240518121047
    git_revision: str | None
    trained_at: datetime
    python: str
    packages: dict[str, str]  # name to version, of those that determine the numbers
    days: int  # longest history asked for
    seed: int
    coverage: float  # the interval's nominal share
    simulated: bool  # True when any pair's prices were invented
    pairs: dict[Pair, PairCard]
    gate: Gate

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        labels = {"version": self.version, "build": self.build, "python": self.python, **self.packages}
        if self.git_revision is not None:
            labels["git_revision"] = self.git_revision
        for name, label in labels.items():
            if not _LABEL.fullmatch(label):
                yield f"{name} {label!r:.80} is not a label of ASCII letters, digits and . _ + -"
        for name in self.packages:
            if not _LABEL.fullmatch(name):
                yield f"package {name!r:.80} is not a name"
        for reason in self.gate.reasons:
            if not reason.isprintable():
                yield f"reason {reason!r:.80} is not printable"


@dataclass(frozen=True, slots=True)
class Model:
    """A whole model file."""

    card: Card
    forecasts: dict[Pair, PairForecast]
    scorecard: Scorecard

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        if not self.forecasts:
            yield "it has no pairs"
        if list(self.card.pairs) != list(self.forecasts):
            yield "card and forecasts name different pairs"
        yield from size_faults({pair: (one.end - one.first).days for pair, one in self.forecasts.items()})


def size_faults(days: Mapping[Pair, int]) -> Iterator[str]:
    """Yield the limits of a model file that are exceeded by these pairs, each with the days of its range."""
    if len(days) > MOST_PAIRS:
        yield f"{len(days)} pairs are more than a model can hold ({MOST_PAIRS})"
    if (total := sum(days.values())) > MOST_DAYS:
        yield f"{total:,} days of all pairs are more than a model can hold ({MOST_DAYS:,})"
