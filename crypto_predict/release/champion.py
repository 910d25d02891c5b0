"""The last release: find its image, check who built it, and copy its model and ledger for the next training.

The record of forecasts continues from image to image. So nothing is taken from an image that the release workflow of
this repository did not sign.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from crypto_predict.errors import BrokenLedger, ReleaseFailed, UnfitImage, UnusableModel
from crypto_predict.release.images import ANYTHING, LABELS, LEDGER, MODEL, NOTHING, digest_of, pull, take_out
from crypto_predict.release.job import Environ, required, warn
from crypto_predict.release.programs import IS_ANCESTOR, ProgramFailed, gh, git_succeeds, head_and_main

WORKFLOW = ".github/workflows/release.yml"

_log = logging.getLogger(__name__)


def locate(image: str, environ: Environ) -> Mapping[str, str]:
    """Verify the published image that a tag names, and print its digest and build."""
    if (pulled := _pull(image)) is None:
        raise ReleaseFailed(f"{image} does not exist: the package's page on GitHub lists the builds")
    digest, reference, labels = pulled
    _verify(reference, environ)
    return {"digest": digest, "build": labels.get(f"{LABELS}version", "")}


def champion(image: str, into: Path, repository: Path, environ: Environ, *, begin_anew: bool) -> Mapping[str, str]:
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
        digest, reference, labels = last
        _verify(reference, environ)
        outputs |= {"digest": digest, "build": labels.get(f"{LABELS}version", "")}
        if not begin_anew:
            model, ledger = take_out(reference, into)
            _log.info("%s: %d entries in its ledger", reference, ledger.entries)
            outputs |= {"champion": str(into / MODEL) if model else "", "ledger": str(into / LEDGER)}
            if model is None:
                skipped = "the last model has another schema: it is not compared with the new one; its ledger goes on"
                warn(environ, skipped)
    except (BrokenLedger, UnusableModel, UnfitImage, ReleaseFailed) as error:
        if not begin_anew:
            _log.info("if a repeat does not help, run the release by hand with begin_anew: a new record of forecasts")
            raise
        warn(environ, f"the last release cannot be used, and there is none to roll back to: {error}")
        if last is None:
            return {**outputs, "follows": ANYTHING}
    digest, _, labels = last
    _check_follows(repository, labels, environ)
    return {**outputs, "follows": digest}


def _pull(tag: str) -> tuple[str, str, Mapping[str, str]] | None:
    """Pull the image that a tag names; return its digest, its reference by digest, and its labels; None without it."""
    if (digest := digest_of(tag)) is None:
        return None
    reference = f"{tag.rpartition(':')[0]}@{digest}"
    return digest, reference, pull(reference)[0]


def _verify(reference: str, environ: Environ) -> None:
    """Raise `UnfitImage` unless the release workflow of this repository, run on main, signed the image.

    A private repository may not be able to attest: there, an image without any attestation is a warning.
    """
    repository = required(environ, "GITHUB_REPOSITORY")
    signer = ("--signer-workflow", f"{repository}/{WORKFLOW}", "--source-ref", "refs/heads/main")
    try:
        gh("attestation", "verify", f"oci://{reference}", "--repo", repository, *signer)
    except ProgramFailed as error:
        fault = f"its attestation by {WORKFLOW} could not be verified: {error.complaint}"
        unsigned = "HTTP 404" in error.complaint  # without any attestation, rather than with a wrong one
        if not unsigned or gh("api", f"repos/{repository}", "--jq", ".private").strip() != "true":
            raise UnfitImage(reference, [fault]) from error
        warn(environ, f"{reference}: {fault}; this repository is private and may not be able to attest")


def _check_follows(repository: Path, labels: Mapping[str, str], environ: Environ) -> None:
    """Refuse a commit that neither contains the one released last, as in an old run, nor is the tip of main."""
    (head, main), revision = head_and_main(repository), labels.get(f"{LABELS}revision", "")
    if git_succeeds(repository, *IS_ANCESTOR, revision, head):
        return
    if head != main:
        build = labels.get(f"{LABELS}version", "")
        raise ReleaseFailed(
            f"{head} does not contain {revision or 'the unnamed commit'}, which {build} was built from: this "
            "run is older than the last release; run the release of what main is now, or roll back"
        )
    warn(environ, f"{head} does not contain {revision}, the commit released last: the history of main was rewritten")
