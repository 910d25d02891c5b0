"""The addresses of the page in the Flask application."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from flask import Flask, Response, redirect, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from crypto_predict.errors import InvalidValue
from crypto_predict.market import Pair
from crypto_predict.web.http.response import Rendered
from crypto_predict.web.page import documents, html
from crypto_predict.web.page.pages import SECURITY, Pages

_PROBLEM, _HTML = "application/problem+json", "text/html"


def add_routes(app: Flask, current: Callable[[], Pages]) -> None:
    """Add what `web.hot` does not answer: pages of pairs that the model does not hold, past releases, and the feed."""

    def accepted() -> str | None:
        return request.environ.get("HTTP_ACCEPT_ENCODING")

    def page(slug: str, root: str = "../../") -> AnyResponse:
        return _elsewhere(current(), slug, root)

    def missing(slug: str = "", file: str = "", **_: str) -> AnyResponse:
        if not file:
            current().pair(slug)
        raise NotFound

    def past(slug: str, day: str | None = None) -> AnyResponse:
        return _sent(current().past(slug, day, accepted()))

    def feed(month: str | None = None) -> AnyResponse:
        return _sent(current().feed(month, accepted()))

    views: dict[str, Callable[..., AnyResponse]] = {
        "/page/<slug>/": page,
        "/page/<slug>": partial(page, root="../"),
        **{f"/page/<slug>{ending}": missing for ending in documents.OF_PAIR},
        "/page/<slug>/models/<model>.json": missing,
        "/page/<slug>/hindcasts/<model>.json": missing,
        "/page/<slug>/releases.json": past,
        "/page/<slug>/releases/<day>.json": past,
        "/feed.xml": feed,
        "/feed/<month>.xml": feed,
        "/page/built/<file>": missing,
    }
    for rule, view in views.items():
        app.add_url_rule(rule, rule, view, strict_slashes=True)


def _sent(answer: Rendered | None) -> Response:
    if answer is None:
        raise NotFound
    return Response(answer.body, headers=answer.headers)


def _elsewhere(pages: Pages, slug: str, root: str) -> AnyResponse:
    """Redirect to the page of a pair if `slug` is another spelling of it, such as ``btc_usd``."""
    with suppress(InvalidValue):
        pair = Pair.parse(slug)
        if pair.slug in pages.pairs:
            response = redirect(f"{root.removesuffix('../')}{pair.slug}/")
            response.headers.extend(SECURITY)
            return response
    if request.accept_mimetypes.best_match((_PROBLEM, _HTML)) != _HTML:
        pages.pair(slug)  # raises UnknownPair
    headers = [("Content-Type", html.CONTENT_TYPE), ("Cache-Control", "no-store"), ("Vary", "Accept"), *SECURITY]
    return Response(html.missing(slug, list(pages.pairs.values()), pages.site, root), 404, headers)
