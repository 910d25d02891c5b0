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
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from aiohttp import web

from tests.support.engine import free_port
from tests.support.replay.server import ReplayServer
from tests.support.serving import ROOT

SERVICE, KEY = "srv-x", "s3cr3t-key"
HEALTHY_SECONDS = 30.0  # until an instance is given up; at Render 15 minutes
BELOW = "/crypto"  # the site answers below this path as well


@dataclass(frozen=True)
class Instance:
    """A running image."""

    port: int  # on loopback
    ended: Callable[[], bool]  # whether it has ended by itself, as with a damaged model
    close: Callable[[], object]  # ends it


Launcher = Callable[[str], Instance]  # from an image by digest; raises CannotLaunch


class CannotLaunch(Exception):
    """The image does not exist, or cannot be started."""


def processes(models: Mapping[str, Path]) -> Launcher:
    """Return a launcher for which an image is a model file, served by `api.py`."""

    def launch(image: str) -> Instance:
        if image not in models:
            raise CannotLaunch(image)
        port, nowhere = free_port(), subprocess.DEVNULL
        command = [sys.executable, str(ROOT / "api.py"), "--model", str(models[image]), "--host", "127.0.0.1"]
        process = subprocess.Popen([*command, "--port", str(port)], cwd=ROOT, stdout=nowhere, stderr=nowhere)

        def close() -> None:
            process.terminate()
            process.wait(30)

        return Instance(port, lambda: process.poll() is not None, close)

    return launch


@contextlib.contextmanager
def kept(launch: Launcher) -> Iterator[Launcher]:
    """Give a launcher that starts each image once, for many Renders one after the other, and ends all at the end."""
    running: dict[str, Instance] = {}

    def launch_once(image: str) -> Instance:
        if image not in running or running[image].ended():
            running[image] = launch(image)
        return replace(running[image], close=lambda: None)

    try:
        yield launch_once
    finally:
        for instance in running.values():
            instance.close()


def containers(image: str) -> Instance:
    """Pull an image and run it on the network of the host, as Render does; a launcher."""
    port = free_port()
    if "@" in image:
        _docker("pull", "--quiet", image)
    where = ("--network", "host", "--env", f"PORT={port}", "--env", "HOST=127.0.0.1")
    container = _docker("run", "--detach", *where, image)

    def close() -> None:
        _docker("stop", container)
        _docker("rm", "--force", container)

    return Instance(port, lambda: _docker("inspect", "--format", "{{.State.Running}}", container) != "true", close)


def _docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise CannotLaunch(done.stderr.strip())
    return done.stdout.strip()


class Render:
    """A context manager: inside, the hook is at `hook` and the site at `site`.

    Their servers record every request, and give faults in place of answers.
    """

    def __init__(self, launcher: Launcher) -> None:
        self.hook_server, self.site_server = ReplayServer(self._hook), ReplayServer(self._site)
        self.held: int | None = 0  # requests for the version until the site switches; None: it never does
        self.unhealthy = 0  # number of the next images that never are healthy
        self.switched: list[str] = []  # images that went live, in order
        self._launcher = launcher
        self._live: Instance | None = None
        self._next: tuple[str, Instance] | None = None  # healthy, and held back
        self._deploys: list[Future[None]] = []
        self._worker = ThreadPoolExecutor(1)
        self._ending = threading.Event()
        self._lock = threading.Lock()  # of what is live and what is next

    @property
    def hook(self) -> str:
        """The address of the deploy hook, secret included."""
        return f"{self.hook_server.url}/deploy/{SERVICE}?key={KEY}"

    @property
    def site(self) -> str:
        """The address at which the live instance answers."""
        return self.site_server.url

    def __enter__(self) -> Self:
        self.hook_server.__enter__()
        self.site_server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._worker.shutdown(cancel_futures=True)
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
        for deploy in list(self._deploys):
            deploy.result(timeout=90)

    def _accept(self, image: str) -> None:
        self._deploys.append(self._worker.submit(self._deploy, image, len(self._deploys) + 1))

    def _deploy(self, image: str, number: int) -> None:
        try:
            instance = self._launcher(image)
        except CannotLaunch:
            return
        if not self._becomes_healthy(instance, number):
            instance.close()
            return
        with self._lock:
            superseded, self._next = self._next, (image, instance)
        if self.held == 0:
            self._switch()
        if superseded is not None:
            superseded[1].close()

    def _becomes_healthy(self, instance: Instance, number: int) -> bool:
        if self.unhealthy:
            self.unhealthy -= 1
            return False
        deadline = time.monotonic() + HEALTHY_SECONDS
        while time.monotonic() < deadline and not instance.ended() and len(self._deploys) <= number:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if _answer(instance.port, "/readyz").status == 200:
                    return True
            if self._ending.wait(0.05):
                break
        return False

    def _switch(self) -> None:
        with self._lock:
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
            if self._next is not None and self.held:
                self.held -= 1
            if self.held == 0:
                await asyncio.to_thread(self._switch)
        live = self._live
        if live is None:
            return web.Response(status=502)
        return await asyncio.to_thread(_answer, live.port, request.path_qs.removeprefix(BELOW))


class SkippedTime:
    """A clock that advances only by sleeping, without waiting: Render finishes its work first."""

    def __init__(self, render: Render) -> None:
        self.seconds = 0.0
        self._render = render

    def now(self) -> float:
        """Return the seconds that have passed."""
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Let seconds pass."""
        self._render.settle()
        self.seconds += seconds


def _answer(port: int, path: str) -> web.Response:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        kind = response.headers.get_content_type()
        return web.Response(status=response.status, body=response.read(), content_type=kind)
