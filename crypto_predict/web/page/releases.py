"""Past releases: what was forecast then, and the outcomes, from the ledger beside the model.

The ledger is read once, after the start, in one pass. The index has the days with a release, the places of their
entries in the file, and the outcomes; an entry is read again, and verified, when its release is asked for. So memory
grows by some hundred bytes a day and pair, whatever the size of the ledger.

A ledger that is missing or damaged, or belongs to another model, leaves the page without past releases, and everything
else as it is. Forecasts of simulated prices and of real ones are never mixed: a pair has only releases of the same kind
as the model's.
"""

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import date
from http import HTTPStatus
from pathlib import Path

from crypto_predict import logs
from crypto_predict.baked.ledger import DAYS, Content, EntryFault, Ledger, Outcome, Place, Release, entries_from
from crypto_predict.baked.schema import Model
from crypto_predict.errors import BrokenLedger
from crypto_predict.market import DAY, Pair
from crypto_predict.market.forecast import LEVELS
from crypto_predict.web.http.problems import Problem
from crypto_predict.web.page.documents import ReleaseDocument, ReleasesDocument

NEWEST = 50  # releases in the feed, before its archives
MOST_DAYS = 36_525  # from the first release to the last outcome: a century
WAIT_SECONDS = 2.0  # until a request that came while the ledger is being read is refused
RETRY_SECONDS = 10  # until it may be asked again
UNAVAILABLE = "past releases are not available"
PAUSE_ENTRIES, PAUSE_SECONDS = 50, 0.002  # of reading: threads that answer requests would wait for the interpreter

_LABEL = re.compile(r"[A-Za-z0-9._+-]{1,100}")
_log = logging.getLogger(__name__)


class ReleasesUnavailable(Problem):
    """Past releases cannot be shown now, because of `reason`; perhaps in `retry_seconds`."""

    def __init__(self, reason: str, retry_seconds: int | None) -> None:
        super().__init__(HTTPStatus.SERVICE_UNAVAILABLE, f"{UNAVAILABLE}: {reason}", retry_seconds=retry_seconds)
        self.reason = reason


class Index:
    """The releases and outcomes of a ledger: of the pairs of a model, and of the same kind, real or simulated."""

    def __init__(self, model: Model, sleep: Callable[[float], object], fault: BrokenLedger | None = None) -> None:
        # By pair: the newest release of each day, "2026-11-23", ascending; the closes as first recorded.
        self.days: dict[Pair, dict[str, Place]] = {pair: {} for pair in model.forecasts}
        self.outcomes: dict[Pair, dict[date, float]] = {pair: {} for pair in model.forecasts}
        self.months: dict[str, tuple[Place, Place]] = {}  # "2026-11", ascending: the first and the last release
        self.newest: deque[Place] = deque(maxlen=NEWEST)
        self.head: str | None = None  # the digest of the first entry; None: there is no ledger
        self.fault = fault  # why there is none
        self._simulated = {pair: facts.simulated for pair, facts in model.card.pairs.items()}
        self._first: dict[Pair, date] = {}  # the first day that was forecast
        self._sleep = sleep
        self._entries = 0

    def visit(self, content: Content, place: Place) -> None:
        """Add an entry; raise `EntryFault` if a release or outcome in it has no limit."""
        self.head = self.head or place[1]
        self._entries += 1
        if self._entries % PAUSE_ENTRIES == 0:
            self._sleep(PAUSE_SECONDS)
        if not self.is_shown(content):
            return
        first = self._first.get(content.pair)
        if isinstance(content, Release):
            self._add(content, place, first)
        elif isinstance(content, Outcome) and first is not None and content.day >= first:
            _check_distance(first, content.day)
            self.outcomes[content.pair].setdefault(content.day, content.close)

    def is_shown(self, content: Content) -> bool:
        """Return whether an entry is of a pair of the model, and of the same kind: real or simulated."""
        return self._simulated.get(content.pair) == content.simulated

    def _add(self, release: Release, place: Place, first: date | None) -> None:
        if not _LABEL.fullmatch(release.build):
            raise EntryFault(f"its build {release.build!r:.80} is not a label of ASCII letters, digits and . _ + -")
        day, after = release.made_at.date(), release.last + DAY
        _check_distance(first or day, day)
        _check_distance(after, day)
        self._first[release.pair] = min(first or after, after)
        self.days[release.pair][str(day)] = place
        self.newest.append(place)
        month = str(day)[:7]
        self.months[month] = (self.months.get(month, (place, place))[0], place)


def _check_distance(first: date, last: date) -> None:
    if abs((last - first).days) > MOST_DAYS:
        raise EntryFault(f"{first} and {last} are more than a century apart")


class Releases:
    """The past releases of the pairs of a model, from its ledger. Safe to share between threads.

    A question while the ledger is read waits for `wait_seconds` at most, and then raises `ReleasesUnavailable`, as any
    question does once the ledger has changed.
    """

    def __init__(
        self,
        model: Model,
        ledger: Path,
        *,
        sleep: Callable[[float], object] = time.sleep,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._model, self._path = model, ledger
        self._sleep, self._wait_seconds = sleep, wait_seconds
        self._lock = threading.Lock()
        self._index: Index | None = None

    def prepare(self) -> None:
        """Read the ledger, unless that is done already. Reading pauses often, so that other threads go on."""
        self.index(-1)

    def listed(self, pair: Pair) -> ReleasesDocument:
        """Return the days with a release of a pair of the model; none where past releases are not available."""
        days = self.index().days[pair]
        return ReleasesDocument(pair, self._model.card.pairs[pair].simulated, tuple(reversed(days)))

    def release(self, pair: Pair, day: str) -> ReleaseDocument:
        """Return the newest release of a pair on a day such as "2026-11-23", in UTC; raise a `Problem` without one."""
        index = self.index()
        days = index.days[pair]
        if day not in days:
            span = f"releases from {min(days)} to {max(days)}" if days else "no releases"
            detail = f"{day:.20} is not the day of a release of {pair}; the ledger has {span}"
            raise Problem(HTTPStatus.NOT_FOUND, detail, "day")
        ((release, _),) = self._published(days[day], days[day])
        return ReleaseDocument(
            pair=release.pair,
            simulated=release.simulated,
            build=release.build,
            made_at=release.made_at,
            anchor=release.anchor,
            last=release.last,
            levels=LEVELS,
            prediction=release.prediction,
            low=release.low,
            high=release.high,
            quantiles=tuple(zip(*release.quantiles, strict=True)) or None,
            outcomes=tuple(index.outcomes[pair].get(release.last + n * DAY) for n in range(1, DAYS + 1)),
        )

    def newest(self) -> Iterator[tuple[Release, str]]:
        """Yield the newest 50 releases of all pairs, oldest first, each with the digest of its entry."""
        if places := self.index().newest:
            yield from self._published(places[0], places[-1])

    def of_month(self, month: str) -> Iterator[tuple[Release, str]]:
        """Yield the releases of one of `months`, of all pairs, as `newest` does."""
        yield from self._published(*self.index().months[month])

    def _published(self, first: Place, last: Place) -> Iterator[tuple[Release, str]]:
        index = self.index()
        try:
            for content, digest in entries_from(self._path, first, last[0] + 1):
                if isinstance(content, Release) and index.is_shown(content):
                    yield content, digest
        except BrokenLedger as error:
            logs.event(_log, logging.WARNING, UNAVAILABLE, reason=str(error))
            raise ReleasesUnavailable("the ledger has been changed or removed since it was read", None) from error

    def index(self, wait_seconds: float | None = None) -> Index:
        """Return the index of the ledger; -1 waits without limit while another thread makes it."""
        if not self._lock.acquire(timeout=self._wait_seconds if wait_seconds is None else wait_seconds):
            raise ReleasesUnavailable("the ledger is being read; ask again later", RETRY_SECONDS)
        try:
            self._index = self._index or self._read()
            return self._index
        finally:
            self._lock.release()

    def _read(self) -> Index:
        index = Index(self._model, self._sleep)
        try:
            Ledger.read(self._path, [self._model.scorecard.head], visit=index.visit)
        except BrokenLedger as error:
            level = logging.WARNING if self._path.exists() else logging.INFO
            logs.event(_log, level, UNAVAILABLE, reason=str(error))
            return Index(self._model, self._sleep, error.with_traceback(None))  # its frames hold an earlier model
        return index
