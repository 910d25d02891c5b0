"""What the model answers, as the bytes of JSON bodies.

Pure: the same model and the same question give the same bytes. A day's row of a forecast is rendered once and
remembered, so memory is bounded by the model's range.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any, TypeVar

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.baked.schema import Model
from crypto_predict.errors import CryptoPredictError, OutOfRange, UnknownPair
from crypto_predict.market import DAY, Pair
from crypto_predict.web import questions

T = TypeVar("T")

DEFAULT_DAYS = 30  # of a forecast whose end was not said


class OutsideModel(CryptoPredictError):
    """The parameter `parameter` asks for a time that lies outside the range of the model."""

    def __init__(self, parameter: str, cause: OutOfRange) -> None:
        super().__init__(f"{parameter}: {cause}")
        self.parameter = parameter
        self.cause = cause


class NoBitcoin(UnknownPair):
    """The model holds pairs, and none of them is of Bitcoin."""


class Answers:
    """The answers of one model. Safe to share between threads."""

    def __init__(self, model: Model) -> None:
        self._evaluators = {pair: Evaluator(forecast) for pair, forecast in model.forecasts.items()}
        self._rows = {pair: _Rows(evaluator) for pair, evaluator in self._evaluators.items()}
        self._bitcoin = next((pair for pair in self._evaluators if pair.base == "BTC"), Pair("BTC", "USD"))
        card = model.card
        self._model = _json(plain.encode(card))
        self._scorecard = _json(plain.encode(model.scorecard))
        self._version = _json(
            {
                "version": card.version,
                "build": card.build,
                "git_revision": card.git_revision,
                "trained_at": plain.encode(card.trained_at),
            }
        )
        self._pairs = _json([_range(pair, evaluator) for pair, evaluator in self._evaluators.items()])

    def bitcoin(self, query: str) -> bytes:
        """The price of Bitcoin at the close of a UTC day or at an instant, under the four keys its callers know.

        Raises:
            BadParameter, InvalidValue: The query is not one parameter ``date`` that can be read.
            OutsideModel: The model knows nothing about that time.
            NoBitcoin: The model holds no Bitcoin.
        """
        given = questions.parameters(query, ("date",))
        asked = questions.moment("date", questions.required(given, "date", questions.MOMENT_EXPECTED))
        evaluator = self._evaluators.get(self._bitcoin)
        if evaluator is None:
            raise NoBitcoin(str(self._bitcoin), [str(pair) for pair in self._evaluators])
        try:
            instant = _in_utc(asked, evaluator)
            price = evaluator.at(instant) if isinstance(asked, datetime) else evaluator.at_close(asked)
        except OutOfRange as error:
            raise OutsideModel("date", error) from error
        return (
            f'{{"date": "{format_datetime(instant, usegmt=True)}", "prediction": {price.price!r}, '
            f'"prediction low": {price.low!r}, "prediction_high": {price.high!r}}}\n'
        ).encode()

    def forecast(self, pair: str, query: str) -> bytes:
        """A row for each day from ``start`` to ``end``, both included.

        Raises:
            BadParameter, InvalidValue: The pair or the query cannot be read, or the end lies before the start.
            OutsideModel: The model knows nothing about the start or the end.
            UnknownPair: The model does not hold the pair.
        """
        rows = _known(self._rows, Pair.parse(pair))
        given = questions.parameters(query, ("start", "end"))
        days = {name: questions.day(name, text) for name, text in given.items()}
        for name, day in days.items():
            rows.check(name, day)
        start = days.get("start", rows.next_day)
        end = days.get("end") or min(start + (DEFAULT_DAYS - 1) * DAY, rows.last_day)
        if end < start:
            raise questions.BadParameter("end", f"end {end} lies before start {start}")
        return rows.between(start, end)

    def prepare(self) -> None:
        """Render every day of every pair, so that the first question for a year is answered as fast as the next."""
        for rows in self._rows.values():
            rows.between(rows.first_day, rows.last_day)

    def pairs(self, query: str) -> bytes:
        """The pairs of the model, and the range of days of each."""
        return _unasked(query, self._pairs)

    def model(self, query: str) -> bytes:
        """The model card."""
        return _unasked(query, self._model)

    def scorecard(self, query: str) -> bytes:
        """The live record: what became of every forecast released before."""
        return _unasked(query, self._scorecard)

    def version(self, query: str) -> bytes:
        """Which release this is, and when it was trained."""
        return _unasked(query, self._version)


class _Rows:
    """The days of one pair as JSON objects, rendered at the first question and remembered."""

    def __init__(self, evaluator: Evaluator) -> None:
        forecast = evaluator.forecast
        self._evaluator = evaluator
        self.first_day = forecast.first
        self.next_day = forecast.last + DAY  # the first day of the future
        self.last_day = forecast.end
        self._rendered: list[str | None] = [None] * ((forecast.end - forecast.first).days + 1)

    def check(self, name: str, day: date) -> None:
        """Refuse a day outside the range."""
        if not self.first_day <= day <= self.last_day:
            raise OutsideModel(name, OutOfRange(day, self.first_day, self.last_day))

    def between(self, start: date, end: date) -> bytes:
        """The list of days from `start` to `end`, both included and both in range."""
        first = (start - self.first_day).days
        last = (end - self.first_day).days
        return f"[{', '.join(self._row(index) for index in range(first, last + 1))}]\n".encode()

    def _row(self, index: int) -> str:
        row = self._rendered[index]
        if row is None:
            day = self.first_day + timedelta(days=index)
            price = self._evaluator.at_close(day)
            row = f'{{"date": "{day}", "prediction": {price.price!r}, "low": {price.low!r}, "high": {price.high!r}}}'
            self._rendered[index] = row
        return row


def _known(table: dict[Pair, T], pair: Pair) -> T:
    try:
        return table[pair]
    except KeyError as error:
        raise UnknownPair(str(pair), [str(known) for known in table]) from error


def _unasked(query: str, body: bytes) -> bytes:
    questions.parameters(query, ())
    return body


def _in_utc(asked: date | datetime, evaluator: Evaluator) -> datetime:
    """The instant in UTC; a day's is its midnight. The last hours of year 9999 have no UTC in some time zones."""
    if not isinstance(asked, datetime):
        return datetime(asked.year, asked.month, asked.day, tzinfo=UTC)
    try:
        return asked.astimezone(UTC)
    except OverflowError as error:
        raise OutOfRange(asked, evaluator.forecast.first, evaluator.forecast.end) from error


def _range(pair: Pair, evaluator: Evaluator) -> dict[str, str]:
    forecast = evaluator.forecast
    return {
        "pair": str(pair),
        "first_day": forecast.first.isoformat(),
        "last_candle": forecast.last.isoformat(),
        "last_day": forecast.end.isoformat(),
        "forecast": f"/forecast/{pair.slug}",
    }


def _json(data: Any) -> bytes:
    return f"{json.dumps(data)}\n".encode()
