"""GitHub's REST interface, https://docs.github.com/rest: bounded in time and size, patient where that may help.

The token goes to no other host, into no log and into no error.
"""

from __future__ import annotations

import http.client
import json
import logging
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from crypto_predict.errors import InvalidValue, ReleaseFailed
from crypto_predict.release.foreign import one_line
from crypto_predict.release.job import Job

API = "https://api.github.com"
LONGEST_ANSWER = 32 * 2**20  # bytes; a hundred issues are 7 million at most
MOST_PAGES = 100

_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
_TOKEN = re.compile(r"[!-~]+")  # anything else would break out of its header
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_NEXT = re.compile(r'<([^<>]+)>\s*;[^<>]*rel="next"')

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one question is asked for. Every time is in seconds."""

    attempts: int = 4  # the first one included
    first_wait: float = 1.0  # doubled after each attempt
    longest_wait: float = 60.0  # a server that asks for more is given up
    timeout: float = 20.0  # without a single byte


class GitHubRefused(ReleaseFailed):
    """GitHub answered `status` and no success; `said` is its own message."""

    def __init__(self, asked: str, status: int, said: str) -> None:
        super().__init__(f"GitHub answered {status} to {asked}: {said}")
        self.status = status
        self.said = said


class GitHub:
    """One repository on GitHub, as the bearer of a token sees it."""

    def __init__(
        self,
        address: str,
        repository: str,
        token: str,
        patience: Patience = Patience(),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take note of whom to ask.

        Args:
            address: Of the interface.
            repository: ``owner/name``.
            token: Of the workflow.
            patience: How long to ask.
            sleep: Lets so many seconds pass.

        Raises:
            InvalidValue: One of them is not what it must be.
        """
        _check(address, repository, token)
        self._address = address.rstrip("/")
        self._repository = f"{self._address}/repos/{repository}"
        self._token = token
        self._patience = patience
        self._sleep = sleep
        self._opener = urllib.request.build_opener(_NoRedirects)

    @classmethod
    def of_job(cls, job: Job) -> GitHub:
        """The repository and the token that the workflow's job runs with.

        Raises:
            InvalidValue: ``GITHUB_TOKEN`` or ``GITHUB_REPOSITORY`` is absent, or one is not what it must be.
        """
        token = job.required("GITHUB_TOKEN", "to ask GitHub").strip()
        repository = job.required("GITHUB_REPOSITORY", "to ask GitHub")
        return cls(job.environ.get("GITHUB_API_URL") or API, repository, token)

    def get(self, path: str) -> Any:
        """What is at a path below the repository, such as ``/issues``.

        Raises:
            GitHubRefused: The answer was no success.
            ReleaseFailed: There was none, or none that can be read.
        """
        return self._ask("GET", self._repository + path).value

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What is answered to a change: ``POST``, ``PATCH`` or ``PUT``. None where nothing is.

        It may be made twice, where the connection broke before its answer came.

        Raises:
            GitHubRefused: The answer was no success.
            ReleaseFailed: There was none, or none that can be read.
        """
        return self._ask(method, self._repository + path, body).value

    def every(self, path: str) -> Iterator[Mapping[str, Any]]:
        """Everything in a list, through all its pages.

        Raises:
            GitHubRefused: The answer was no success.
            ReleaseFailed: There was none, or none that can be read, or the pages have no end.
        """
        address: str | None = self._repository + path
        for _ in range(MOST_PAGES):
            if address is None:
                return
            page = self._ask("GET", address)
            if not isinstance(page.value, list):
                raise ReleaseFailed(f"GitHub answered to GET {self._shown(address)} with something that is no list")
            yield from (item for item in page.value if isinstance(item, dict))
            address = self._following(page)
        raise ReleaseFailed(f"GitHub has more than {MOST_PAGES} pages of {path}")

    def _following(self, page: _Answer) -> str | None:
        """The address of the page after; GitHub names it, since it may go on from a mark and not by number."""
        match = _NEXT.search(page.headers.get("link", ""))
        if match and not match[1].startswith(f"{self._address}/"):
            raise ReleaseFailed(f"GitHub has the next page at another host, {one_line(urlsplit(match[1]).netloc)}")
        return match[1] if match else None

    def _ask(self, method: str, address: str, body: Mapping[str, Any] | None = None) -> _Answer:
        asked = f"{method} {self._shown(address)}"
        wait = self._patience.first_wait
        for left in reversed(range(self._patience.attempts)):
            try:
                return self._ask_once(method, address, body, asked)
            except _MayPass as failure:
                pause = wait if failure.retry_after is None else failure.retry_after
                if pause > self._patience.longest_wait:
                    _log.warning("GitHub asks to wait %g s, longer than this program waits", pause)
                if not left or pause > self._patience.longest_wait:
                    raise failure.error from failure
                _log.warning("%s; asking again in %g s", failure.error, pause)
                self._sleep(pause)
                wait *= 2
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _ask_once(self, method: str, address: str, body: Mapping[str, Any] | None, asked: str) -> _Answer:
        """Ask.

        Raises:
            _MayPass: It failed in a way that may be another one the next time.
            ReleaseFailed: It failed for good.
        """
        try:
            with self._opener.open(self._request(method, address, body), timeout=self._patience.timeout) as response:
                return _read(response, asked)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(error, asked) from error
        except (OSError, http.client.HTTPException) as error:
            raise _MayPass(ReleaseFailed(f"GitHub did not answer to {asked}: {self._reason(error)}")) from error

    def _request(self, method: str, address: str, body: Mapping[str, Any] | None) -> urllib.request.Request:
        headers = {
            "Accept": "application/vnd.github+json",
            "Content-Type": "application/json",
            "User-Agent": "crypto-predict",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address, data, headers, method=method)  # noqa: S310 the address was checked
        request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        return request

    def _refused(self, error: urllib.error.HTTPError, asked: str) -> Exception:
        refusal = GitHubRefused(asked, error.code, self._masked(_message(error)))
        retry_after = _seconds(error.headers.get("Retry-After"))
        # Who asks too often is told so by 429, or by 403 with a time to wait.
        if error.code == 429 or error.code >= 500 or (error.code == 403 and retry_after is not None):
            return _MayPass(refusal, retry_after)
        return refusal

    def _reason(self, error: Exception) -> str:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(cause, TimeoutError):
            return f"nothing came for {self._patience.timeout:g} s"
        return self._masked(f"{cause} ({type(cause).__name__})")

    def _masked(self, text: str) -> str:
        return one_line(text.replace(self._token, "***"), 300)

    def _shown(self, address: str) -> str:
        """An address without its host and without what is asked for in particular."""
        return one_line(address.removeprefix(self._address).partition("?")[0])


@dataclass(frozen=True, slots=True)
class _Answer:
    value: Any  # as JSON has it; None where there is no body
    headers: Mapping[str, str]  # names in lower case


class _MayPass(Exception):
    """One attempt failed with `error`; the server asked to wait `retry_after` seconds, or did not say."""

    def __init__(self, error: ReleaseFailed, retry_after: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after = retry_after


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows none: the interface needs none, and another host would be sent the request."""

    def redirect_request(self, *_: Any) -> None:
        """Let the redirect be an answer like any other that is no success."""


def _check(address: str, repository: str, token: str) -> None:
    parts = urlsplit(address)
    if not parts.hostname or (
        parts.scheme != "https" and (parts.scheme, parts.hostname in _LOOPBACK) != ("http", True)
    ):
        raise InvalidValue("GITHUB_API_URL", address, f"an address with https, such as {API}")
    if not _REPOSITORY.fullmatch(repository):
        raise InvalidValue("GITHUB_REPOSITORY", repository, "the owner and name of a repository, such as owner/name")
    if not _TOKEN.fullmatch(token):
        raise InvalidValue("GITHUB_TOKEN", "***", "a token: it holds spaces, line breaks or letters that no token has")


def _read(response: http.client.HTTPResponse, asked: str) -> _Answer:
    """Read an answer that was a success.

    Raises:
        _MayPass: It is not what GitHub answers with, such as a page of some proxy.
        ReleaseFailed: It is too long.
    """
    body = response.read(LONGEST_ANSWER + 1)
    if len(body) > LONGEST_ANSWER:
        raise ReleaseFailed(f"GitHub answered to {asked} with more than {LONGEST_ANSWER // 2**20} MiB")
    try:
        value = json.loads(body) if body.strip() else None
    except (ValueError, RecursionError) as error:
        raise _MayPass(ReleaseFailed(f"GitHub answered to {asked} with something that is no JSON")) from error
    return _Answer(value, {name.lower(): text for name, text in response.headers.items()})


def _message(error: urllib.error.HTTPError) -> str:
    """What GitHub says of a refusal, with the particulars where it gives some."""
    try:
        answer = json.loads(error.read(2**20))
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get("message"), str):
        return error.reason or "without a message"
    given = answer.get("errors")
    found = (
        (each.get("message") if isinstance(each, dict) else each for each in given) if isinstance(given, list) else ()
    )
    return "; ".join([answer["message"], *(each for each in found if isinstance(each, str))])


def _seconds(text: str | None) -> float | None:
    """A ``Retry-After``, which GitHub gives in seconds; None where there is none to be understood."""
    return float(text) if text and re.fullmatch("[0-9]{1,9}", text.strip()) else None
