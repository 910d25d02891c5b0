"""The addresses of the page in the Flask application."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from flask import Flask, Response, redirect, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from crypto_predict.errors import InvalidValue, UnknownPair
from crypto_predict.market import Pair
from crypto_predict.web.http.response import Rendered
from crypto_predict.web.page import html
from crypto_predict.web.page.pages import DOCUMENTS, SECURITY, Pages
from crypto_predict.web.page.release_pages import ReleasePages

_PROBLEM, _HTML = "application/problem+json", "text/html"


def add_releases(app: Flask, releases: Callable[[], ReleasePages]) -> None:
    """Add the documents of past releases, and the feed; `releases` returns the current ones."""

    def accepted() -> str | None:
        return request.environ.get("HTTP_ACCEPT_ENCODING")

    def sent(rendered: Rendered | None) -> AnyResponse:
        if rendered is None:
            raise NotFound
        return Response(rendered.body, headers=rendered.headers)

    rules: dict[str, Callable[..., Rendered | None]] = {
        "/page/<slug>/releases.json": lambda slug: releases().listed(slug, accepted()),
        "/page/<slug>/releases/<day>.json": lambda slug, day: releases().release(slug, day, accepted()),
        "/feed.xml": lambda: releases().newest(accepted()),
        "/feed/<month>.xml": lambda month: releases().of_month(month, accepted()),
    }
    for rule, answer in rules.items():
        app.add_url_rule(rule, rule, lambda answer=answer, **path: sent(answer(**path)))


def add_routes(app: Flask, current: Callable[[], Pages]) -> None:
    """Add the page of each pair that the model holds, its documents, and the built files; `current` returns them."""

    def lookup(pages: Pages) -> Response | None:
        answer = pages.answer(request.path, request.environ.get("HTTP_ACCEPT_ENCODING"))
        return None if answer is None else Response(answer.body, headers=answer.headers)

    def page(slug: str) -> AnyResponse:
        pages = current()
        return lookup(pages) or elsewhere(pages, slug, "../{}/", "../../")

    def page_without_slash(slug: str) -> AnyResponse:
        return elsewhere(current(), slug, "{}/", "../")

    def elsewhere(pages: Pages, slug: str, place: str, root: str) -> AnyResponse:
        """Redirect to the page of a pair if this is a spelling of it, such as ``btc_usd``."""
        with suppress(InvalidValue):
            pair = Pair.parse(slug)
            if pair in pages.held:
                response = redirect(place.format(pair.slug))
                response.headers.extend(SECURITY)
                return response
        if request.accept_mimetypes.best_match((_PROBLEM, _HTML)) == _HTML:
            headers = [
                ("Content-Type", html.CONTENT_TYPE),
                ("Cache-Control", "no-store"),
                ("Vary", "Accept"),
                *SECURITY,
            ]
            return Response(html.missing(slug, pages.held, pages.site, root), 404, headers)
        raise UnknownPair(slug, list(map(str, pages.held)))

    def document(slug: str) -> AnyResponse:
        pages = current()
        found = lookup(pages)
        if found is None:
            raise UnknownPair(slug, list(map(str, pages.held)))
        return found

    def file(file: str) -> AnyResponse:  # noqa: ARG001 the path is looked up as a whole
        found = lookup(current())
        if found is None:
            raise NotFound
        return found

    app.add_url_rule("/", "/", file, defaults={"file": ""})
    app.add_url_rule("/page/<slug>/", "page", page)
    app.add_url_rule("/page/<slug>", "page_without_slash", page_without_slash, strict_slashes=True)
    for ending in DOCUMENTS:
        app.add_url_rule(f"/page/<slug>{ending}", f"page{ending}", document)
    app.add_url_rule("/page/built/<file>", "page/built", file)
