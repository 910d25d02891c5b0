"""The last step of every response: conditions, what other origins may read, and the headers of every answer.

Conditional requests (RFC 9110, section 13) are those with GET and HEAD. A date that cannot be parsed is ignored, as the
standard demands. An entity tag that cannot be parsed does not match.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask_cors.core import get_cors_headers, serialize_options
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from crypto_predict.errors import shortened
from crypto_predict.web.http import problems
from crypto_predict.web.http.problems import Problem
from crypto_predict.web.http.response import COMMON

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

CACHED_SECONDS = 86_400  # of preflights and the files of Swagger UI: they change with a release at most

CONDITIONS = frozenset({"HTTP_IF_MATCH", "HTTP_IF_UNMODIFIED_SINCE", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE"})

# RFC 9110, section 5.6.7: the preferred form, and the two obsolete ones that must be accepted.
_HTTP_DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")

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
        status = evaluate(request.environ, etag, last_modified)
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


def evaluate(environ: WSGIEnvironment, etag: str | None, last_modified: str | None) -> HTTPStatus | None:
    """Return the status that replaces 200 of an answer with these headers by section 13.2.2: 412, 304 or None."""
    if (wanted := environ.get("HTTP_IF_MATCH")) is not None:
        if not _matches(wanted, etag):
            return HTTPStatus.PRECONDITION_FAILED
    elif _is_newer(last_modified, environ.get("HTTP_IF_UNMODIFIED_SINCE")) is True:
        return HTTPStatus.PRECONDITION_FAILED
    if (etags := environ.get("HTTP_IF_NONE_MATCH")) is not None:
        without_marks = ",".join(tag.strip(" \t").removeprefix("W/") for tag in etags.split(","))
        is_same = _matches(without_marks, etag and etag.removeprefix("W/"))  # weakly
        return HTTPStatus.NOT_MODIFIED if is_same else None
    return HTTPStatus.NOT_MODIFIED if _is_newer(last_modified, environ.get("HTTP_IF_MODIFIED_SINCE")) is False else None


def _matches(field: str, etag: str | None) -> bool:
    """Whether the list contains the tag, and it is not weak."""
    # Splitting a tag that contains a comma is harmless: `ETag` never contains one.
    tags = {tag.strip(" \t") for tag in field.split(",")}
    return "*" in tags or (etag in tags and not str(etag).startswith("W/"))


def _is_newer(last_modified: str | None, since: str | None) -> bool | None:
    """Whether the answer changed after `since`; None if one of the two is missing or not an HTTP date."""
    if last_modified is None or since is None:
        return None
    date, changed = _parse(since), _parse(last_modified)
    return None if date is None or changed is None else changed > date


def _parse(text: str) -> datetime | None:
    for form in _HTTP_DATES:
        with contextlib.suppress(ValueError):
            return datetime.strptime(text, form).replace(tzinfo=UTC)
    return None
