"""The Docker engine, by its command line: pulling images, running them, taking files out of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crypto_predict.errors import ReleaseFailed
from crypto_predict.release.programs import ProgramFailed, output_of

PULL_SECONDS = 300.0
STOP_SECONDS = 10  # until an engine kills what does not end


LABELS = "org.opencontainers.image."  # how the names of an image's standard labels begin


@dataclass(frozen=True, slots=True)
class Image:
    """What the engine says of an image that it holds."""

    reference: str
    labels: Mapping[str, str]
    user: str  # whom it runs as; empty: root
    bytes: int  # of all its layers, unpacked, those of its base included


@dataclass(frozen=True, slots=True)
class Ended:
    """How a container ended."""

    exit_code: int
    logs: str


def pull(reference: str) -> None:
    """Fetch an image for this machine's architecture.

    Raises:
        ReleaseFailed: It cannot be fetched.
    """
    output_of("docker", "pull", "--quiet", reference, seconds=PULL_SECONDS)


def inspect(reference: str) -> Image:
    """Look at an image that was pulled or built here.

    Raises:
        ReleaseFailed: The engine has none of this name.
    """
    found: dict[str, Any] = json.loads(output_of("docker", "image", "inspect", reference))[0]
    config = found["Config"]
    return Image(reference, dict(config.get("Labels") or {}), str(config.get("User") or ""), int(found["Size"]))


def copy_out(reference: str, paths: Mapping[str, Path]) -> list[str]:
    """Copy files out of an image without running it.

    Args:
        reference: Of an image that was pulled or built here.
        paths: From each path in the image to where its copy goes.

    Returns:
        The paths that the image does not have.

    Raises:
        ReleaseFailed: The engine has no such image, or a file cannot be written.
    """
    container = output_of("docker", "create", reference, "never-run").strip()
    missing = []
    try:
        for path, copy in paths.items():
            try:
                output_of("docker", "cp", f"{container}:{path}", str(copy))
            except ProgramFailed as error:
                if not _says_missing(error.complaint):
                    raise
                missing.append(path)
    finally:
        output_of("docker", "rm", "--force", container)
    return missing


@contextmanager
def running(reference: str, port: int, *options: str) -> Iterator[str]:
    """Run an image that listens at `port` as an orchestrator that trusts nothing would; gives the container's name.

    It sees a file system that it cannot write, has no capability and can gain none. It shares the machine's network, so
    that it is asked at 127.0.0.1 whether or not the engine has a network of its own.

    Raises:
        ReleaseFailed: It cannot be started.
    """
    locked = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    listening = ("--network", "host", "--env", f"PORT={port}", "--env", "HOST=127.0.0.1")
    container = output_of("docker", "run", "--detach", *locked, *listening, *options, reference).strip()
    try:
        yield container
    finally:
        output_of("docker", "rm", "--force", container)


def stop(container: str) -> Ended:
    """Ask a container to end, as every deploy does, and tell how it did.

    Raises:
        ReleaseFailed: There is no such container.
    """
    output_of("docker", "stop", "-t", str(STOP_SECONDS), container)  # its long name differs between engines
    return ended(container)


def ended(container: str) -> Ended:
    """How a container ended, or what it has written so far.

    Raises:
        ReleaseFailed: There is no such container.
    """
    return Ended(int(output_of("docker", "inspect", "--format", "{{.State.ExitCode}}", container)), logs(container))


def is_running(container: str) -> bool:
    """Whether a container has not ended.

    Raises:
        ReleaseFailed: There is no such container.
    """
    return output_of("docker", "inspect", "--format", "{{.State.Running}}", container).strip() == "true"


def logs(container: str) -> str:
    """What a container wrote, its last lines.

    Raises:
        ReleaseFailed: There is no such container.
    """
    return output_of("docker", "logs", "--tail", "50", container, both=True)


def _says_missing(complaint: str) -> bool:
    return "No such container:path" in complaint or "Could not find the file" in complaint


def require() -> None:
    """Refuse to begin without an engine.

    Raises:
        ReleaseFailed: There is none, or it does not answer.
    """
    try:
        output_of("docker", "version", "--format", "{{.Server.Version}}", seconds=30)
    except ProgramFailed as error:
        raise ReleaseFailed(f"no Docker engine answers: {error.complaint}") from error
