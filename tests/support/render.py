"""A small Render on this machine: a deploy hook that really starts images, and a site in front of them.

As at Render, the old instance answers until the new one is healthy. An instance that never is healthy never goes live,
and a newer deploy replaces one under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from aiohttp import web

from crypto_predict.release.deploy import Patience
from tests.support.engine import free_port
from tests.support.replay.server import ReplayServer
from tests.support.serving import ROOT

SERVICE, KEY = "srv-x", "s3cr3t-key"
HEALTHY_SECONDS = 30.0  # until an instance is given up; at Render 15 minutes
BELOW = "/crypto"  # the site answers below this path as well


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


@dataclass(frozen=True)
class Address:
    """A server with one answer for every path."""

    answer: Callable[[web.Request], Awaitable[web.Response]]

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return every path."""
        return [web.route("*", "/{path:.*}", self.answer)]

    def unknown(self) -> web.Response:
        """Say that a method is none of HTTP."""
        return web.Response(status=405)


class Render:
    """A context manager: inside, the hook is at `hook` and the site at `site`.

    Their servers record every request, and give faults in place of answers.
    """

    def __init__(self, launcher: Launcher) -> None:
        self.hook_server, self.site_server = ReplayServer(Address(self._hook)), ReplayServer(Address(self._site))
        self.held: int | None = 0  # requests for the version until the site switches; None: it never does
        self.unhealthy = 0  # number of the next images that never are healthy
        self.switched: list[str] = []  # images that went live, in order
        self._launcher = launcher
        self._live: Instance | None = None
        self._next: tuple[str, Instance] | None = None  # healthy, and held back
        self._waiting: deque[str] = deque()  # images to deploy
        self._working = False
        self._ending = threading.Event()
        self._changed = threading.Condition(threading.RLock())
        self._worker = threading.Thread(target=self._work, daemon=True)

    @property
    def hook(self) -> str:
        """The address of the deploy hook, secret included."""
        return f"{self.hook_server.url}/deploy/{SERVICE}?key={KEY}"

    @property
    def site(self) -> str:
        """The address at which the live instance answers."""
        return self.site_server.url

    def __enter__(self) -> Self:
        self._worker.start()
        self.hook_server.__enter__()
        self.site_server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        with self._changed:
            self._changed.notify_all()
        self._worker.join(60)
        self.hook_server.__exit__()
        self.site_server.__exit__()
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
            if self.held == 0:
                self._switch()
        if superseded is not None:
            superseded[1].close()

    def _becomes_healthy(self, instance: Instance) -> bool:
        if self.unhealthy:
            self.unhealthy -= 1
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

    async def _hook(self, request: web.Request) -> web.Response:
        if (request.method, request.path, request.query.get("key")) != ("POST", f"/deploy/{SERVICE}", KEY):
            return web.Response(status=401, text="Unauthorized")
        images = request.query.getall("imgURL", [])
        if len(images) != 1:
            return web.Response(status=400, text="imgURL is needed once")
        self._accept(images[0])
        return web.json_response({"deploy": {"id": f"dep-{len(self.hook_server.requests)}"}})

    async def _site(self, request: web.Request) -> web.Response:
        if request.path.endswith("/version"):
            await asyncio.to_thread(self._count_down)
        live = self._live
        if live is None:
            return web.Response(status=502)
        return await asyncio.to_thread(_answer, live.port, request.path_qs.removeprefix(BELOW))

    def _count_down(self) -> None:
        with self._changed:
            if self._next is not None and self.held:
                self.held -= 1
            if self.held == 0:
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


def _status(port: int) -> int:
    try:
        return _answer(port, "/readyz").status
    except (OSError, http.client.HTTPException):
        return 0


def _answer(port: int, path: str) -> web.Response:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        kind = response.headers.get_content_type()
        return web.Response(status=response.status, body=response.read(), content_type=kind)
