"""The addresses that are asked for most: ``/bitcoin`` and the pages. Flask, which takes longer, never sees them."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.wrappers import Request, Response

from crypto_predict.web.editions import Editions
from crypto_predict.web.folder.editions import AnyEditions
from crypto_predict.web.http import problems, sending
from crypto_predict.web.http.response import COMMON, Rendered
from crypto_predict.web.model import bitcoin
from crypto_predict.web.operations.access_log import ROUTE

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

BITCOIN = bitcoin.OPERATION.rule
METHODS = ("GET", "HEAD", "OPTIONS")


def hot(application: "WSGIApplication", editions: AnyEditions, clock: Callable[[], datetime]) -> "WSGIApplication":
    """Return an application that answers all requests for these addresses, and passes on those for others."""

    def respond(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path, method = environ["PATH_INFO"] or "/", environ["REQUEST_METHOD"]
        pages = editions.current if isinstance(editions, Editions) else editions.pages_at(path)
        resource = None if pages is None else pages.resources.get(path)
        if pages is None or (path != BITCOIN and resource is None):
            # An error inside Flask keeps this frame, and so would keep the model, until garbage is collected.
            del pages
            return application(environ, start_response)

        try:
            if method not in METHODS:
                raise MethodNotAllowed(METHODS)
            environ[ROUTE] = BITCOIN if resource is None else resource.route
            if method == "OPTIONS":
                response = Response(content_type="text/html; charset=utf-8")
                response.allow.update(METHODS)
            else:
                if resource is None:
                    price = bitcoin.answer(pages.answering(), clock(), environ["QUERY_STRING"])
                    answer = Rendered(price.body, [*price.headers, *COMMON])
                else:
                    answer = pages.answer(path, environ.get("HTTP_ACCEPT_ENCODING"))
                if method == "GET" and sending.CONDITIONS.isdisjoint(environ):
                    start_response("200 OK", answer.headers)
                    return [answer.body]
                response = Response(answer.body, headers=answer.headers)
        except problems.ANSWERED as error:
            response = sending.problem_response(problems.of_error(error))
        except HTTPException as error:
            response = sending.error_response(Request(environ), error)
        return sending.finished(Request(environ), response)(environ, start_response)

    return respond
