"""Image registries, by ``docker buildx imagetools``: the digest that a tag names, and tags for a digest.

Docker's own credentials are used. A registry on loopback is asked without TLS.
"""

from __future__ import annotations

import logging
import re
import time

from crypto_predict.errors import ReleaseFailed
from crypto_predict.release.programs import ProgramFailed, output_of

SECONDS = 300.0  # for one command
DIGEST = re.compile("sha256:[0-9a-f]{64}")
# GHCR is eventually consistent: a tag read right after its push may still name the old digest.
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds before the tag is read again

# An answer about something that the registry does not have. GHCR answers 403 for a package that does not exist yet.
# Any other answer is a failure: an outage that is taken for a first release would lose the record of all forecasts.
# Each of these contains a space, so that the name of an image never matches.
_ABSENT = re.compile(
    r": not found$|: (403|404|denied|insufficient_scope)\b|access denied|(manifest|name) unknown", re.MULTILINE
)
_log = logging.getLogger(__name__)


def digest_of(reference: str) -> str | None:
    """Return the digest that a tag names, of the index if it names one; None if the registry does not have the tag.

    Raises:
        ReleaseFailed: The registry does not answer, or answers with an error.
    """
    try:
        found = _imagetools("inspect", "--format", "{{print .Manifest.Digest}}", reference).strip()
    except ProgramFailed as error:
        if _ABSENT.search(error.complaint):
            return None
        raise
    if not DIGEST.fullmatch(found):
        raise ReleaseFailed(f"{found!r} is not a digest, though docker buildx imagetools gave it for {reference}")
    return found


def put_tag(source: str, tag: str) -> None:
    """Let a tag of the same repository name an image by digest, and wait until the registry shows it.

    Raises:
        ReleaseFailed: The tag could not be put, or the registry does not show it.
    """
    digest = source.partition("@")[2]
    if digest_of(tag) == digest:
        return
    # Without preferring an index the image is copied as it is, and keeps its digest.
    _imagetools("create", "--prefer-index=false", "--tag", tag, source)
    for pause in (*PAUSES, None):
        if (found := digest_of(tag)) == digest:
            _log.info("%s is in place", tag)
            return
        if pause is not None:
            time.sleep(pause)
    raise ReleaseFailed(f"{tag} still names {found or 'nothing'} after it was put, not {digest}")


def _imagetools(*words: str) -> str:
    return output_of("docker", "buildx", "imagetools", *words, seconds=SECONDS)
