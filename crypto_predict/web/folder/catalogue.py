"""What one index of a folder says, and the answers of those pairs whose files are in memory."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from crypto_predict.baked import index
from crypto_predict.baked.evaluation import COMBINED
from crypto_predict.baked.index import Index, IndexedModel
from crypto_predict.baked.schedule import Schedule
from crypto_predict.errors import UnusableModel
from crypto_predict.market import Pair
from crypto_predict.web.http.problems import Problem
from crypto_predict.web.http.response import Rendered
from crypto_predict.web.model.answers import closing
from crypto_predict.web.model.freshness import Facts
from crypto_predict.web.model.pairs import PairRange
from crypto_predict.web.model.snapshots import Limits, Snapshot, Validity, entity_tag
from crypto_predict.web.page.html import Site
from crypto_predict.web.page.pages import Clock, Pages
from crypto_predict.web.page.releases import Releases

RETRY_SECONDS = 5  # until a file that could not be used is read again
# The bytes of memory that an answering pair takes at most, as measured, beside its rendered pages: for each byte of its
# file, which is compressed, and for each day of its range, whose answers are kept.
OF_A_BYTE, OF_A_DAY = 12, 600


@dataclass(slots=True)
class Counts:
    """What has become of files since the start."""

    loaded: int = 0
    evicted: int = 0  # from memory
    unusable: int = 0


class Service(NamedTuple):
    """What every catalogue of a folder has."""

    counts: Counts

    limits: Limits
    site: Site
    clock: Clock  # UTC


class UnusableFile(Problem):
    """The file of `pair` cannot be used because of `reason`; the other pairs answer."""

    is_logged = False

    def __init__(self, pair: Pair, reason: str) -> None:
        detail = f"the model of {pair} cannot be used: {reason}"
        super().__init__(HTTPStatus.SERVICE_UNAVAILABLE, detail, "pair", retry_seconds=RETRY_SECONDS)


class Catalogue:
    """The pairs of one index. A file is read when its pair is first asked for.

    Those kept take at most `most_bytes` of memory, but the last one that was asked for is always kept; the least
    recently asked goes first. Safe to share between threads.
    """

    def __init__(
        self, folder: Path, whole: Index, schedule: Schedule | None, service: Service, most_bytes: int
    ) -> None:
        """Raise `UnusableModel` if the index has no model."""
        if not whole.models:
            raise UnusableModel(folder / index.INDEX, "it has no models: every pair was refused")
        self.index, self.schedule = whole, schedule
        self.pairs = {pair.slug: pair for pair in whole.models}  # by the names that they have in addresses
        # Each pair also by the name of what is traded in its place, as `model.answers` has it.
        self.names = {entry.traded: pair for pair, entry in whole.models.items()}
        self.names |= {pair: pair for pair in whole.models}
        bitcoins = [pair for pair in whole.models if pair.base == "BTC"]
        self.bitcoin = next((pair for pair in bitcoins if pair.quote == "USD"), next(iter(bitcoins), None))
        self.first = self.bitcoin or next(iter(whole.models))  # the pair whose page is the first one
        self.newest = max(whole.models.values(), key=lambda entry: entry.trained_at)
        self.facts = _facts(whole, self.newest)
        self.validity = Validity(entity_tag(index.content(whole)), self.facts, schedule, service.limits)
        self._folder, self._service, self._most_bytes = folder, service, most_bytes
        self._kept: OrderedDict[Pair, Pages] = OrderedDict()  # the least recently asked first
        self._failed: dict[Pair, tuple[float, UnusableFile]] = {}  # and when, on the monotonic clock
        self._constants: dict[Callable[[Catalogue], Rendered], Rendered] = {}  # by what renders them
        self._lock = threading.Lock()

    @property
    def kept(self) -> list[Pages]:
        """The pages in memory, the least recently asked first."""
        return list(self._kept.values())

    @cached_property
    def ranges(self) -> list[PairRange]:
        """The days that each pair can be asked for."""
        return [_range(pair, entry) for pair, entry in self.index.models.items()]

    def once(self, render: Callable[["Catalogue"], Rendered]) -> Rendered:
        """Return an answer that depends on the index alone, and so is rendered once."""
        if render not in self._constants:
            self._constants[render] = render(self)
        return self._constants[render]

    def pages(self, pair: Pair) -> Pages:
        """Return the pages of one of the pairs; raise `UnusableFile` if its file is of no use."""
        pages = self._kept.get(pair)
        if pages is None:
            return self._load(pair)
        with suppress(KeyError):  # another thread has just made room
            self._kept.move_to_end(pair)
        return pages

    def any_pages(self) -> Pages:
        """Return the pages of the first pair, or of another one if its file is of no use."""
        error: UnusableFile | None = None
        for pair in (self.first, *reversed(self._kept), *self.index.models):
            try:
                return self.pages(pair)
            except UnusableFile as unusable:
                error = error or unusable
        raise error or AssertionError("there are pairs")

    def take_over(self, earlier: "Catalogue") -> None:
        """Keep what an earlier index has in memory of files that are the same."""
        for pages in earlier.kept:
            pair = pages.snapshot.answers.pairs[0]
            entry = self.index.models.get(pair)
            if entry is None or entry.sha256 != earlier.index.models[pair].sha256:
                continue
            if self.schedule == earlier.schedule:
                self._kept[pair] = pages
            else:
                snapshot = pages.snapshot.planned(self.schedule, self._service.limits)
                self._kept[pair] = self._pages(pair, snapshot)

    def trim(self) -> None:
        """Forget pairs until the others fit into the memory: rendered pages let a pair grow."""
        sizes = {pair: self._size(pair, pages) for pair, pages in list(self._kept.items())}
        total = sum(sizes.values())
        for pair in list(sizes)[:-1]:
            if total <= self._most_bytes:
                break
            total -= sizes[pair]
            if self._kept.pop(pair, None) is not None:
                self._service.counts.evicted += 1

    def _load(self, pair: Pair) -> Pages:
        """Read the file of a pair, which one thread does for all."""
        with self._lock:
            if (pages := self._kept.get(pair)) is not None:
                return pages
            failed = self._failed.get(pair)
            if failed is not None and time.monotonic() - failed[0] < RETRY_SECONDS:
                raise failed[1]
            try:
                pages = self._read(pair)
            except UnusableModel as error:
                unusable = UnusableFile(pair, error.reason)
                self._failed[pair] = time.monotonic(), unusable
                raise unusable from error
            self._failed.pop(pair, None)
            self._kept[pair] = pages
            self._service.counts.loaded += 1
            self.trim()
            return pages

    def _read(self, pair: Pair) -> Pages:
        entry = self.index.models[pair]
        model = index.read_model(self._folder, pair, entry)
        snapshot = Snapshot.of(model, self.schedule, self._service.limits, entry.sha256.encode())
        return self._pages(pair, snapshot)

    def _pages(self, pair: Pair, snapshot: Snapshot) -> Pages:
        releases = Releases(snapshot.answers.model, self._folder / index.ledger_name(pair))
        return Pages(snapshot, self._service.site, releases, self._service.clock)

    def _size(self, pair: Pair, pages: Pages) -> int:
        entry = self.index.models[pair]
        days = (entry.last_day - entry.first_day).days + 1
        return OF_A_BYTE * entry.bytes + OF_A_DAY * days + pages.rendered_bytes


def _facts(whole: Index, newest: IndexedModel) -> Facts:
    """Return the facts of all models but those of pairs that the last training refused, unless it refused all."""
    models = {pair: entry for pair, entry in whole.models.items() if pair not in whole.refused} or whole.models
    simulated = any(entry.simulated for entry in whole.models.values())
    oldest = min(entry.trained_at for entry in models.values())
    prices = {pair: entry.anchor_at for pair, entry in models.items()}
    return Facts(newest.version, newest.build, newest.git_revision, simulated, oldest, prices)


def _range(pair: Pair, entry: IndexedModel) -> PairRange:
    newest = entry.anchor_at if entry.served == COMBINED else closing(entry.last_candle)
    days = (entry.first_day, entry.last_candle, entry.last_day)
    return PairRange(pair, *days, f"/forecast/{pair.slug}", newest, entry.simulated)
