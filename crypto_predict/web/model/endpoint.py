"""What the endpoints of the model share: parameters, how they are read and documented, examples, headers and errors."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from crypto_predict.errors import InvalidValue, OutOfRange, UnknownPair
from crypto_predict.market import DAY, Pair
from crypto_predict.web.http import queries
from crypto_predict.web.http.operation import Failure, Operation
from crypto_predict.web.http.problems import BadParameter, of_error
from crypto_predict.web.http.response import SIMULATED, STALE, Rendered
from crypto_predict.web.http.schemas import MOMENT, TEXT, Parameter, Schema, parameter, refs
from crypto_predict.web.model.answers import Series
from crypto_predict.web.model.snapshots import Snapshot

LEAST_LEVEL, MOST_LEVEL = 0.01, 0.99  # of a quantile: beyond them hardly any outcome has been
MOST_LEVELS = 20  # in one question
PRICE_EXPECTED = "a number above 0 without thousands separators, such as 100000"
LEVELS_EXPECTED = f"a list of levels between {LEAST_LEVEL} and {MOST_LEVEL}, such as 0.05,0.5,0.95"

PRICE: Schema = {"type": "number", "exclusiveMinimum": 0}
_MODEL_TEXT = """\
`combined` is the forecast that earned its place out of sample: persistence, Prophet and others, weighted by horizon.
`prophet` is the forecast of Prophet alone, with its own interval. [/models](/models) describes all models of each pair,
and which one answers by default.
"""
VALIDATED = ("ETag", "Last-Modified", "Cache-Control", SIMULATED, STALE[0])


@dataclass(frozen=True, kw_only=True)
class ModelOperation(Operation[Snapshot]):
    """An endpoint of the model: ``answer(snapshot, now, query, **path)``."""

    tag: str = "model"
    live: bool = False  # whether it answers for prices, which live forecasts may move on
    headers: Callable[[Rendered], Mapping[str, Any]] = lambda _: refs("headers", VALIDATED)


def constant(render: Callable[[Snapshot], Rendered]) -> Callable[[Snapshot, datetime, str], Rendered]:
    """Return what answers with the same bytes until the next change, and takes no parameters."""

    def answer(snapshot: Snapshot, now: datetime, query: str) -> Rendered:
        queries.parameters(query)
        return snapshot.until_change(snapshot.once(render), now)

    return answer


def read_pair(text: str, names: Mapping[Pair, Pair]) -> Pair:
    """Return the pair of the model that a path names by any of its `names`; if it is not one, raise `UnknownPair`."""
    pair = Pair.parse(text)
    if pair not in names:
        raise UnknownPair(str(pair), list(dict.fromkeys(map(str, names.values()))))
    return names[pair]


def read_date(values: Mapping[str, str]) -> date | datetime:
    """Return the day or the instant of the parameter ``date``."""
    if "date" not in values:
        raise BadParameter("date", f"date is missing: it must be {queries.MOMENT_EXPECTED}")
    return queries.moment("date", values["date"])


def read_price(name: str, text: str) -> float:
    """Parse a price, which is more than 0 and not larger than every float."""
    price = queries.number(text)
    if price is None or not 0 < price < math.inf:
        raise InvalidValue(name, text, PRICE_EXPECTED)
    return price


def read_levels(name: str, text: str) -> tuple[float, ...]:
    """Parse the levels of quantiles, in any order; they are returned ascending."""
    texts = text.split(",")
    if len(texts) > MOST_LEVELS:
        raise BadParameter(name, f"{name}: {len(texts)} levels are more than the {MOST_LEVELS} of one request")
    levels = set()
    for item in texts:
        level = queries.number(item.strip(" "))
        if level is None or not LEAST_LEVEL <= level <= MOST_LEVEL:
            raise InvalidValue(name, text, LEVELS_EXPECTED)
        if level in levels:
            raise BadParameter(name, f"{name}: the level {level} is given more than once")
        levels.add(level)
    return tuple(sorted(levels))


def live_headers(_: Rendered) -> dict[str, Any]:
    """Return the headers of an answer of the model that the database is part of."""
    return refs("headers", [name for name in VALIDATED if name != "Last-Modified"])


def series(snapshot: Snapshot) -> Series:
    """Return the default forecast of the first pair."""
    return snapshot.answers.of(snapshot.answers.pairs[0])


def day(snapshot: Snapshot) -> date:
    """Return a day that lies a month ahead of the model."""
    return series(snapshot).last_candle + timedelta(days=30)


def moment(snapshot: Snapshot, *, default: str | None = None) -> Parameter:
    """Return the parameter ``date``, which is required unless there is a `default`, in words."""
    ahead = day(snapshot)
    examples = {
        "day": {"summary": "The close of a day", "value": ahead.isoformat()},
        "instant": {"summary": "An instant", "value": f"{ahead}T12:30:00Z"},
        "offset": {"summary": "An instant in another time zone", "value": f"{ahead}T12:30+02:00"},
    }
    text = "An ISO 8601 date, for the closing price of that UTC day, or date-time, for that instant."
    described = parameter("date", f"{text} By default {default}." if default else text, MOMENT)
    return described | {"required": default is None, "examples": examples}


def model(snapshot: Snapshot, pairs: Sequence[Pair]) -> Parameter:
    """Return the parameter ``model``, with the models of these pairs, and the default if they share it."""
    answers = snapshot.answers
    names = dict.fromkeys(name for pair in pairs for name in answers.models[pair])
    default, *others = dict.fromkeys(answers.of(pair).model for pair in pairs)
    schema = {**TEXT, "enum": list(names)} | ({} if others else {"default": default})
    return parameter("model", _MODEL_TEXT, schema, default)


def failures(snapshot: Snapshot) -> Sequence[Failure]:
    """Return the errors of the endpoints that take a pair and a time."""
    forecast = series(snapshot)
    return (
        Failure(
            "UnknownPair",
            "The model holds no forecast for this pair; `detail` lists those it holds.",
            of_error(UnknownPair("XYZ/USD", list(map(str, snapshot.answers.model.forecasts)))),
        ),
        Failure(
            "OutsideModel",
            "The model has no answer for this time, see `detail`; `parameter` is the time, or the model.",
            of_error(OutOfRange(forecast.last_day + DAY, forecast.first_day, forecast.last_day)),
        ),
    )
