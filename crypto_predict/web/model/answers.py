"""The answers of a model, as values; `rendering` turns them into JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from http import HTTPStatus
from typing import NamedTuple

from crypto_predict.baked.distribution import Distribution
from crypto_predict.baked.evaluation import COMBINED, MODELS, Evaluator, Prediction
from crypto_predict.baked.schema import Model
from crypto_predict.errors import OutOfRange, UnknownPair
from crypto_predict.market import DAY, Pair
from crypto_predict.web.http.errors import BadParameter, WebError
from crypto_predict.web.model.questions import BitcoinQuestion, ForecastQuestion

DEFAULT_DAYS = 30  # of a forecast without an end
FITTED, FORECAST = "fitted", "forecast"
_HORIZON_DECIMALS = 4  # of a day: some nine seconds


class OutsideModel(WebError):
    """The parameter `parameter` asks for a time outside the range of the model."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, parameter: str, cause: OutOfRange) -> None:
        super().__init__(f"{parameter}: {cause}")
        self.parameter = parameter


class NoBitcoin(WebError, UnknownPair):
    """The model does not hold a pair of Bitcoin. No parameter is at fault: ``/bitcoin`` has none for the pair."""

    status = HTTPStatus.NOT_FOUND


@dataclass(frozen=True, slots=True, eq=False)
class Provenance:
    """What a predicted price rests on. Compared by identity, so that it is a fast key: a series has three.

    The fitted curve and Prophet alone use daily closes. The combined forecast starts at the anchor, which is newer than
    the last daily close if the source has hourly prices.
    """

    kind: str  # `FITTED` up to the newest price, `FORECAST` after it
    as_of: datetime  # the instant of the newest price used, UTC
    pair: Pair
    model: str  # one of `MODELS`
    simulated: bool  # whether the prices used are invented


class Row(NamedTuple):
    """A predicted price with its provenance."""

    moment: date | datetime  # a day stands for its close; an instant is in UTC
    price: Prediction
    provenance: Provenance


class Forecast(NamedTuple):
    """The days from `start` to `end`, both included and in the range of `series`."""

    series: Series
    start: date
    end: date
    levels: tuple[float, ...] = ()  # of the quantiles of each day, ascending


@dataclass(frozen=True, slots=True)
class PairRange:
    """The days for which the model answers about one pair."""

    pair: Pair
    first_day: date
    last_candle: date
    last_day: date  # included
    forecast: str  # the path of its forecast
    as_of: datetime  # the newest price that its forecast starts from
    simulated: bool


@dataclass(frozen=True, slots=True)
class Version:
    """The release, and when its model was trained."""

    version: str
    build: str
    git_revision: str | None
    trained_at: datetime
    simulated: bool


class Series:
    """The predictions of one model (one of `MODELS`) for one pair, in the range of `first_day` to `last_day`."""

    def __init__(self, pair: Pair, model: str, evaluator: Evaluator, *, simulated: bool) -> None:
        forecast = evaluator.forecast
        close = forecast.last_close_time
        newest = forecast.anchor.at if model == COMBINED else close
        self._evaluator, self._model = evaluator, model
        self.first_day, self.last_candle, self.last_day = forecast.first, forecast.last, forecast.end
        self.fitted = Provenance(FITTED, close, pair, model, simulated)
        self._known = Provenance(FITTED, newest, pair, model, simulated)  # after the last close, up to the newest price
        self.forecast = Provenance(FORECAST, newest, pair, model, simulated)

    def row(self, moment: date | datetime) -> Row:
        """Return the prediction for the close of a day or for an instant.

        Raises:
            OutOfRange: The model does not cover that time.
            NoProphetInterval: The time lies after the last candle, and Prophet alone has no interval.
        """
        if not isinstance(moment, datetime):
            price = self._evaluator.at_close(moment, self._model)
            return Row(moment, price, self.fitted if moment <= self.last_candle else self.forecast)
        price = self._evaluator.at(moment, self._model)
        if moment > self.forecast.as_of:
            return Row(moment, price, self.forecast)
        return Row(moment, price, self.fitted if moment <= self.fitted.as_of else self._known)

    def distribution(self, moment: date | datetime) -> Distribution:
        """Return the distribution of the price at the close of a day or at an instant. Errors are those of `row`."""
        return self._evaluator.distribution(moment, self._model)

    def quantiles(self, day: date, levels: tuple[float, ...]) -> list[float]:
        """Return the quantiles of the close of a day, rounded as its price is, but never to 0. Errors as of `row`."""
        distribution, decimals = self.distribution(day), self._evaluator.decimals
        least = 10.0**-decimals
        return [max(round(distribution.quantile(level), decimals), least) for level in levels]

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
        self.held = list(model.forecasts)  # the pairs, in the order of the model
        # Each pair also by the name of what is traded in its place: ETH/USDT is answered by the forecast of ETH/USD.
        self.names = {card.pairs[pair].traded: pair for pair in self.held} | {pair: pair for pair in self.held}
        self._bitcoin = next((pair for pair in self.held if pair.base == "BTC"), None)
        self.series: dict[tuple[Pair, str], Series] = {}  # by pair and model
        for pair, forecast in model.forecasts.items():
            evaluator = Evaluator(forecast)
            for name in MODELS:
                self.series[pair, name] = Series(pair, name, evaluator, simulated=card.pairs[pair].simulated)
        self.version = Version(card.version, card.build, card.git_revision, card.trained_at, card.simulated)

    def bitcoin(self, question: BitcoinQuestion) -> Row:
        """Return the price of Bitcoin in the first pair whose base is BTC.

        Raises:
            NoBitcoin: The model does not hold Bitcoin.
            OutsideModel: The model does not cover that time.
            NoProphetInterval: The time lies after the last candle, and Prophet alone has no interval.
        """
        if self._bitcoin is None:
            raise NoBitcoin("BTC/USD", list(map(str, self.held)))
        try:
            return self.series[self._bitcoin, question.model].row(question.moment)
        except OutOfRange as error:
            raise OutsideModel("date", error) from error

    def forecast(self, question: ForecastQuestion) -> Forecast:
        """Return the days of a forecast, by default 30 from the day after the last candle.

        Raises:
            BadParameter: The end lies before the start.
            OutsideModel: The model does not cover the start or the end.
        """
        series = self.series[question.pair, question.model]
        first, last = series.first_day, series.last_day
        for name, day in (("start", question.start), ("end", question.end)):
            if day is not None and not first <= day <= last:
                raise OutsideModel(name, OutOfRange(day, first, last))
        start = question.start or series.last_candle + DAY
        end = question.end or min(start + (DEFAULT_DAYS - 1) * DAY, last)
        if end < start:
            raise BadParameter("end", f"end {end} lies before start {start}")
        return Forecast(series, start, end, question.levels)

    def pairs(self) -> list[PairRange]:
        """Return the range of each pair."""
        ranges = []
        for pair in self.held:
            series = self.series[pair, COMBINED]
            days = (series.first_day, series.last_candle, series.last_day)
            newest = series.forecast
            ranges.append(PairRange(pair, *days, f"/forecast/{pair.slug}", newest.as_of, newest.simulated))
        return ranges
