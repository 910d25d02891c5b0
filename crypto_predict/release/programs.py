"""The programs that a release runs: git, gh, curl, and docker for `images`. Every runner has them."""

import json
import logging
import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crypto_predict.errors import ReleaseFailed

MAIN = "refs/remotes/origin/main"  # where actions/checkout with fetch-depth: 0 puts the tip of main

# gh is called again after these failures, at most once after each pause.
_TRANSIENT = re.compile(
    r"\bHTTP (429|5[0-9]{2})\b|error connecting|connection (reset|refused)|timeout|EOF", re.IGNORECASE
)
_PAUSES = (1.0, 3.0, 9.0)  # seconds
# Of a body, and of a second's transfer: curl before 8.4 applies --max-filesize only to an announced length.
MOST_BYTES = 4 * 2**20
_LOOPBACK = "localhost,127.0.0.1,::1"
# The user's own settings are not read, and `--config -` reads the address from standard input.
_CURL = ("curl", "--disable", "--silent", "--globoff", "--noproxy", _LOOPBACK, "--config", "-")
_LIMITS = ("--max-filesize", str(MOST_BYTES), "--limit-rate", str(MOST_BYTES), "--proto", "=http,https")
_UNCACHED = ("--header", "Cache-Control: no-cache", "--location", "--max-redirs", "3")
_REPORT = "\n%{header_json}%{http_code}"  # what curl writes after the body
# Exit codes of curl, whose own messages may quote the address.
_REASONS = {
    6: "unknown host",
    7: "connection refused",
    28: "no whole answer in time",
    47: "too many redirects",
    60: "its certificate is not valid",
    63: "the answer is too long",
}
_log = logging.getLogger(__name__)


class ProgramFailed(ReleaseFailed):
    """A program ended with the exit code `code`; `complaint` is the end of its standard error."""

    def __init__(self, words: Sequence[str], code: int, complaint: str) -> None:
        super().__init__(f"{' '.join(words[:3])} ... ended with {code}: {complaint}")
        self.code, self.complaint = code, complaint


class NoAnswer(ReleaseFailed):
    """The server did not answer, not in time, or not in HTTP. The message does not contain the address."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of any status."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: str


def output_of(
    *words: str, seconds: float = 120, stdin: str = "", environ: Mapping[str, str] | None = None, both: bool = False
) -> str:
    """Return the standard output of a program, and its standard error too if `both`.

    Every user of the machine can see `words`: pass secrets by `stdin`. `environ` is added to the environment.

    Raises:
        ProgramFailed: The program ended with a code other than 0.
        ReleaseFailed: The program is not installed, or did not end within `seconds`.
    """
    env = {**os.environ, **(environ or {})}
    try:
        done = subprocess.run(  # noqa: S603 no shell reads the words
            words, input=stdin, capture_output=True, text=True, errors="replace", timeout=seconds, check=False, env=env
        )
    except FileNotFoundError as error:
        raise ReleaseFailed(f"{words[0]} is needed and not installed") from error
    except subprocess.TimeoutExpired as error:
        raise ReleaseFailed(f"{' '.join(words[:3])} ... did not end within {seconds:.0f} s") from error
    if done.returncode:
        raise ProgramFailed(words, done.returncode, done.stderr.strip()[-2_000:])
    return done.stdout + done.stderr if both else done.stdout


def gh(*words: str, stdin: str = "") -> str:
    """Return the output of gh, which reads the token of the job from ``GH_TOKEN``.

    Raise `ProgramFailed` if GitHub refused, and `ReleaseFailed` if it did not answer after several attempts.
    """
    for pause in (0.0, *_PAUSES):
        time.sleep(pause)
        try:
            return output_of("gh", *words, stdin=stdin, environ={"NO_COLOR": "1"})
        except ProgramFailed as error:
            if not _TRANSIENT.search(error.complaint):
                raise
            failure = error
            _log.info("%s", failure)
    raise ReleaseFailed(f"GitHub does not answer: {failure}; run the failed job again")


def fetch(address: str, seconds: float, *, method: str = "GET", fresh: bool = False) -> Answer:
    """Make one request to an address without white space and quotes, within `seconds`; raise `NoAnswer` if it fails.

    `fresh` asks caches not to answer, and follows redirects.
    """
    words = (*_CURL, *_LIMITS, *(_UNCACHED if fresh else ()), "--max-time", f"{seconds:g}", "--request", method)
    try:
        printed = output_of(*words, "--write-out", _REPORT, stdin=f'url = "{address}"\n', seconds=seconds + 10)
    except ProgramFailed as error:
        raise NoAnswer(f"no answer: {_REASONS.get(error.code, f'curl ended with {error.code}')}") from None
    body, _, report = printed.rpartition("\n{")
    names, end = json.JSONDecoder().raw_decode("{" + report)
    return Answer(int(report[end - 1 :]), {name: values[-1] for name, values in names.items()}, body)


@dataclass(frozen=True, slots=True)
class Repository:
    """A git repository; `folder` is its working tree, or a folder in it."""

    folder: Path

    def ask(self, *words: str, environ: Mapping[str, str] | None = None) -> str:
        """Return the output of a git command, without the line feed at its end."""
        return output_of("git", "-C", str(self.folder), *words, environ=environ).rstrip("\n")

    def head(self) -> str:
        """Return the commit that is checked out."""
        return self.ask("rev-parse", "HEAD^{commit}")

    def main(self) -> str:
        """Return the tip of main as it was fetched; empty if it was not."""
        return self.ask("for-each-ref", "--format=%(objectname)", MAIN)

    def contains(self, commit: str, ancestor: str) -> bool:
        """Return whether `ancestor` is `commit` or precedes it; False for an unknown ancestor."""
        return self.succeeds("merge-base", "--is-ancestor", ancestor, commit)

    def succeeds(self, *words: str) -> bool:
        """Return whether a git command succeeds."""
        try:
            self.ask(*words)
        except ProgramFailed:
            return False
        return True
