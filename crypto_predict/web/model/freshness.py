"""The age of the model, and of the newest price that its forecasts start from.

A model is stale if either is too old: training today on last year's prices does not make it fresh.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from crypto_predict.baked.schedule import Schedule
from crypto_predict.baked.schema import Model
from crypto_predict.market import Pair
from crypto_predict.wording import duration


@dataclass(frozen=True, slots=True)
class Facts:
    """What operators are told of what is served: of one model file, or of all files of a folder."""

    version: str
    build: str  # of several models the newest one
    git_revision: str | None  # of the same
    simulated: bool  # whether any price is invented
    trained_at: datetime  # UTC; of several models the oldest one
    newest_prices: Mapping[Pair, datetime]  # UTC, of the hourly or daily close that forecasts start from

    @property
    def newest_price(self) -> datetime:
        """The newest price; of several pairs the oldest."""
        return min(self.newest_prices.values())


def facts_of(model: Model) -> Facts:
    """Return the facts of a model file."""
    card, prices = model.card, {pair: forecast.anchor.at for pair, forecast in model.forecasts.items()}
    return Facts(card.version, card.build, card.git_revision, card.simulated, card.trained_at, prices)


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


def freshness(facts: Facts, now: datetime, stale_after: timedelta, schedule: Schedule | None = None) -> Freshness:
    """Return the ages of what is served at the instant `now`, and what is planned."""
    spans = (now - facts.trained_at, now - facts.newest_price, stale_after)
    age, price_age, limit = (int(span.total_seconds()) for span in spans)
    training = None
    if schedule is not None:
        failure, every = schedule.failure, int(schedule.every.total_seconds())
        failed = (failure.at, failure.reason) if failure else (None, None)
        training = Training(schedule.next_at, every, *failed)
    return Freshness(age, price_age, limit, facts.simulated, training)
