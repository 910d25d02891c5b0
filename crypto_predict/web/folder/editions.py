"""The index that is served now, and how the next one takes its place without a restart.

As for one model file, the index is looked at, and read once it rests. A training replaces it last, and then removes the
files that it no longer names: if a file cannot be used, the index is looked at at once, so that a request which came in
between is answered from the newer one. An index that is refused leaves the current one in place.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from crypto_predict import logs
from crypto_predict.baked import index
from crypto_predict.baked.index import INDEX, Index
from crypto_predict.baked.schedule import Schedule, schedule_beside
from crypto_predict.errors import UnknownPair
from crypto_predict.market import Pair
from crypto_predict.settings import ServeSettings
from crypto_predict.web.editions import LOOK_SECONDS, Editions, stamp
from crypto_predict.web.folder import scorecard
from crypto_predict.web.folder.catalogue import Catalogue, Counts, Service, UnusableFile
from crypto_predict.web.http.problems import Problem
from crypto_predict.web.http.response import Rendered
from crypto_predict.web.model import bitcoin, endpoint
from crypto_predict.web.model.freshness import Facts
from crypto_predict.web.model.pairs import PairRange
from crypto_predict.web.model.snapshots import Limits, Snapshot, planned_beside
from crypto_predict.web.operations import startup
from crypto_predict.web.operations.metrics import ModelState
from crypto_predict.web.page.html import Site
from crypto_predict.web.page.pages import Pages

_BUILT = "/page/built/"

_log = logging.getLogger("crypto_predict.server")


class FolderEditions:
    """The current catalogue of a folder, which any thread may read, and its index, which one thread watches.

    A request takes one catalogue, and uses it throughout, with the methods of `Editions`.
    """

    def __init__(self, whole: Index, settings: ServeSettings, site: Site, clock: Callable[[], datetime]) -> None:
        """Serve the folder of the settings, whose index was read; raise `UnusableModel` if it has no model."""
        self._folder, self._clock, self._stale_after = settings.model, clock, settings.stale_after
        self._service = Service(Counts(), Limits(settings.cache_for, settings.stale_after), site, clock)
        self._most_bytes = settings.memory * 1_000_000
        self._files = (settings.model / INDEX, schedule_beside(settings.model / INDEX))
        self._seen = tuple(map(stamp, self._files))
        # The index may have been replaced since it was read: the first look compares it.
        self._used: tuple[object, ...] = ((), *self._seen[1:])
        self.taken = self.refused = 0  # indexes, since the start
        self.loaded_at = time.time()  # seconds since 1970, when the current index was read
        self.current = self._catalogue(whole)
        self._looking = threading.Lock()

    @property
    def facts(self) -> Facts:
        """What operators are told of the models."""
        return self.current.facts

    @property
    def schedule(self) -> Schedule | None:
        """The plan of the trainings to come, if there is one."""
        return self.current.schedule

    @property
    def example(self) -> str:
        """The path of a question that the folder can answer."""
        return f"/forecast/{self.current.first.slug}" if self.current.bitcoin is None else bitcoin.OPERATION.rule

    @property
    def pairs(self) -> Mapping[str, Pair]:
        """The pairs by the names that they have in addresses."""
        return self.current.pairs

    def state(self) -> ModelState:
        """Return what the metrics show."""
        return self.facts, self.loaded_at, self.taken, self.refused

    def totals(self) -> Iterator[tuple[str, str, Callable[[], int]]]:
        """Yield further counters for the metrics: name, meaning and value."""
        counts = self._service.counts
        yield "crypto_predict_pairs_loaded", "Files of pairs read as they were asked for.", lambda: counts.loaded
        yield "crypto_predict_pairs_evicted", "Pairs forgotten to keep within --memory.", lambda: counts.evicted
        yield "crypto_predict_pairs_unusable", "Files of pairs refused as damaged or missing.", lambda: counts.unusable

    def pages_at(self, path: str) -> Pages | None:
        """Return the pages that answer at a path; None if there are none, or not now."""
        catalogue = self.current
        with suppress(UnusableFile, UnknownPair):
            if path == bitcoin.OPERATION.rule:
                return self._pages(catalogue.bitcoin) if catalogue.bitcoin else None
            if path == "/":
                return self._pages(catalogue.first)
            if path.startswith(_BUILT):
                return catalogue.any_pages()
            if path.startswith("/page/") and (pair := catalogue.pairs.get(path.split("/", 3)[2])):
                return self._pages(pair)
        return None

    def pages(self, slug: str | None = None) -> Pages:
        """Return the pages that have a pair, by default the first one.

        Raises:
            UnknownPair: The folder has no such pair.
            UnusableFile: Its file is of no use.
        """
        catalogue = self.current
        if slug is not None and slug not in catalogue.pairs:
            raise UnknownPair(slug, list(map(str, catalogue.index.models)))
        return self._pages(catalogue.first if slug is None else catalogue.pairs[slug])

    def snapshot(self, pair: str | None = None) -> Snapshot:
        """Return the snapshot of the pair of a path, or one whose file is of use. Errors are those of `pages`."""
        return (self.current.any_pages() if pair is None else self._named(pair)).snapshot

    def answering(self, pair: str | None = None) -> Snapshot:
        """Return the snapshot that answers for the prices of the pair of a path, or of Bitcoin."""
        if pair is not None:
            return self._named(pair).answering()
        catalogue = self.current
        if catalogue.bitcoin is None:
            raise Problem(404, str(UnknownPair("BTC/USD", list(map(str, catalogue.index.models)))))
        return self._pages(catalogue.bitcoin).answering()

    def loaded(self) -> Sequence[Pages]:
        """Return the pages in memory."""
        return self.current.kept

    def ranges(self) -> Sequence[PairRange]:
        """Return the range of each pair."""
        return self.current.ranges

    def scorecard(self) -> Rendered:
        """Return the live record, the same object until it changes."""
        return self.current.once(scorecard.rendered)

    def watch(self, stop: threading.Event) -> None:
        """Prepare the first pair, then replace the catalogue whenever the index changes, until `stop` is set."""
        self._prepare(self.current)
        gc.freeze()  # as for one model
        while not stop.wait(LOOK_SECONDS):
            self.look()
            self.current.trim()

    def look(self) -> None:
        """Replace the current catalogue if the index has changed, and has rested since the last look."""
        with self._looking:
            stamps = tuple(map(stamp, self._files))
            rested, self._seen = stamps == self._seen, stamps
            following = self._following(stamps) if rested else None
        if following is not None:
            self._prepare(following)

    def _look_at_once(self) -> None:
        """Take an index up that has changed, as a file is gone that the current one names."""
        with self._looking:
            self._following(tuple(map(stamp, self._files)))

    def _following(self, stamps: tuple[object, ...]) -> Catalogue | None:
        """Take the changed index up, and return it; None if nothing differs, or it is refused."""
        if stamps == self._used:
            return None
        self._used = stamps
        try:
            following = self._catalogue(index.read(self._folder))
        except Exception as error:  # noqa: BLE001 whatever a file holds, the current index goes on
            self.refused += 1
            logs.event(_log, logging.ERROR, "new index refused; the earlier one is served", reason=str(error))
            return None
        current = self.current
        if (following.index, following.schedule) == (current.index, current.schedule):
            return None
        following.take_over(current)
        self.current = following
        if following.index != current.index:
            self.taken += 1
            self.loaded_at = time.time()
            startup.announce_model("new index taken up", following.facts, self._clock(), self._stale_after)
        return following

    def _catalogue(self, whole: Index) -> Catalogue:
        schedule = planned_beside(self._folder / INDEX)
        return Catalogue(self._folder, whole, schedule, self._service, self._most_bytes)

    def _prepare(self, catalogue: Catalogue) -> None:
        """Render what a first visit loads, of the first pair."""
        with suppress(UnusableFile):  # which is logged
            catalogue.pages(catalogue.first).prepare()

    def _named(self, text: str) -> Pages:
        catalogue = self.current
        return self._pages(endpoint.read_pair(text.removesuffix(".csv"), catalogue.names))

    def _pages(self, pair: Pair) -> Pages:
        """Return the pages of a pair; if its file is of no use, look whether there is a newer index."""
        catalogue = self.current
        try:
            return catalogue.pages(pair)
        except UnusableFile as error:
            self._look_at_once()
            if self.current is catalogue:
                self._log_once(error)
                raise
        if pair not in self.current.index.models:
            raise UnknownPair(str(pair), list(map(str, self.current.index.models)))
        return self._pages(pair)

    def _log_once(self, error: UnusableFile) -> None:
        """Log and count a file that could not be used; for a while it is not read again."""
        if not error.is_logged:
            error.is_logged = True
            self._service.counts.unusable += 1
            logs.event(_log, logging.ERROR, "the model of a pair is refused", reason=str(error))


AnyEditions = Editions | FolderEditions
