"""Let tags name an image by its digest: one after the other, each read back, the last one last."""

from __future__ import annotations

from collections.abc import Sequence

from crypto_predict.errors import InvalidValue, ReleaseFailed
from crypto_predict.release import registry
from crypto_predict.release.champion import ANYTHING, NOTHING
from crypto_predict.release.job import Job
from crypto_predict.release.markdown import code


def publish(source: str, tags: Sequence[str], replacing: str, job: Job) -> None:
    """Put the tags. A failure is repaired by the same call again.

    Args:
        source: The image by digest.
        tags: In the repository of the image.
        replacing: What the last tag must still name: a digest, ``nothing`` or ``anything``.
        job: Shows what was published.

    Raises:
        InvalidValue: The source is not named by its digest.
        ReleaseFailed: A registry failed, or another release has come between.
    """
    name, _, digest = source.partition("@")
    if not name or not registry.DIGEST.fullmatch(digest):
        raise InvalidValue("--from", source, "an image by digest, such as ghcr.io/o/crypto-predict@sha256:6a...")
    found = registry.digest_of(tags[-1]) if replacing != ANYTHING else digest
    if found != digest and (found or NOTHING) != replacing:
        raise ReleaseFailed(
            f"{tags[-1]} names {found or NOTHING}, not {replacing}: another release has come between, whose forecasts "
            "this one's ledger does not have; run the release again"
        )
    for number, tag in enumerate(tags):
        try:
            registry.put_tag(source, tag)
        except ReleaseFailed as error:
            left = ", ".join(tags[number:])
            raise ReleaseFailed(f"{error}\n  not in place: {left}; run the failed jobs again") from error
    job.add_summary(f"**Published** {code(digest)} as {', '.join(map(code, tags))}.")
