"""Start an image as it will run, ask it everything, and refuse what must not ship. Every fault is reported at once."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from crypto_predict.errors import CryptoPredictError, ReleaseFailed, UnfitImage
from crypto_predict.release import artifact, engine, smoke_checks
from crypto_predict.release.engine import LABELS, Image
from crypto_predict.release.job import Job
from crypto_predict.release.smoke_checks import Expected

START_SECONDS = 60.0  # to the first 200 at /readyz


def smoke(
    reference: str, build: str, job: Job, *, allow_simulated: bool = False, allow_stale: bool = False
) -> Mapping[str, str]:
    """Test the image; return its `bytes` and the `start_seconds` to its first answer.

    Args:
        reference: The very image that is to ship. One named by its digest is pulled.
        build: What it must call itself.
        job: Shows the result.
        allow_simulated: Accept invented prices: for a trial, never for a release.
        allow_stale: Accept an old model: for a rollback.

    Raises:
        UnfitImage: It must not ship.
        ReleaseFailed: It could not be tested.
    """
    image = engine.hold(reference)
    faults = list(_label_faults(image, build))
    expected = Expected(build, image.labels, allow_simulated, allow_stale)
    start_seconds, found = _run(image, expected)
    faults += [*found, *_artifact_faults(image)]
    if faults:
        raise UnfitImage(image.reference, faults)
    size = f"{image.bytes / 1e6:,.1f} MB unpacked, base included"
    job.add_summary(f"**Smoke test**: passed; first answer after {start_seconds:.2f} s; {size}.")
    return {"bytes": str(image.bytes), "start_seconds": f"{start_seconds:.3f}"}


def _label_faults(image: Image, build: str) -> Iterator[str]:
    if image.user.partition(":")[0] in {"", "0", "root"}:
        yield "it runs as root"
    if (label := image.labels.get(f"{LABELS}version")) != build:
        yield f"its label {LABELS}version is {label!r}, not {build!r}"


def _run(image: Image, expected: Expected) -> tuple[float, list[str]]:
    """Return the seconds to the first answer, and the faults of the running image."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    began = time.monotonic()
    with engine.running(image.reference, port) as container:
        site = f"http://127.0.0.1:{port}"
        while not smoke_checks.is_ready(site):
            if time.monotonic() - began > START_SECONDS or not engine.is_running(container):
                return 0.0, [f"it was not ready within {START_SECONDS:.0f} s; it wrote:\n{engine.logs(container)}"]
            time.sleep(0.02)
        start_seconds = time.monotonic() - began
        faults = smoke_checks.faults(site, expected)
        if code := engine.stop(container):
            faults.append(f"asked to stop, it ended with {code}; it wrote:\n{engine.logs(container)}")
    return start_seconds, faults


def _artifact_faults(image: Image) -> list[str]:
    """Return the faults of model and ledger: with a broken ledger, no release could follow this one."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            taken = artifact.take_out(image.reference, Path(folder))
        except ReleaseFailed:
            raise
        except CryptoPredictError as error:
            return [str(error)]
    if taken.model is None:
        return ["its model has another schema than this program's"]
    if not any(release.build == taken.model.card.build for release in taken.ledger.newest):
        return [f"its ledger does not name {taken.model.card.build}, the model beside it"]
    return []
