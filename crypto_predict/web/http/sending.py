"""The last step of every response: conditions, what other origins may read, and the headers of every answer."""

import re
from collections.abc import Iterable
from http import HTTPStatus

from flask_cors.core import get_cors_headers, serialize_options
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from crypto_predict.errors import shortened
from crypto_predict.web.http import conditional, problems
from crypto_predict.web.http.problems import Problem
from crypto_predict.web.http.response import COMMON

CACHED_SECONDS = 86_400  # of preflights and the files of Swagger UI: they change with a release at most

# Pages of other origins may read, with any header but that of the administrator.
_READS = serialize_options(
    {
        "origins": "*",
        "always_send": True,
        "send_wildcard": True,
        "max_age": CACHED_SECONDS,
        "methods": ["GET", "HEAD", "OPTIONS"],
        "allow_headers": re.compile(r"(?!authorization$).*", re.IGNORECASE),
    }
)


def finished(request: Request, response: Response) -> Response:
    """Evaluate the conditions of a request, and add the headers of every answer."""
    if request.method in {"GET", "HEAD"} and 200 <= response.status_code < 300:
        etag, last_modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
        status = conditional.evaluate(request.environ, etag, last_modified)
        if status == HTTPStatus.PRECONDITION_FAILED:
            response = problem_response(problems.PRECONDITION_FAILED)
        elif status == HTTPStatus.NOT_MODIFIED:
            response.status_code = status
            del response.headers["Content-Encoding"]  # describes a body, which 304 does not have
            response.set_data(b"")
    if COMMON[0][0] not in response.headers:
        for name, value in get_cors_headers(_READS, request.headers, request.method).items():
            response.headers.add(name, str(value))
    for name, value in COMMON:
        response.headers.setdefault(name, value)
    return response


def problem_response(problem: Problem, others: Iterable[tuple[str, str]] = ()) -> Response:
    """Return the response to a problem, with other headers where the problem does not have them."""
    rendered = problem.rendered()
    return Response(rendered.body, problem.status, dict([*others, *rendered.headers]))


def error_response(request: Request, error: HTTPException) -> Response:
    """Return the response to an error of Werkzeug, or what it redirects to."""
    response = error.get_response(request.environ)  # has headers such as Allow
    if response.status_code < 400:
        return response
    if response.status_code >= 500:
        return problem_response(problems.INTERNAL, response.headers)
    details = {
        404: "this address does not exist; /docs lists those that do",
        413: "the body of this request is too long",
        405: f"{shortened(request.method)} is not supported here; the header Allow lists what is",
    }
    default = error.description or "this request cannot be answered"
    return problem_response(Problem(response.status_code, details.get(response.status_code, default)), response.headers)
