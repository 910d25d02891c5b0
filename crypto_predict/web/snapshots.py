"""The answers of a model, and how long they hold.

Two things change apart: the answers of the model with a training, those of the database with a candle. A snapshot holds
the former alone; the latter are read at each request, and `until_candle` describes them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime

from crypto_predict.baked import store
from crypto_predict.baked.schema import Model
from crypto_predict.version import __version__
from crypto_predict.web.answers import Answers
from crypto_predict.web.rendering import Headers, Rendered, Rendering

SHORTEST = 60  # seconds that an answer may be cached if the next change is due or overdue
LONGEST = 31_536_000  # seconds: no cache keeps an answer for more than a year
LONGEST_LIVE = 60  # seconds that candles may be cached: any may be revised, and older ones may be collected late


def until_candle(body: bytes, lasts: timedelta) -> Headers:
    """Return the validators and the expiry of an answer of the database that `lasts` until the next candle.

    The entity tag is that of the bytes, so it changes with the candles and not with a release.
    """
    return [cache_control(lasts), ("ETag", f'"{hashlib.sha256(body).hexdigest()[:32]}"')]


def cache_control(lasts: timedelta) -> tuple[str, str]:
    """Return the expiry of an answer of the database that `lasts` until the next candle."""
    seconds = min(int(lasts.total_seconds()), LONGEST_LIVE)
    return "Cache-Control", f"public, max-age={seconds}" if seconds > 0 else "no-cache"


class Validity:
    """The validators (RFC 9110, section 8.8) of everything in a snapshot, and its expiry `lasts` after `changed_at`.

    The entity tag is strong: equal for equal answers, in every process.
    """

    def __init__(self, etag: str, changed_at: datetime, lasts: timedelta) -> None:
        self.etag = etag
        self._changed_at = changed_at
        self._lasts = lasts
        self._validators = [("ETag", etag), ("Last-Modified", format_datetime(changed_at, usegmt=True))]

    def until_change(self, now: datetime) -> Headers:
        """Return the headers of an answer that caches may keep until the next change."""
        return [("Cache-Control", f"public, max-age={self.seconds(now)}"), *self._validators]

    def seconds(self, now: datetime) -> int:
        """Return how many seconds caches may keep an answer: until the next change."""
        remaining = (self._lasts - (now - self._changed_at)).total_seconds()
        return min(max(int(remaining), SHORTEST), LONGEST)

    def revalidated(self) -> Headers:
        """Return the headers of an answer that caches must revalidate at each request."""
        return [("Cache-Control", "no-cache"), *self._validators]


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The answers of one model."""

    answers: Answers
    rendering: Rendering
    validity: Validity
    closes: dict[str, Rendered] = field(default_factory=dict)  # of /bitcoin, by query; one for each day of the range
    documents: dict[object, Rendered] = field(default_factory=dict)  # OpenAPI, by the example of a series

    @classmethod
    def of(cls, model: Model, retrain_every: timedelta, data: bytes | None = None) -> Snapshot:
        """Return the answers of a model that is retrained every `retrain_every`; `data` is its file, if it has one."""
        answers = Answers(model)
        validity = Validity(entity_tag(data or store.dumps(model)), model.card.trained_at, retrain_every)
        return cls(answers, Rendering(answers), validity)


def entity_tag(data: bytes) -> str:
    """Return the entity tag of the answers of a model file, which change with the program, too."""
    return f'"{hashlib.sha256(data + __version__.encode()).hexdigest()[:32]}"'
