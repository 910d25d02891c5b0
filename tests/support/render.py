"""A small Render on this machine: a deploy hook that really starts images, and a site in front of them.

As at Render, the old instance answers until the new one is healthy. An instance that never is healthy never goes live,
and a newer deploy replaces one under way.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import parse_qs, urlsplit

from crypto_predict.release.deploy import Patience
from tests.support.engine import free_port
from tests.support.serving import ROOT

SERVICE, KEY = "srv-x", "s3cr3t-key"
HEALTHY_SECONDS = 30.0  # until an instance is given up; at Render 15 minutes
BELOW = "/crypto"  # the site answers below this path as well
WAKING = b"<html><body>Service waking up</body></html>"


class Instance(Protocol):
    """A running image."""

    port: int  # on loopback

    def ended(self) -> bool:
        """Return whether it has ended by itself."""
        ...

    def close(self) -> None:
        """End it."""
        ...


Launcher = Callable[[str], Instance]  # from an image by digest; raises CannotLaunch


class CannotLaunch(Exception):
    """The image does not exist, or cannot be started."""


@dataclass
class Process:
    """An `api.py` on a free port."""

    port: int
    process: subprocess.Popen[bytes]

    def ended(self) -> bool:
        """Return whether it has ended by itself, as with a damaged model."""
        return self.process.poll() is not None

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(30)


def processes(models: Mapping[str, Path]) -> Launcher:
    """Return a launcher for which an image is a model file."""

    def launch(image: str) -> Instance:
        if image not in models:
            raise CannotLaunch(image)
        port = free_port()
        command = [sys.executable, str(ROOT / "api.py"), "--model", str(models[image]), "--host", "127.0.0.1"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return Process(port, subprocess.Popen([*command, "--port", str(port)], cwd=ROOT, **quiet))  # type: ignore[call-overload]  # of the two keywords

    return launch


@dataclass
class Kept:
    """An instance that others use as well, so that it is ended elsewhere."""

    port: int
    instance: Instance

    def ended(self) -> bool:
        """Return whether the instance has ended by itself."""
        return self.instance.ended()

    def close(self) -> None:
        """Leave it running."""


@contextlib.contextmanager
def kept(launch: Launcher) -> Iterator[Launcher]:
    """Give a launcher that starts each image once, for many Renders one after the other, and ends all at the end."""
    running: dict[str, Instance] = {}

    def launch_once(image: str) -> Instance:
        if image not in running or running[image].ended():
            running[image] = launch(image)
        return Kept(running[image].port, running[image])

    try:
        yield launch_once
    finally:
        for instance in running.values():
            instance.close()


@dataclass
class Container:
    """A container on the network of the host."""

    port: int
    name: str

    def ended(self) -> bool:
        """Return whether it has ended by itself."""
        return _docker("inspect", "--format", "{{.State.Running}}", self.name) != "true"

    def close(self) -> None:
        """End and remove it."""
        _docker("stop", self.name)
        _docker("rm", "--force", self.name)


def containers(image: str) -> Instance:
    """Pull an image and run it, as Render does; a launcher."""
    port = free_port()
    if "@" in image:
        _docker("pull", "--quiet", image)
    where = ("--network", "host", "--env", f"PORT={port}", "--env", "HOST=127.0.0.1")
    return Container(port, _docker("run", "--detach", *where, image))


def _docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise CannotLaunch(done.stderr.strip())
    return done.stdout.strip()


@dataclass
class Request:
    """A request as it arrived, at the hook or at the site."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]  # names in lower case


@dataclass
class Faults:
    """The faults of Render, and their durations. Tests change them while Render runs."""

    hook: deque[HookFault] = field(default_factory=deque)  # what the hook does on its next calls
    site: deque[SiteAnswer] = field(default_factory=deque)  # the site's next answers
    held: int | None = 0  # requests for the version until the site switches; None: it never does
    unhealthy: int = 0  # number of the next images that never are healthy


@dataclass(frozen=True)
class HookFault:
    """The answer of the hook instead of a deploy."""

    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    hangs: bool = False  # does not answer until Render ends
    drips: bool = False  # sends a header that never ends, 20 bytes a second
    echoes: bool = False  # quotes the whole request, as careless gateways do


@dataclass(frozen=True)
class SiteAnswer:
    """The answer of the site instead of the live instance."""

    status: int = 200
    body: bytes = WAKING
    location: str = ""
    endless: bool = False  # sends white space, as fast as it is read, until the client leaves


class Render:
    """A context manager: inside, the hook is at `hook` and the site at `site`."""

    def __init__(self, launcher: Launcher) -> None:
        self.faults = Faults()
        self.hook_requests: list[Request] = []
        self.site_requests: list[Request] = []  # at the site
        self.switched: list[str] = []  # images that went live, in order
        self._poured: list[int] = []  # bytes of each endless answer that has ended
        self._launcher = launcher
        self._live: Instance | None = None
        self._next: tuple[str, Instance] | None = None  # healthy, and held back
        self._waiting: deque[str] = deque()  # images to deploy
        self._working = False
        self._ending = threading.Event()
        self._changed = threading.Condition(threading.RLock())
        self._servers = [_Server(self._hook), _Server(self._site)]
        self._worker = threading.Thread(target=self._work, daemon=True)

    @property
    def hook(self) -> str:
        """The address of the deploy hook, secret included."""
        return f"{self._servers[0].url}/deploy/{SERVICE}?key={KEY}"

    @property
    def site(self) -> str:
        """The address at which the live instance answers."""
        return self._servers[1].url

    def __enter__(self) -> Self:
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        with self._changed:
            self._changed.notify_all()
        self._worker.join(60)
        for server in self._servers:
            server.close()
        for instance in (self._live, self._next[1] if self._next else None):
            if instance is not None:
                instance.close()

    def run(self, image: str) -> None:
        """Deploy an image, and wait until it is live."""
        self._accept(image)
        self.settle()
        assert self.switched[-1:] == [image]

    def settle(self) -> None:
        """Wait until every deploy so far is live, given up or held back."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._working and not self._waiting, timeout=90)

    def poured(self, answers: int) -> int:
        """Wait until this number of endless answers have ended, and return the bytes they sent."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._poured) == answers, timeout=60)
            return sum(self._poured)

    def _accept(self, image: str) -> None:
        with self._changed:
            self._waiting.append(image)
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._working = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._ending.is_set())
                if self._ending.is_set():
                    return
                image, self._working = self._waiting.popleft(), True
            self._deploy(image)

    def _deploy(self, image: str) -> None:
        try:
            instance = self._launcher(image)
        except CannotLaunch:
            return
        if not self._becomes_healthy(instance):
            instance.close()
            return
        with self._changed:
            superseded, self._next = self._next, (image, instance)
            if self.faults.held == 0:
                self._switch()
        if superseded is not None:
            superseded[1].close()

    def _becomes_healthy(self, instance: Instance) -> bool:
        if self.faults.unhealthy:
            self.faults.unhealthy -= 1
            return False
        deadline = time.monotonic() + HEALTHY_SECONDS
        while time.monotonic() < deadline and not instance.ended() and not self._waiting and not self._ending.is_set():
            if _status(instance.port) == 200:
                return True
            self._ending.wait(0.05)
        return False

    def _switch(self) -> None:
        if self._next is None:
            return
        old, (image, self._live), self._next = self._live, self._next, None
        self.switched.append(image)
        if old is not None:
            old.close()

    def _hook(self, handler: _Handler) -> None:
        self.hook_requests.append(request := handler.request_made())
        if self.faults.hook:
            self._fail(handler, self.faults.hook.popleft())
        elif request.method != "POST" or request.path != f"/deploy/{SERVICE}" or request.query.get("key") != [KEY]:
            handler.answer(401, b"Unauthorized", "text/plain")
        elif len(images := request.query.get("imgURL", [])) != 1:
            handler.answer(400, b"imgURL is needed once", "text/plain")
        else:
            self._accept(images[0])
            accepted = {"deploy": {"id": f"dep-{len(self.hook_requests)}"}}
            handler.answer(200, json.dumps(accepted).encode(), "application/json")

    def _fail(self, handler: _Handler, fault: HookFault) -> None:
        if fault.hangs:
            self._ending.wait()
            return
        if fault.drips:
            handler.drip(self._ending)
            return
        body = f"{handler.requestline} was not possible".encode() if fault.echoes else b"it was not possible"
        handler.answer(fault.status, body, "text/plain", fault.headers)

    def _site(self, handler: _Handler) -> None:
        self.site_requests.append(request := handler.request_made())
        if request.path.endswith("/version"):
            self._count_down()
        live = self._live
        fault = self.faults.site.popleft() if self.faults.site else None
        if fault is not None and fault.endless:
            sent = handler.pour(self._ending)
            with self._changed:
                self._poured.append(sent)
                self._changed.notify_all()
            return
        if fault is not None or live is None:
            fault = fault or SiteAnswer(502)
            moved = {"Location": fault.location} if fault.location else {}
            handler.answer(fault.status, fault.body, "text/html", moved)
            return
        status, kind, body = _answer(live.port, handler.path.removeprefix(BELOW))
        handler.answer(status, body, kind)

    def _count_down(self) -> None:
        with self._changed:
            if self._next is not None and self.faults.held:
                self.faults.held -= 1
            if self.faults.held == 0:
                self._switch()


class SkippedTime:
    """A clock that advances only by sleeping, without waiting: Render finishes its work first."""

    def __init__(self, render: Render) -> None:
        self.seconds = 0.0
        self._render = render

    def patience(self, seconds: float, every: float = 5.0) -> Patience:
        """Return a patience that waits by this clock."""
        return Patience(seconds, every, lambda: self.seconds, self._sleep)

    def _sleep(self, seconds: float) -> None:
        self._render.settle()
        self.seconds += seconds


class _Server:
    """A server on loopback that hands every request to one function."""

    def __init__(self, handle: Callable[[_Handler], None]) -> None:
        handler = type("Handler", (_Handler,), {"handle_one": staticmethod(handle)})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(30)


class _Handler(BaseHTTPRequestHandler):
    """Any request."""

    handle_one: Callable[[_Handler], None]

    def do_GET(self) -> None:
        self.handle_one(self)

    def do_POST(self) -> None:
        self.handle_one(self)

    def request_made(self) -> Request:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, parts.path, parse_qs(parts.query), headers)

    def answer(self, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def drip(self, until: threading.Event) -> None:
        """Send a header line that never ends."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
        with contextlib.suppress(ConnectionError):
            while not until.wait(0.05):
                self.wfile.write(b"x")

    def pour(self, until: threading.Event) -> int:
        """Send a body that never ends; return its bytes once the client is gone."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while not until.is_set():
                sent += self.wfile.write(b" " * 65_536)
        return sent

    def log_message(self, *_: Any) -> None:
        """Log nothing: the tests read the requests."""


def _status(port: int) -> int:
    try:
        return _answer(port, "/readyz")[0]
    except (OSError, http.client.HTTPException):
        return 0


def _answer(port: int, path: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.headers.get_content_type(), response.read()
    finally:
        connection.close()
