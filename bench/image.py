"""The image against that of the usual tutorial: its size, and the time until the first answer.

Both are built in the same run, from the same base and with the same versions, and started in turn.
"""

import json
import re
import secrets
import shutil
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import stamina

from bench import models
from bench.figures import Figure, in_turn
from bench.load import await_answer, free_port
from bench.network import is_temporary, npm_registry
from bench.serving import PEER_SETTINGS
from crypto_predict.release.programs import output_of

ROOT = Path(__file__).resolve().parent.parent
OUR_FIRST_STEP, NAIVE_FIRST_STEP = "ARG MODEL_BUILD", "WORKDIR /app"  # below FROM, in the stage that ships
LIMIT = 45  # MB above the base, the most that was ever allowed
USUAL = 319  # MB above the base: the tutorial's image when the limit was set
ROUNDS = 7
BUILD_SECONDS, SAVE_SECONDS = 1800, 600
_NEEDED = ("prophet", "pandas", "flask", "waitress", "flask-cors")  # by the tutorial's server


def measure(folder: Path) -> Iterator[Figure]:
    """Build both images, using `folder` for the parts of the tutorial's, and compare them.

    Raises:
        ReleaseFailed: The engine cannot build or run one of them.
        RuntimeError: One of them does not answer.
    """
    with _built(folder) as (ours, naive):
        our_size, naive_size = _megabytes(ours, OUR_FIRST_STEP, folder), _megabytes(naive, NAIVE_FIRST_STEP, folder)
        peers = {"ours": lambda: _start(ours), "naive": lambda: _start(naive, "--waitress", PEER_SETTINGS)}
        starts = in_turn(peers, ROUNDS)
    yield Figure("image, layers above its base", our_size, naive_size, "naive", "MB", LIMIT / USUAL)
    yield Figure("image, layers above its base", our_size, LIMIT, "limit", "MB", 1)
    yield Figure("docker run to the first 200", starts["ours"], starts["naive"], "naive", "s", 0.5)


@contextmanager
def _built(folder: Path) -> Iterator[tuple[str, str]]:
    """Build both images for as long as the context lasts. Which prices ours is trained on changes neither figure."""
    ours, naive = (f"crypto-predict-bench-{secrets.token_hex(6)}:{name}" for name in ("ours", "naive"))
    try:
        registry = [f"{name}={value}" for name, value in npm_registry().items()]
        _build(ROOT, ROOT / "Dockerfile", ours, "SOURCE=simulated", f"EVERY={models.CUTOFF_EVERY}", *registry)
        _build(_naive_context(folder), ROOT / "bench" / "naive.Dockerfile", naive)
        yield ours, naive
    finally:
        output_of("docker", "image", "rm", "--force", ours, naive)


@stamina.retry(on=lambda error: is_temporary(str(error)), attempts=4, timeout=None, wait_initial=5)
def _build(context: Path, dockerfile: Path, image: str, *arguments: str) -> None:
    given = [word for argument in arguments for word in ("--build-arg", argument)]
    words = ["docker", "build", "--network", "host", "--file", str(dockerfile), "--tag", image, *given, str(context)]
    output_of(*words, seconds=BUILD_SECONDS)


def _naive_context(folder: Path) -> Path:
    """Return a folder with everything that the tutorial's image is made of."""
    context = folder / "naive"
    context.mkdir()
    shutil.copy(ROOT / "bench" / "naive.py", context)
    models.pickle_prophet("simulated", context / "model.pkl")
    lock = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    versions = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", lock))
    (context / "requirements.txt").write_text("".join(f"{name}=={versions[name]}\n" for name in _NEEDED))
    return context


def _megabytes(image: str, first_step: str, folder: Path) -> float:
    """Return the size of all files in the layers above the base, not compressed."""
    return sum(member.size for layer in layers_above_base(image, first_step, folder) for member in layer) / 10**6


def _start(image: str, *arguments: str) -> float:
    """Return the seconds from ``docker run`` to the first price."""
    port = free_port()
    arguments = (*arguments, "--port", str(port)) if arguments else ()  # ours reads PORT
    words = ["docker", "run", "--detach", "--network", "host", "--env", f"PORT={port}", image, *arguments]
    started = time.perf_counter()
    container = output_of(*words).strip()
    try:
        await_answer(port, f"/bitcoin?date={datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}")
        return time.perf_counter() - started
    finally:
        output_of("docker", "rm", "--force", container)


def layers_above_base(image: str, first_step: str, folder: Path) -> Iterator[tarfile.TarFile]:
    """Open the layers that an image adds to its base, in order; `folder` holds its archive meanwhile.

    The sizes that engines report are not used, as they mean different things in different stores; nor does BuildKit put
    the base into the engine's store. `first_step` begins the first instruction below FROM, as ``docker history`` shows
    it.

    Raises:
        ReleaseFailed: The engine does not have the image.
        ValueError: No instruction begins with `first_step`.
    """
    archive = folder / "image.tar"
    output_of("docker", "save", "--output", str(archive), image, seconds=SAVE_SECONDS)
    try:
        with tarfile.open(archive) as saved:
            manifest = json.load(_file(saved, "manifest.json"))[0]
            history = json.load(_file(saved, manifest["Config"]))["history"]
            steps = [step["created_by"] for step in history]
            own = next((n for n, step in enumerate(steps) if step.startswith(first_step)), None)
            if own is None:
                raise ValueError(f"{image}: no step begins with {first_step!r}: {steps}")
            made = sum(not step.get("empty_layer") for step in history[own:])
            for name in manifest["Layers"][len(manifest["Layers"]) - made :]:
                with tarfile.open(fileobj=_file(saved, name)) as layer:
                    yield layer
    finally:
        archive.unlink(missing_ok=True)


def _file(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is not a file")
    return file
