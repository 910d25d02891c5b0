"""Images made by hand for real registries, and a registry that fails on cue."""

import contextlib
import hashlib
import http.client
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"  # what older engines push
_HOP = {"transfer-encoding", "connection", "content-length", "date", "server"}  # headers that a proxy makes itself

needs_skopeo = pytest.mark.skipif(shutil.which("skopeo") is None, reason="there is no skopeo here")


class Layout:
    """An OCI image layout in a folder: one index of two architectures and an attestation, as BuildKit pushes it."""

    def __init__(self, folder: Path, content: bytes) -> None:
        self._blobs = folder / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)
        self.folder = folder
        manifests = [self._manifest(content, architecture) for architecture in ("amd64", "arm64", "unknown")]
        index = self._described({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}, INDEX)
        self.digest = str(index["digest"])
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [index]}))

    def push(self, reference: str) -> str:
        """Put it into a registry on loopback; returns its reference by digest."""
        source, target = f"oci:{self.folder}", f"docker://{reference}"
        command = ["skopeo", "copy", "--quiet", "--all", "--preserve-digests", "--dest-tls-verify=false"]
        subprocess.run([*command, source, target], check=True, capture_output=True, timeout=60)
        return f"{reference.rpartition(':')[0]}@{self.digest}"

    def _manifest(self, content: bytes, architecture: str) -> dict[str, Any]:
        layer = self._blob(content + architecture.encode(), LAYER)
        system = "unknown" if architecture == "unknown" else "linux"
        history = {"type": "layers", "diff_ids": [layer["digest"]]}
        config = self._described({"architecture": architecture, "os": system, "rootfs": history}, CONFIG)
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
        return {
            **self._described(manifest, MANIFEST),
            "platform": {"architecture": architecture, "os": system},
        }

    def _described(self, content: dict[str, Any], kind: str) -> dict[str, Any]:
        return self._blob(json.dumps(content).encode(), kind)

    def _blob(self, data: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (self._blobs / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}


def digest_at(reference: str) -> str | None:
    """The digest that a tag of a registry on loopback names, asked over plain HTTP; None where there is no such tag."""
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


Fails = Callable[[str, str], bool]  # from method and path of a request to whether it is answered with 500


@contextlib.contextmanager
def failing(registry: str, fails: Fails) -> Iterator[str]:
    """The registry by way of a proxy that answers some requests with 500; gives the proxy's address."""

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            """Answer whatever method it is in one and the same way."""
            self.raw_requestline = self.rfile.readline(65_537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if fails(self.command, self.path):
                self._answer(500, {"Content-Type": "application/json"}, b'{"errors":[{"code":"UNKNOWN"}]}')
            else:
                self._forward(body)

        def _forward(self, body: bytes) -> None:
            connection = http.client.HTTPConnection(registry, timeout=30)
            try:
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
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
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 http.server's signature
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
