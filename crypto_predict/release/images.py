"""Images: in a registry, in the Docker engine, and the model and ledger inside them."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from crypto_predict.baked import files, store
from crypto_predict.baked.ledger import Ledger
from crypto_predict.baked.schema import Model
from crypto_predict.errors import OtherSchema, ReleaseFailed
from crypto_predict.release.programs import ProgramFailed, output_of

DIGEST = re.compile("sha256:[0-9a-f]{64}")
LABELS = "org.opencontainers.image."  # prefix of the standard labels
FOLDER, MODEL, LEDGER = "/app", "model.pkl", "model.ledger.jsonl"  # where the Dockerfile puts them
SECONDS = 300.0  # time limit of a pull, or of a request to a registry

# An answer about something that the registry does not have. GHCR answers 403 for a package that does not exist yet.
# Any other answer is a failure: an outage that is taken for a first release would lose the record of all forecasts.
# Each of these contains a space, so that the name of an image never matches.
_ABSENT = re.compile(
    r": not found$|: (403|404|denied|insufficient_scope)\b|access denied|(manifest|name) unknown", re.MULTILINE
)


class Image(NamedTuple):
    """An image in the engine."""

    reference: str
    digest: str  # empty if the reference does not name it
    labels: Mapping[str, str]  # see `LABELS`
    build: str  # from a label; empty without it
    user: str  # empty: root
    bytes: int  # of all layers, those of the base included


def docker(*words: str, seconds: float = 120, both: bool = False) -> str:
    """Return the output of docker, as `output_of` does. Registries on loopback are used without TLS."""
    return output_of("docker", *words, seconds=seconds, both=both).strip()


def digest_of(tag: str) -> str | None:
    """Return the digest that a tag names, of the index if it names one; None if the registry does not have the tag.

    Raise `ReleaseFailed` if the registry does not answer, or answers with an error.
    """
    try:
        inspect = ("buildx", "imagetools", "inspect", "--format", "{{print .Manifest.Digest}}")
        digest = docker(*inspect, tag, seconds=SECONDS)
    except ProgramFailed as error:
        if _ABSENT.search(error.complaint):
            return None
        raise
    if not DIGEST.fullmatch(digest):
        raise ReleaseFailed(f"docker buildx imagetools printed {digest!r} for {tag}, which is not a digest")
    return digest


def pull(reference: str) -> Image:
    """Describe an image, which is pulled if it is named by its digest; raise `ReleaseFailed` if it does not exist."""
    if "@" in reference:
        docker("pull", "--quiet", reference, seconds=SECONDS)
    described: dict[str, Any] = json.loads(docker("image", "inspect", reference))[0]
    labels, user = (described["Config"].get(name) for name in ("Labels", "User"))
    labels = dict(labels or {})
    build, digest = labels.get(f"{LABELS}version", ""), reference.partition("@")[2]
    return Image(reference, digest, labels, build, str(user or ""), int(described["Size"]))


def take_out(reference: str, folder: Path) -> tuple[Model | None, Ledger]:
    """Copy `MODEL` and `LEDGER` out of an image, pulled if it is named by its digest, and read both without trust.

    The model is None if it was written with another schema, which this program cannot read.

    Raises:
        BrokenLedger, UnusableModel: The ledger is absent, one of both is damaged, or they do not belong together.
        ReleaseFailed: The image has no model, or cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model_path, ledger_path = folder / MODEL, folder / LEDGER
    for path in (model_path, ledger_path):
        path.unlink(missing_ok=True)  # of another image
    pull(reference)
    container = docker("create", reference, "never-run")
    try:
        docker("cp", f"{container}:{FOLDER}/.", str(folder))
    finally:
        docker("rm", "--force", container)
    if not model_path.exists():
        raise ReleaseFailed(f"{reference} has no {FOLDER}/{MODEL}: it is not an image of this project")
    try:
        model = store.load(model_path)
    except OtherSchema:
        return None, Ledger.read(ledger_path)
    ledger = Ledger.read(ledger_path, [model.scorecard.head])
    files.write_atomically(ledger_path, ledger.content())  # without what was never released
    return model, ledger


def take_out_model(reference: str, folder: Path) -> Model:
    """Do as `take_out`, and raise `ReleaseFailed` for another schema."""
    model, _ = take_out(reference, folder)
    if model is None:
        raise ReleaseFailed(f"{reference}: its model has another schema than this program's")
    return model


@contextmanager
def running(reference: str, port: int) -> Iterator[str]:
    """Run an image that listens at `port` on loopback, read-only and without capabilities; give its container.

    It uses the network of the host, since not every engine has one.
    """
    locked = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    listening = ("--network", "host", "--env", f"PORT={port}", "--env", "HOST=127.0.0.1")
    container = docker("create", *locked, *listening, reference)
    try:
        docker("start", container)
        yield container
    finally:
        docker("rm", "--force", container)
