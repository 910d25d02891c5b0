"""Tell which image a tag names, and what that image calls itself."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

from crypto_predict.errors import ReleaseFailed
from crypto_predict.release import engine, registry
from crypto_predict.release.engine import LABELS
from crypto_predict.release.job import Job

SUMMARY = "Tell which image a tag names, and what it calls itself."
EXAMPLES = """\
  ... locate --image ghcr.io/o/crypto-predict:0.3.0-20240518061047
  ... locate --image ghcr.io/o/crypto-predict:latest --json
"""


@dataclass(frozen=True, slots=True)
class Located:
    """A published image that the engine holds now."""

    reference: str  # by digest
    digest: str
    build: str  # by its label; empty where it has none


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--image", required=True, metavar="IMAGE:TAG", help="a published image")


def run(options: argparse.Namespace, job: Job) -> Mapping[str, str]:  # noqa: ARG001 every command is handed its job
    """Tell it; outputs `digest` and `build`.

    Raises:
        ReleaseFailed: There is no such tag, or registry or engine failed.
    """
    located = locate(options.image)
    if located is None:
        raise ReleaseFailed(f"{options.image} does not exist: `skopeo list-tags` tells which tags do")
    return {"digest": located.digest, "build": located.build}


def locate(tag: str) -> Located | None:
    """The image that a tag names, pulled by its digest; None where the registry has no such tag.

    Raises:
        ReleaseFailed: Registry or engine failed.
    """
    digest = registry.digest_of(tag)
    if digest is None:
        return None
    reference = f"{tag.rpartition(':')[0]}@{digest}"
    engine.pull(reference)
    return Located(reference, digest, engine.inspect(reference).labels.get(f"{LABELS}version", ""))
