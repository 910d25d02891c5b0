"""The layers of images: their files, and their sizes in a registry."""

import json
import re
import tarfile
from pathlib import Path
from typing import Any

import requests

from bench import image
from tests.support.engine import docker, forget

BUNDLE = {
    "NOTICE",
    "licenses.txt",
    *(f"{name}{coding}" for name in ("icon.svg", "main.js", "style.css") for coding in ("", ".br")),
}
MODEL_FILES = ["app/model.ledger.jsonl", "app/model.pkl", "app/model.training.json"]
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")

Layer = dict[str, bytes]  # the content of each file by its path


def inspect(reference: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(docker("image", "inspect", reference))[0]
    return result


def layers_above_base(reference: str, folder: Path) -> list[Layer]:
    """Return the files of each layer above the base, in order, without empty layers."""
    layers = (files_of(layer) for layer in image.layers_above_base(reference, image.OUR_FIRST_STEP, folder))
    return [layer for layer in layers if layer]


def files_of(archive: tarfile.TarFile) -> Layer:
    files = ((member.name, archive.extractfile(member)) for member in archive if member.isfile())
    return {name: file.read() for name, file in files if file is not None}


def bundle_of(files: Layer) -> set[str]:
    """Return the names of the files that the page's scripts were bundled into, without their hashes."""
    built = "app/crypto_predict/web/page/built/"
    names = (name.removeprefix(built) for name in files if name.startswith(built))
    return {re.sub(r"-[0-9A-Z]{8}\.", ".", name) for name in names}


def pushed_layers(reference: str, registry: str) -> dict[str, int]:
    """Push an image to a registry on loopback; return the compressed size of each layer by digest."""
    name = f"{registry}/{reference}"
    docker("tag", reference, name)
    docker("push", "--quiet", name)
    forget(name)
    repository, _, tag = reference.partition(":")
    manifest = _manifest(f"http://{registry}/v2/{repository}/manifests", tag)
    return {layer["digest"]: layer["size"] for layer in manifest["layers"]}


def _manifest(url: str, name: str) -> dict[str, Any]:
    """Return the manifest of a tag or digest; for an index, that of its image, not of an attestation."""
    answer = requests.get(f"{url}/{name}", headers={"Accept": ", ".join(_INDEXES + _MANIFESTS)}, timeout=30)
    answer.raise_for_status()
    result: dict[str, Any] = answer.json()
    if "manifests" not in result:
        return result
    of_image = next(entry for entry in result["manifests"] if entry["platform"]["architecture"] != "unknown")
    return _manifest(url, of_image["digest"])
