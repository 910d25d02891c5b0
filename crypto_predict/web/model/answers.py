"""The predictions of a model and what each rests on, as values."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from typing import Annotated, NamedTuple

from crypto_predict.baked import plain
from crypto_predict.baked.distribution import Distribution
from crypto_predict.baked.evaluation import COMBINED, Evaluator, Prediction
from crypto_predict.baked.extremes import Extremes
from crypto_predict.baked.live import Live
from crypto_predict.baked.models import NAME
from crypto_predict.baked.schema import Model
from crypto_predict.errors import InvalidValue
from crypto_predict.market import DAY, Pair
from crypto_predict.market.forecast import HOURS_AHEAD, MINUTES_AHEAD
from crypto_predict.web.http.response import PROVENANCE, Headers, simulated_header
from crypto_predict.web.http.schemas import TEXT, Schema

HOUR = timedelta(hours=1)
FITTED, FORECAST = "fitted", "forecast"
MINUTES, HOURS, DAYS = "minutes", "hours", "days"
CLOCK: Schema = {"enum": [MINUTES, HOURS, DAYS, None]}
KIND: Schema = {**TEXT, "enum": [FITTED, FORECAST]}
MODEL: Schema = {**TEXT, "pattern": f"^{NAME.pattern}$"}
_HORIZON_DECIMALS = 4  # of a day: some nine seconds


def closing(moment: date | datetime) -> datetime:
    """Return an instant, or that at which a day closes, UTC."""
    return moment if isinstance(moment, datetime) else datetime.combine(moment, time.min, UTC) + DAY


@dataclass(frozen=True, slots=True)
class Clock:
    """The forecast that answers for a time: that of the finest unit which reaches it."""

    name: str  # `MINUTES`, `HOURS` or `DAYS`
    cutoff: datetime  # UTC, the newest close that it was made from
    live: bool  # whether it is newer than the model, and was read from the database


@dataclass(frozen=True, slots=True, eq=False)
class Provenance:
    """What a predicted price rests on. Compared by identity, so that it is a fast key: a series has three.

    The fitted curve and most models use daily closes. The combined forecast starts at the anchor, which is newer than
    the last daily close if the source has hourly prices.
    """

    kind: Annotated[str, KIND]  # `FITTED` up to the newest price, `FORECAST` after it
    as_of: datetime  # the instant of the newest price used, UTC
    pair: Pair
    model: Annotated[str, MODEL]
    simulated: bool  # whether the prices used are invented


class Row(NamedTuple):
    """A predicted price with its provenance."""

    moment: date | datetime  # a day stands for its close; an instant is in UTC
    price: Prediction
    provenance: Provenance


class Series:
    """The predictions of one of the evaluator's models for a pair, in the range of `first_day` to `last_day`."""

    def __init__(self, pair: Pair, model: str, evaluator: Evaluator, *, simulated: bool) -> None:
        forecast = evaluator.forecast
        close, anchor = forecast.last_close_time, evaluator.anchor
        newest, self.newest_price = (anchor.at, anchor.price) if model == COMBINED else (close, forecast.last_close)
        self.decimals = evaluator.decimals  # of a price
        self._evaluator, self.model = evaluator, model
        self.first_day, self.last_candle, self.last_day = forecast.first, forecast.last, forecast.end
        self.newest = newest  # the instant of the newest price, UTC
        self.fitted = Provenance(FITTED, close, pair, model, simulated)
        self._between = Provenance(FITTED, newest, pair, model, simulated)  # the last close and the newest price
        self.forecast = Provenance(FORECAST, newest, pair, model, simulated)

    @cached_property
    def extremes(self) -> Extremes:
        """What is touched after the newest price."""
        return Extremes(self._evaluator, self.model)

    def row(self, moment: date | datetime) -> Row:
        """Return the prediction for the close of a day or for an instant.

        If the model does not cover that time, raise `OutOfRange`; if it lies after the last candle, and Prophet alone
        has no interval, raise `NoProphetInterval`.
        """
        price = self._evaluator.at(moment, self.model)
        end = closing(moment)
        if end <= self.fitted.as_of:
            return Row(moment, price, self.fitted)
        return Row(moment, price, self._between if end <= self.newest else self.forecast)

    def distribution(self, moment: date | datetime) -> Distribution:
        """Return the distribution of the price at the close of a day or at an instant. Errors are those of `row`."""
        return self._evaluator.distribution(moment, self.model)

    def quantiles(self, moment: date | datetime, levels: tuple[float, ...]) -> list[float]:
        """Return rounded quantiles of the price at the close of a day or at an instant. Errors are those of `row`."""
        distribution = self.distribution(moment)
        return [self.rounded(distribution.quantile(level)) for level in levels]

    def rounded(self, price: float) -> float:
        """Return a price rounded as those of `row` are, but never to 0."""
        return max(round(price, self.decimals), 10.0**-self.decimals)

    def day_range(self, day: date) -> tuple[float, float] | None:
        """Return the lowest and the highest price of a day; None if the model has no candle of it."""
        forecast, index = self._evaluator.forecast, (day - self.first_day).days
        if not 0 <= index < len(forecast.closes):
            return None
        low, high = forecast.lows[index], forecast.highs[index]
        return None if low is None or high is None else (low, high)

    def hours(self, moment: date | datetime) -> float | None:
        """Return the hours from the newest price to the close of a day or to an instant, if the hours of it answer."""
        if self.model != COMBINED or not self._evaluator.hours:
            return None
        hours = (closing(moment) - self.newest) / HOUR
        return round(hours, _HORIZON_DECIMALS) if 0 < hours <= HOURS_AHEAD else None

    def clock(self, moment: date | datetime) -> Clock:
        """Return which forecast answers for a moment after the newest price."""
        live, hours = self._evaluator.live, self.hours(moment)
        if hours is None:
            return Clock(DAYS, self.fitted.as_of, live=False)
        if live is None:
            return Clock(HOURS, self.newest, live=False)
        if live.minutes is not None and hours * 60 <= MINUTES_AHEAD:
            return Clock(MINUTES, live.minutes.cutoff, live=True)
        return Clock(HOURS, live.hours_at, live=live.hours_at > self._evaluator.forecast.anchor.at)

    def horizon(self, moment: date | datetime) -> float:
        """Return the days from the last daily close to the close of a day or to an instant."""
        if isinstance(moment, datetime):
            return round((moment - self.fitted.as_of) / DAY, _HORIZON_DECIMALS)
        return (moment - self.last_candle).days


class Answers:
    """The answers of one model file. Safe to share between threads."""

    def __init__(self, model: Model) -> None:
        card = model.card
        self.model = model
        self.pairs = list(model.forecasts)
        # Each pair also by the name of what is traded in its place: ETH/USDT is answered by the forecast of ETH/USD.
        self.names = {card.pairs[pair].traded: pair for pair in self.pairs} | {pair: pair for pair in self.pairs}
        self.bitcoin = next((pair for pair in self.pairs if pair.base == "BTC"), None)
        self.models: dict[Pair, tuple[str, ...]] = {}  # the names of those that answer, the combined one first
        self.series: dict[tuple[Pair, str], Series] = {}  # by pair and model
        for pair, forecast in model.forecasts.items():
            evaluator = Evaluator(forecast)
            self.models[pair] = evaluator.models
            for name in evaluator.models:
                self.series[pair, name] = Series(pair, name, evaluator, simulated=card.pairs[pair].simulated)

    def moved_on(self, lives: Mapping[Pair, Live]) -> "Answers":
        """Return the answers of the same model from newer prices of some pairs."""
        moved, cards = copy(self), self.model.card.pairs
        moved.series = dict(self.series)
        for pair, live in lives.items():
            evaluator = Evaluator(self.model.forecasts[pair], live)
            moved.series[pair, COMBINED] = Series(pair, COMBINED, evaluator, simulated=cards[pair].simulated)
        return moved

    def of(self, pair: Pair, model: str | None = None) -> Series:
        """Return the series of a pair and of one of its models, by default the one that is served.

        If the pair has no such model, raise `InvalidValue`.
        """
        name = self.model.card.pairs[pair].served if model is None else model
        if name not in self.models[pair]:
            raise InvalidValue("model", name, f"one of {', '.join(self.models[pair])}")
        return self.series[pair, name]


@lru_cache(maxsize=2_000)
def provenance_headers(provenance: Provenance) -> Headers:
    """Return the provenance of a price as headers."""
    values = (provenance.kind, plain.encode(provenance.as_of), str(provenance.pair), provenance.model)
    return [*zip(PROVENANCE, values, strict=False), *simulated_header(provenance.simulated)]
