"""What the model answers, as the bytes of JSON bodies.

Pure: the same model and the same query give the same bytes. A day is rendered once and cached, so memory is bounded by
the model's range, for both models of each pair.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any, NamedTuple

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED, MODELS, Evaluator, Prediction
from crypto_predict.baked.schema import Model
from crypto_predict.errors import CryptoPredictError, OutOfRange, UnknownPair
from crypto_predict.market import DAY, Pair
from crypto_predict.web import questions
from crypto_predict.web.provenance import Basis, Provenance, simulated_header

DEFAULT_DAYS = 30  # of a forecast without an end
_NEXT = b", "  # between two rows
VERSION_MEMBERS = ("version", "build", "git_revision", "trained_at", "simulated")  # of the card


class OutsideModel(CryptoPredictError):
    """The parameter `parameter` asks for a time that lies outside the range of the model."""

    def __init__(self, parameter: str, cause: OutOfRange) -> None:
        super().__init__(f"{parameter}: {cause}")
        self.parameter = parameter
        self.cause = cause


class NoBitcoin(UnknownPair):
    """The model holds pairs, and none of them is of Bitcoin."""


class Answer(NamedTuple):
    """The body of an answer, and the headers with its provenance."""

    body: bytes
    headers: list[tuple[str, str]]  # the provenance; shared between answers


class Answers:
    """The answers of one model file. Safe to share between threads."""

    def __init__(self, model: Model) -> None:
        card = model.card
        simulated = card.simulated
        self._series = {
            (pair, name): _Series(pair, name, evaluator, simulated=card.pairs[pair].simulated)
            for pair, evaluator in ((pair, Evaluator(forecast)) for pair, forecast in model.forecasts.items())
            for name in MODELS
        }
        self._pairs_held = list(model.forecasts)
        self._bitcoin = next((pair for pair in self._pairs_held if pair.base == "BTC"), Pair("BTC", "USD"))
        self._model = _fixed(plain.encode(card), simulated=simulated)
        scorecard = model.scorecard
        self._scorecard = _fixed(plain.encode(scorecard), simulated=simulated or bool(scorecard.simulated))
        version = {name: plain.encode(getattr(card, name)) for name in VERSION_MEMBERS}
        self._version = _fixed(version, simulated=simulated)
        self._pairs = _fixed([self._series[pair, COMBINED].range() for pair in self._pairs_held], simulated=simulated)

    def bitcoin(self, query: str) -> Answer:
        """The price of Bitcoin at the close of a UTC day or at an instant, under the four keys its callers know.

        Raises:
            BadParameter, InvalidValue: The query is not a parameter ``date``, and perhaps ``model``, that can be read.
            OutsideModel: The model does not cover that time.
            NoBitcoin: The model holds no Bitcoin.
            NoProphetInterval: Prophet alone has no interval for that time.
        """
        given = questions.parameters(query, ("date", "model"))
        asked = questions.moment("date", questions.required(given, "date", questions.MOMENT_EXPECTED))
        name = questions.choice("model", given.get("model", COMBINED), MODELS)
        series = self._series.get((self._bitcoin, name))
        if series is None:
            raise NoBitcoin(str(self._bitcoin), list(map(str, self._pairs_held)))
        try:
            return series.at(asked)
        except OutOfRange as error:
            raise OutsideModel("date", error) from error

    def forecast(self, pair: str, query: str) -> Answer:
        """A row for each day from ``start`` to ``end``, both included.

        Raises:
            BadParameter, InvalidValue: The pair or the query cannot be read, or the end lies before the start.
            OutsideModel: The model does not cover the start or the end.
            UnknownPair: The model does not hold the pair.
            NoProphetInterval: Prophet alone has no interval for one of the days.
        """
        known = Pair.parse(pair)
        if known not in self._pairs_held:
            raise UnknownPair(str(known), list(map(str, self._pairs_held)))
        given = questions.parameters(query, ("start", "end", "model"))
        series = self._series[known, questions.choice("model", given.pop("model", COMBINED), MODELS)]
        days = {name: questions.day(name, text) for name, text in given.items()}
        for name, day in days.items():
            series.check(name, day)
        start = days.get("start", series.next_day)
        end = days.get("end") or min(start + (DEFAULT_DAYS - 1) * DAY, series.last_day)
        if end < start:
            raise questions.BadParameter("end", f"end {end} lies before start {start}")
        return series.between(start, end)

    def prepare(self) -> None:
        """Render every day of the default model, so that the first question for a year is as fast as the next."""
        for pair in self._pairs_held:
            series = self._series[pair, COMBINED]
            series.between(series.first_day, series.last_day)

    def pairs(self, query: str) -> Answer:
        """The pairs of the model, and the range of days of each."""
        return _unasked(query, self._pairs)

    def model(self, query: str) -> Answer:
        """The model card."""
        return _unasked(query, self._model)

    def scorecard(self, query: str) -> Answer:
        """The live record of released forecasts. Its member `simulated` is the record of invented prices."""
        return _unasked(query, self._scorecard)

    def version(self, query: str) -> Answer:
        """Which release this is, when it was trained, and whether its prices are invented."""
        return _unasked(query, self._version)


class _Series:
    """The answers of one model for one pair. A day is rendered at the first request and cached."""

    def __init__(self, pair: Pair, name: str, evaluator: Evaluator, *, simulated: bool) -> None:
        forecast = evaluator.forecast
        self._pair = pair
        self._name = name
        self._evaluator = evaluator
        self._simulated = simulated
        self._provenance = Provenance(pair, name, forecast, simulated=simulated)
        self.first_day = forecast.first
        self.next_day = forecast.last + DAY  # the first day of the future
        self.last_day = forecast.end
        self._closes: dict[date, Answer] = {}  # of the range alone: no other day has an answer
        # What a row ends with is the same within a kind, and is added when rows are joined.
        self._fitted_tail = _tail(self._provenance.fitted)
        self._forecast_tail = _tail(self._provenance.forecast)
        self._prices: list[bytes | None] = [None] * ((forecast.end - forecast.first).days + 1)

    def range(self) -> dict[str, Any]:
        """Return its entry in ``/pairs``."""
        return {
            "pair": str(self._pair),
            "first_day": self.first_day.isoformat(),
            "last_candle": (self.next_day - DAY).isoformat(),
            "last_day": self.last_day.isoformat(),
            "forecast": f"/forecast/{self._pair.slug}",
            "as_of": plain.encode(self._provenance.newest),
            "simulated": self._simulated,
        }

    def check(self, name: str, day: date) -> None:
        """Refuse a day outside the range."""
        if not self.first_day <= day <= self.last_day:
            raise OutsideModel(name, OutOfRange(day, self.first_day, self.last_day))

    def at(self, asked: date | datetime) -> Answer:
        """The price at the close of a day or at an instant, under the four keys.

        Raises:
            OutOfRange: The model does not cover that time.
        """
        if isinstance(asked, datetime):
            instant = self._in_utc(asked)
            return self._answer(instant, instant, self._evaluator.at(instant, self._name))
        answer = self._closes.get(asked)
        if answer is None:
            price = self._evaluator.at_close(asked, self._name)
            midnight = datetime(asked.year, asked.month, asked.day, tzinfo=UTC)
            answer = self._closes[asked] = self._answer(midnight, midnight + DAY, price)
        return answer

    def _answer(self, shown: datetime, instant: datetime, price: Prediction) -> Answer:
        """The price at `instant` under the four keys, with the date `shown`."""
        body = (
            f'{{"date": "{format_datetime(shown, usegmt=True)}", "prediction": {price.price!r}, '
            f'"prediction low": {price.low!r}, "prediction_high": {price.high!r}}}\n'
        )
        return Answer(body.encode(), self._provenance.headers(instant))

    def between(self, start: date, end: date) -> Answer:
        """The list of days from `start` to `end`, both included and both in range."""
        first, last = (start - self.first_day).days, (end - self.first_day).days
        future = min(max(first, (self.next_day - self.first_day).days), last + 1)
        pieces = [b"["]  # joined once: an answer may have a megabyte
        for days, tail in ((range(first, future), self._fitted_tail), (range(future, last + 1), self._forecast_tail)):
            for index in days:
                pieces += (self._row(index), tail)
        pieces[-1] = pieces[-1].removesuffix(_NEXT) + b"]\n"
        return Answer(b"".join(pieces), simulated_header(self._simulated))

    def _row(self, index: int) -> bytes:
        """The JSON object of a day, still open for more members."""
        row = self._prices[index]
        if row is None:
            day = self.first_day + timedelta(days=index)
            price = self._evaluator.at_close(day, self._name)
            text = f'{{"date": "{day}", "prediction": {price.price!r}, "low": {price.low!r}, "high": {price.high!r}'
            row = self._prices[index] = text.encode()
        return row

    def _in_utc(self, asked: datetime) -> datetime:
        """The instant in UTC. The last hours of year 9999 have none in some time zones."""
        try:
            return asked.astimezone(UTC)
        except OverflowError as error:
            raise OutOfRange(asked, self.first_day, self.last_day) from error


def _tail(basis: Basis) -> bytes:
    """What follows the prices of a row that is not the last."""
    return f", {basis.members()}}}".encode() + _NEXT


def _unasked(query: str, answer: Answer) -> Answer:
    questions.parameters(query, ())
    return answer


def _fixed(data: Any, *, simulated: bool) -> Answer:
    """An answer that is the same to every question."""
    return Answer(f"{json.dumps(data)}\n".encode(), simulated_header(simulated))
