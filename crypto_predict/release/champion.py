"""The last release: find its image, check who built it, and copy its model and ledger for the next training.

The record of forecasts continues from image to image. So nothing is taken from an image that the release workflow of
this repository did not sign.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from crypto_predict.errors import BrokenLedger, ReleaseFailed, UnfitImage, UnusableModel
from crypto_predict.release.images import LABELS, LEDGER, MODEL, Image, digest_of, pull, take_out
from crypto_predict.release.job import Job
from crypto_predict.release.programs import ProgramFailed, Repository, gh

NOTHING, ANYTHING = "nothing", "anything"  # what `latest` must name when a release is promoted, beside a digest
WORKFLOW = ".github/workflows/release.yml"

_log = logging.getLogger(__name__)


def locate(image: str, job: Job) -> Mapping[str, str]:
    """Verify the published image that a tag names, and print its digest and build."""
    pulled = _pull(image)
    if pulled is None:
        raise ReleaseFailed(f"{image} does not exist: the package's page on GitHub lists the builds")
    _verify(pulled.reference, job)
    return {"digest": pulled.digest, "build": pulled.build}


def champion(image: str, into: Path, repository: Path, job: Job, *, begin_anew: bool) -> Mapping[str, str]:
    """Verify the last release and take model and ledger out of it, for the next training.

    `follows` is what the tag must still name when this release is promoted: a digest, "nothing" or "anything".
    `digest` and `build` name the image to roll back to. `champion` and `ledger` are the paths of the files; a model
    with another schema cannot be compared, and is left out. Each is empty if it does not exist.

    With --begin-anew a new record of forecasts begins, and an unusable last release is not an error.
    """
    outputs = {"follows": NOTHING, "digest": "", "build": "", "champion": "", "ledger": ""}
    last = None
    try:
        last = _pull(image)
        if last is None:
            _log.info("no last release at %s: this is the first", image)
            return outputs
        _verify(last.reference, job)
        outputs |= {"digest": last.digest, "build": last.build}
        if not begin_anew:
            model, ledger = take_out(last.reference, into)
            _log.info("%s: %d entries in its ledger", last.reference, ledger.entries)
            outputs |= {"champion": str(into / MODEL) if model else "", "ledger": str(into / LEDGER)}
            if model is None:
                job.warn("the last model has another schema: it is not compared with the new one; its ledger goes on")
    except (BrokenLedger, UnusableModel, UnfitImage, ReleaseFailed) as error:
        if not begin_anew:
            _log.info("if a repeat does not help, run the release by hand with begin_anew: a new record of forecasts")
            raise
        job.warn(f"the last release cannot be used, and there is none to roll back to: {error}")
        if last is None:
            return {**outputs, "follows": ANYTHING}
    _check_follows(Repository(repository), last, job)
    return {**outputs, "follows": last.digest}


def _pull(tag: str) -> Image | None:
    """Pull the image that a tag names, by its digest; None if the registry does not have the tag."""
    digest = digest_of(tag)
    return None if digest is None else pull(f"{tag.rpartition(':')[0]}@{digest}")


def _verify(reference: str, job: Job) -> None:
    """Raise `UnfitImage` unless the release workflow of this repository, run on main, signed the image.

    A private repository may not be able to attest: there, an image without any attestation is a warning.
    """
    repository = job.required("GITHUB_REPOSITORY")
    signer = ("--signer-workflow", f"{repository}/{WORKFLOW}", "--source-ref", "refs/heads/main")
    try:
        gh("attestation", "verify", f"oci://{reference}", "--repo", repository, *signer)
    except ProgramFailed as error:
        fault = f"its attestation by {WORKFLOW} could not be verified: {error.complaint}"
        unsigned = "HTTP 404" in error.complaint  # without any attestation, rather than with a wrong one
        if not unsigned or gh("api", f"repos/{repository}", "--jq", ".private").strip() != "true":
            raise UnfitImage(reference, [fault]) from error
        job.warn(f"{reference}: {fault}; this repository is private and may not be able to attest")


def _check_follows(repository: Repository, last: Image, job: Job) -> None:
    """Refuse a commit that neither contains the one released last, as in an old run, nor is the tip of main."""
    head, revision = repository.head(), last.labels.get(f"{LABELS}revision", "")
    if repository.contains(head, revision):
        return
    if head != repository.main():
        raise ReleaseFailed(
            f"{head} does not contain {revision or 'the unnamed commit'}, which {last.build} was built from: this "
            "run is older than the last release; run the release of what main is now, or roll back"
        )
    job.warn(f"{head} does not contain {revision}, the commit released last: the history of main was rewritten")
