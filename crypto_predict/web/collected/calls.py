"""One request to an endpoint of the database: what it may read, and how its answer is sent."""

import hashlib
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from flask import Request

from crypto_predict.http_server.parser import BUSY
from crypto_predict.market import Interval, Span
from crypto_predict.market.collected import ACTIVE, CollectedSeries
from crypto_predict.web.collected.administration import Administration
from crypto_predict.web.collected.database import Connection, Database, Overloaded
from crypto_predict.web.http import representations
from crypto_predict.web.http.response import COMMON, Headers, Rendered
from crypto_predict.web.model.pairs import PairRange
from crypto_predict.web.model.snapshots import STORED_AFTER

LONGEST = 60  # seconds that candles may be cached: any may be revised, and older ones may be collected late


class Lists(Protocol):
    """What is said about all pairs of the model."""

    def ranges(self) -> Sequence[PairRange]:
        """Return the range of each pair."""

    def scorecard(self) -> Rendered:
        """Return the live record, the same object until it changes."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request. Safe to use in the thread of the request alone."""

    request: Request
    now: datetime  # UTC
    database: Database
    lists: Lists  # of the model
    administration: Administration | None = None  # None: which pairs are collected cannot be changed

    @property
    def query(self) -> str:
        """The query string."""
        return str(self.request.environ.get("QUERY_STRING", ""))

    @property
    def encodings(self) -> str | None:
        """The header ``Accept-Encoding``."""
        return self.request.environ.get("HTTP_ACCEPT_ENCODING")

    def reading(self) -> AbstractContextManager[Connection]:
        """Open the database; if too many other requests read it, raise `Overloaded`."""
        if self.request.environ.get(BUSY):
            raise Overloaded
        return self.database.reading()

    def active(self) -> list[CollectedSeries]:
        """Return the series that are being collected. Errors are those of `reading`."""
        with self.reading() as reader:
            return [collected for collected in reader.collected() if collected.state == ACTIVE]

    def live(self, rendered: Rendered, lasts: timedelta = timedelta()) -> Rendered:
        """Return an answer that `lasts` until the next candle, compressed if the client accepts that."""
        headers = [*rendered.headers, *until_candle(rendered.body, lasts), *COMMON]
        return representations.encode(rendered.body, headers, self.encodings)

    def until_close(self, render: Callable[[Connection], Rendered], basis: Rendered | None = None) -> Rendered:
        """Return an answer that is read once for all requests until the next close, or for another `basis`."""
        end = self.now + until_close(self.now)
        rendered, end = self.shared(self.request.path, lambda reader: (render(reader), end), basis)
        return self.live(rendered, end - self.now)

    def shared(
        self, question: Hashable, read: Callable[[Connection], tuple[Rendered, datetime]], basis: Rendered | None = None
    ) -> tuple[Rendered, datetime]:
        """Return an answer that is read once for all requests before the instant beside it, or for another `basis`."""
        answer = self.database.shared.get(question)
        if answer is None or answer[0] is not basis or self.now not in answer[2]:
            with self.reading() as reader:
                rendered, end = read(reader)
            answer = basis, rendered, Span(self.now, end)
            self.database.shared.add(question, answer)
        return answer[1], answer[2].end


def until_close(now: datetime) -> timedelta:
    """Return the time until forecasts and outcomes of the next close are stored."""
    return Interval.MINUTE_1.ceil(now - STORED_AFTER) + STORED_AFTER - now


def until_candle(body: bytes, lasts: timedelta) -> Headers:
    """Return the expiry of an answer that `lasts` until the next candle, and the tag of its bytes, not of a release."""
    return [cache_control(lasts), ("ETag", f'"{hashlib.sha256(body).hexdigest()[:32]}"')]


def cache_control(lasts: timedelta) -> tuple[str, str]:
    """Return the expiry of an answer that `lasts` until the next candle."""
    seconds = min(int(lasts.total_seconds()), LONGEST)
    return "Cache-Control", f"public, max-age={seconds}" if seconds > 0 else "no-cache"
