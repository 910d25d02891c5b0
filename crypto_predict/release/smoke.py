"""Start an image as it will run, ask it, and refuse what must not ship. Every fault is told at once."""

from __future__ import annotations

import argparse
import logging
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from crypto_predict.errors import CryptoPredictError, ReleaseFailed, UnfitImage
from crypto_predict.release import artifact, engine, questioning
from crypto_predict.release.engine import LABELS, Image
from crypto_predict.release.job import Job
from crypto_predict.release.questioning import Release

SUMMARY = "Start an image read-only and without any capability, ask it, and refuse what must not ship."
EXAMPLES = """\
  ... smoke --image localhost:5000/crypto-predict@sha256:6a... --build 0.3.1-20240518121047
  ... smoke --image crypto-predict --build 0.3.1-20240518121047 --allow-simulated     a trial, never a release
"""

START_SECONDS = 60.0  # to the first 200 at /readyz

_log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--image", required=True, help="the very image that is to be published")
    parser.add_argument("--build", required=True, help="what it must call itself, in /version and in its labels")
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="also leave its model and ledger there")
    parser.add_argument("--allow-simulated", action="store_true", help="for a trial: invented prices may be in it")


def run(options: argparse.Namespace, job: Job) -> Mapping[str, str]:  # noqa: ARG001 every command is handed its job
    """Try the image; outputs its `bytes` and the `start_seconds` to its first answer.

    Raises:
        UnfitImage: It must not ship.
        ReleaseFailed: It could not be tried.
    """
    image = _held(options.image)
    faults = list(_label_faults(image, options.build))
    start_seconds, found = _try(image, options.build, allow_simulated=options.allow_simulated)
    faults += [*found, *_artifact_faults(image, options.into)]
    if faults:
        raise UnfitImage(image.reference, faults)
    _log.info("%s is fit: ready after %.2f s", image.reference, start_seconds)
    return {"bytes": str(image.bytes), "start_seconds": f"{start_seconds:.3f}"}


def _held(reference: str) -> Image:
    """The image as the engine holds it, pulled where it comes from a registry."""
    engine.require()
    if "@" in reference:
        engine.pull(reference)
    return engine.inspect(reference)


def _label_faults(image: Image, build: str) -> Iterator[str]:
    if image.user.partition(":")[0] in {"", "0", "root"}:
        yield "it runs as root"
    if (label := image.labels.get(f"{LABELS}version")) != build:
        yield f"its label {LABELS}version is {label!r}, not {build!r}"


def _try(image: Image, build: str, *, allow_simulated: bool) -> tuple[float, list[str]]:
    """How long it took to its first answer, in seconds, and what is wrong with the running image."""
    port = _free_port()
    began = time.monotonic()
    with engine.running(image.reference, port) as container:
        site = f"http://127.0.0.1:{port}"
        if not _ready(site, container):
            return 0.0, [f"it was not ready within {START_SECONDS:.0f} s; it wrote:\n{engine.logs(container)}"]
        start_seconds = time.monotonic() - began
        faults = questioning.faults(site, Release(build, image.labels, datetime.now(UTC), allow_simulated))
        ended = engine.stop(container)
    if ended.exit_code:
        faults.append(f"asked to stop, it ended with {ended.exit_code}; it wrote:\n{ended.logs}")
    return start_seconds, faults


def _ready(site: str, container: str) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and engine.is_running(container):
        if questioning.answers(f"{site}/readyz"):
            return True
        time.sleep(0.02)
    return False


def _artifact_faults(image: Image, into: Path | None) -> list[str]:
    """What is wrong with model and ledger: with a broken ledger, no release could ever follow this one."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            taken = artifact.take_out(image.reference, into or Path(folder))
        except ReleaseFailed:
            raise
        except CryptoPredictError as error:
            return [str(error)]
    if taken.model is None:
        return ["its model is of another schema than this program's"]
    if not any(release.build == taken.model.card.build for release in taken.ledger.releases()):
        return [f"its ledger does not name {taken.model.card.build}, the model beside it"]
    return []


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
