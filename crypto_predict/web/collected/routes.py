"""The endpoints that read the database: each parses a question, answers it and renders the answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from flask import Flask, Response, request

from crypto_predict.errors import DatabaseError
from crypto_predict.web import questions as query_strings
from crypto_predict.web.answers import PairRange
from crypto_predict.web.collected import answers, questions, rendering
from crypto_predict.web.collected.database import Database, NoDatabase, Overloaded
from crypto_predict.web.rendering import COMMON, Rendered, render
from crypto_predict.web.snapshots import until_candle

CANDLES, DIGEST, SERIES = "/candles/<path:pair>", "/digest/<path:pair>", "/series"


def add_routes(app: Flask, database: Database | None, clock: Callable[[], datetime]) -> None:
    """Add the endpoints of candles; without a database each raises `NoDatabase`."""

    def candles(opened: Database, pair: str, query: str) -> Response:
        content_type = _content_type()
        question = questions.candles(pair, query)
        with opened.reading() as reader:
            page = answers.candles(reader, question)
        return live(rendering.candles(page, question, content_type), page.lasts(clock()))

    def digest(opened: Database, pair: str, query: str) -> Response:
        question = questions.digest(pair, query)
        with opened.reading() as reader:
            found = answers.digest(reader, question)
        return live(render(found, simulated=found.simulated))

    def series(opened: Database, query: str) -> Response:
        query_strings.parameters(query, ())
        with opened.reading() as reader:
            return live(rendering.series(answers.series(reader, clock())))

    def add(rule: str, endpoint: Callable[..., Response]) -> None:
        def view(**path: str) -> Response:
            if database is None:
                raise NoDatabase
            return endpoint(database, query=request.environ.get("QUERY_STRING", ""), **path)

        app.add_url_rule(rule, rule, view)

    add(CANDLES, candles)
    add(DIGEST, digest)
    add(SERIES, series)


def pairs(database: Database, ranges: list[PairRange], now: datetime) -> Response:
    """Answer ``/pairs`` with what is collected of each pair; the model's part does not depend on the database."""
    try:
        with database.reading() as reader:
            states = answers.series(reader, now)
    except (DatabaseError, Overloaded):
        return live(rendering.pairs(ranges, None))
    return live(rendering.pairs(ranges, states))


def example(database: Database, fallback: answers.Example) -> answers.Example:
    """Return a series that the documentation can ask for; `fallback` if the database has none or cannot be read."""
    try:
        with database.reading() as reader:
            return answers.example(reader) or fallback
    except (DatabaseError, Overloaded):
        return fallback


def _content_type() -> str:
    accepted = request.accept_mimetypes
    chosen = accepted.best_match(rendering.CONTENT_TYPES) if accepted else rendering.JSON
    if chosen is None:
        raise rendering.NotAcceptable
    return chosen


def live(rendered: Rendered, lasts: timedelta = timedelta()) -> Response:
    """Return an answer of the database that `lasts` until the next candle."""
    return Response(rendered.body, headers=[*rendered.headers, *until_candle(rendered.body, lasts), *COMMON])
