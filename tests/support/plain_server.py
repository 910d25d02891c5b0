"""The HTTP server with a small application and with limits of a test, as a process of its own.

``python -m tests.support.plain_server '{"descriptors": 40, "limits": {"request": 0.5}}'``
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from crypto_predict import logs
from crypto_predict.http_server.connections import Limits, Site
from crypto_predict.http_server.parser import REFUSAL
from crypto_predict.http_server.server import Server, listen
from tests.support.serving import Served, running

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

LARGE = bytes(range(256)) * 2**14  # the answer to /large, 4 MiB
PATIENT = Limits(request=600, stall=600, idle=600, linger=600, stop=600)  # longer than any test


def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Answer with a large or a small body, or never."""
    refusal = environ.get(REFUSAL)
    if environ["PATH_INFO"] == "/hang":
        threading.Event().wait()
    body = refusal.detail.encode() if refusal else LARGE if environ["PATH_INFO"] == "/large" else b"here"
    start_response(f"{refusal.status if refusal else 200} -", [("Content-Length", str(len(body)))])
    return [body]


@contextmanager
def plain_server(limits: Limits, descriptors: int | None = None) -> Iterator[Served]:
    """Run the server with two threads and these limits; kill it at the end if it still runs."""
    options = json.dumps({"descriptors": descriptors, "limits": asdict(limits)})
    with running("-m", "tests.support.plain_server", options) as process:
        yield Served(process)


def main(options: str) -> None:
    given = json.loads(options)
    if given["descriptors"]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (given["descriptors"],) * 2)
    lines = logs.Lines(sys.stdout.fileno())
    logs.configure("info", lines.write)
    site = Site(application)
    server = Server(site, listen("127.0.0.1", 0), 2, threading.Event(), Limits(**given["limits"]))
    host, port = server.addresses[0]
    logs.event(logging.getLogger(), logging.INFO, "serving", address=f"http://{host}:{port}")
    server.run()
    lines.close(10)


if __name__ == "__main__":
    main(sys.argv[1])
