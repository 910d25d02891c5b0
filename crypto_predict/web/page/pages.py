"""What the server sends at the page's addresses: rendered once, at the first request, and then looked up.

A page has two variants: that of a stale model has a banner, which must be there without scripts.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from time import sleep
from typing import NamedTuple

from crypto_predict import logs
from crypto_predict.market import Pair
from crypto_predict.web.http.representations import Representations, represent
from crypto_predict.web.http.response import COMMON, STALE, Headers, Rendered, simulated_header
from crypto_predict.web.model.answers import Answers
from crypto_predict.web.model.rendering import PAUSE_SECONDS
from crypto_predict.web.model.snapshots import LONGEST, Snapshot
from crypto_predict.web.page import assets, documents, html
from crypto_predict.web.page.html import Site, State

MOST_KEPT = 64  # pages, documents and files; one takes some 100 kB
BUILD = "bundle them with `make page`, then start again"
IMMUTABLE = f"public, max-age={LONGEST}, immutable"

# Of every answer at the page's addresses. The page loads nothing from elsewhere, and has neither scripts nor styles.
SECURITY: Headers = [
    ("Content-Security-Policy", f"{html.policy(None)}; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
]

_log = logging.getLogger("crypto_predict.server")

Make = Callable[[Answers, Pair], documents.Document]
DOCUMENTS: dict[str, Make] = {".json": documents.forecast, "/record.json": documents.record}  # after the slug


class Resource(NamedTuple):
    """What one address has."""

    route: str  # its template, for the metrics
    content_type: str
    simulated: bool  # whether it rests on invented prices
    pair: Pair | None  # that it is about; None: a built file
    render: Callable[[State], bytes]
    plans: bool = False  # whether it says when the next training is
    immutable: bool = False  # whether its address has a hash of the content
    brotli: Callable[[], bytes | None] = lambda: None  # the same, compressed when it was built


class Pages:
    """The pages and documents of one model, by their addresses. Safe to share between threads."""

    def __init__(self, snapshot: Snapshot, site: Site, clock: Callable[[], datetime]) -> None:
        self.site, self.held = site, snapshot.answers.held  # the pairs
        self._snapshot = snapshot
        self._clock = clock
        self._resources = dict(self._addresses())
        self._kept: dict[tuple[str, State], Representations] = {}  # the oldest first
        self._lock = threading.Lock()

    @property
    def paths(self) -> list[str]:
        """The addresses of what there is, each with a slash at its beginning."""
        return list(self._resources)

    def route(self, path: str) -> str | None:
        """Return the template of an address; None if it is not one of these."""
        resource = self._resources.get(path)
        return None if resource is None else resource.route

    def answer(self, path: str, accepted: str | None) -> Rendered | None:
        """Return what is sent at an address, with all of its headers; None if it is not one of these.

        `accepted` is the header ``Accept-Encoding`` of the request, if it has one. The query does not matter, as for
        static files.
        """
        resource = self._resources.get(path)
        if resource is None:
            return None
        state, cache_control = (State(), IMMUTABLE) if resource.immutable else self._until_change(resource)
        try:
            answer = self._represented(path, resource, state).preferred(accepted)
        except OSError:  # another build has removed the file
            return None
        return Rendered(answer.body, [*answer.headers, ("Cache-Control", cache_control), *COMMON])

    def prepare(self) -> None:
        """Render the page of the first pair and its documents. Log how to build the scripts if there are none."""
        if "main.js" not in self.site.assets.files:
            logs.event(_log, logging.INFO, "the page has no scripts", advice=BUILD)
        self.answer("/", None)
        for ending in DOCUMENTS:
            sleep(PAUSE_SECONDS)
            self.answer(f"/page/{self.held[0].slug}{ending}", None)

    def _until_change(self, resource: Resource) -> tuple[State, str]:
        """Return the state in which the resource is shown, and how long caches may keep it."""
        now, snapshot = self._clock(), self._snapshot
        seconds, stale = snapshot.validity.state(now, resource.pair)
        plan = (snapshot.schedule, snapshot.is_overdue(now)) if resource.plans else ()
        return State(stale, *plan), f"public, max-age={seconds}"

    def _represented(self, path: str, resource: Resource, state: State) -> Representations:
        key = (path, state)
        kept = self._kept.get(key)
        if kept is None:
            with self._lock:  # one thread renders, and the others do not render the same
                kept = self._kept.get(key)
                if kept is None:
                    kept = _represent(resource, state)
                    if len(self._kept) >= MOST_KEPT:
                        del self._kept[next(iter(self._kept))]
                    self._kept[key] = kept
        return kept

    def _addresses(self) -> Iterator[tuple[str, Resource]]:
        answers = self._snapshot.answers
        yield "/", self._page(answers.held[0], "/", "./")
        for pair in answers.held:
            yield f"/page/{pair.slug}/", self._page(pair, "/page/{slug}/", "../../")
            for ending, make in DOCUMENTS.items():
                yield f"/page/{pair.slug}{ending}", self._document(pair, f"/page/{{slug}}{ending}", make)
        for file in self.site.assets.files.values():
            yield f"/page/built/{file}", self._file(file)

    def _page(self, pair: Pair, route: str, root: str) -> Resource:
        answers, site = self._snapshot.answers, self.site  # not `self`: a circle would outlive its model

        def render(state: State) -> bytes:
            return html.page(answers, pair, site, root, state).encode()

        return Resource(route, html.CONTENT_TYPE, self._simulated(pair), pair, render, plans=True)

    def _document(self, pair: Pair, route: str, make: Make) -> Resource:
        answers = self._snapshot.answers

        def render(_: State) -> bytes:
            return documents.rendered(make(answers, pair))

        return Resource(route, documents.CONTENT_TYPE, self._simulated(pair), pair, render)

    def _simulated(self, pair: Pair) -> bool:
        return self._snapshot.answers.model.card.pairs[pair].simulated

    def _file(self, file: str) -> Resource:
        built = self.site.assets

        def render(_: State) -> bytes:
            return built.read(file)

        kind, brotli = assets.content_type(file), partial(built.read_brotli, file)
        return Resource("/page/built/{file}", kind, False, None, render, immutable=True, brotli=brotli)


def _represent(resource: Resource, state: State) -> Representations:
    headers = [("Content-Type", resource.content_type), *SECURITY, *simulated_header(resource.simulated)]
    if state.stale:
        headers.append(STALE)
    return represent(resource.render(state), headers, resource.brotli())
