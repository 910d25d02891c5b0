"""Images: in a registry, whose tags are read and put, in the Docker engine, and the model and ledger inside them."""

import json
import logging
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crypto_predict.baked import files, store
from crypto_predict.baked.ledger import Ledger
from crypto_predict.baked.schema import Model
from crypto_predict.errors import InvalidValue, OtherSchema, ReleaseFailed
from crypto_predict.release.job import Environ, add_summary, code
from crypto_predict.release.programs import ProgramFailed, output_of

DIGEST = re.compile("sha256:[0-9a-f]{64}")
LABELS = "org.opencontainers.image."  # prefix of the standard labels
FOLDER, MODEL, LEDGER = "/app", "model.pkl", "model.ledger.jsonl"  # where the Dockerfile puts them
NOTHING, ANYTHING = "nothing", "anything"  # what `latest` must name when a release is promoted, beside a digest

_SECONDS = 300.0  # time limit of a pull, or of a request to a registry
# GHCR is eventually consistent: a tag read right after its push may still name the old digest.
_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds before the tag is read again

# An answer about something that the registry does not have. GHCR answers 403 for a package that does not exist yet.
# Any other answer is a failure: an outage that is taken for a first release would lose the record of all forecasts.
# Each of these contains a space, so that the name of an image never matches.
_ABSENT = re.compile(
    r": not found$|: (403|404|denied|insufficient_scope)\b|access denied|(manifest|name) unknown", re.MULTILINE
)
_log = logging.getLogger(__name__)


def docker(*words: str, seconds: float = 120, both: bool = False) -> str:
    """Return the output of docker, as `output_of` does. Registries on loopback are used without TLS."""
    return output_of("docker", *words, seconds=seconds, both=both).strip()


def digest_of(tag: str) -> str | None:
    """Return the digest that a tag names, of the index if it names one; None if the registry does not have the tag.

    Raise `ReleaseFailed` if the registry does not answer, or answers with an error.
    """
    try:
        inspect = ("buildx", "imagetools", "inspect", "--format", "{{print .Manifest.Digest}}")
        digest = docker(*inspect, tag, seconds=_SECONDS)
    except ProgramFailed as error:
        if _ABSENT.search(error.complaint):
            return None
        raise
    if not DIGEST.fullmatch(digest):
        raise ReleaseFailed(f"docker buildx imagetools printed {digest!r} for {tag}, which is not a digest")
    return digest


def publish(source: str, to: Sequence[str], replacing: str, environ: Environ) -> None:
    """Put tags on an image, named by its digest, in the order given, and read each back; `latest` is the last one.

    A failure is repaired by the same call again.
    """
    name, _, digest = source.partition("@")
    if not name or not DIGEST.fullmatch(digest):
        raise InvalidValue("--from", source, "an image by digest, such as ghcr.io/o/crypto-predict@sha256:6a...")
    current = digest_of(to[-1]) if replacing != ANYTHING else digest
    if current != digest and (current or NOTHING) != replacing:
        raise ReleaseFailed(
            f"{to[-1]} names {current or NOTHING}, not {replacing}: another release has come between, whose forecasts "
            "this one's ledger does not have; run the release again"
        )
    for number, tag in enumerate(to):
        try:
            _put(tag, source, digest)
        except ReleaseFailed as error:
            raise ReleaseFailed(
                f"{error}\n  not in place: {', '.join(to[number:])}; run the failed jobs again"
            ) from error
    add_summary(environ, f"**Published** {code(digest)} as {', '.join(map(code, to))}.")


def _put(tag: str, source: str, digest: str) -> None:
    """Put a tag on an image of the same repository, and wait until the registry shows it."""
    if digest_of(tag) == digest:
        return
    # Without preferring an index the image is copied as it is, and keeps its digest.
    docker("buildx", "imagetools", "create", "--prefer-index=false", "--tag", tag, source, seconds=_SECONDS)
    for pause in _PAUSES:
        time.sleep(pause)
        if (present := digest_of(tag)) == digest:
            _log.info("%s is in place", tag)
            return
    raise ReleaseFailed(f"{tag} still names {present or 'nothing'} after it was put, not {digest}")


def pull(reference: str) -> tuple[Mapping[str, str], str, int]:
    """Return labels, user (empty for root) and bytes of an image, unpacked, with the layers of its base.

    It is pulled if it is named by its digest. Raise `ReleaseFailed` if it does not exist.
    """
    if "@" in reference:
        docker("pull", "--quiet", reference, seconds=_SECONDS)
    described: dict[str, Any] = json.loads(docker("image", "inspect", reference))[0]
    labels, user = (described["Config"].get(name) for name in ("Labels", "User"))
    return labels or {}, str(user or ""), int(described["Size"])


def take_out(reference: str, folder: Path) -> tuple[Model | None, Ledger]:
    """Copy `MODEL` and `LEDGER` out of an image, pulled if it is named by its digest, and read both without trust.

    The model is None if it was written with another schema, which this program cannot read. Raise `BrokenLedger` or
    `UnusableModel` if the ledger is absent, one of both is damaged, or they do not belong together, and `ReleaseFailed`
    if the image has no model, or cannot be read.
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
