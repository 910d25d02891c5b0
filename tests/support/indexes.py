"""OCI image layouts of several platforms with attestations, made from scratch or from one image.

Attestations are stored as BuildKit stores them, see "Image attestation storage" in its documentation.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
STATEMENT = "application/vnd.in-toto+json"
SBOM_TYPE = "https://spdx.dev/Document"
PLATFORMS = ("linux/amd64", "linux/arm64")


class Layout:
    """An OCI image layout of one image or index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._blobs = folder / "blobs" / "sha256"

    @classmethod
    def make(cls, folder: Path, content: bytes) -> Layout:
        """Make an index of both platforms from scratch, each with a bill of materials."""
        layout = cls(folder)
        layout._blobs.mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        manifests = [layout._image(content, platform) for platform in PLATFORMS]
        layout._point_to(layout._put({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}))
        for platform in PLATFORMS:
            layout.attest(platform, SBOM_TYPE, {"SPDXID": "SPDXRef-DOCUMENT", "name": platform})
        return layout

    @property
    def digest(self) -> str:
        """The digest of the image or index."""
        return str(self._head()["digest"])

    @property
    def media_type(self) -> str:
        """The media type: of an image or of an index."""
        return str(self._head()["mediaType"])

    def wrap(self, platforms: Sequence[str], annotations: Mapping[str, str]) -> None:
        """Put one image into an index, for every platform."""
        image = self._head()
        manifests = [{**image, "platform": _platform(platform)} for platform in platforms]
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests, "annotations": dict(annotations)}
        self._point_to(self._put(index))

    def attest(self, platform: str, predicate_type: str, predicate: Mapping[str, object]) -> None:
        """Add an attestation to the image of a platform."""
        index = self._read(self.digest)
        named = _platform(platform)
        image = next(entry for entry in index["manifests"] if named.items() <= entry.get("platform", {}).items())
        subject = [{"name": platform, "digest": {"sha256": image["digest"].partition(":")[2]}}]
        statement = {"_type": "https://in-toto.io/Statement/v0.1", "subject": subject, "predicateType": predicate_type}
        layer = self._blob(json.dumps({**statement, "predicate": predicate}).encode(), STATEMENT)
        layer["annotations"] = {"in-toto.io/predicate-type": predicate_type}
        history = {"type": "layers", "diff_ids": [layer["digest"]]}
        config = {"architecture": "unknown", "os": "unknown", "rootfs": history}
        manifest = self._put(
            {"schemaVersion": 2, "mediaType": MANIFEST, "config": self._put(config, CONFIG), "layers": [layer]}
        )
        manifest["platform"] = {"architecture": "unknown", "os": "unknown"}
        manifest["annotations"] = {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": image["digest"],
        }
        index["manifests"].append(manifest)
        self._point_to(self._put(index))

    def push(self, reference: str) -> str:
        """Push the layout to a tag of a registry on loopback; return its reference by digest."""
        command = ["skopeo", "copy", "--quiet", "--all", "--preserve-digests", "--dest-tls-verify=false"]
        words = [*command, f"oci:{self.folder}", f"docker://{reference}"]
        subprocess.run(words, check=True, capture_output=True, timeout=60)
        return f"{reference.rpartition(':')[0]}@{self.digest}"

    def _image(self, content: bytes, platform: str) -> dict[str, Any]:
        layer = self._blob(content + platform.encode(), LAYER)
        config = {**_platform(platform), "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": self._put(config, CONFIG), "layers": [layer]}
        return {**self._put(manifest), "platform": _platform(platform)}

    def _head(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads((self.folder / "index.json").read_text())["manifests"][0]
        return {name: result[name] for name in ("mediaType", "digest", "size")}

    def _point_to(self, head: dict[str, Any]) -> None:
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [head]}))

    def _read(self, digest: str) -> Any:
        return json.loads((self._blobs / digest.partition(":")[2]).read_bytes())

    def _put(self, content: dict[str, Any], kind: str | None = None) -> dict[str, Any]:
        return self._blob(json.dumps(content).encode(), kind or content["mediaType"])

    def _blob(self, data: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (self._blobs / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}


def _platform(text: str) -> dict[str, str]:
    system, _, architecture = text.partition("/")
    return {"os": system, "architecture": architecture}
