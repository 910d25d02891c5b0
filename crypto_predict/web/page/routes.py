"""The addresses of the page in the Flask application."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from flask import Flask, Response, redirect, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from crypto_predict.baked.schema import MOST_PAIRS
from crypto_predict.errors import InvalidValue
from crypto_predict.market import Pair
from crypto_predict.web.http.response import Rendered
from crypto_predict.web.page import documents, html
from crypto_predict.web.page.html import Site
from crypto_predict.web.page.pages import SECURITY, Pages

_PROBLEM, _HTML = "application/problem+json", "text/html"


class Editions(Protocol):
    """The pages that there are."""

    @property
    def pairs(self) -> Mapping[str, Pair]:
        """The pairs by the names that they have in addresses."""

    def pages(self, slug: str | None = None) -> Pages:
        """Return the pages that have a pair, by default the first one; raise `UnknownPair` if there are none."""


def add_routes(app: Flask, editions: Editions, site: Site) -> None:
    """Add what `web.hot` does not answer: pages of pairs that are not there, or not now, past releases, the feed."""

    def accepted() -> str | None:
        return request.environ.get("HTTP_ACCEPT_ENCODING")

    def page(slug: str, root: str = "../") -> AnyResponse:
        return _elsewhere(editions, site, slug, root)

    def again(slug: str | None = None, **_: str) -> AnyResponse:
        pages = editions.pages(slug)
        if request.path in pages.resources:  # its file could not be used a moment ago
            return _sent(pages.answer(request.path, accepted()))
        if slug is not None:
            pages.pair(slug)
        raise NotFound

    def page_of(slug: str) -> AnyResponse:
        return again(slug) if slug in editions.pairs else page(slug, "../../")

    def past(slug: str, day: str | None = None) -> AnyResponse:
        return _sent(editions.pages(slug).past(slug, day, accepted()))

    def feed(month: str | None = None) -> AnyResponse:
        return _sent(editions.pages().feed(month, accepted()))

    views: dict[str, Callable[..., AnyResponse]] = {
        "/": again,
        "/page/<slug>/": page_of,
        "/page/<slug>": page,
        **{f"/page/<slug>{ending}": again for ending in documents.OF_PAIR},
        "/page/<slug>/models/<model>.json": again,
        "/page/<slug>/hindcasts/<model>.json": again,
        "/page/<slug>/releases.json": past,
        "/page/<slug>/releases/<day>.json": past,
        "/feed.xml": feed,
        "/feed/<month>.xml": feed,
        "/page/built/<file>": again,
    }
    for rule, view in views.items():
        app.add_url_rule(rule, rule, view, strict_slashes=True)


def _sent(answer: Rendered | None) -> Response:
    if answer is None:
        raise NotFound
    return Response(answer.body, headers=answer.headers)


def _elsewhere(editions: Editions, site: Site, slug: str, root: str) -> AnyResponse:
    """Redirect to the page of a pair if `slug` is another spelling of it, such as ``btc_usd``."""
    with suppress(InvalidValue):
        pair = Pair.parse(slug)
        if pair.slug in editions.pairs:
            response = redirect(f"{root.removesuffix('../')}{pair.slug}/")
            response.headers.extend(SECURITY)
            return response
    if request.accept_mimetypes.best_match((_PROBLEM, _HTML)) != _HTML:
        editions.pages(slug).pair(slug)  # raises UnknownPair, or why its file is of no use
    headers = [("Content-Type", html.CONTENT_TYPE), ("Cache-Control", "no-store"), ("Vary", "Accept"), *SECURITY]
    return Response(html.missing(slug, list(editions.pairs.values())[:MOST_PAIRS], site, root), 404, headers)
