"""The programs that a release runs: git, gh, curl, and docker for `images`. Every runner has them."""

import contextlib
import json
import logging
import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from crypto_predict.errors import ReleaseFailed

# Succeeds if the first commit is the second one or precedes it; not for an unknown commit.
IS_ANCESTOR = ("merge-base", "--is-ancestor")
_MAIN = "refs/remotes/origin/main"  # where actions/checkout with fetch-depth: 0 puts the tip of main

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


def output_of(
    *words: str,
    seconds: float = 120,
    stdin: str = "",
    environ: Mapping[str, str] | None = None,
    both: bool = False,
    into: Path | None = None,
) -> str:
    """Return the standard output of a program, and its standard error too if `both`.

    Every user of the machine can see `words`: pass secrets by `stdin`. `environ` is added to the environment. The bytes
    of its standard output are written `into` a file, if one is given, and the text is empty then. Raise `ReleaseFailed`
    if the program is not installed, fails (`ProgramFailed`), or does not end within `seconds`.
    """
    env = {**os.environ, **(environ or {})}
    pipe = subprocess.PIPE
    try:
        with contextlib.nullcontext(pipe) if into is None else into.open("wb") as stdout:
            done = subprocess.run(  # noqa: S603 no shell reads the words
                words,
                input=stdin,
                stdout=stdout,
                stderr=pipe,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
                env=env,
            )
    except FileNotFoundError as error:
        raise ReleaseFailed(f"{words[0]} is needed and not installed") from error
    except subprocess.TimeoutExpired as error:
        raise ReleaseFailed(f"{' '.join(words[:3])} ... did not end within {seconds:.0f} s") from error
    if done.returncode:
        raise ProgramFailed(words, done.returncode, done.stderr.strip()[-2_000:])
    return (done.stdout or "") + (done.stderr if both else "")


def gh(*words: str, stdin: str = "", into: Path | None = None) -> str:
    """Return the output of gh, which reads the token of the job from ``GH_TOKEN``, or write it `into` a file.

    Raise `ProgramFailed` if GitHub refused, and `ReleaseFailed` if it did not answer after several attempts.
    """
    for pause in (0.0, *_PAUSES):
        time.sleep(pause)
        try:
            return output_of("gh", *words, stdin=stdin, environ={"NO_COLOR": "1"}, into=into)
        except ProgramFailed as error:
            if not _TRANSIENT.search(error.complaint):
                raise
            failure = error
            _log.info("%s", failure)
    raise ReleaseFailed(f"GitHub does not answer: {failure}; run the failed job again")


def fetch(
    address: str, seconds: float, *, method: str = "GET", fresh: bool = False
) -> tuple[int, Mapping[str, str], str]:
    """Make one request to an address without white space and quotes; return status, headers in lower case, and body.

    The status is 0 if the server did not answer, not within `seconds`, or not in HTTP; then the body is the reason,
    which does not contain the address. `fresh` asks caches not to answer, and follows redirects.
    """
    words = (*_CURL, *_LIMITS, *(_UNCACHED if fresh else ()), "--max-time", f"{seconds:g}", "--request", method)
    try:
        printed = output_of(*words, "--write-out", _REPORT, stdin=f'url = "{address}"\n', seconds=seconds + 10)
    except ProgramFailed as error:
        return 0, {}, f"no answer: {_REASONS.get(error.code, f'curl ended with {error.code}')}"
    body, _, report = printed.rpartition("\n{")
    names, end = json.JSONDecoder().raw_decode("{" + report)
    return int(report[end - 1 :]), {name: values[-1] for name, values in names.items()}, body


def git(folder: Path, *words: str, environ: Mapping[str, str] | None = None) -> str:
    """Return the output of a git command in a repository, without the line feed at its end."""
    return output_of("git", "-C", str(folder), *words, environ=environ).rstrip("\n")


def git_succeeds(folder: Path, *words: str) -> bool:
    """Return whether a git command succeeds, such as `IS_ANCESTOR` with two commits."""
    try:
        git(folder, *words)
    except ProgramFailed:
        return False
    return True


def head_and_main(folder: Path) -> tuple[str, str]:
    """Return the commit that is checked out, and the tip of main as it was fetched, empty if it was not."""
    return git(folder, "rev-parse", "HEAD^{commit}"), git(folder, "for-each-ref", "--format=%(objectname)", _MAIN)
