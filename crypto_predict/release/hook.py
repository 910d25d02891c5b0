"""Render's deploy hook: an address that is its own secret, and starts an image when it is asked to.

See "Deploy hooks" in Render's documentation. Render does not notice that a tag has moved, hence the digest.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Self
from urllib.parse import quote, urlsplit

from crypto_predict.errors import ReleaseFailed
from crypto_predict.release.clock import Clock
from crypto_predict.release.fetch import Answer, NoAnswer, checked_address, fetch

SECRET = "RENDER_DEPLOY_HOOK"  # noqa: S105 the name of the variable
ANSWER_SECONDS = 30.0
PAUSES = (5.0, 15.0, 45.0)  # seconds before it is asked for the second time, the third and the last
LONGEST_PAUSE = 120.0  # seconds, however many more it wants

_IMAGE = "imgURL"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeployHook:
    """The hook of one service. Neither its representation nor any error shows the address."""

    _address: str = field(repr=False)
    _answer_seconds: float = ANSWER_SECONDS

    @classmethod
    def at(cls, address: str, answer_seconds: float = ANSWER_SECONDS) -> Self:
        """The hook at this address.

        Raises:
            InvalidValue: It is no address that a secret may be sent to.
        """
        return cls(checked_address(SECRET, address.strip(), secret=True), answer_seconds)

    def deploy(self, image: str, clock: Clock) -> None:
        """Have the image (by digest) started. Where the hook is out of order it is asked again: once more does no harm.

        Raises:
            ReleaseFailed: It refused, or was out of order each time.
        """
        address = self._address_for(image)
        for pause in (*PAUSES, None):
            answer = self._asked(address)
            if isinstance(answer, Answer) and answer.status < HTTPStatus.MULTIPLE_CHOICES:
                return
            complaint = _complaint(answer)
            if pause is None:
                raise ReleaseFailed(
                    f"the deploy hook is out of order: {complaint}, the last of {len(PAUSES) + 1} times"
                )
            seconds = _pause(answer, pause)
            _log.info("the deploy hook: %s; asking again in %.0f s", complaint, seconds)
            clock.sleep(seconds)

    def _address_for(self, image: str) -> str:
        """The address with its own query, and the image added to it."""
        parts = urlsplit(self._address)
        kept = [one for one in parts.query.split("&") if one and one.partition("=")[0] != _IMAGE]
        query = "&".join([*kept, f"{_IMAGE}={quote(image, safe='')}"])
        return parts._replace(query=query).geturl()

    def _asked(self, address: str) -> Answer | NoAnswer:
        """Its answer, unless that is a refusal for good.

        Raises:
            ReleaseFailed: It refused.
        """
        try:
            answer = fetch("POST", address, self._answer_seconds)
        except NoAnswer as silence:
            return silence
        if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
            raise ReleaseFailed(
                f"the deploy hook answered {_status(answer)}: it is not followed, since the secret would go along; "
                f"check the secret {SECRET}"
            )
        refused = HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
        if refused and answer.status not in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT}:
            raise ReleaseFailed(
                f"the deploy hook answered {_status(answer)}: check the secret {SECRET}, and that the service runs "
                "this image"
            )
        return answer


def _complaint(answer: Answer | NoAnswer) -> str:
    return str(answer) if isinstance(answer, NoAnswer) else f"it answered {_status(answer)}"


def _status(answer: Answer) -> str:
    """The status in our own words: those of the server may quote the address."""
    known = {status.value: status.phrase for status in HTTPStatus}
    return f"{answer.status} {known.get(answer.status, '')}".strip()


def _pause(answer: Answer | NoAnswer, seconds: float) -> float:
    """How long to wait: as long as the server wants, within reason, and never less than we would by ourselves."""
    wanted = "" if isinstance(answer, NoAnswer) else answer.headers.get("retry-after", "")
    if not (wanted.isascii() and wanted.isdigit()):
        return seconds
    return max(seconds, min(float(wanted[:9]), LONGEST_PAUSE))
