"""What the routes are made of: the answers, how long they hold, the state of the server."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from crypto_predict.baked.schema import Card, Model
from crypto_predict.web.answers import Answers
from crypto_predict.web.caching import COMMON, Caching, Clock, Headers
from crypto_predict.web.metrics import Metrics
from crypto_predict.web.problems import Draining, StaleModel


def age_of(card: Card, now: datetime) -> timedelta:
    """How long ago a model was trained, in whole seconds."""
    return timedelta(seconds=int((now - card.trained_at).total_seconds()))


@dataclass(frozen=True)
class Service:
    """Everything one application needs, handed to it."""

    model: Model
    answers: Answers
    caching: Caching
    metrics: Metrics
    clock: Clock
    stale_after: timedelta
    draining: threading.Event  # set once the server is stopping

    def kept_headers(self, body: bytes) -> Headers:
        """The headers of an answer with this body that holds until the next retrain."""
        return [*_json_headers(body), *self.caching.until_retrain(), *COMMON]

    def release_headers(self, body: bytes) -> Headers:
        """The headers of an answer with this body that tells one release from the next."""
        return [*_json_headers(body), *self.caching.revalidated(), *COMMON]

    def check_ready(self) -> None:
        """Do nothing while new requests are welcome. Without a valid model no server starts, so none has to ask for it.

        Raises:
            Draining: The server is stopping.
        """
        if self.draining.is_set():
            raise Draining

    def check_fresh(self) -> timedelta:
        """The age of the model.

        Raises:
            StaleModel: It is too old.
        """
        age = age_of(self.model.card, self.clock())
        if age > self.stale_after:
            raise StaleModel(age, self.stale_after)
        return age


def _json_headers(body: bytes) -> Headers:
    return [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
