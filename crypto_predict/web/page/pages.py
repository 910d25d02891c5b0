"""What the server sends at the page's addresses, rendered at the first request and then looked up.

A page has two variants: that of a stale model has a banner, which must be there without scripts. Which past releases
there are is only known once the ledger has been read, so their documents and the feed have methods of their own.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from time import sleep
from typing import NamedTuple

from werkzeug.exceptions import NotFound

from crypto_predict import logs
from crypto_predict.baked.live import Live
from crypto_predict.errors import UnknownPair
from crypto_predict.market import Pair
from crypto_predict.web.http.representations import Representations, preferred, represent
from crypto_predict.web.http.response import COMMON, JSON, STALE, Headers, Rendered, simulated_header
from crypto_predict.web.model import forecast
from crypto_predict.web.model.answers import Answers
from crypto_predict.web.model.snapshots import LONGEST, OVERDUE_AFTER, Snapshot
from crypto_predict.web.page import documents, html
from crypto_predict.web.page.assets import TYPES
from crypto_predict.web.page.html import Site, State
from crypto_predict.web.page.releases import Releases

MOST_KEPT = 64  # pages, documents and files; one takes some 100 kB
MOST_RELEASES = 64  # documents of past releases, of some 10 kB each
MOST_FEEDS = 4  # of some 100 kB each
BUILD = "bundle them with `make page`, then start again"
IMMUTABLE = f"public, max-age={LONGEST}, immutable"

# Of every answer at the page's addresses. The page loads nothing from elsewhere, and has neither scripts nor styles.
SECURITY: Headers = [
    ("Content-Security-Policy", f"{html.policy(None)}; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
]

Clock = Callable[[], datetime]  # UTC

_log = logging.getLogger("crypto_predict.server")


class Resource(NamedTuple):
    """What one address has."""

    route: str  # its template, for the metrics
    represent: Callable[[State], Representations]
    pair: Pair | None = None  # that it is about; None: a built file
    plans: bool = False  # whether it says when the next training is


class Pages:
    """The page of each pair of one model, and all that it loads, by address. Safe to share between threads.

    `accepted` is the header ``Accept-Encoding`` of a request, if it has one. The query does not matter, as for static
    files. Answers about past releases have the errors of `Releases.release`, and `UnknownPair`.
    """

    def __init__(self, snapshot: Snapshot, site: Site, releases: Releases, clock: Clock) -> None:
        self.site, self.pairs = site, {pair.slug: pair for pair in snapshot.answers.pairs}
        self.snapshot, self._releases, self._clock = snapshot, releases, clock
        self.resources = dict(_resources(snapshot.answers, site))  # by path, with a slash at its beginning
        self._rendered: dict[tuple[str, State], Representations] = {}  # the oldest first
        self._moved: tuple[Snapshot, datetime] | None = None  # as live forecasts move the snapshot on, and until when
        self._lock = threading.Lock()
        model = snapshot.answers.model  # not `self`: a circle would outlive its model

        def document(pair: Pair, day: str | None) -> Representations:
            content = releases.listed(pair) if day is None else releases.release(pair, day)
            simulated = model.card.pairs[pair].simulated
            return _represent(documents.rendered(content), JSON, simulated)

        def feed_of(month: str | None) -> Representations:
            from crypto_predict.web.page.feed import feed  # noqa: PLC0415 no other answer waits for it

            body = feed(model, releases, month, site.address, site.repository_url)
            return _represent(body, html.FEED_CONTENT_TYPE, model.card.simulated)

        self._documents = lru_cache(maxsize=MOST_RELEASES)(document)
        self._feeds = lru_cache(maxsize=MOST_FEEDS)(feed_of)

    @property
    def rendered_bytes(self) -> int:
        """The bytes of pages, documents and files that are kept."""
        return sum(len(answer.body) for kept in list(self._rendered.values()) for _, answer in kept)

    def answering(self) -> Snapshot:
        """Return the snapshot that answers for prices: moved on by live forecasts while they are fresh."""
        moved = self._moved
        return self.snapshot if moved is None or self._clock() > moved[1] else moved[0]

    def move_on(self, lives: Mapping[Pair, Live]) -> None:
        """Answer for prices with the live forecasts of some pairs."""
        if not lives:
            self._moved = None
        elif self._moved is None or self._moved[0].validity.lives != lives:
            self._moved = self.snapshot.moved_on(lives), min(live.holds_until for live in lives.values())

    def answer(self, path: str, accepted: str | None) -> Rendered:
        """Return what is sent at the path of a resource; if another build has removed its file, raise `NotFound`."""
        resource, state, cache_control = self.resources[path], State(), IMMUTABLE
        if resource.pair is not None:
            now, snapshot = self._clock(), self.snapshot
            seconds, stale = snapshot.validity.state(now, resource.pair)
            schedule = snapshot.schedule if resource.plans else None
            is_overdue = schedule is not None and now - schedule.next_at > OVERDUE_AFTER
            state, cache_control = State(stale, schedule, is_overdue), f"public, max-age={seconds}"
        try:
            return _sent(self._represented(path, resource, state), accepted, cache_control)
        except OSError as error:
            raise NotFound from error

    def past(self, slug: str, day: str | None, accepted: str | None) -> Rendered:
        """Return ``page/{slug}/releases/{day}.json``, or ``page/{slug}/releases.json`` without a day."""
        return self._current(self._documents(self.pair(slug), day), accepted)

    def feed(self, month: str | None, accepted: str | None) -> Rendered | None:
        """Return ``feed.xml``, or ``feed/{month}.xml``; None if nothing was released in that month."""
        if month is not None and month not in self._releases.index().months:
            return None
        return self._current(self._feeds(month), accepted)

    def pair(self, slug: str) -> Pair:
        """Return the pair of the model with this slug; raise `UnknownPair` without one."""
        if slug not in self.pairs:
            raise UnknownPair(slug, list(map(str, self.pairs.values())))
        return self.pairs[slug]

    def prepare(self) -> None:
        """Render every day of the default model, then what a first visit loads, and read the ledger.

        Compiling the template would delay the first answer. If there are no scripts, log how to build them.
        """
        forecast.prepare(self.snapshot)
        if "main.js" not in self.site.assets.files:
            logs.event(_log, logging.INFO, "the page has no scripts", advice=BUILD)
        self.answer("/", None)
        slug = next(iter(self.pairs))
        for ending in documents.OF_PAIR:
            sleep(forecast.PAUSE_SECONDS)
            self.answer(f"/page/{slug}{ending}", None)
        self._releases.prepare()
        self.past(slug, None, None)

    def _current(self, representations: Representations, accepted: str | None) -> Rendered:
        seconds, _ = self.snapshot.validity.state(self._clock())
        return _sent(representations, accepted, f"public, max-age={seconds}")

    def _represented(self, path: str, resource: Resource, state: State) -> Representations:
        key = (path, state)
        representations = self._rendered.get(key)
        if representations is None:
            with self._lock:  # one thread renders, and the others do not render the same
                representations = self._rendered.get(key)
                if representations is None:
                    representations = resource.represent(state)
                    if len(self._rendered) >= MOST_KEPT:
                        del self._rendered[next(iter(self._rendered))]
                    self._rendered[key] = representations
        return representations


def _resources(answers: Answers, site: Site) -> Iterator[tuple[str, Resource]]:
    """Yield the addresses of pages, documents and built files. They do not refer to `Pages`, which they may outlive."""
    cards, built = answers.model.card.pairs, site.assets

    def page(pair: Pair, root: str, state: State) -> Representations:
        body = html.page(answers, pair, site, root, state).encode()
        return _represent(body, html.CONTENT_TYPE, cards[pair].simulated, stale=state.stale)

    def document(pair: Pair, make: Callable[[], documents.Document], state: State) -> Representations:
        body = documents.rendered(make())
        return _represent(body, JSON, cards[pair].simulated, stale=state.stale)

    def built_file(file: str, _: State) -> Representations:
        body, brotli = built.read(file)
        return _represent(body, TYPES[Path(file).suffix], brotli=brotli)

    yield "/", Resource("/", partial(page, answers.pairs[0], "./"), answers.pairs[0], plans=True)
    for pair in answers.pairs:
        yield f"/page/{pair.slug}/", Resource("/page/{slug}/", partial(page, pair, "../../"), pair, plans=True)
        for ending, make in documents.OF_PAIR.items():
            render = partial(document, pair, partial(make, answers, pair))
            yield f"/page/{pair.slug}{ending}", Resource(f"/page/{{slug}}{ending}", render, pair)
        for folder, name, make_of_model in documents.of_models(answers, pair):
            route = f"/page/{{slug}}/{folder}/{{model}}.json"
            yield (
                f"/page/{pair.slug}/{folder}/{name}.json",
                Resource(route, partial(document, pair, make_of_model), pair),
            )
    for file in built.files.values():
        yield f"/page/built/{file}", Resource("/page/built/{file}", partial(built_file, file))


def _represent(
    body: bytes, content_type: str, simulated: bool = False, *, stale: bool = False, brotli: bytes | None = None
) -> Representations:
    headers = [("Content-Type", content_type), *SECURITY, *simulated_header(simulated), *([STALE] if stale else [])]
    return represent(body, headers, brotli)


def _sent(representations: Representations, accepted: str | None, cache_control: str) -> Rendered:
    answer = preferred(representations, accepted)
    return Rendered(answer.body, [*answer.headers, ("Cache-Control", cache_control), *COMMON])
