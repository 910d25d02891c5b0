"""What is served now, and how the next model takes its place without a restart.

The files are looked at, not announced: that works for a shared volume, a network file system and a symbolic link too.
The next edition is read, verified and rendered beside the current one, and then replaces it by one assignment. A file
that is refused leaves the current one in place.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from crypto_predict import logs
from crypto_predict.baked import store
from crypto_predict.baked.schedule import Schedule, schedule_beside
from crypto_predict.baked.schema import Model
from crypto_predict.market import Pair
from crypto_predict.settings import ServeSettings, ledger_beside
from crypto_predict.web.http.response import Rendered
from crypto_predict.web.model import scorecard
from crypto_predict.web.model.freshness import Facts, facts_of
from crypto_predict.web.model.pairs import PairRange, ranges
from crypto_predict.web.model.snapshots import Limits, Snapshot, entity_tag, planned_beside
from crypto_predict.web.operations import startup
from crypto_predict.web.operations.metrics import ModelState
from crypto_predict.web.page.html import Site
from crypto_predict.web.page.pages import Pages
from crypto_predict.web.page.releases import Releases

LOOK_SECONDS = 0.5  # between two looks at the files; one that changed is read once it rests from one look to the next

_log = logging.getLogger("crypto_predict.server")


class Editions:
    """The current edition, which any thread may read, and the files that it is made of, which one thread watches.

    An edition is everything that is served of one model and the files beside it: its pages with their snapshot. A
    request takes one, and uses it throughout.
    """

    def __init__(self, model: Model, settings: ServeSettings, site: Site, clock: Callable[[], datetime]) -> None:
        """Serve `model`, which was loaded from the file of the settings."""
        self._settings, self._site, self._clock = settings, site, clock
        self._limits = Limits(settings.cache_for, settings.stale_after)
        self._files = (settings.model, ledger_beside(settings.model), schedule_beside(settings.model))
        self._seen = self._used = tuple(map(stamp, self._files))
        # The file may have been replaced since it was loaded: the first look compares its digest.
        self._used = ((), *self._used[1:])
        self.taken = self.refused = 0  # model files, since the start
        self.loaded_at = time.time()  # seconds since 1970, when the current model was loaded
        self.current = self._edition(Snapshot.of(model, planned_beside(settings.model), self._limits))

    @property
    def facts(self) -> Facts:
        """What operators are told of the model."""
        return facts_of(self.current.snapshot.answers.model)

    @property
    def schedule(self) -> Schedule | None:
        """The plan of the trainings to come, if there is one."""
        return self.current.snapshot.schedule

    @property
    def example(self) -> str:
        """The path of a question that the model can answer."""
        return startup.example_path(self.current.snapshot.answers.model)

    @property
    def pairs(self) -> Mapping[str, Pair]:
        """The pairs by the names that they have in addresses."""
        return self.current.pairs

    def state(self) -> ModelState:
        """Return what the metrics show of the model."""
        return self.facts, self.loaded_at, self.taken, self.refused

    def pages(self, slug: str | None = None) -> Pages:  # noqa: ARG002 all pairs are those of one model
        """Return the pages that have a pair, or what all pairs share."""
        return self.current

    def snapshot(self, pair: str | None = None) -> Snapshot:  # noqa: ARG002 as above
        """Return the snapshot that has the pair of a path, or what all pairs share."""
        return self.current.snapshot

    def loaded(self) -> Sequence[Pages]:
        """Return the pages in memory."""
        return [self.current]

    def ranges(self) -> Sequence[PairRange]:
        """Return the range of each pair."""
        return ranges(self.current.snapshot.answers)

    def scorecard(self) -> Rendered:
        """Return the live record, the same object until it changes."""
        return self.current.snapshot.once(scorecard.rendered)

    def answering(self, pair: str | None = None) -> Snapshot:  # noqa: ARG002 as above
        """Return the snapshot that answers for the prices of the pair of a path."""
        return self.current.answering()

    def watch(self, stop: threading.Event) -> None:
        """Prepare the current edition, then replace it whenever its files change, until `stop` is set."""
        self.current.prepare()
        gc.freeze()  # what is there until the end need not be searched for garbage, which stops all threads
        while not stop.wait(LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Replace the current edition if its files have changed, and have rested since the last look."""
        stamps = tuple(map(stamp, self._files))
        rested, self._seen = stamps == self._seen, stamps
        if not rested or stamps == self._used:
            return
        (model, *others), self._used = self._used, stamps
        try:
            following = self._following(model_changed=model != stamps[0], others_changed=tuple(others) != stamps[1:])
        except Exception as error:  # noqa: BLE001 whatever a file holds, the current edition goes on
            self.refused += 1
            logs.event(_log, logging.ERROR, "new model refused; the earlier one is served", reason=str(error))
            return
        if following is not None:
            self.current = following

    def _following(self, *, model_changed: bool, others_changed: bool) -> Pages | None:
        """Return the edition of the changed files, complete and prepared; None if nothing differs."""
        schedule = planned_beside(self._settings.model)
        data, snapshot = store.read(self._settings.model) if model_changed else None, None
        if data is not None and entity_tag(data) != self.current.snapshot.validity.etag:  # another model
            snapshot = Snapshot.of(store.loads(data, self._settings.model), schedule, self._limits, data)
        if snapshot is None and not others_changed:
            return None
        edition = self._edition(snapshot or self.current.snapshot.planned(schedule, self._limits))
        edition.prepare()
        if snapshot is not None:
            self.taken += 1
            self.loaded_at = time.time()
            facts = facts_of(snapshot.answers.model)
            startup.announce_model("new model taken up", facts, self._clock(), self._settings.stale_after)
        return edition

    def _edition(self, snapshot: Snapshot) -> Pages:
        releases = Releases(snapshot.answers.model, self._files[1])
        return Pages(snapshot, self._site, releases, self._clock)


def stamp(path: Path) -> tuple[int, ...] | None:
    """Return what changes whenever the file does, or the link to it; None if it is absent."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
