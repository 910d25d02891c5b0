"""Copy an image to its tags by digest: one after the other, each looked at afterwards, the last one named last."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence

from crypto_predict.errors import InvalidValue, ReleaseFailed
from crypto_predict.release import registry
from crypto_predict.release.job import Job
from crypto_predict.release.markdown import code

SUMMARY = "Copy an image to its tags by digest, in the order given, and check each."
EXAMPLES = """\
  ... publish --from localhost:5000/crypto-predict@sha256:6a... --to ghcr.io/o/crypto-predict:0.3.1-20240518121047
  ... publish --from ghcr.io/o/crypto-predict@sha256:6a... --to ghcr.io/o/crypto-predict:0.3.1 \\
              --to ghcr.io/o/crypto-predict:latest --replacing sha256:51...

Where it fails half way, the same call again mends it: what is in place already is left alone.
"""

NOTHING = "nothing"  # what --replacing says where there was no release before

_log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--from", dest="source", required=True, metavar="IMAGE@DIGEST", help="the image to publish")
    parser.add_argument(
        "--to", action="append", required=True, metavar="IMAGE:TAG", help="where to; may be repeated, the last one last"
    )
    parser.add_argument(
        "--replacing",
        metavar="DIGEST",
        help=f"refuse unless the last --to still names this digest, or '{NOTHING}': what this release follows",
    )


def run(options: argparse.Namespace, job: Job) -> Mapping[str, str]:
    """Publish; outputs the digest that every tag names now.

    Raises:
        InvalidValue: The source is not named by its digest.
        ReleaseFailed: A registry failed, or another release has come between.
    """
    digest = _digest_in(options.source)
    if options.replacing is not None:
        _check_unmoved(options.to[-1], options.replacing, digest)
    _publish(options.source, digest, options.to)
    job.add_summary(f"**Published**: {', '.join(map(code, options.to))} now {_names(options.to)} {code(digest)}.")
    return {"digest": digest}


def _publish(source: str, digest: str, tags: Sequence[str]) -> None:
    for number, tag in enumerate(tags):
        try:
            _put(source, digest, tag)
        except ReleaseFailed as error:
            left = ", ".join(tags[number:])
            raise ReleaseFailed(f"{error}\n  not in place: {left}; the same call again mends it") from error


def _put(source: str, digest: str, tag: str) -> None:
    if registry.digest_of(tag) == digest:
        _log.info("%s is in place already", tag)
        return
    registry.copy(source, tag)
    if (found := registry.digest_of(tag)) != digest:
        raise ReleaseFailed(f"{tag} names {found} after it was copied, not {digest}")
    _log.info("%s is in place", tag)


def _check_unmoved(tag: str, replacing: str, digest: str) -> None:
    """Refuse to overtake: a release made to follow one that is not there any more would drop what came between."""
    found = registry.digest_of(tag)
    if found != digest and (found or NOTHING) != replacing:
        raise ReleaseFailed(
            f"{tag} names {found or NOTHING}, and this release was made to follow {replacing}: another one has come "
            "between, whose forecasts its ledger lacks; run the release again"
        )


def _names(tags: Sequence[str]) -> str:
    return "name" if len(tags) > 1 else "names"


def _digest_in(reference: str) -> str:
    name, _, digest = reference.partition("@")
    if not name or not registry.DIGEST.fullmatch(digest):
        raise InvalidValue("--from", reference, "an image by digest, such as ghcr.io/o/crypto-predict@sha256:6a...")
    return digest
