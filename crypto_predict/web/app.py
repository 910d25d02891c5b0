"""The application: the endpoints and the documentation behind Flask, and what stands before it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flask import Flask, Request, Response, request
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import MapAdapter
from werkzeug.wrappers import Response as AnyResponse

from crypto_predict.baked.index import Index
from crypto_predict.baked.schema import Model
from crypto_predict.errors import DatabaseError
from crypto_predict.market import Interval, SeriesKey
from crypto_predict.settings import ServeSettings
from crypto_predict.web.collected.administration import Administration, Connect
from crypto_predict.web.collected.calls import Call
from crypto_predict.web.collected.database import Connection, Database, Overloaded
from crypto_predict.web.collected.endpoint import Sample
from crypto_predict.web.collected.series import example
from crypto_predict.web.documentation import openapi, swagger
from crypto_predict.web.editions import Editions
from crypto_predict.web.folder.editions import AnyEditions, FolderEditions
from crypto_predict.web.folder.endpoint import Folder
from crypto_predict.web.hot import hot
from crypto_predict.web.http import problems, sending
from crypto_predict.web.http.operation import template
from crypto_predict.web.http.problems import Problem
from crypto_predict.web.http.response import COMMON, Rendered, render, simulated_header
from crypto_predict.web.live import LiveForecasts
from crypto_predict.web.model.endpoint import ModelOperation
from crypto_predict.web.model.snapshots import Snapshot
from crypto_predict.web.operations.access_log import ROUTE, Log, observed
from crypto_predict.web.operations.health import Health
from crypto_predict.web.operations.metrics import Metrics
from crypto_predict.web.page import outages as outage_routes
from crypto_predict.web.page import routes as page_routes
from crypto_predict.web.page.html import Site

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

OPENAPI = "/openapi.json"

_FILES = [f"{operation.rule}.csv" for operation in openapi.of_database() if operation.is_file]
_SLOW = [*(operation.rule for operation in openapi.of_database()), *_FILES, *outage_routes.RULES, OPENAPI]
# Whether an address reads the database, and so may keep a thread for long.
is_slow = re.compile("|".join(re.sub("<.*>", ".+", rule) for rule in _SLOW)).fullmatch
# The requests whose body is used, by method and path, and the limit of its size in bytes (exclusive).
BODIES = {
    (operation.method, operation.rule): operation.body_bytes
    for operation in openapi.of_database()
    if operation.body_bytes
}


# How a database is opened: for reading, and for one change of the collected pairs; None: they cannot be changed.
Access = tuple[Callable[[], Connection], Connect | None]


class Service:
    """What the endpoints need, beginning with a model, or with the index of the folder in `settings`.

    ``/readyz`` answers 503 once the server sets `draining`.

    `access` opens the database, if there is one. Half of the threads may read it at once. The collected pairs can be
    changed if it has a registry and `settings` have a token.
    """

    def __init__(
        self,
        content: Model | Index,
        settings: ServeSettings,
        clock: Callable[[], datetime],
        draining: threading.Event,
        access: Access | None = None,
    ) -> None:
        site = Site(
            live=access is not None,
            static=False,
            address=settings.site_url,
            stale_after=settings.stale_after,
            repository_url=settings.repository_url,
        )
        self.settings, self.clock, self.draining, self.site = settings, clock, draining, site  # the clock is in UTC
        self.editions: AnyEditions = (
            FolderEditions(content, settings, site, clock)
            if isinstance(content, Index)
            else Editions(content, settings, site, clock)
        )
        self.metrics = Metrics(self.editions.state)
        if isinstance(self.editions, FolderEditions):
            for name, meaning, value in self.editions.totals():
                self.metrics.add_total(name, meaning, value)
        self.database: Database | None = None
        self.live: LiveForecasts | None = None
        self.administration: Administration | None = None
        if access is not None:
            connect, registry = access
            self.database = database = Database(connect, max(1, settings.threads // 2))
            self.live = LiveForecasts(self.editions, database, clock)
            meaning = "Rows of the database left out of answers because they are damaged."
            self.metrics.add_total("crypto_predict_damaged_rows", meaning, lambda: database.damaged)
            if settings.admin_token and registry:
                self.administration = Administration(settings.admin_token, registry)

    def call(self) -> Call:
        """Return the present request as endpoints of the database take it; without a database, raise a `Problem`."""
        if self.database is None:
            raise Problem(404, "this service has no database, so it has no candles; api.py --database URL serves them")
        return Call(request, self.clock(), self.database, self.editions, self.administration)


def create_app(service: Service, log: Log | None) -> WSGIApplication:
    """Create the whole application: Flask behind `hot`, refusals and observation, with a `log` of requests."""
    application = hot(create_flask_app(service), service.editions, service.clock)
    return observed(problems.refusing(application), service.metrics, log)


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def create_flask_app(service: Service) -> Flask:
    """Create the application with every route."""
    app = _HostlessFlask(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # do not redirect //a to /a
    _add_operations(app, service)
    _add_documentation(app, service)
    page_routes.add_routes(app, service.editions, service.site)
    outage_routes.add_routes(app, service.call, service.site)
    for kind in problems.ANSWERED:
        app.register_error_handler(kind, lambda error: sending.problem_response(problems.of_error(error)))
    app.register_error_handler(HTTPException, lambda error: sending.error_response(request, error))
    app.after_request(_finish)
    return app


class _HostlessFlask(Flask):
    """Accepts every host, and does not name one in a redirect."""

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Match a request by method and path alone; an empty path is the root (RFC 9112, section 3.2.2)."""
        if request is None:
            return None
        return self.url_map.bind("", path_info=request.path, default_method=request.method)


def _add_operations(app: Flask, service: Service) -> None:
    def of_model(answer: Callable[..., Rendered], *, is_live: bool) -> Callable[..., Response]:
        def view(**path: str) -> Response:
            editions, pair = service.editions, path.get("pair")
            snapshot = editions.answering(pair) if is_live else editions.snapshot(pair)
            return _sent(answer(snapshot, service.clock(), _query(), **path), *COMMON)

        return view

    def of_folder(answer: Callable[..., Rendered], folder: Folder) -> Callable[..., Response]:
        return lambda: _sent(answer(folder, service.clock(), _query()), *COMMON)

    def of_server(answer: Callable[..., Rendered]) -> Callable[..., Response]:
        editions, more = service.editions, (service.settings.stale_after, service.draining, service.metrics)
        return lambda: _sent(answer(Health(editions.facts, editions.schedule, service.clock(), *more)))

    def of_database(answer: Callable[..., Rendered], ending: str = "") -> Callable[..., Response]:
        return lambda **path: _sent(answer(service.call(), **{name: part + ending for name, part in path.items()}))

    views: dict[tuple[str, str], Callable[..., Response]] = {}
    for operation in openapi.of_model():
        if operation.tag == "operation":
            view = of_server(operation.answer)
        else:
            view = of_model(operation.answer, is_live=isinstance(operation, ModelOperation) and operation.live)
        views[operation.rule, operation.method] = view
    if isinstance(service.editions, FolderEditions):
        for listing in openapi.of_folder():
            views[listing.rule, listing.method] = of_folder(listing.answer, service.editions)
    for extension in openapi.of_database():
        rule, method = extension.rule, extension.method
        if service.database is not None or (method == "GET" and (rule, method) not in views):
            views[rule, method] = of_database(extension.answer)
            if extension.is_file:
                views[f"{rule}.csv", method] = of_database(extension.answer, ".csv")
    for (rule, method), view in views.items():
        app.add_url_rule(rule, f"{method} {rule}", view, methods=[method])


def _add_documentation(app: Flask, service: Service) -> None:
    def document(snapshot: Snapshot, sample: Sample | None = None) -> Rendered:
        key = None if sample is None else (sample.series, sample.day)
        rendered = snapshot.documents.get(key)
        if rendered is None:
            folder = service.editions if isinstance(service.editions, FolderEditions) else None
            described = openapi.document(snapshot, service.settings.repository_url, sample, folder)
            rendered = render(described, simulated=snapshot.answers.model.card.simulated)
            snapshot.documents.clear()  # keep the last one
            snapshot.documents[key] = rendered
        return rendered

    def document_view() -> Response:
        snapshot = service.editions.snapshot()
        if service.database is None:
            return _sent(document(snapshot), *snapshot.validity.revalidated(service.clock()), *COMMON)
        call = service.call()
        return _sent(call.live(document(snapshot, _sample(call, snapshot))))

    def page() -> Response:
        card = service.editions.snapshot().answers.model.card
        policy = [("Content-Security-Policy", swagger.CONTENT_SECURITY_POLICY), ("Cache-Control", "no-cache")]
        headers = [*policy, *simulated_header(card.simulated)]
        return Response(swagger.page(card), content_type=swagger.PAGE_TYPE, headers=headers)

    def page_file(file: str) -> Response:
        if file not in swagger.FILES:
            raise NotFound
        headers = {"Cache-Control": f"public, max-age={sending.CACHED_SECONDS}"}
        return Response(swagger.read(file), content_type=swagger.FILES[file], headers=headers)

    app.add_url_rule(OPENAPI, OPENAPI, document_view)
    app.add_url_rule("/docs", "docs", page)
    app.add_url_rule("/docs/<file>", "docs_file", page_file)


def _sample(call: Call, snapshot: Snapshot) -> Sample:
    """Return a series that the documentation can ask for; if the database has none or cannot be read, of the model."""
    pair, facts = next(iter(snapshot.answers.model.card.pairs.items()))
    series, first = SeriesKey(facts.source, pair, Interval.DAY_1), facts.last
    with suppress(DatabaseError, Overloaded), call.reading() as reader:
        shown = example(reader)
        if shown is not None:
            series, first = shown.series, shown.first_open or first
    return Sample(snapshot, series, Interval.DAY_1.floor(first))


def _query() -> str:
    return str(request.environ.get("QUERY_STRING", ""))


def _sent(answer: Rendered, *more: tuple[str, str]) -> Response:
    return Response(answer.body, answer.status, [*answer.headers, *more])


def _finish(response: AnyResponse) -> AnyResponse:
    """Finish the response, and record the route."""
    if request.url_rule is not None:
        request.environ[ROUTE] = template(request.url_rule.rule)
    return sending.finished(request, response)
