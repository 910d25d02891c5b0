"""What images are made of: the files in their layers, and what of them a registry does not have yet."""

import json
import tarfile
from pathlib import Path
from typing import Any

import requests

from bench import image
from tests.support.engine import docker, forget

MODEL_FILES = ["app/model.ledger.jsonl", "app/model.pkl"]
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")

Layer = dict[str, bytes]  # the content of each file by its path


def inspect(reference: str) -> dict[str, Any]:
    """What the engine reports of an image."""
    found: dict[str, Any] = json.loads(docker("image", "inspect", reference))[0]
    return found


def layers_above_base(reference: str, folder: Path) -> list[Layer]:
    """The files of each layer that the base does not have, in order; layers without files are left out."""
    layers = (files_of(layer) for layer in image.layers_above_base(reference, image.OUR_FIRST_STEP, folder))
    return [layer for layer in layers if layer]


def files_of(archive: tarfile.TarFile) -> Layer:
    """Every regular file of an archive."""
    files = ((member.name, archive.extractfile(member)) for member in archive if member.isfile())
    return {name: file.read() for name, file in files if file is not None}


def pushed_layers(reference: str, registry: str) -> dict[str, int]:
    """Push an image to a registry on loopback: the size of each layer there, compressed, by its digest."""
    name = f"{registry}/{reference}"
    docker("tag", reference, name)
    docker("push", "--quiet", name)
    forget(name)
    repository, _, tag = reference.partition(":")
    manifest = _manifest(f"http://{registry}/v2/{repository}/manifests", tag)
    return {layer["digest"]: layer["size"] for layer in manifest["layers"]}


def _manifest(url: str, name: str) -> dict[str, Any]:
    """The manifest of this name; of an index, that of its image, which an attestation may stand beside."""
    answer = requests.get(f"{url}/{name}", headers={"Accept": ", ".join(_INDEXES + _MANIFESTS)}, timeout=30)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    if "manifests" not in found:
        return found
    of_image = next(entry for entry in found["manifests"] if entry["platform"]["architecture"] != "unknown")
    return _manifest(url, of_image["digest"])
