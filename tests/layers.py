"""What the layers of an image hold, read from the engine that built it."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from tests.engine import BASE, docker

MODEL_FILES = ["app/model.ledger.jsonl", "app/model.pkl"]

Layer = dict[str, bytes]  # the content of each file by its path


def inspect(reference: str) -> dict[str, Any]:
    """What the engine says of an image."""
    found: dict[str, Any] = json.loads(docker("image", "inspect", reference))[0]
    return found


def layers_above_base(reference: str, folder: Path) -> list[Layer]:
    """The files of each layer that the base does not have, in order; layers without files are left out."""
    docker("save", "--output", str(folder / "image.tar"), reference)
    with tarfile.open(folder / "image.tar") as saved:
        names = json.load(read(saved, "manifest.json"))[0]["Layers"]
        above = names[len(inspect(BASE)["RootFS"]["Layers"]) :]
        layers = [files_of(read(saved, name)) for name in above]
    (folder / "image.tar").unlink()
    return [layer for layer in layers if layer]


def read(archive: tarfile.TarFile, name: str) -> io.BytesIO:
    """One file of an archive."""
    file = archive.extractfile(name)
    assert file is not None
    return io.BytesIO(file.read())


def files_of(archive: io.BytesIO) -> Layer:
    """Every plain file of an archive."""
    with tarfile.open(fileobj=archive) as opened:
        return {member.name: read(opened, member.name).read() for member in opened if member.isfile()}
