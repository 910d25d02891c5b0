"""The Docker engine, by its command line: pull images, run them, copy files out of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crypto_predict.release.programs import output_of

PULL_SECONDS = 300.0
STOP_SECONDS = 10  # before the engine kills a container that does not stop
LABELS = "org.opencontainers.image."  # prefix of the standard labels


@dataclass(frozen=True, slots=True)
class Image:
    """An image in the engine's store."""

    reference: str
    labels: Mapping[str, str]
    user: str  # empty: root
    bytes: int  # of all layers, those of the base included


def hold(reference: str) -> Image:
    """Describe an image; one that is named by its digest is pulled. Raise `ReleaseFailed` if there is no such image."""
    if "@" in reference:
        output_of("docker", "pull", "--quiet", reference, seconds=PULL_SECONDS)
    found: dict[str, Any] = json.loads(output_of("docker", "image", "inspect", reference))[0]
    config = found["Config"]
    return Image(reference, dict(config.get("Labels") or {}), str(config.get("User") or ""), int(found["Size"]))


def copy_out(reference: str, path: str, folder: Path) -> None:
    """Copy a folder out of an image in the engine's store, without running it; raise `ReleaseFailed` if that fails."""
    container = output_of("docker", "create", reference, "never-run").strip()
    try:
        output_of("docker", "cp", f"{container}:{path}/.", str(folder))
    finally:
        output_of("docker", "rm", "--force", container)


@contextmanager
def running(reference: str, port: int) -> Iterator[str]:
    """Run an image that listens at `port` on loopback, locked: read-only, without capabilities. Give its container.

    It shares the machine's network, since not every engine has a network of its own.
    """
    locked = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    listening = ("--network", "host", "--env", f"PORT={port}", "--env", "HOST=127.0.0.1")
    container = output_of("docker", "create", *locked, *listening, reference).strip()
    try:
        output_of("docker", "start", container)
        yield container
    finally:
        output_of("docker", "rm", "--force", container)


def stop(container: str) -> int:
    """Stop a container as a deploy does, and return its exit code."""
    output_of("docker", "stop", "-t", str(STOP_SECONDS), container)  # the long option has another name in each engine
    return int(output_of("docker", "inspect", "--format", "{{.State.ExitCode}}", container))


def is_running(container: str) -> bool:
    """Return whether a container still runs."""
    return output_of("docker", "inspect", "--format", "{{.State.Running}}", container).strip() == "true"


def logs(container: str) -> str:
    """Return the last lines that a container wrote."""
    return output_of("docker", "logs", "--tail", "50", container, both=True)
