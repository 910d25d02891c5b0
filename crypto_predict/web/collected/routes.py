"""The endpoints of the database: each parses a question, answers it and renders the answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from http import HTTPStatus

from flask import Flask, Response, request
from werkzeug.exceptions import UnsupportedMediaType

from crypto_predict.errors import DatabaseError, InvalidValue
from crypto_predict.http_server.request_head import BUSY
from crypto_predict.market import Span
from crypto_predict.market.ports import ACTIVE, CollectedSeries, MarketReader
from crypto_predict.web.collected import answers, forecasts, live_answers, prices, questions, rendering
from crypto_predict.web.collected import series as found_series
from crypto_predict.web.collected.administration import Administration, AdministrationOff
from crypto_predict.web.collected.copies import Copies
from crypto_predict.web.collected.database import Database, NoDatabase, Overloaded
from crypto_predict.web.http import conditional, representations
from crypto_predict.web.http.representations import accepts_gzip
from crypto_predict.web.http.response import COMMON, CSV, JSON, Rendered, render, simulated_header
from crypto_predict.web.model import questions as query_strings
from crypto_predict.web.model.answers import PairRange
from crypto_predict.web.model.snapshots import cache_control, until_candle

CANDLES, MINUTES, TOP_OF_BOOK = "/candles/<path:pair>", "/minutes/<path:pair>", "/top-of-book/<path:pair>"
MINUTES_AHEAD, PAST_MINUTES = "/forecast/<path:pair>/minutes", "/forecast/<path:pair>/minutes/past"
DIGEST, SERIES, PRICES = "/digest/<path:pair>", "/series", "/prices"
PAIRS, PAIR = "/pairs", "/pairs/<path:pair>"

_SLOW = (CANDLES, MINUTES, TOP_OF_BOOK, MINUTES_AHEAD, PAST_MINUTES, DIGEST, SERIES, PRICES, PAIRS, PAIR)
_FILES = (MINUTES_AHEAD, PAST_MINUTES)  # tables whose path does not end with the pair, to which others append .csv
_ALL_SLOW = (*_SLOW, *(f"{rule}.csv" for rule in _FILES), "/scorecard", "/openapi.json")
# Whether an address reads the database, and so may keep a thread for long.
is_slow = re.compile("|".join(re.sub("<.*>", ".+", rule) for rule in _ALL_SLOW)).fullmatch


def add_routes(app: Flask, database: Database | None, clock: Callable[[], datetime]) -> None:
    """Add the endpoints that read the database; without one each raises `NoDatabase`."""
    copies, last_prices = Copies(), LastPrices(clock)

    def candles(opened: Database, pair: str, query: str) -> Response:
        question = questions.candles(pair, query)
        content_type = _content_type(question.format)
        with _reading(opened) as reader:
            found, interval = found_series.choose(
                found_series.of_pair(reader, question.pair), question.interval, question.source
            )
            lasts = answers.until_next(found, interval, clock())
            copy = (question, content_type, accepts_gzip(_accepted()), found.series, found.version)
            if (etag := copies.etag(copy)) and _has(etag):
                return _unchanged(etag, found, lasts)
            page = answers.candles(reader, found, interval, question)
        answer = live(rendering.candles(page, question, content_type), lasts)
        copies.add(copy, answer.headers["ETag"])
        return answer

    def minutes(opened: Database, pair: str, query: str) -> Response:
        question = questions.page(pair, query)
        content_type = _content_type(question.format)
        now = clock()
        with _reading(opened) as reader:
            page = live_answers.minutes(reader, question, now)
        lasts = answers.until_next(page.found, page.interval, now)
        return live(rendering.minutes(page, question, content_type), lasts)

    def top_of_book(opened: Database, pair: str, query: str) -> Response:
        question = questions.page(pair, query)
        content_type = _content_type(question.format)
        with _reading(opened) as reader:
            page = live_answers.quotes(reader, question)
        return live(rendering.quotes(page, question, content_type), live_answers.until_next_quote(page, clock()))

    def digest(opened: Database, pair: str, query: str) -> Response:
        question = questions.digest(pair, query)
        with _reading(opened) as reader:
            found = answers.digest(reader, question)
        return live(render(found, simulated=found.simulated))

    def series(opened: Database, query: str) -> Response:
        query_strings.parameters(query, ())
        with _reading(opened) as reader:
            return live(rendering.series(found_series.series(reader, clock())))

    def all_prices(opened: Database, query: str) -> Response:
        query_strings.parameters(query, ())
        return last_prices.answer(opened)

    tables = {CANDLES: candles, MINUTES: minutes, TOP_OF_BOOK: top_of_book}
    _add(app, database, {**tables, DIGEST: digest, SERIES: series, PRICES: all_prices})


def add_forecasts(app: Flask, database: Database | None, clock: Callable[[], datetime]) -> None:
    """Add the endpoints of minute forecasts; without a database each raises `NoDatabase`."""

    def minutes_ahead(opened: Database, pair: str, query: str) -> Response:
        question = questions.minutes_ahead(pair, query)
        with _reading(opened) as reader:
            ahead, lasts = forecasts.newest(reader, question, clock())
        return live(rendering.minutes_ahead(ahead, question.format), lasts)

    def past_minutes(opened: Database, pair: str, query: str) -> Response:
        question = questions.past_minutes(pair, query)
        content_type = _content_type(question.page.format)
        with _reading(opened) as reader:
            page = forecasts.past(reader, question)
        return live(rendering.past_minutes(page, question, content_type), forecasts.until_next(clock()))

    _add(app, database, {MINUTES_AHEAD: minutes_ahead, PAST_MINUTES: past_minutes})


def add_changes(
    app: Flask, database: Database, administration: Administration | None, clock: Callable[[], datetime]
) -> None:
    """Add the endpoints that change what is collected; without an administration each raises `AdministrationOff`."""

    def add_pair(opened: Database, allowed: Administration) -> Response:
        query_strings.parameters(_query(), ())
        if request.mimetype != JSON:
            raise UnsupportedMediaType(f"the body must be JSON: send Content-Type: {JSON}")
        request.max_content_length = query_strings.BODIES["POST", PAIRS] - 1
        question = questions.new_pair(request.get_data(), clock())
        known = _active(opened)
        found = allowed.add(question)
        status = HTTPStatus.OK if found.series in {one.series for one in known} else HTTPStatus.CREATED
        return _changed(render(found_series.state(found, clock()), simulated=found.simulated), status)

    def remove_pair(opened: Database, allowed: Administration, pair: str) -> Response:
        question = questions.removed_pair(pair, _query())
        try:
            removed = allowed.remove(question)
        except InvalidValue as error:
            raise found_series.NotCollected(error.name, str(error.value), _active(opened)) from error
        return _changed(rendering.series([found_series.state(one, clock()) for one in removed]))

    def add(rule: str, method: str, endpoint: Callable[..., Response]) -> None:
        def view(**path: str) -> Response:
            if administration is None:
                raise AdministrationOff
            if request.environ.get(BUSY):
                raise Overloaded
            administration.check(request.headers.get("Authorization"), request.remote_addr)
            return endpoint(database, administration, **path)

        app.add_url_rule(rule, f"{method} {rule}", view, methods=[method])

    add(PAIRS, "POST", add_pair)
    add(PAIR, "DELETE", remove_pair)


def pairs(database: Database, ranges: list[PairRange], now: datetime) -> Response:
    """Answer ``GET /pairs`` with what is collected; the model's part does not depend on the database."""
    try:
        with _reading(database) as reader:
            states = found_series.series(reader, now)
    except (DatabaseError, Overloaded):
        return live(rendering.pairs(ranges, None))
    return live(rendering.pairs(ranges, states))


class LiveScorecard:
    """``GET /scorecard`` with the record of the minute forecasts, which is read once for all requests in a minute."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database, self._clock = database, clock
        self._kept: tuple[Rendered, Rendered, Span] | None = None  # the model's part, the answer, and when it holds

    def answer(self, baked: Rendered) -> Response:
        """Return the scorecard of the model with the record; if the database cannot be read, with null in its place."""
        now, kept = self._clock(), self._kept
        if kept is not None and kept[0] is baked and now in kept[2]:
            return live(kept[1], kept[2].end - now)
        try:
            with _reading(self._database) as reader:
                rendered = rendering.scorecard(baked, forecasts.records(reader))
        except (DatabaseError, Overloaded):
            return live(rendering.scorecard(baked, None))
        lasts = forecasts.until_next(now)
        self._kept = baked, rendered, Span(now, now + lasts)
        return live(rendered, lasts)


class LastPrices:
    """``GET /prices``, which is read once for all requests until the next close."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._kept: tuple[Rendered, Span] | None = None  # the answer, and when it holds

    def answer(self, database: Database) -> Response:
        """Return the last price of every pair.

        Raises:
            DatabaseError, Overloaded: The database cannot be read.
        """
        now, kept = self._clock(), self._kept
        if kept is None or now not in kept[1]:
            with _reading(database) as reader:
                found = prices.last(reader)
            rendered = render(found, simulated=any(one.simulated for one in found))
            kept = self._kept = rendered, Span(now, now + forecasts.until_next(now))
        return live(kept[0], kept[1].end - now)


def example(database: Database, fallback: found_series.Example) -> found_series.Example:
    """Return a series that the documentation can ask for; `fallback` if the database has none or cannot be read."""
    try:
        with _reading(database) as reader:
            return found_series.example(reader) or fallback
    except (DatabaseError, Overloaded):
        return fallback


def live(rendered: Rendered, lasts: timedelta = timedelta()) -> Response:
    """Return an answer of the database that `lasts` until the next candle, compressed if the client accepts that."""
    headers = [*rendered.headers, *until_candle(rendered.body, lasts), *COMMON]
    answer = representations.encode(rendered.body, headers, _accepted())
    return Response(answer.body, headers=answer.headers)


def _add(app: Flask, database: Database | None, endpoints: Mapping[str, Callable[..., Response]]) -> None:
    """Add endpoints by their rules."""

    def add(rule: str, endpoint: Callable[..., Response]) -> None:
        def view(**path: str) -> Response:
            if database is None:
                raise NoDatabase
            return endpoint(database, query=_query(), **path)

        app.add_url_rule(rule, rule, view)
        if rule in _FILES:
            as_csv = f"{rule}.csv"
            app.add_url_rule(as_csv, as_csv, lambda pair: view(pair=f"{pair}.csv"))

    for rule, endpoint in endpoints.items():
        add(rule, endpoint)


def _reading(database: Database) -> AbstractContextManager[MarketReader]:
    """Open the database.

    Raises:
        Overloaded: Too many others read it, so that the turn of this request has not come.
    """
    if request.environ.get(BUSY):
        raise Overloaded
    return database.reading()


def _query() -> str:
    return str(request.environ.get("QUERY_STRING", ""))


def _accepted() -> str | None:
    return request.environ.get("HTTP_ACCEPT_ENCODING")


def _content_type(file_format: str | None) -> str:
    """Return the content type that the address asks for, or else the one that the client prefers."""
    if file_format is not None:
        return CSV if file_format == "csv" else JSON
    accepted = request.accept_mimetypes
    chosen = accepted.best_match(rendering.CONTENT_TYPES) if accepted else JSON
    if chosen is None:
        raise rendering.NotAcceptable
    return chosen


def _has(etag: str) -> bool:
    """Return whether the client has a copy of the answer with this tag."""
    return conditional.evaluate(request.environ, etag, None) is HTTPStatus.NOT_MODIFIED


def _unchanged(etag: str, found: CollectedSeries, lasts: timedelta) -> Response:
    """Return the headers of a candle page that the client has; the application makes it a 304."""
    varies = "Vary", f"{rendering.VARY[1]}, {representations.VARY[1]}"
    headers = [varies, *simulated_header(found.simulated), cache_control(lasts), ("ETag", etag)]
    return Response(headers=[*headers, *COMMON])


def _active(database: Database) -> list[CollectedSeries]:
    with _reading(database) as reader:
        return [one for one in reader.collected() if one.state == ACTIVE]


def _changed(rendered: Rendered, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(rendered.body, status, [*rendered.headers, ("Cache-Control", "no-store"), *COMMON])
