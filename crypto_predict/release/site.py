"""The live site: which build answers there, and waiting until it is the right one."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin

from crypto_predict.errors import InvalidValue, ReleaseFailed
from crypto_predict.release.clock import Clock
from crypto_predict.release.fetch import Answer, NoAnswer, checked_address, fetch

ANSWER_SECONDS = 20.0
MOST_REDIRECTS = 3
MOST_SHOWN = 60  # characters of what a site calls its build
FRESH = {"Accept": "application/json", "Cache-Control": "no-cache", "Pragma": "no-cache"}  # asks caches to stay out

_REDIRECTS = {301, 302, 303, 307, 308}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a site is waited for."""

    seconds: float
    every: float  # seconds from one question to the next


@dataclass(frozen=True, slots=True)
class Said:
    """What the site answered when it was asked for its version."""

    build: str | None  # None where it did not say
    words: str


class Site:
    """A server of this project at an address, which may have a path."""

    def __init__(self, address: str) -> None:
        self.address = checked_address("--site", address.strip(), secret=False).rstrip("/")

    def wait_for(self, build: str, patience: Patience, clock: Clock) -> float:
        """Ask until this build answers; returns the seconds that it took.

        A free instance that sleeps takes most of a minute to wake, and its host may answer anything meanwhile.

        Raises:
            ReleaseFailed: It did not answer before patience was exhausted; tells what answered last.
        """
        began, before = clock.now(), ""
        while True:
            said = self.say()
            waited = clock.now() - began
            if said.words != before:
                _log.info("%s after %.0f s: %s", self.address, waited, said.words)
            if said.build == build:
                return waited
            before = said.words
            if waited + patience.every > patience.seconds:
                raise ReleaseFailed(
                    f"{self.address} did not answer as {build} within {patience.seconds:.0f} s; last: {said.words}"
                )
            clock.sleep(patience.every)

    def say(self) -> Said:
        """What it says now. Never fails: silence and nonsense are answers too."""
        try:
            answer = _followed(f"{self.address}/version")
        except (NoAnswer, InvalidValue) as error:
            return Said(None, str(error))
        if answer.status != HTTPStatus.OK:
            return Said(None, f"status {answer.status}")
        build = _build(answer)
        return Said(build, "no version of this project" if build is None else f"build {_shown(build)}")


def _followed(address: str) -> Answer:
    """The answer to a GET, wherever it has moved to: nothing secret is sent.

    Raises:
        NoAnswer: There is none.
        InvalidValue: It has moved to what is no address.
    """
    for _ in range(MOST_REDIRECTS):
        answer = fetch("GET", address, ANSWER_SECONDS, FRESH)
        if answer.status not in _REDIRECTS or "location" not in answer.headers:
            return answer
        address = checked_address("redirect", urljoin(address, answer.headers["location"]), secret=False)
    return answer


def _build(answer: Answer) -> str | None:
    try:
        version: Any = json.loads(answer.body)
    except (ValueError, RecursionError):  # a page of the host's, or worse
        return None
    build = version.get("build") if isinstance(version, dict) else None
    return build if isinstance(build, str) else None


def _shown(build: str) -> str:
    text = build if build.isascii() and build.isprintable() else repr(build)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
