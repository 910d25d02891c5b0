"""Deploy an image to Render, wait until it answers, and deploy the last good one again if it does not."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

from crypto_predict.errors import InvalidValue, ReleaseFailed
from crypto_predict.release import markdown, registry
from crypto_predict.release.job import Job
from crypto_predict.release.render import Clock, DeployHook, Patience, Site

_IMAGE = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:/-]*@{registry.DIGEST.pattern}")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """An image by digest, and the build that it answers as at ``/version``."""

    image: str
    build: str

    @classmethod
    def parse(cls, image: str, build: str, option: str) -> Target:
        """Check both; raise `InvalidValue` naming the option."""
        if not _IMAGE.fullmatch(image) or not build:
            expected = "an image by digest, such as ghcr.io/o/crypto-predict@sha256:6a..., and its build"
            raise InvalidValue(option, f"{image} {build}", expected)
        return cls(image, build)


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is deployed where."""

    hook: DeployHook
    site: Site | None  # None: its address is unknown, and nothing is verified
    target: Target
    previous: Target | None  # the last good one; None if there is none
    patience: Patience

    def bring_up(self, target: Target, clock: Clock) -> float | None:
        """Start an image and wait until it answers; return the seconds that took, None without a site."""
        _log.info("deploying %s, build %s", target.image, target.build)
        self.hook.deploy(target.image, clock)
        return None if self.site is None else self.site.wait_for(target.build, self.patience, clock)


def deploy(deployment: Deployment, job: Job, clock: Clock) -> None:
    """Deploy, show the outcome on the run's page, and raise `ReleaseFailed` if the image is not live."""
    named = f"{markdown.code(deployment.target.image)}, build {markdown.code(deployment.target.build)},"
    try:
        seconds = deployment.bring_up(deployment.target, clock)
    except ReleaseFailed as error:
        _log.info("%s", error)
        rolled_back, outcome = _roll_back(deployment, clock)
        title = "Rolled back" if rolled_back else "Failed"
        facts = markdown.bullets([markdown.escape(text) for text in (f"not live: {error}", outcome)])
        job.add_summary(f"### Deploy\n\n**{title}**: {named} is not live.\n\n{facts}")
        raise ReleaseFailed(f"{deployment.target.build} is not live: {error}\n  {outcome}") from error
    if seconds is None or deployment.site is None:
        job.warn("the deploy is not verified: set the repository variable SITE_URL to the site's address")
        job.add_summary(f"### Deploy\n\n{named} was deployed, and **not verified**: `SITE_URL` is not set.")
    else:
        where = markdown.code(deployment.site.address)
        job.add_summary(f"### Deploy\n\n{named} is live at {where}: it answered after {seconds:.0f} s.")


def _roll_back(deployment: Deployment, clock: Clock) -> tuple[bool, str]:
    """Deploy the last good image again; return whether that worked, and the outcome in words."""
    previous, site = deployment.previous, deployment.site
    try:
        if previous is None:
            raise ReleaseFailed("there is no earlier release")
        seconds = deployment.bring_up(previous, clock)
    except ReleaseFailed as error:
        now = "" if site is None else f"; {site.address} answers now: {site.ask()[1]}"
        return False, f"not rolled back: {error}{now}"
    verified = "which answers again" if seconds is not None else "not verified: SITE_URL is not set"
    return True, f"rolled back to {previous.build}, {verified}"
