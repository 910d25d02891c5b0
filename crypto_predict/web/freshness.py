"""The age of the model, and of the newest price that its forecasts start from.

A model is stale if either is too old: training today on last year's prices does not make it fresh.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from crypto_predict.baked.schema import Model
from crypto_predict.wording import duration


@dataclass(frozen=True, slots=True)
class Freshness:
    """The ages of one model at one instant, in whole seconds, and how old each may be."""

    model_age: timedelta  # since the training
    price_age: timedelta  # since the newest price; of several pairs the oldest
    stale_after: timedelta
    simulated: bool

    @property
    def stale(self) -> bool:
        """Whether the model or its newest price is older than `stale_after`."""
        return max(self.model_age, self.price_age) > self.stale_after

    def members(self) -> dict[str, object]:
        """Return the members of the answer at ``/fresh``."""
        return {
            "age_seconds": int(self.model_age.total_seconds()),
            "candle_age_seconds": int(self.price_age.total_seconds()),
            "stale_after_seconds": int(self.stale_after.total_seconds()),
            "simulated": self.simulated,
        }

    def __str__(self) -> str:
        """Name what is too old, and both ages."""
        ages = {"the model": self.model_age, "the newest price": self.price_age}
        old = [name for name, age in ages.items() if age > self.stale_after]
        verdict = f"{' and '.join(old)} {'is' if len(old) == 1 else 'are'} too old" if old else "the model is fresh"
        return (
            f"{verdict}: the model was trained {duration(self.model_age)} ago, the newest price is "
            f"{duration(self.price_age)} old; the limit is {duration(self.stale_after)}"
        )


def newest_price(model: Model) -> datetime:
    """Return the instant of the newest price that a forecast starts from; of several pairs the oldest.

    That is the close of the newest hourly candle, or of the newest daily one if the source has no hourly ones.
    """
    return min(forecast.anchor.at for forecast in model.forecasts.values())


def freshness(model: Model, now: datetime, stale_after: timedelta) -> Freshness:
    """Return the ages of `model` at the instant `now`."""
    return Freshness(
        model_age=_whole_seconds(now - model.card.trained_at),
        price_age=_whole_seconds(now - newest_price(model)),
        stale_after=stale_after,
        simulated=model.card.simulated,
    )


def _whole_seconds(age: timedelta) -> timedelta:
    return timedelta(seconds=int(age.total_seconds()))
