"""Render: the deploy hook, a secret address that starts an image, and the site where the service answers.

See "Deploy hooks" in Render's documentation. Render does not notice that a tag has moved, so images go by digest.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from crypto_predict.errors import ReleaseFailed
from crypto_predict.release.fetch import NoAnswer, checked_address, fetch
from crypto_predict.release.sanitize import one_line

SECRET = "RENDER_DEPLOY_HOOK"  # noqa: S105 the name of the variable
PAUSES = (5.0, 15.0, 45.0)  # seconds before a hook that failed is asked again
LONGEST_PAUSE = 120.0  # seconds, even if Retry-After is longer
SITE_SECONDS = 20.0  # time limit for an answer of the site

_IMAGE = "imgURL"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}  # the server's own words may quote the address
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Clock:
    """The machine's clock. A test passes its own, so that a quarter of an hour of waiting takes no time."""

    now: Callable[[], float] = time.monotonic  # seconds since some instant in the past; never goes back
    sleep: Callable[[float], None] = time.sleep  # returns after so many seconds


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a site."""

    seconds: float
    every: float  # seconds from one request to the next


@dataclass(frozen=True, slots=True)
class DeployHook:
    """The hook of one service. Neither its representation nor any error shows the address."""

    _address: str = field(repr=False)
    _seconds: float = 30.0  # time limit for an answer

    @classmethod
    def at(cls, address: str, seconds: float = 30.0) -> DeployHook:
        """Return the hook at this address; raise `InvalidValue` if a secret must not be sent there."""
        return cls(checked_address(SECRET, address, secret=True), seconds)

    def deploy(self, image: str, clock: Clock) -> None:
        """Start an image, by digest; raise `ReleaseFailed` if the hook refuses.

        A hook that fails is asked again, up to four times: starting the same image twice does no harm.
        """
        parts = urlsplit(self._address)
        kept = [part for part in parts.query.split("&") if part and part.partition("=")[0] != _IMAGE]
        address = parts._replace(query="&".join([*kept, f"{_IMAGE}={quote(image, safe='')}"])).geturl()
        for pause in (*PAUSES, None):
            failure, wanted = self._ask(address)
            if failure is None:
                return
            if pause is None:
                raise ReleaseFailed(f"the deploy hook failed {len(PAUSES) + 1} times, the last time: {failure}")
            seconds = max(pause, min(wanted, LONGEST_PAUSE))
            _log.info("the deploy hook: %s; asking again in %.0f s", failure, seconds)
            clock.sleep(seconds)

    def _ask(self, address: str) -> tuple[str | None, float]:
        """Return why it failed, None if it did not, and the seconds that it asks to wait; raise if it refused."""
        try:
            answer = fetch(address, self._seconds, method="POST")
        except NoAnswer as error:
            return str(error), 0.0
        status = f"{answer.status} {_PHRASES.get(answer.status, '')}".strip()
        if answer.status < 300:
            return None, 0.0
        if answer.status >= 500 or answer.status in {408, 429}:
            wanted = answer.headers.get("retry-after", "")
            return f"it answered {status}", float(wanted[:9]) if wanted.isascii() and wanted.isdigit() else 0.0
        reason = "redirects are not followed with a secret; " if answer.status < 400 else ""
        raise ReleaseFailed(f"the deploy hook answered {status}: {reason}check {SECRET} and the service's image")


class Site:
    """A server of this project at an address, which may have a path."""

    def __init__(self, address: str) -> None:
        self.address = checked_address("--site", address).rstrip("/")

    def wait_for(self, build: str, patience: Patience, clock: Clock) -> float:
        """Ask until this build answers, and return the seconds that it took; raise `ReleaseFailed` if it is late.

        A free instance that sleeps takes most of a minute to wake up, and its host may answer anything meanwhile.
        """
        began, before = clock.now(), ""
        while True:
            found, words = self.ask()
            waited = clock.now() - began
            if words != before:
                _log.info("%s after %.0f s: %s", self.address, waited, words)
            if found == build:
                return waited
            if waited + patience.every > patience.seconds:
                break
            before = words
            clock.sleep(patience.every)
        raise ReleaseFailed(f"{self.address} did not answer as {build} within {patience.seconds:.0f} s; last: {words}")

    def ask(self) -> tuple[str | None, str]:
        """Return the build that answers now, None if none does, and the answer in words."""
        try:
            answer = fetch(f"{self.address}/version", SITE_SECONDS, fresh=True)
        except NoAnswer as error:
            return None, str(error)
        if answer.status != HTTPStatus.OK:
            return None, f"status {answer.status}"
        try:
            version: Any = json.loads(answer.body)
            build = version["build"]
        except (ValueError, RecursionError, KeyError, TypeError):  # a page of the host, or worse
            build = None
        return (build, f"build {one_line(build, 60)}") if isinstance(build, str) else (None, "not a version")
