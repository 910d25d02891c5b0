"""Take the model and the ledger out of the image that ``latest`` names, for the training that is to follow it.

So the record of forecasts runs on from image to image, and the registry is the only thing that keeps it.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path

from crypto_predict.errors import BrokenLedger, InvalidValue, ReleaseFailed, UnusableModel
from crypto_predict.release import artifact
from crypto_predict.release.job import Job
from crypto_predict.release.locate import Located, locate
from crypto_predict.release.version import Build

SUMMARY = "Take model and ledger out of the published image, for the next training."
EXAMPLES = """\
  ... champion --image ghcr.io/o/crypto-predict:latest --into champion --build 0.3.1-20240518121047

The first release ever has no champion: every output is empty then. --begin-anew leaves model and ledger where they are,
so that the record begins anew; the image is still named, as the one to go back to.
"""

_REMEDY = (
    "where it cannot be mended, run the release by hand with begin_anew: the record of forecasts then starts again"
)
_log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--image", required=True, metavar="IMAGE:TAG", help="the tag that names the last release")
    parser.add_argument("--into", type=Path, required=True, metavar="FOLDER", help="where the files go")
    parser.add_argument("--build", required=True, help="what the next release will call itself; it must not be older")
    parser.add_argument("--begin-anew", action="store_true", help="do not carry the record of forecasts on")


def run(options: argparse.Namespace, job: Job) -> Mapping[str, str]:
    """Take them out; outputs `digest` and `build` of the image, and the paths `champion` and `ledger`.

    `champion` is empty where a program with another schema wrote the model, which cannot be compared then.

    Raises:
        InvalidValue: The build is none.
        BrokenLedger: The ledger in the image is absent or not whole: nothing is released over it unseen.
        UnusableModel: The model in the image is damaged.
        ReleaseFailed: The last release is a newer one, or registry or engine failed.
    """
    located = _last_release(options.image, job, needed=not options.begin_anew)
    if located is None:
        _log.info("there is no last release at %s", options.image)
        return {"digest": "", "build": "", "champion": "", "ledger": ""}
    champion = ledger = ""
    if not options.begin_anew:
        _check_not_older(options.build, located.build)
        champion, ledger = _files(located.reference, options.into, job)
    return {"digest": located.digest, "build": located.build, "champion": champion, "ledger": ledger}


def _check_not_older(build: str, last: str) -> None:
    """Refuse to follow a higher version or a later time, as an old run does that somebody starts again."""
    following = Build.parse("--build", build)
    try:
        leading = Build.parse("label", last)
    except InvalidValue:  # an image that was not made by a release
        return
    if following < leading:
        raise ReleaseFailed(
            f"{build} is older than the last release, {last}: release what main is now, or go back with the rollback"
        )


def _last_release(tag: str, job: Job, *, needed: bool) -> Located | None:
    try:
        return locate(tag)
    except ReleaseFailed as error:
        if needed:
            hint = "where nothing was ever published, run the release by hand with begin_anew"
            raise ReleaseFailed(f"{error}\n  {hint}") from error
        # Were it there after all, publishing would find that this release does not follow it.
        job.warn(f"the last release cannot be found, there is none to go back to: {error}")
        return None


def _files(reference: str, folder: Path, job: Job) -> tuple[str, str]:
    try:
        taken = artifact.take_out(reference, folder)
    except BrokenLedger as error:
        raise BrokenLedger(error.path, error.line, f"{error.reason}; {_REMEDY}") from error
    except UnusableModel as error:
        raise UnusableModel(error.path, f"{error.reason}; {_REMEDY}") from error
    if taken.model is None:
        job.warn("the last model was written with another schema: this one is not compared with it, its ledger goes on")
    _log.info("%s: %d entries in its ledger", reference, len(taken.ledger.entries))
    return (str(taken.model_path) if taken.model is not None else ""), str(taken.ledger_path)
