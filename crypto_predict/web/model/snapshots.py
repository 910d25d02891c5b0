"""The answers of a model, and how long they hold.

Two things change apart: the answers of the model with a training, those of the database with a candle. A snapshot holds
the former alone; the latter are read at each request.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from email.utils import format_datetime
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import NamedTuple

from crypto_predict import logs
from crypto_predict.baked import schedule as schedules
from crypto_predict.baked import store
from crypto_predict.baked.live import Live
from crypto_predict.baked.schedule import Schedule
from crypto_predict.baked.schema import Model
from crypto_predict.errors import UnusableModel
from crypto_predict.market import DAY, Pair
from crypto_predict.version import __version__
from crypto_predict.web.http.response import STALE, Headers, Rendered
from crypto_predict.web.model.answers import Answers, Series
from crypto_predict.web.model.freshness import Facts, facts_of

SHORTEST = 60  # seconds that an answer may be cached if the next change is due or overdue
LONGEST = 31_536_000  # seconds: no cache keeps an answer for more than a year
LIVE = timedelta(minutes=1)  # after which a live forecast may be followed by another one
STORED_AFTER = timedelta(seconds=2)  # from a close, until the forecast made at it is stored
OVERDUE_AFTER = timedelta(hours=1)  # a training takes minutes, and a release waits for its turn, too

_HOUR = timedelta(hours=1)

_log = logging.getLogger("crypto_predict.server")


class Limits(NamedTuple):
    """How long answers hold."""

    cache_for: timedelta  # after the training, if no further one is planned
    stale_after: timedelta  # age of the model or its newest price


class Validity:
    """The validators (RFC 9110, section 8.8) of every answer of a model, and its expiry.

    The entity tag is strong: equal for equal answers, in every process. An answer about a pair becomes stale with the
    newest price of that pair, one about all of them (None) with the oldest of these prices.
    """

    def __init__(self, etag: str, facts: Facts, schedule: Schedule | None, limits: Limits) -> None:
        self.etag, self._changed_at = etag, facts.trained_at
        lasts = limits.cache_for if schedule is None else schedule.next_at - self._changed_at
        limit = limits.stale_after.total_seconds() + 1  # ages are whole seconds
        newest: dict[Pair | None, datetime] = {None: facts.newest_price}
        newest.update(facts.newest_prices.items())
        ages = {pair: max(self._changed_at - at, timedelta()) for pair, at in newest.items()}  # at the training
        self._lasts = lasts.total_seconds()
        self._stale_at = {pair: limit - age.total_seconds() for pair, age in ages.items()}
        self._limit = limit
        # Of pairs that live forecasts have moved on: these, the tags of the answers, and when they changed.
        self.lives: Mapping[Pair, Live] = {}
        self.versions: Mapping[Pair | None, tuple[str, datetime]] = {}
        self._baked = etag, self._changed_at

    def moved_on(self, lives: Mapping[Pair, Live]) -> "Validity":
        """Return the validity of answers that live forecasts of some pairs have moved on."""
        moved = copy(self)
        moved.lives = dict(lives)
        moved.versions = {
            pair: (entity_tag(repr((self.etag, live)).encode()), max(self._changed_at, live.anchor.at, live.hours_at))
            for pair, live in lives.items()
        }
        return moved

    def until_change(self, now: datetime, pair: Pair | None = None, newest: datetime | None = None) -> Headers:
        """Return the headers of an answer about a pair, or all, that caches may keep until the next change.

        One that says how old the newest price is, which is then of the instant `newest` (UTC), changes with each hour.
        """
        (seconds, stale), (etag, changed_at) = (
            self.state(now, pair),
            self.versions.get(pair, self._baked),
        )
        if newest is not None:
            hours = max(now - newest, timedelta()) // _HOUR
            seconds = min(seconds, int((newest + (hours + 1) * _HOUR - now).total_seconds()))
            if hours:
                etag, changed_at = f'{etag[:-1]}-{hours}h"', max(changed_at, newest + hours * _HOUR)
        return _headers(seconds, etag, changed_at, stale=stale)

    def until_midnight(self, now: datetime, pair: Pair | None = None) -> Headers:
        """Return the headers of an answer about the present UTC day, which caches may keep until that ends."""
        (seconds, stale), (etag, changed_at) = (
            self.state(now, pair),
            self.versions.get(pair, self._baked),
        )
        midnight = datetime.combine(now.date(), time(), UTC)
        seconds = min(seconds, int((midnight + DAY - now).total_seconds()))
        return _headers(seconds, f'{etag[:-1]}-{midnight:%Y%m%d}"', max(midnight, changed_at), stale=stale)

    def state(self, now: datetime, pair: Pair | None = None) -> tuple[int, bool]:
        """Return for how many seconds caches may keep an answer about a pair, or about all, and whether it is stale."""
        age = (now - self._changed_at).total_seconds()
        if pair is not None and pair in self.lives:  # its newest price is new
            return _lasts(self.lives[pair], now), age >= self._limit
        seconds, left = min(max(int(self._lasts - age), SHORTEST), LONGEST), self._stale_at[pair] - age
        return (min(seconds, ceil(left) - 1), False) if left > 0 else (seconds, True)

    def revalidated(self, now: datetime) -> Headers:
        """Return the headers of an answer about the model that caches must revalidate at each request."""
        return [("Cache-Control", "no-cache"), *self.until_change(now)[1:]]


def _headers(seconds: int, etag: str, changed_at: datetime, *, stale: bool) -> Headers:
    changed = "Last-Modified", _http_date(changed_at)
    return [("Cache-Control", f"public, max-age={seconds}"), ("ETag", etag), changed, *([STALE] if stale else [])]


@lru_cache(maxsize=100)
def _http_date(instant: datetime) -> str:
    return format_datetime(instant, usegmt=True)


def _lasts(live: Live, now: datetime) -> int:
    """Return the seconds until a newer forecast may be there."""
    following = now + LIVE if live.minutes is None else live.minutes.cutoff + LIVE + STORED_AFTER
    return max(int((min(following, live.holds_until) - now).total_seconds()), 0)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The answers of one model, and the plan of the trainings to come, if there is one."""

    answers: Answers
    validity: Validity
    schedule: Schedule | None
    rows: Mapping[Series, list[bytes]]  # of /forecast and a default model, by day; empty before the first request
    closes: dict[str, Rendered] = field(default_factory=dict)  # of /bitcoin, by query; one for each day of the range
    constants: dict[Callable[..., Rendered], Rendered] = field(default_factory=dict)  # by what renders them
    documents: dict[object, Rendered] = field(default_factory=dict)  # OpenAPI, by the example of a series

    @classmethod
    def of(cls, model: Model, schedule: Schedule | None, limits: Limits, data: bytes | None = None) -> "Snapshot":
        """Return the answers of a model; `data` is its file, if it has one."""
        answers, etag = Answers(model), entity_tag(data or store.dumps(model))
        defaults = [answers.of(pair) for pair in answers.pairs]
        rows = {series: [b""] * ((series.last_day - series.first_day).days + 1) for series in defaults}
        return cls(answers, Validity(etag, facts_of(model), schedule, limits), schedule, rows)

    def once(self, render: Callable[["Snapshot"], Rendered]) -> Rendered:
        """Return an answer that depends on the model alone, and so is rendered once."""
        if render not in self.constants:
            self.constants[render] = render(self)
        return self.constants[render]

    def until_change(self, rendered: Rendered, now: datetime, newest: datetime | None = None) -> Rendered:
        """Return an answer that caches may keep until the next change; for `newest` see `Validity.until_change`."""
        until = self.validity.until_change(now, rendered.pair, newest)
        return Rendered(rendered.body, [*rendered.headers, *until], rendered.pair)

    def moved_on(self, lives: Mapping[Pair, Live]) -> "Snapshot":
        """Return the answers of the same model from newer prices of some pairs. What has passed stays rendered."""
        answers = self.answers.moved_on(lives)
        rows = {}
        for series, days in self.rows.items():
            moved = answers.of(series.fitted.pair)
            known = len(days) if moved is series else (series.last_candle - series.first_day).days + 1
            rows[moved] = days if moved is series else [*days[:known], *([b""] * (len(days) - known))]
        return replace(self, answers=answers, validity=self.validity.moved_on(lives), rows=rows, closes={})

    def planned(self, schedule: Schedule | None, limits: Limits) -> "Snapshot":
        """Return the same answers with another schedule."""
        validity = Validity(self.validity.etag, facts_of(self.answers.model), schedule, limits)
        return replace(self, validity=validity, schedule=schedule, documents={})


def planned_beside(model: Path) -> Schedule | None:
    """Return the schedule beside a model file; None, after a warning if it is damaged, if none is planned."""
    try:
        return schedules.read(schedules.schedule_beside(model))
    except UnusableModel as error:
        logs.event(_log, logging.WARNING, "the schedule of trainings is not used", reason=str(error))
        return None


def entity_tag(data: bytes) -> str:
    """Return the entity tag of the answers of a model file, which change with the program, too."""
    return f'"{hashlib.sha256(data + __version__.encode()).hexdigest()[:32]}"'
