"""The Flask application. Views do what is HTTP's and leave the rest to `Service`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache, partial
from http import HTTPStatus

from flask import Flask, Request, Response, redirect, request
from flask_cors import CORS
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import MapAdapter
from werkzeug.wrappers import Response as AnyResponse

from crypto_predict.errors import CryptoPredictError
from crypto_predict.web import conditions, metrics, problems, swagger
from crypto_predict.web.answers import Answer
from crypto_predict.web.caching import COMMON, Headers
from crypto_predict.web.observing import ROUTE
from crypto_predict.web.problems import Problem
from crypto_predict.web.provenance import simulated_header
from crypto_predict.web.questions import shortened
from crypto_predict.web.service import Service

PREFLIGHT_SECONDS = 86_400  # a preflight's answer never changes
FILE_SECONDS = 86_400  # Swagger UI's files change with a release


class _HostlessFlask(Flask):
    """No answer depends on the host that was asked: none is refused for it, and no redirect names one."""

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Match a request by method and path alone; an empty path is the root (RFC 9112, section 3.2.2)."""
        if request is None:
            return None
        return self.url_map.bind("", path_info=request.path, default_method=request.method)


def create_flask_app(service: Service) -> Flask:
    """The application with every route."""
    app = _HostlessFlask(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # an address is itself, never another one's redirect
    _add_model_routes(app, service)
    _add_operator_routes(app, service)
    _add_documentation_routes(app, service)
    for kind in problems.STATUS:
        app.register_error_handler(kind, _project_error)
    app.register_error_handler(HTTPException, _http_error)
    app.after_request(_finish)
    CORS(app, send_wildcard=True, methods=["GET", "HEAD", "OPTIONS"], max_age=PREFLIGHT_SECONDS)
    return app


def template(rule: str) -> str:
    """A route as OpenAPI and the metrics write it: ``/forecast/{pair}``."""
    return rule.replace("<path:", "{").replace("<", "{").replace(">", "}")


def _add_model_routes(app: Flask, service: Service) -> None:
    answers = service.answers
    kept, asked_anew = service.kept_headers, service.release_headers
    app.add_url_rule("/bitcoin", "bitcoin", lambda: _json(answers.bitcoin(_query()), kept))
    app.add_url_rule("/forecast/<path:pair>", "forecast", lambda pair: _json(answers.forecast(pair, _query()), kept))
    app.add_url_rule("/pairs", "pairs", lambda: _json(answers.pairs(_query()), kept))
    app.add_url_rule("/model", "model", lambda: _json(answers.model(_query()), kept))
    app.add_url_rule("/scorecard", "scorecard", lambda: _json(answers.scorecard(_query()), kept))
    app.add_url_rule("/version", "version", lambda: _json(answers.version(_query()), asked_anew))


def _add_operator_routes(app: Flask, service: Service) -> None:
    app.add_url_rule("/livez", "livez", lambda: _state(status="alive"))
    app.add_url_rule("/readyz", "readyz", partial(_readyz, service))
    app.add_url_rule("/fresh", "fresh", partial(_fresh, service))
    app.add_url_rule("/metrics", "metrics", partial(_metrics, service))


def _add_documentation_routes(app: Flask, service: Service) -> None:
    @cache
    def openapi() -> Answer:
        from crypto_predict.web.openapi import document  # noqa: PLC0415 no other answer waits for what it imports

        body = f"{json.dumps(document(service.model, service.repository_url))}\n".encode()
        return Answer(body, simulated_header(service.model.card.simulated))

    app.add_url_rule("/", "root", lambda: redirect("/docs"))
    app.add_url_rule("/openapi.json", "openapi", lambda: _json(openapi(), service.release_headers))
    app.add_url_rule("/docs", "docs", partial(_docs, service))
    app.add_url_rule("/docs/<file>", "docs_file", _docs_file)


def _query() -> str:
    query: str = request.environ.get("QUERY_STRING", "")
    return query


def _json(answer: Answer, headers_of: Callable[[Answer], Headers]) -> Response:
    return Response(answer.body, headers=headers_of(answer))


def _state(**members: object) -> Response:
    headers = [("Cache-Control", "no-store"), *_marked(members)]
    return Response(f"{json.dumps(members)}\n", content_type="application/json", headers=headers)


def _marked(members: Mapping[str, object]) -> Headers:
    """The header that repeats the member `simulated`."""
    return simulated_header(members.get("simulated") is True)


def _readyz(service: Service) -> Response:
    service.check_ready()
    return _state(status="ready", simulated=service.model.card.simulated)


def _fresh(service: Service) -> Response:
    return _state(status="fresh", **service.check_fresh().members())


def _metrics(service: Service) -> Response:
    return Response(
        service.metrics.exposition(), content_type=metrics.CONTENT_TYPE, headers={"Cache-Control": "no-store"}
    )


def _docs(service: Service) -> Response:
    headers = [
        ("Content-Security-Policy", swagger.CONTENT_SECURITY_POLICY),
        ("Cache-Control", "no-cache"),
        *simulated_header(service.model.card.simulated),
    ]
    return Response(swagger.page(service.model.card), content_type=swagger.PAGE_TYPE, headers=headers)


def _docs_file(file: str) -> Response:
    if file not in swagger.FILES:
        raise NotFound
    lifetime = {"Cache-Control": f"public, max-age={FILE_SECONDS}"}
    return Response(swagger.read(file), content_type=swagger.FILES[file], headers=lifetime)


def _project_error(error: CryptoPredictError) -> AnyResponse:
    return _problem(Response(), problems.of_error(error))


def _http_error(error: HTTPException) -> AnyResponse:
    response = error.get_response(request.environ)  # carries Allow and its like
    if response.status_code < 400:
        return response
    problem = problems.internal() if response.status_code >= 500 else Problem(response.status_code, _said(error))
    return _problem(response, problem)


def _said(error: HTTPException) -> str:
    if error.code == 405:
        return f"{shortened(request.method)} is not possible here: this service is only read"
    if error.code == 404:
        return "there is nothing at this address; /docs lists what there is"
    return error.description or "this request cannot be answered"


def _problem(response: AnyResponse, problem: Problem) -> AnyResponse:
    response.status_code = problem.status
    response.set_data(problem.body())
    response.content_type = problems.CONTENT_TYPE
    response.headers["Cache-Control"] = "no-store"
    response.headers.extend(_marked(problem.members))
    return response


def _finish(response: AnyResponse) -> AnyResponse:
    """Heed the conditions of the request, say which route it was, add the headers that every answer carries."""
    response = _conditioned(response)
    if request.url_rule is not None:
        request.environ[ROUTE] = template(request.url_rule.rule)
    for name, value in COMMON:
        response.headers.setdefault(name, value)
    return response


def _conditioned(response: AnyResponse) -> AnyResponse:
    """The answer, or what the conditions of the request put in its place. Only what would be sent has conditions."""
    if request.method not in {"GET", "HEAD"} or not 200 <= response.status_code < 300:
        return response
    status = conditions.evaluate(request.environ, response.headers.get("ETag"), response.headers.get("Last-Modified"))
    if status == HTTPStatus.PRECONDITION_FAILED:
        return _problem(Response(), problems.precondition_failed())
    if status == HTTPStatus.NOT_MODIFIED:
        response.status_code = 304
        response.set_data(b"")
    return response
