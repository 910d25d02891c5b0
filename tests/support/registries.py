"""Read a real registry on loopback, and make it fail."""

import contextlib
import http.client
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.indexes import INDEX, MANIFEST

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"  # what older engines push
_HOP = {"transfer-encoding", "connection", "content-length", "date", "server"}  # headers that a proxy sets itself

needs_skopeo = pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")


def digest_at(reference: str) -> str | None:
    """Return the digest of a tag in a registry on loopback; None if the tag does not exist."""
    name, _, tag = reference.rpartition(":")
    host, _, repository = name.partition("/")
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request(
            "HEAD", f"/v2/{repository}/manifests/{tag}", headers={"Accept": f"{INDEX}, {MANIFEST}, {DOCKER}"}
        )
        answer = connection.getresponse()
        return answer.getheader("Docker-Content-Digest") if answer.status == http.client.OK else None
    finally:
        connection.close()


# Maps method and path to a status, to True for 500, to a path to request instead, or to False for no fault.
Fails = Callable[[str, str], bool | int | str]


@contextlib.contextmanager
def failing(registry: str, fails: Fails, of: str = "") -> Iterator[str]:
    """Run a proxy for a registry that applies `fails` to paths ending with `of`; yield its address."""

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            """Answer every method in the same way."""
            self.raw_requestline = self.rfile.readline(65_537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status = self.path.endswith(of) and fails(self.command, self.path)
            if not status or isinstance(status, str):
                self._forward(status or self.path, body)
            else:
                kind = {"Content-Type": "application/json"}
                self._answer(500 if status is True else status, kind, b'{"errors":[{"code":"UNKNOWN"}]}')

        def _forward(self, path: str, body: bytes) -> None:
            connection = http.client.HTTPConnection(registry, timeout=30)
            try:
                connection.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():  # Accept comes several times
                    connection.putheader(name, value)
                connection.endheaders(body)
                answer = connection.getresponse()
                self._answer(answer.status, dict(answer.getheaders()), answer.read())
            finally:
                connection.close()

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
            for name, value in headers.items():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 http.server's signature
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
