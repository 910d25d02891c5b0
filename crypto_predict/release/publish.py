"""Put tags on an image, named by its digest, in the order given: each is read back, and `latest` is the last one."""

import logging
import time
from collections.abc import Sequence

from crypto_predict.errors import InvalidValue, ReleaseFailed
from crypto_predict.release.champion import ANYTHING, NOTHING
from crypto_predict.release.images import DIGEST, SECONDS, digest_of, docker
from crypto_predict.release.job import Job, code

# GHCR is eventually consistent: a tag read right after its push may still name the old digest.
_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds before the tag is read again
_log = logging.getLogger(__name__)


def publish(source: str, to: Sequence[str], replacing: str, job: Job) -> None:
    """Put tags on an image, in the order given, and read each back.

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
    job.add_summary(f"**Published** {code(digest)} as {', '.join(map(code, to))}.")


def _put(tag: str, source: str, digest: str) -> None:
    """Put a tag on an image of the same repository, and wait until the registry shows it."""
    if digest_of(tag) == digest:
        return
    # Without preferring an index the image is copied as it is, and keeps its digest.
    docker("buildx", "imagetools", "create", "--prefer-index=false", "--tag", tag, source, seconds=SECONDS)
    for pause in _PAUSES:
        time.sleep(pause)
        if (present := digest_of(tag)) == digest:
            _log.info("%s is in place", tag)
            return
    raise ReleaseFailed(f"{tag} still names {present or 'nothing'} after it was put, not {digest}")
