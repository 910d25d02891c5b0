"""The age of the model, and of the newest price that its forecasts start from.

A model is stale if either is too old: training today on last year's prices does not make it fresh.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from crypto_predict.baked.schedule import Schedule
from crypto_predict.baked.schema import Model
from crypto_predict.wording import duration


@dataclass(frozen=True, slots=True)
class Training:
    """The next training, and the last attempt if it failed."""

    next_at: datetime  # when it begins
    every_seconds: int
    failed_at: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Freshness:
    """The ages of one model at one instant, and the limit of both, as they are served at ``/fresh``."""

    age_seconds: int  # since the training
    candle_age_seconds: int  # since the newest price; of several pairs the oldest
    stale_after_seconds: int
    simulated: bool
    training: Training | None = None  # None: none is planned

    @property
    def stale(self) -> bool:
        """Whether the model or its newest price is too old."""
        return max(self.age_seconds, self.candle_age_seconds) > self.stale_after_seconds

    def __str__(self) -> str:
        """Name what is too old, and both ages."""
        ages = {"the model": self.age_seconds, "the newest price": self.candle_age_seconds}
        old = [name for name, age in ages.items() if age > self.stale_after_seconds]
        verdict = f"{' and '.join(old)} {'is' if len(old) == 1 else 'are'} too old" if old else "the model is fresh"
        seconds = (self.age_seconds, self.candle_age_seconds, self.stale_after_seconds)
        model, price, limit = (duration(timedelta(seconds=each)) for each in seconds)
        return f"{verdict}: the model was trained {model} ago, the newest price is {price} old; the limit is {limit}"


def newest_price(model: Model) -> datetime:
    """Return the instant of the newest hourly or daily close that forecasts start from; of several pairs the oldest."""
    return min(forecast.anchor.at for forecast in model.forecasts.values())


def freshness(model: Model, now: datetime, stale_after: timedelta, schedule: Schedule | None = None) -> Freshness:
    """Return the ages of `model` at the instant `now`, and what is planned."""
    spans = (now - model.card.trained_at, now - newest_price(model), stale_after)
    age, price_age, limit = (int(span.total_seconds()) for span in spans)
    training = None
    if schedule is not None:
        failure, every = schedule.failure, int(schedule.every.total_seconds())
        failed = (failure.at, failure.reason) if failure else (None, None)
        training = Training(schedule.next_at, every, *failed)
    return Freshness(age, price_age, limit, model.card.simulated, training)
