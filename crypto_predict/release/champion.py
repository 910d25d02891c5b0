"""The last release: find the image, check who built it, and take out model and ledger for the next training.

The record of forecasts goes on from image to image, so nothing is taken from an image that this repository's release
workflow did not sign.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crypto_predict.errors import BrokenLedger, ReleaseFailed, UnfitImage, UnusableModel
from crypto_predict.release import artifact, engine, registry
from crypto_predict.release.engine import LABELS
from crypto_predict.release.gh import gh
from crypto_predict.release.git import Repository
from crypto_predict.release.job import Job
from crypto_predict.release.programs import ProgramFailed

NOTHING, ANYTHING = "nothing", "anything"  # what `latest` must name when a release is promoted, beside a digest
WORKFLOW = ".github/workflows/release.yml"

_REMEDY = "if a repeat does not help, run the release by hand with begin_anew: the record of forecasts starts again"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Located:
    """A published image that was pulled."""

    reference: str  # by digest
    digest: str
    build: str  # from its label; empty if it has none
    revision: str  # the commit that it was built from, from its label; empty if it has none


def locate(tag: str) -> Located | None:
    """Pull the image that a tag names, by its digest; None if the registry does not have the tag.

    Raises:
        ReleaseFailed: Registry or engine failed.
    """
    digest = registry.digest_of(tag)
    if digest is None:
        return None
    reference = f"{tag.rpartition(':')[0]}@{digest}"
    labels = engine.hold(reference).labels
    return Located(reference, digest, labels.get(f"{LABELS}version", ""), labels.get(f"{LABELS}revision", ""))


def verify(reference: str, job: Job) -> None:
    """Check that the release workflow of this repository, run on main, signed the image.

    A private repository may not be able to attest; there, an image without an attestation is a warning.

    Raises:
        UnfitImage: It is not signed, or not by this repository's release workflow.
        ReleaseFailed: GitHub does not answer.
    """
    repository = job.required("GITHUB_REPOSITORY")
    signer = ("--signer-workflow", f"{repository}/{WORKFLOW}", "--source-ref", "refs/heads/main")
    try:
        gh("attestation", "verify", f"oci://{reference}", "--repo", repository, *signer)
    except ProgramFailed as error:
        fault = f"its attestation by {WORKFLOW} could not be verified: {error.complaint}"
        unsigned = "HTTP 404" in error.complaint  # nothing is attested, rather than something else
        if not unsigned or gh("api", f"repos/{repository}", "--jq", ".private").strip() != "true":
            raise UnfitImage(reference, [fault]) from error
        job.warn(f"{reference}: {fault}; this repository is private and may not be able to attest")


def take_champion(tag: str, folder: Path, repository: Repository, job: Job, *, begin_anew: bool) -> Mapping[str, str]:
    """Prepare the training that follows the last release.

    Args:
        tag: The tag that names the last release.
        folder: Where model and ledger go.
        repository: The checkout of the commit to be released.
        job: Receives warnings.
        begin_anew: Leave the record of forecasts behind, and go on if the last release cannot be used.

    Returns:
        `follows`: what `latest` must still name when this release is promoted: a digest, ``nothing`` or ``anything``.
        `digest` and `build`: the image to roll back to; empty if there is none.
        `champion` and `ledger`: the paths of the files; empty if there is none. `champion` is also empty if the model
        has another schema and cannot be compared.

    Raises:
        BrokenLedger, UnusableModel: The files in the image are damaged.
        UnfitImage: The image is not signed by this repository's release workflow.
        ReleaseFailed: The last release is newer than this commit, or registry or engine failed.
    """
    outputs = {"follows": NOTHING, "digest": "", "build": "", "champion": "", "ledger": ""}
    located = None
    try:
        located = locate(tag)
        if located is None:
            _log.info("no last release at %s: this is the first", tag)
            return outputs
        verify(located.reference, job)
        files = {} if begin_anew else _files(located.reference, folder, job)
        outputs |= {"digest": located.digest, "build": located.build, **files}
    except (BrokenLedger, UnusableModel, UnfitImage, ReleaseFailed) as error:
        if not begin_anew:
            _log.info("%s", _REMEDY)
            raise
        job.warn(f"the last release cannot be used, and there is none to roll back to: {error}")
        if located is None:
            return {**outputs, "follows": ANYTHING}
    _check_follows(repository, located, job)
    return {**outputs, "follows": located.digest}


def _check_follows(repository: Repository, last: Located, job: Job) -> None:
    """Refuse a commit that does not contain the one released last, as when an old run is started again.

    After a rewrite of the history, the tip of main may follow whatever was released before.
    """
    head = repository.head()
    if repository.contains(head, last.revision):
        return
    if head != repository.main():
        raise ReleaseFailed(
            f"{head} does not contain {last.revision or 'the unnamed commit'}, which {last.build} was built from: this "
            "run is older than the last release; run the release of what main is now, or roll back"
        )
    job.warn(f"{head} does not contain {last.revision}, the commit released last: the history of main was rewritten")


def _files(reference: str, folder: Path, job: Job) -> Mapping[str, str]:
    taken = artifact.take_out(reference, folder)
    if taken.model is None:
        job.warn("the last model has another schema: it is not compared with the new one, its ledger goes on")
    _log.info("%s: %d entries in its ledger", reference, taken.ledger.entries)
    return {"champion": str(taken.model_path) if taken.model else "", "ledger": str(taken.ledger_path)}
