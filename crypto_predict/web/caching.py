"""How long an answer may be kept, and whether the caller's copy is still good.

The same model and program give the same bytes for the same address, so one strong tag, made of the digests of both,
serves every answer: nothing is hashed for a request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import format_datetime

from crypto_predict.baked import store
from crypto_predict.baked.schema import Model
from crypto_predict.version import __version__
from crypto_predict.web import provenance

Clock = Callable[[], datetime]  # now, in UTC
Headers = list[tuple[str, str]]

SHORTEST = 60  # seconds that an answer may be kept when the next retrain is due or overdue
LONGEST = 31_536_000  # seconds: a year, beyond which no cache keeps anything

# What every answer carries, whichever way it was produced.
COMMON: Headers = [
    ("Access-Control-Allow-Origin", "*"),
    # What a page of another origin may read beyond the few headers that it always may.
    ("Access-Control-Expose-Headers", ", ".join([*provenance.HEADERS, "ETag"])),
    ("X-Content-Type-Options", "nosniff"),
]


class Caching:
    """The validators and the lifetime of everything that depends on the model alone."""

    def __init__(self, model: Model, retrain_every: timedelta, clock: Clock) -> None:
        digest = hashlib.sha256(store.dumps(model) + __version__.encode()).hexdigest()
        self.etag = f'"{digest[:32]}"'
        self.last_modified = format_datetime(model.card.trained_at, usegmt=True)
        self._trained_at = model.card.trained_at
        self._retrain_every = retrain_every
        self._clock = clock
        self._validators = [("ETag", self.etag), ("Last-Modified", self.last_modified)]

    def until_retrain(self) -> Headers:
        """For answers that hold until the next retrain."""
        remaining = (self._retrain_every - (self._clock() - self._trained_at)).total_seconds()
        seconds = min(max(int(remaining), SHORTEST), LONGEST)
        return [("Cache-Control", f"public, max-age={seconds}"), *self._validators]

    def revalidated(self) -> Headers:
        """For answers that tell one release from the next, and must be asked for each time."""
        return [("Cache-Control", "no-cache"), *self._validators]
