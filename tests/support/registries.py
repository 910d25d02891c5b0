"""Read a real registry on loopback, and make it fail."""

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Iterator

import pytest
import requests
from aiohttp import web

from tests.support.indexes import INDEX, MANIFEST
from tests.support.replay.server import Answer, Handler, ReplayServer, forwarding

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"  # what older engines push

needs_skopeo = pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")


def digest_at(reference: str) -> str | None:
    """Return the digest of a tag in a registry on loopback; None if the tag does not exist."""
    name, _, tag = reference.rpartition(":")
    host, _, repository = name.partition("/")
    accepted = {"Accept": f"{INDEX}, {MANIFEST}, {DOCKER}"}
    answer = requests.head(f"http://{host}/v2/{repository}/manifests/{tag}", headers=accepted, timeout=30)
    return answer.headers["Docker-Content-Digest"] if answer.ok else None


# Maps method and path to a status, to True for 500, to a path to request instead, or to False for no fault.
Fails = Callable[[str, str], bool | int | str]


@contextlib.contextmanager
def failing(registry: str, fails: Fails, of: str = "") -> Iterator[str]:
    """Run a proxy for a registry that applies `fails` to paths ending with `of`; yield its address."""

    async def fault(request: web.Request, forward: Handler) -> Answer:
        outcome = await asyncio.to_thread(fails, request.method, request.path)
        if isinstance(outcome, str):
            return await forward(request.clone(rel_url=outcome))
        if not outcome:
            return await forward(request)
        return web.json_response({"errors": [{"code": "UNKNOWN"}]}, status=500 if outcome is True else outcome)

    with (
        ReplayServer(forwarding(f"http://{registry}")) as front,
        front.failing(fault, lambda met: met.path.endswith(of)),
    ):
        yield front.url.removeprefix("http://")
