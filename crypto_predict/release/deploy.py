"""Deploy an image to Render, wait until it answers, and deploy the last good one again if it does not.

Render starts an image on a request to its deploy hook, a secret address ("Deploy hooks" in its documentation). It does
not notice that a tag has moved, so images are named by digest.
"""

import json
import logging
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from crypto_predict.errors import InvalidValue, ReleaseFailed
from crypto_predict.release.images import DIGEST
from crypto_predict.release.job import Environ, add_summary, bullets, code, escape, one_line, required, warn
from crypto_predict.release.programs import fetch
from crypto_predict.wording import read_duration

SECRET = "RENDER_DEPLOY_HOOK"  # noqa: S105 the name of the variable
PAUSES = (5.0, 15.0, 45.0)  # seconds before a hook that failed is called again
LONGEST_PAUSE = 120.0  # seconds, even if Retry-After is longer
SITE_SECONDS = 20.0  # time limit for an answer of the site

_ADDRESS = re.compile(  # without user, password, white space, and what curl's configuration would quote
    r"(?P<scheme>https?)://(?P<host>[a-z0-9._-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?([/?#][!#-?A-\[\]-~]*)?", re.IGNORECASE
)
_LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}
_BY_DIGEST = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:/-]*@{DIGEST.pattern}")
_PHRASES = {status.value: status.phrase for status in HTTPStatus}  # the server's own words may quote the address
_log = logging.getLogger(__name__)
Target = tuple[str, str]  # an image by digest, and the build that it answers at /version


class Service:
    """A service on Render: the secret address of its deploy hook, and its `site`, which is not verified if empty.

    It waits `patience` seconds for the site, and `every` seconds from one request to the next. Raise `InvalidValue` for
    an address that is not valid, or not safe for a secret.
    """

    def __init__(  # noqa: PLR0913 with the clock of a test
        self,
        hook: str,
        site: str,
        patience: float,
        every: float,
        *,
        hook_seconds: float = 30.0,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._hook = _address(SECRET, hook, secret=True)
        self.site = _address("--site", site).rstrip("/") if site.strip() else ""
        self._patience, self._every, self._hook_seconds = patience, every, hook_seconds
        self._now, self._sleep = now, sleep

    def deploy(self, target: Target) -> float | None:
        """Start an image and wait until it answers; return the seconds that took, None without a site."""
        image, build = target
        _log.info("deploying %s, build %s", image, build)
        self.start(image)
        return self._wait_for(build) if self.site else None

    def start(self, image: str) -> None:
        """Call the hook until it accepts the image: a second call does no harm."""
        parts, wish = urlsplit(self._hook), 0.0
        others = [part for part in parts.query.split("&") if part and part.partition("=")[0] != "imgURL"]
        address = parts._replace(query="&".join([*others, f"imgURL={quote(image, safe='')}"])).geturl()
        for pause in (0.0, *PAUSES):
            self._sleep(max(pause, min(wish, LONGEST_PAUSE)))
            failure, wish = self._call(address)
            if not failure:
                return
            _log.info("the deploy hook: %s", failure)
        raise ReleaseFailed(f"the deploy hook failed {len(PAUSES) + 1} times, the last time: {failure}")

    def answering(self) -> tuple[str | None, str]:
        """Return the build that the site answers, None if it does not, and the answer in words."""
        status, _, body = fetch(f"{self.site}/version", SITE_SECONDS, fresh=True)
        if status != HTTPStatus.OK:
            return None, f"status {status}" if status else body
        try:
            build = str(json.loads(body)["build"])
        except (ValueError, RecursionError, KeyError, TypeError):  # a page of the host, or worse
            return None, "not a version"
        return build, f"build {one_line(build, 60)}"

    def _call(self, address: str) -> tuple[str, float]:
        """Return why the hook failed, empty if it did not, and the seconds of Retry-After; raise if it refused."""
        status, headers, body = fetch(address, self._hook_seconds, method="POST")
        if status < 300:
            return "" if status else body, 0.0
        words = f"answered {status} {_PHRASES.get(status, '')}".strip()
        if status >= 500 or status in {408, 429}:
            wish = headers.get("retry-after", "")
            return f"it {words}", float(wish[:9]) if wish.isascii() and wish.isdigit() else 0.0
        reason = "redirects are not followed with a secret; " if status < 400 else ""
        raise ReleaseFailed(f"the deploy hook {words}: {reason}check {SECRET} and the service's image")

    def _wait_for(self, build: str) -> float:
        """Request the version until this build answers: its host may answer anything while an instance starts."""
        began, logged = self._now(), ""
        while True:
            answer, words = self.answering()
            waited = self._now() - began
            if words != logged:
                logged = words
                _log.info("%s after %.0f s: %s", self.site, waited, words)
            if answer == build:
                return waited
            if waited + self._every > self._patience:
                patience = f"within {self._patience:.0f} s"
                raise ReleaseFailed(f"{self.site} did not answer as {build} {patience}; last: {words}")
            self._sleep(self._every)


def deploy(  # noqa: PLR0913, PLR0917 the options of the command
    image: str, build: str, site: str, previous: str, previous_build: str, patience: str, every: str, environ: Environ
) -> None:
    """Start an image on Render, wait until it answers, else start the last good one again."""
    waiting, pause = read_duration(patience, "--patience"), read_duration(every, "--every")
    service = Service(required(environ, SECRET), site, waiting.total_seconds(), pause.total_seconds())
    target = _target("--image", image, build)
    deploy_or_roll_back(service, target, _target("--previous", previous, previous_build) if previous else None, environ)


def deploy_or_roll_back(service: Service, target: Target, previous: Target | None, environ: Environ) -> None:
    """Deploy, show the outcome on the run's page, and raise `ReleaseFailed` if the image is not live."""
    image, build = target
    named = f"{code(image)}, build {code(build)},"
    try:
        seconds = service.deploy(target)
    except ReleaseFailed as error:
        _log.info("%s", error)
        title, outcome = _roll_back(service, previous)
        facts = bullets([escape(text) for text in (f"not live: {error}", outcome)])
        add_summary(environ, f"### Deploy\n\n**{title}**: {named} is not live.\n\n{facts}")
        raise ReleaseFailed(f"{build} is not live: {error}\n  {outcome}") from error
    outcome = f"is live at {code(service.site)}: it answered after {seconds or 0:.0f} s."
    if seconds is None:
        warn(environ, "the deploy is not verified: set the repository variable SITE_URL to the site's address")
        outcome = "was deployed, and **not verified**: `SITE_URL` is not set."
    add_summary(environ, f"### Deploy\n\n{named} {outcome}")


def _roll_back(service: Service, previous: Target | None) -> tuple[str, str]:
    """Deploy the last good image again; return the outcome as a title and as a sentence."""
    try:
        if previous is None:
            raise ReleaseFailed("there is no earlier release")
        seconds = service.deploy(previous)
    except ReleaseFailed as error:
        now = f"; {service.site} answers now: {service.answering()[1]}" if service.site else ""
        return "Failed", f"not rolled back: {error}{now}"
    verified = "which answers again" if seconds is not None else "not verified: SITE_URL is not set"
    return "Rolled back", f"rolled back to {previous[1]}, {verified}"


def _target(option: str, image: str, build: str) -> Target:
    if not _BY_DIGEST.fullmatch(image) or not build:
        expected = "an image by digest, such as ghcr.io/o/crypto-predict@sha256:6a..., and its build"
        raise InvalidValue(option, f"{image} {build}", expected)
    return image, build


def _address(name: str, address: str, *, secret: bool = False) -> str:
    """Return an address without white space around it; a `secret` one must be https or on this machine."""
    address = address.strip()
    match = _ADDRESS.fullmatch(address)
    if match is None or (secret and match["scheme"].lower() != "https" and match["host"] not in _LOOPBACK):
        raise InvalidValue(name, "***" if secret else address, "an address such as https://example.onrender.com")
    return address
