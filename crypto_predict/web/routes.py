"""The endpoints: each parses a question, answers it and renders the answer. Flask routes requests to them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Flask, Request, Response, request
from flask_cors import CORS
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import MapAdapter
from werkzeug.wrappers import Response as AnyResponse

from crypto_predict.baked import plain
from crypto_predict.errors import CryptoPredictError, shortened
from crypto_predict.market import Interval, SeriesKey
from crypto_predict.web.collected import routes as collected_routes
from crypto_predict.web.collected.administration import Administration
from crypto_predict.web.collected.database import Database
from crypto_predict.web.collected.series import Example
from crypto_predict.web.documentation import swagger
from crypto_predict.web.editions import Editions
from crypto_predict.web.http import conditional, problems
from crypto_predict.web.http.errors import WebError
from crypto_predict.web.http.problems import Problem
from crypto_predict.web.http.response import COMMON, Headers, Rendered, render, simulated_header
from crypto_predict.web.model import probability as probabilities
from crypto_predict.web.model import questions, rendering
from crypto_predict.web.model.rendering import Rendering
from crypto_predict.web.model.snapshots import Snapshot
from crypto_predict.web.operations import metrics
from crypto_predict.web.operations.access_log import ROUTE
from crypto_predict.web.operations.freshness import freshness, stale
from crypto_predict.web.operations.metrics import Metrics
from crypto_predict.web.page import routes as page_routes

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

ERROR = "crypto_predict.error"  # the error of a query that was evaluated before Flask, in the WSGI environment
# Pages of other origins may read, with any header but that of the administrator.
_OF_READS = re.compile(r"(?!authorization$).*", re.IGNORECASE)
_DAY = 86_400  # seconds that preflights and the files of Swagger UI are cached: they change with a release at most


@dataclass(frozen=True)
class Service:
    """What the routes need."""

    editions: Editions
    metrics: Metrics
    clock: Callable[[], datetime]  # now, in UTC
    stale_after: timedelta
    repository_url: str | None
    draining: threading.Event  # set when the server stops
    database: Database | None = None
    administration: Administration | None = None  # None: which pairs are collected cannot be changed

    def bitcoin(self, query: str) -> Rendered:
        """Return the whole answer of ``/bitcoin``; without a date it is about the present day, and expires with it."""
        snapshot, now = self.editions.current.snapshot, self.clock()
        rendered, validity = bitcoin(snapshot, query, now.date()), snapshot.validity
        until = (validity.until_change if "date=" in query else validity.until_midnight)(now, rendered.pair)
        return Rendered(rendered.body, [*rendered.headers, *until, *COMMON])

    def cached_headers(self, snapshot: Snapshot, rendered: Rendered) -> Headers:
        """Return the headers of an answer that caches may keep until the next change."""
        return [*rendered.headers, *snapshot.validity.until_change(self.clock(), rendered.pair), *COMMON]


def bitcoin(snapshot: Snapshot, query: str, today: date) -> Rendered:
    """Answer ``/bitcoin``, by default for `today`. A day that is asked for in the shortest way is rendered once."""
    query = query or f"date={today}"
    rendered = snapshot.closes.get(query)
    if rendered is None:
        question = questions.bitcoin(query, today)
        rendered = rendering.bitcoin(snapshot.answers.bitcoin(question))
        if not isinstance(question.moment, datetime) and query == f"date={question.moment}":
            snapshot.closes[query] = rendered
    return rendered


def forecast(snapshot: Snapshot, query: str, pair: str) -> Rendered:
    """Answer ``/forecast/{pair}``."""
    pair, file_format = questions.file_format(pair, query)
    found = snapshot.answers.forecast(questions.forecast(pair, query, snapshot.answers.names))
    return rendering.forecast_table(found) if file_format == "csv" else snapshot.rendering.forecast(found)


def probability(snapshot: Snapshot, query: str, pair: str) -> Rendered:
    """Answer ``/probability/{pair}``."""
    question = questions.probability(pair, query, snapshot.answers.names)
    answer = probabilities.answer(snapshot.answers, question)
    return render(answer, simulated=answer.simulated, pair=question.pair)


def create_flask_app(service: Service) -> Flask:
    """Create the application with every route."""
    app = _HostlessFlask(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # do not redirect //a to /a
    _add_model_routes(app, service)
    collected_routes.add_routes(app, service.database, service.clock)
    collected_routes.add_forecasts(app, service.database, service.clock)
    if service.database is not None:
        collected_routes.add_changes(app, service.database, service.administration, service.clock)
    _add_operator_routes(app, service)
    _add_documentation(app, service)
    page_routes.add_routes(app, lambda: service.editions.current.pages)
    answered: list[type[CryptoPredictError]] = [WebError, *problems.LOWER]
    for kind in answered:
        app.register_error_handler(kind, lambda error: _problem(problems.of_error(error)))
    app.register_error_handler(HTTPException, _http_error)
    app.after_request(_finish)
    CORS(app, send_wildcard=True, methods=["GET", "HEAD", "OPTIONS"], allow_headers=_OF_READS, max_age=_DAY)
    return app


class FastLane:
    """WSGI middleware: a shortcut past Flask for frequent requests, plain ``GET /bitcoin`` and those of the page.

    Flask spends some 100 microseconds on a request before and after its view. Everything else (errors, other methods,
    conditional requests, other addresses) goes on to Flask.
    """

    def __init__(self, application: WSGIApplication, service: Service) -> None:
        self._application = application
        self._service = service

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        if environ["REQUEST_METHOD"] == "GET" and conditional.HEADERS.isdisjoint(environ.keys()):
            path = environ["PATH_INFO"]
            answer = self._bitcoin(environ) if path == "/bitcoin" else self._page(environ, path)
            if answer is not None:
                start_response("200 OK", answer.headers)
                return [answer.body]
        return self._application(environ, start_response)

    def _bitcoin(self, environ: WSGIEnvironment) -> Rendered | None:
        try:
            answer = self._service.bitcoin(environ["QUERY_STRING"])
        except CryptoPredictError as error:
            environ[ERROR] = error  # so that Flask does not evaluate the query again
            return None
        environ[ROUTE] = "/bitcoin"
        return answer

    def _page(self, environ: WSGIEnvironment, path: str) -> Rendered | None:
        pages = self._service.editions.current.pages
        answer = pages.answer(path, environ.get("HTTP_ACCEPT_ENCODING"))
        if answer is not None:
            environ[ROUTE] = pages.route(path)
        return answer


class _HostlessFlask(Flask):
    """Accepts every host, and does not name one in a redirect."""

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Match a request by method and path alone; an empty path is the root (RFC 9112, section 3.2.2)."""
        if request is None:
            return None
        return self.url_map.bind("", path_info=request.path, default_method=request.method)


def template(rule: str) -> str:
    """Return a route in the notation of OpenAPI and the metrics: ``/forecast/{pair}``."""
    return rule.replace("<path:", "{").replace("<", "{").replace(">", "}")


def _add_model_routes(app: Flask, service: Service) -> None:
    def revalidated(snapshot: Snapshot, rendered: Rendered) -> Headers:
        return [*rendered.headers, *snapshot.validity.revalidated(service.clock()), *COMMON]

    def add(rule: str, endpoint: Callable[..., Rendered], headers: Callable[[Snapshot, Rendered], Headers]) -> None:
        def view(**path: str) -> Response:
            snapshot = service.editions.current.snapshot
            rendered = endpoint(snapshot, request.environ.get("QUERY_STRING", ""), **path)
            return Response(rendered.body, headers=headers(snapshot, rendered))

        app.add_url_rule(rule, rule, view)

    def without_parameters(read: Callable[[Rendering], Rendered]) -> Callable[..., Rendered]:
        def endpoint(snapshot: Snapshot, query: str) -> Rendered:
            questions.parameters(query, ())
            return read(snapshot.rendering)

        return endpoint

    def document(snapshot: Snapshot, example: Example | None) -> Rendered:
        from crypto_predict.web.documentation import openapi  # noqa: PLC0415 no other answer waits for this import

        rendered = snapshot.documents.get(example)
        if rendered is None:
            described = openapi.document(snapshot, service.repository_url, example)
            rendered = render(described, simulated=snapshot.answers.model.card.simulated)
            snapshot.documents.clear()  # keep the last one
            snapshot.documents[example] = rendered
        return rendered

    def live_document(database: Database) -> Response:
        snapshot = service.editions.current.snapshot
        pair, held = next(iter(snapshot.answers.model.card.pairs.items()))
        fallback = Example(SeriesKey(held.source, pair, Interval.DAY_1), held.last.date())
        return collected_routes.live(document(snapshot, collected_routes.example(database, fallback)))

    def live_pairs(database: Database) -> Response:
        questions.parameters(request.environ.get("QUERY_STRING", ""), ())
        return collected_routes.pairs(database, service.editions.current.snapshot.answers.pairs(), service.clock())

    def live_scorecard(scorecard: collected_routes.LiveScorecard) -> Response:
        questions.parameters(request.environ.get("QUERY_STRING", ""), ())
        return scorecard.answer(service.editions.current.snapshot.rendering.scorecard)

    def bitcoin_view() -> Response:
        if ERROR in request.environ:
            raise request.environ[ERROR]
        answer = service.bitcoin(request.environ.get("QUERY_STRING", ""))
        return Response(answer.body, headers=answer.headers)

    app.add_url_rule("/bitcoin", "/bitcoin", bitcoin_view)
    add("/forecast/<path:pair>", forecast, service.cached_headers)
    add("/probability/<path:pair>", probability, service.cached_headers)
    add("/model", without_parameters(lambda rendered: rendered.model), service.cached_headers)
    add("/version", without_parameters(lambda rendered: rendered.version), revalidated)
    if service.database is None:
        add("/scorecard", without_parameters(lambda rendered: rendered.scorecard), service.cached_headers)
        add("/pairs", without_parameters(lambda rendered: rendered.pairs), service.cached_headers)
        add("/openapi.json", lambda snapshot, *_: document(snapshot, None), revalidated)
    else:
        scorecard = collected_routes.LiveScorecard(service.database, service.clock)
        app.add_url_rule("/scorecard", "/scorecard", partial(live_scorecard, scorecard))
        app.add_url_rule("/pairs", "/pairs", partial(live_pairs, service.database))
        app.add_url_rule("/openapi.json", "/openapi.json", partial(live_document, service.database))


def _add_operator_routes(app: Flask, service: Service) -> None:
    def ready() -> AnyResponse:
        if service.draining.is_set():
            return _problem(problems.DRAINING)
        return _state({"status": "ready", "simulated": service.editions.current.model.card.simulated})

    def fresh() -> AnyResponse:
        edition = service.editions.current
        ages = freshness(edition.model, service.clock(), service.stale_after, edition.snapshot.schedule)
        return _problem(stale(ages)) if ages.stale else _state({"status": "fresh", **plain.encode(ages)})

    def exposition() -> Response:
        headers = {"Cache-Control": "no-store"}
        return Response(service.metrics.exposition(), content_type=metrics.CONTENT_TYPE, headers=headers)

    app.add_url_rule("/livez", "livez", lambda: _state({"status": "alive"}))
    app.add_url_rule("/readyz", "readyz", ready)
    app.add_url_rule("/fresh", "fresh", fresh)
    app.add_url_rule("/metrics", "metrics", exposition)


def _add_documentation(app: Flask, service: Service) -> None:
    def page() -> Response:
        card = service.editions.current.model.card
        policy = [("Content-Security-Policy", swagger.CONTENT_SECURITY_POLICY), ("Cache-Control", "no-cache")]
        headers = [*policy, *simulated_header(card.simulated)]
        return Response(swagger.page(card), content_type=swagger.PAGE_TYPE, headers=headers)

    def page_file(file: str) -> Response:
        if file not in swagger.FILES:
            raise NotFound
        headers = {"Cache-Control": f"public, max-age={_DAY}"}
        return Response(swagger.read(file), content_type=swagger.FILES[file], headers=headers)

    app.add_url_rule("/docs", "docs", page)
    app.add_url_rule("/docs/<file>", "docs_file", page_file)


def _state(members: dict[str, object]) -> Response:
    headers = [("Cache-Control", "no-store"), *simulated_header(members.get("simulated") is True)]
    return Response(f"{json.dumps(members)}\n", content_type="application/json", headers=headers)


def _http_error(error: HTTPException) -> AnyResponse:
    response = error.get_response(request.environ)  # has headers such as Allow
    if response.status_code < 400:
        return response
    if response.status_code >= 500:
        return _problem(problems.INTERNAL, response.headers)
    details = {
        404: "this address does not exist; /docs lists those that do",
        413: "the body of this request is too long",
        405: f"{shortened(request.method)} is not supported here; the header Allow lists what is",
    }
    default = error.description or "this request cannot be answered"
    return _problem(Problem(response.status_code, details.get(response.status_code, default)), response.headers)


def _problem(problem: Problem, others: Iterable[tuple[str, str]] = ()) -> AnyResponse:
    """Return the answer, with other headers where the problem does not have them."""
    rendered = problem.rendered()
    return Response(rendered.body, problem.status, dict([*others, *rendered.headers]))


def _finish(response: AnyResponse) -> AnyResponse:
    """Evaluate the conditions of the request, record its route, and add the headers of every answer."""
    if request.method in {"GET", "HEAD"} and 200 <= response.status_code < 300:
        etag, last_modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
        status = conditional.evaluate(request.environ, etag, last_modified)
        if status == HTTPStatus.PRECONDITION_FAILED:
            response = _problem(problems.PRECONDITION_FAILED)
        elif status == HTTPStatus.NOT_MODIFIED:
            response.status_code = status
            del response.headers["Content-Encoding"]  # describes a body, which 304 does not have
            response.set_data(b"")
    if request.url_rule is not None:
        request.environ[ROUTE] = template(request.url_rule.rule)
    for name, value in COMMON:
        response.headers.setdefault(name, value)
    return response
