"""Images of a container engine: the layers above their base, and failures of registries."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from crypto_predict.release.programs import output_of

SAVE_SECONDS = 600
_REGISTRY_FAILED = re.compile(
    r"failed to resolve source metadata|failed to copy: httpReadSeeker|registry-1\.docker\.io"
)


def registry_failed(complaint: str) -> bool:
    """Return whether a build or a pull failed because of a registry; another attempt may succeed."""
    return _REGISTRY_FAILED.search(complaint) is not None


def layers_above_base(image: str, first_step: str, folder: Path) -> Iterator[tarfile.TarFile]:
    """Open the layers that an image adds to its base, in order.

    The sizes that engines report are not used, as they mean different things in different stores; nor does BuildKit put
    the base into the engine's store.

    Args:
        image: An image in the engine's store.
        first_step: Beginning of the first instruction below FROM, as ``docker history`` shows it.
        folder: For the image's archive while the layers are read.

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
