"""The image against that of the usual tutorial: what has to be fetched, and how long it is until the first answer.

Both are built in the same run, from the same base and with the same versions, and started in turn.
"""

from __future__ import annotations

import http.client
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import stamina

from bench import models
from bench.figures import PEER_SETTINGS, Figure, in_turn
from bench.images import bytes_above_base, registry_failed
from crypto_predict.errors import ReleaseFailed
from crypto_predict.release import images
from crypto_predict.release.programs import output_of

ROOT = Path(__file__).resolve().parent.parent
OUR_FIRST_STEP, NAIVE_FIRST_STEP = "ARG MODEL_BUILD", "WORKDIR /app"  # below FROM, in the stage that ships
MEGABYTE = 10**6
LIMIT = 45  # MB above the base, all that was ever allowed
USUAL = 319  # MB above the base: the tutorial's image when the limit was set
ROUNDS = 7
BUILD_SECONDS = 1800
PATIENCE = 120  # seconds until a container that has not answered counts as broken
_NEEDED = ("prophet", "pandas", "flask", "waitress", "flask-cors")  # by the tutorial's server


@dataclass(frozen=True, slots=True)
class Peer:
    """One image that has been built, and what its server is told besides."""

    image: str
    first_step: str  # below FROM in its Dockerfile
    arguments: tuple[str, ...] = ()

    def megabytes(self, folder: Path) -> float:
        """The size of its layers above the base; `folder` is for its archive."""
        return bytes_above_base(self.image, self.first_step, folder) / MEGABYTE


def measure(folder: Path) -> list[Figure]:
    """Build both images, using `folder` for what the tutorial's is made of, and compare them.

    Raises:
        ReleaseFailed: There is no engine, or it cannot build or run one of them.
        RuntimeError: One of them does not answer.
    """
    with _built(folder) as (ours, naive):
        sizes = ours.megabytes(folder), naive.megabytes(folder)
        starts = in_turn({"ours": lambda: _start(ours), "naive": lambda: _start(naive)}, rounds=ROUNDS)
    name = "image, layers above its base"
    return [
        Figure(name, *sizes, "naive", "MB", LIMIT / USUAL, at_least=False),
        Figure(name, sizes[0], LIMIT, "limit", "MB", 1, at_least=False),
        Figure("docker run to the first 200", starts["ours"], starts["naive"], "naive", "s", 0.5, at_least=False),
    ]


@contextmanager
def _built(folder: Path) -> Iterator[tuple[Peer, Peer]]:
    """Both images, for as long as the context lasts."""
    ours, naive = (f"crypto-predict-bench-{secrets.token_hex(6)}:{name}" for name in ("ours", "naive"))
    try:
        # Where the prices come from changes neither figure.
        _build(ROOT, ROOT / "Dockerfile", ours, "SOURCE=simulated", f"EVERY={models.CUTOFF_EVERY}")
        context = _naive_context(folder)
        _build(context, ROOT / "bench" / "naive.Dockerfile", naive)
        yield Peer(ours, OUR_FIRST_STEP), Peer(naive, NAIVE_FIRST_STEP, ("--waitress", PEER_SETTINGS))
    finally:
        output_of("docker", "image", "rm", "--force", ours, naive)


def _may_succeed_later(error: Exception) -> bool:
    return isinstance(error, ReleaseFailed) and registry_failed(str(error))


@stamina.retry(on=_may_succeed_later, attempts=4, timeout=None, wait_initial=5)
def _build(context: Path, dockerfile: Path, image: str, *arguments: str) -> None:
    given = [word for argument in arguments for word in ("--build-arg", argument)]
    words = ["docker", "build", "--network", "host", "--file", str(dockerfile), "--tag", image, *given, str(context)]
    output_of(*words, seconds=BUILD_SECONDS)


def _naive_context(folder: Path) -> Path:
    """A folder with everything that the tutorial's image is made of."""
    context = folder / "naive"
    context.mkdir()
    shutil.copy(ROOT / "bench" / "naive.py", context)
    models.pickle_prophet("simulated", context / "model.pkl")
    lock = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    versions = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", lock))
    (context / "requirements.txt").write_text("".join(f"{name}=={versions[name]}\n" for name in _NEEDED))
    return context


def _start(peer: Peer) -> float:
    """Seconds from ``docker run`` to the first price."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    arguments = (*peer.arguments, "--port", str(port)) if peer.arguments else ()
    words = ["docker", "run", "--detach", "--network", "host", "--env", f"PORT={port}", peer.image, *arguments]
    started = time.perf_counter()
    container = output_of(*words).strip()
    try:
        _await_price(container, port)
        return time.perf_counter() - started
    finally:
        output_of("docker", "rm", "--force", container)


def _await_price(container: str, port: int) -> None:
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    deadline = time.monotonic() + PATIENCE
    while not _answers(port, f"/bitcoin?date={tomorrow}"):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the container gave no 200: {images.logs(container)}")
        time.sleep(0.005)


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
