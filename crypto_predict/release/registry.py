"""Image registries, by ``skopeo``: which digest a tag names, and copies that change nothing on the way.

It finds the credentials that ``docker login`` left. A registry on loopback is spoken to without TLS.
"""

from __future__ import annotations

import re

from crypto_predict.errors import ReleaseFailed
from crypto_predict.release.programs import ProgramFailed, output_of

COPY_SECONDS = 600.0
RETRIES = 3  # of one copy, by skopeo itself
DIGEST = re.compile("sha256:[0-9a-f]{64}")

_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?/")
# What a registry says of a tag, or of a whole repository, that it does not have. Whatever else it says is a failure: to
# take an outage for a first release would lose the record of all forecasts.
_ABSENT = ("manifest unknown", "name unknown")


def digest_of(reference: str) -> str | None:
    """The digest that a tag names, of the index where it names one; None where the registry has no such tag.

    Raises:
        ReleaseFailed: The registry cannot be asked, or refuses to tell.
    """
    tls = f"--tls-verify={_secured(reference)}"
    try:
        digest = output_of("skopeo", "inspect", "--no-tags", "--format", "{{.Digest}}", tls, f"docker://{reference}")
    except ProgramFailed as error:
        if any(words in error.complaint for words in _ABSENT):
            return None
        raise
    if not DIGEST.fullmatch(digest.strip()):
        raise ReleaseFailed(f"skopeo calls {digest.strip()!r} the digest of {reference}")
    return digest.strip()


def copy(source: str, destination: str) -> None:
    """Copy an image, with every architecture and attestation of it, so that its digest stays what it is.

    Args:
        source: By digest.
        destination: A tag, which is moved once everything it leads to is there.

    Raises:
        ReleaseFailed: It could not be copied; what `destination` named before, it still names.
    """
    tls = (f"--src-tls-verify={_secured(source)}", f"--dest-tls-verify={_secured(destination)}")
    output_of(
        *("skopeo", "copy", "--quiet", "--all", "--preserve-digests", "--retry-times", str(RETRIES), *tls),
        *(f"docker://{source}", f"docker://{destination}"),
        seconds=COPY_SECONDS,
    )


def _secured(reference: str) -> str:
    return "false" if _LOOPBACK.match(reference) else "true"
