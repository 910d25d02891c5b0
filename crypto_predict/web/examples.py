"""Questions that a given model has an answer to, for people who have just met it."""

from __future__ import annotations

from datetime import date, timedelta

from crypto_predict.baked.schema import Model
from crypto_predict.market import DAY, Pair


def example_pair(model: Model) -> Pair:
    """The first pair of the model."""
    return next(iter(model.forecasts))


def example_start(model: Model) -> date:
    """The first day of the future of `example_pair`."""
    return model.forecasts[example_pair(model)].last + DAY


def example_day(model: Model) -> date:
    """A day that lies a month ahead of the model."""
    return example_start(model) + timedelta(days=29)


def example_path(model: Model) -> str:
    """A first question: Bitcoin where the model holds it, else the pair that it does hold."""
    if any(pair.base == "BTC" for pair in model.forecasts):
        return f"/bitcoin?date={example_day(model)}"
    return f"/forecast/{example_pair(model).slug}"
