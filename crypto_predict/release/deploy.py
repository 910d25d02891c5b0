"""Tell Render to run an image, wait until it answers, and bring the last good one back if it does not."""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass

from crypto_predict.errors import InvalidValue, ReleaseFailed
from crypto_predict.release import markdown, registry
from crypto_predict.release.clock import Clock, SystemClock
from crypto_predict.release.hook import SECRET, DeployHook
from crypto_predict.release.job import Job
from crypto_predict.release.site import Patience, Site
from crypto_predict.settings import duration

SUMMARY = "Have Render run an image, wait until it answers, and bring the last good one back if it does not."
EXAMPLES = f"""\
  {SECRET}=https://... ... deploy --site https://example.onrender.com \\
      --image ghcr.io/o/crypto-predict@sha256:6a... --build 0.3.1-20240518121047 \\
      --previous ghcr.io/o/crypto-predict@sha256:51... --previous-build 0.3.0-20240518061047

Without {SECRET} there is no live site to deploy to, and nothing is done. Without --site nothing is verified.
An image that does not answer in time is an error, whether or not the last good one could be brought back.
"""

PATIENCE, EVERY = "15m", "5s"  # Render itself gives a new instance 15 minutes to become healthy

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*")
_BUILD = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]*")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An image, and what it calls itself."""

    image: str  # by digest
    build: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is to be deployed where."""

    hook: DeployHook
    site: Site | None  # None: nobody knows the address
    wanted: Wanted
    previous: Wanted | None  # the last good one; None where there is none
    patience: Patience

    def bring_up(self, wanted: Wanted, clock: Clock) -> float | None:
        """Have it started, and wait until it answers; returns the seconds that took, None where nobody can ask.

        Raises:
            ReleaseFailed: The hook refused, or another build kept answering.
        """
        _log.info("deploying %s, build %s", wanted.image, wanted.build)
        self.hook.deploy(wanted.image, clock)
        return None if self.site is None else self.site.wait_for(wanted.build, self.patience, clock)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--image", required=True, metavar="IMAGE@DIGEST", help="the image to run")
    parser.add_argument("--build", required=True, help="what it calls itself at /version")
    parser.add_argument("--site", default="", metavar="URL", help="where the service answers")
    parser.add_argument("--previous", default="", metavar="IMAGE@DIGEST", help="the last good one, to go back to")
    parser.add_argument("--previous-build", default="", metavar="BUILD", help="what that one calls itself")
    parser.add_argument("--patience", default=PATIENCE, metavar="TIME", help="how long to wait (default: %(default)s)")
    parser.add_argument("--every", default=EVERY, metavar="TIME", help="how often to ask (default: %(default)s)")


def run(options: argparse.Namespace, job: Job) -> Mapping[str, str]:
    """Deploy; outputs whether it was `deployed` and `verified`, and whether the last good one was `rolled_back`.

    Raises:
        InvalidValue: An argument or the secret is not what it must be.
        ReleaseFailed: The image is not live; tells whether the last good one is.
    """
    wanted = _wanted(options.image, options.build, "--image", "--build")
    previous = _previous(options)
    patience = Patience(duration(options.patience).total_seconds(), duration(options.every).total_seconds())
    site = Site(options.site) if options.site.strip() else None
    if not (address := job.environ.get(SECRET, "").strip()):
        _log.info("there is no live site to deploy to: the secret %s is not set", SECRET)
        job.add_summary(f"### Deploy\n\nThere is no live site to deploy to: the secret `{SECRET}` is not set.")
        return _outputs()
    return carry_out(Deployment(DeployHook.at(address), site, wanted, previous, patience), job, SystemClock())


def carry_out(deployment: Deployment, job: Job, clock: Clock) -> Mapping[str, str]:
    """The same, of a deployment that has been put together.

    Raises:
        ReleaseFailed: As for `run`.
    """
    wanted, site = deployment.wanted, deployment.site
    try:
        seconds = deployment.bring_up(wanted, clock)
    except ReleaseFailed as error:
        raise _gone_back(deployment, error, job, clock) from error
    if seconds is None or site is None:
        job.warn("nobody can check a site whose address is unknown: set the repository variable SITE_URL")
        job.add_summary(f"### Deploy\n\n{_named(wanted)} was deployed, and **not verified**: `SITE_URL` is not set.")
        return _outputs(deployed=True)
    _log.info("%s answers as %s after %.0f s", site.address, wanted.build, seconds)
    where = markdown.code(site.address)
    job.add_summary(f"### Deploy\n\n{_named(wanted)} is live at {where}: it answered after {seconds:.0f} s.")
    return _outputs(deployed=True, verified=True)


def _gone_back(deployment: Deployment, error: ReleaseFailed, job: Job, clock: Clock) -> ReleaseFailed:
    """Bring the last good image back; returns the error that tells what became of both."""
    _log.info("%s", error)
    rolled_back, outcome = _brought_back(deployment, clock)
    title = "Rolled back" if rolled_back else "Failed"
    told = markdown.bullets([markdown.escape(text) for text in (f"not live: {error}", outcome)])
    job.add_summary(f"### Deploy\n\n**{title}**: {_named(deployment.wanted)} is not live.\n\n{told}")
    # A command that fails has no outputs of its own; whoever is alerted should know what the site is left with.
    job.set_outputs(_outputs(rolled_back=rolled_back))
    return ReleaseFailed(f"{deployment.wanted.build} is not live: {error}\n  {outcome}")


def _brought_back(deployment: Deployment, clock: Clock) -> tuple[bool, str]:
    """Whether the last good image answers again, and what became of it."""
    previous = deployment.previous
    if previous is None:
        return False, f"not rolled back: there is no earlier release to go back to{_now(deployment.site)}"
    try:
        seconds = deployment.bring_up(previous, clock)
    except ReleaseFailed as error:
        return False, f"the roll-back to {previous.build} failed as well: {error}{_now(deployment.site)}"
    if seconds is None:
        return True, f"rolled back to {previous.build}, which nobody can verify: SITE_URL is not set"
    return True, f"rolled back to {previous.build}, which answers again"


def _now(site: Site | None) -> str:
    return "" if site is None else f"; {site.address} says now: {site.say().words}"


def _named(wanted: Wanted) -> str:
    return f"{markdown.code(wanted.image)}, build {markdown.code(wanted.build)},"


def _outputs(*, deployed: bool = False, verified: bool = False, rolled_back: bool = False) -> Mapping[str, str]:
    facts = {"deployed": deployed, "verified": verified, "rolled_back": rolled_back}
    return {name: str(fact).lower() for name, fact in facts.items()}


def _previous(options: argparse.Namespace) -> Wanted | None:
    """The last good one; in a workflow both arguments are there and empty where there is none."""
    if not options.previous and not options.previous_build:
        return None
    return _wanted(options.previous, options.previous_build, "--previous", "--previous-build")


def _wanted(image: str, build: str, *names: str) -> Wanted:
    repository, _, digest = image.partition("@")
    if not _REPOSITORY.fullmatch(repository) or not registry.DIGEST.fullmatch(digest):
        raise InvalidValue(names[0], image, "an image by digest, such as ghcr.io/o/crypto-predict@sha256:6a...")
    if not _BUILD.fullmatch(build):
        raise InvalidValue(names[1], build, "a build, such as 0.3.1-20240518121047")
    return Wanted(image, build)
