"""What the server sends of past releases, by address: documents and feed. Made at the first request, and then kept.

The addresses are those of ``pages``, but what they have is known only when the ledger has been read.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

from crypto_predict.baked import plain
from crypto_predict.errors import UnknownPair
from crypto_predict.market import Pair
from crypto_predict.web.http.representations import Representations, represent
from crypto_predict.web.http.response import COMMON, Rendered, simulated_header
from crypto_predict.web.model.snapshots import Snapshot
from crypto_predict.web.page import documents
from crypto_predict.web.page.pages import SECURITY
from crypto_predict.web.page.releases import Releases

MOST_DOCUMENTS = 64  # kept, of some 10 kB each
MOST_FEEDS = 4  # of some 100 kB each


class ReleasePages:
    """The documents of past releases and the feed of one model. Safe to share between threads.

    The errors of each answer are those of `Releases.release`, and `UnknownPair`. `accepted` is the header
    ``Accept-Encoding`` of the request, if it has one.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        releases: Releases,
        clock: Callable[[], datetime],
        address: str | None,
        repository_url: str | None,
    ) -> None:
        """Serve `releases` of a site whose own address, if it is known, ends with a slash."""
        self._snapshot = snapshot
        self._releases = releases
        self._clock = clock
        self._pairs = {pair.slug: pair for pair in snapshot.answers.held}
        model = snapshot.answers.model  # not `self`: a circle would outlive its model

        def document(pair: Pair, day: str | None) -> Representations:
            body = release_document(releases, pair, day) if day is not None else list_document(releases, pair)
            return _represent(documents.CONTENT_TYPE, body, simulated=model.card.pairs[pair].simulated)

        def feed_of(month: str | None) -> Representations:
            from crypto_predict.web.page import feed  # noqa: PLC0415 no other answer waits for this import

            made = feed.Feed(model, releases, address, repository_url)
            body = made.newest() if month is None else made.of_month(month)
            return _represent(feed.CONTENT_TYPE, body, simulated=model.card.simulated)

        self._documents = lru_cache(maxsize=MOST_DOCUMENTS)(document)
        self._feeds = lru_cache(maxsize=MOST_FEEDS)(feed_of)

    def prepare(self) -> None:
        """Read the ledger, and make what is asked for first."""
        self._releases.prepare()
        self.listed(self._snapshot.answers.held[0].slug, None)

    def listed(self, slug: str, accepted: str | None) -> Rendered:
        """Return ``page/{slug}/releases.json``."""
        return self._sent(self._documents(self._pair(slug), None), accepted)

    def release(self, slug: str, day: str, accepted: str | None) -> Rendered:
        """Return ``page/{slug}/releases/{day}.json``."""
        return self._sent(self._documents(self._pair(slug), day), accepted)

    def newest(self, accepted: str | None) -> Rendered:
        """Return ``feed.xml``."""
        return self._sent(self._feeds(None), accepted)

    def of_month(self, month: str, accepted: str | None) -> Rendered | None:
        """Return ``feed/{month}.xml``; None if nothing was released in that month."""
        return self._sent(self._feeds(month), accepted) if month in self._releases.months else None

    def _pair(self, slug: str) -> Pair:
        if slug not in self._pairs:
            raise UnknownPair(slug, list(map(str, self._pairs.values())))
        return self._pairs[slug]

    def _sent(self, representations: Representations, accepted: str | None) -> Rendered:
        answer = representations.preferred(accepted)
        cache_control = f"public, max-age={self._snapshot.validity.state(self._clock())[0]}"
        return Rendered(answer.body, [*answer.headers, ("Cache-Control", cache_control), *COMMON])


def list_document(releases: Releases, pair: Pair) -> bytes:
    """Return the bytes of ``page/{slug}/releases.json``."""
    return documents.rendered(plain.encode(releases.listed(pair)))


def release_document(releases: Releases, pair: Pair, day: str) -> bytes:
    """Return the bytes of ``page/{slug}/releases/{day}.json``."""
    return documents.rendered(plain.encode(releases.release(pair, day)))


def _represent(content_type: str, body: bytes, *, simulated: bool) -> Representations:
    return represent(body, [("Content-Type", content_type), *SECURITY, *simulated_header(simulated)])
