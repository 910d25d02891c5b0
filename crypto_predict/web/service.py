"""What the routes are made of: the answers, how long they hold, the state of the server."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import timedelta

from crypto_predict.baked.schema import Model
from crypto_predict.web import freshness
from crypto_predict.web.answers import Answer, Answers
from crypto_predict.web.caching import COMMON, Caching, Clock, Headers
from crypto_predict.web.freshness import Freshness
from crypto_predict.web.metrics import Metrics
from crypto_predict.web.problems import Draining, StaleModel


@dataclass(frozen=True)
class Service:
    """Everything one application needs, handed to it."""

    model: Model
    answers: Answers
    caching: Caching
    metrics: Metrics
    clock: Clock
    stale_after: timedelta
    repository_url: str | None  # where the project is
    draining: threading.Event  # set once the server is stopping

    def kept_headers(self, answer: Answer) -> Headers:
        """The headers of an answer that holds until the next retrain."""
        return [*_json_headers(answer), *self.caching.until_retrain(), *COMMON]

    def release_headers(self, answer: Answer) -> Headers:
        """Return the headers of an answer that differs between releases."""
        return [*_json_headers(answer), *self.caching.revalidated(), *COMMON]

    def check_ready(self) -> None:
        """Do nothing while new requests are welcome. Without a valid model no server starts, so none has to ask for it.

        Raises:
            Draining: The server is stopping.
        """
        if self.draining.is_set():
            raise Draining

    def check_fresh(self) -> Freshness:
        """How old the model and its newest price are.

        Raises:
            StaleModel: One of them is too old.
        """
        found = freshness.freshness(self.model, self.clock(), self.stale_after)
        if found.stale:
            raise StaleModel(found)
        return found


def _json_headers(answer: Answer) -> Headers:
    return [("Content-Type", "application/json"), ("Content-Length", str(len(answer.body))), *answer.headers]
