"""The parameters that endpoints of the model share: how they are read and documented."""

import math
from collections.abc import Mapping
from datetime import date, datetime

from crypto_predict.baked.evaluation import COMBINED, MODELS
from crypto_predict.errors import InvalidValue, UnknownPair
from crypto_predict.market import Pair
from crypto_predict.web.http.errors import BadParameter
from crypto_predict.web.http.queries import MOMENT_EXPECTED, moment, number
from crypto_predict.web.http.schemas import TEXT, Schema, parameter

LEAST_LEVEL, MOST_LEVEL = 0.01, 0.99  # of a quantile: beyond them hardly any outcome has been
MOST_LEVELS = 20  # in one question
PRICE_EXPECTED = "a number above 0 without thousands separators, such as 100000"
LEVELS_EXPECTED = f"a list of levels between {LEAST_LEVEL} and {MOST_LEVEL}, such as 0.05,0.5,0.95"

PRICE: Schema = {"type": "number", "exclusiveMinimum": 0}
MODEL: Schema = {**TEXT, "enum": list(MODELS)}
MODEL_PARAMETER = parameter(
    "model",
    """\
`combined` is the forecast that earned its place out of sample: persistence, Prophet and others, weighted by horizon.
`prophet` is the forecast of Prophet alone, with its own interval.
""",
    MODEL | {"default": COMBINED},
    COMBINED,
)


def read_pair(text: str, names: Mapping[Pair, Pair]) -> Pair:
    """Return the pair of the model that a path names by any of its `names`.

    Raises:
        InvalidValue: The text is not a pair.
        UnknownPair: The pair is not in `names`.
    """
    pair = Pair.parse(text)
    if pair not in names:
        raise UnknownPair(str(pair), list(dict.fromkeys(map(str, names.values()))))
    return names[pair]


def read_date(values: Mapping[str, str]) -> date | datetime:
    """Return the day or the instant of the parameter ``date``.

    Raises:
        BadParameter, InvalidValue: The parameter is missing or malformed.
    """
    if "date" not in values:
        raise BadParameter("date", f"date is missing: it must be {MOMENT_EXPECTED}")
    return moment("date", values["date"])


def read_model(values: Mapping[str, str]) -> str:
    """Return the model of the parameter ``model``, by default the combined one.

    Raises:
        InvalidValue: No model has that name.
    """
    name = values.get("model", COMBINED)
    if name not in MODELS:
        raise InvalidValue("model", name, f"one of {', '.join(MODELS)}")
    return name


def read_price(name: str, text: str) -> float:
    """Parse a price.

    Raises:
        InvalidValue: The text is not a decimal number, or the number is 0 or larger than every float.
    """
    price = number(text)
    if price is None or not 0 < price < math.inf:
        raise InvalidValue(name, text, PRICE_EXPECTED)
    return price


def read_levels(name: str, text: str) -> tuple[float, ...]:
    """Parse the levels of quantiles, in any order; they are returned ascending.

    Raises:
        InvalidValue: The text is not a list of levels in the accepted range.
        BadParameter: A level is given more than once, or there are too many.
    """
    texts = text.split(",")
    if len(texts) > MOST_LEVELS:
        raise BadParameter(name, f"{name}: {len(texts)} levels are more than the {MOST_LEVELS} of one request")
    levels = set()
    for item in texts:
        level = number(item.strip(" "))
        if level is None or not LEAST_LEVEL <= level <= MOST_LEVEL:
            raise InvalidValue(name, text, LEVELS_EXPECTED)
        if level in levels:
            raise BadParameter(name, f"{name}: the level {level} is given more than once")
        levels.add(level)
    return tuple(sorted(levels))
