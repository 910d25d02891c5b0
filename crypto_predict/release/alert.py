"""One issue for scheduled runs that fail: opened by the first, brought up to date by the next, closed by a good one.

Nobody watches a schedule. Who pushes is told by GitHub how that ended, and needs no issue.
"""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from crypto_predict.errors import InvalidValue, ReleaseFailed
from crypto_predict.release.foreign import one_line
from crypto_predict.release.github import GitHub, GitHubRefused
from crypto_predict.release.job import Job
from crypto_predict.release.version import EVENTS
from crypto_predict.wording import counted

SUMMARY = "Open or update one issue for scheduled runs that fail, and close it after a good run."
EXAMPLES = """\
  ... alert --result failure --event schedule --run-url https://github.com/o/n/actions/runs/1 --failed "deploy"
  ... alert --result success --event push --run-url https://github.com/o/n/actions/runs/2 --version 0.3.1

What fails here is a warning: how the release itself went is told by the run.
environment: GITHUB_TOKEN (may write issues), GITHUB_REPOSITORY, GITHUB_API_URL
outputs: alert (opened, updated, closed or none), issue (its number, or empty)
"""

TITLE = "The scheduled release is failing"
BOT = "github-actions[bot]"  # whose token a workflow's is; nobody else can bear its name

# In the body, where no reader sees it: which issue this is, and how many runs it stands for.
_MARKER = re.compile(r"<!-- crypto-predict scheduled release: failures=([0-9]{1,6}) -->")
_ADVICE = {
    403: "the job needs the permission issues: write",
    404: "the job needs the permission issues: write",
    410: "switch issues on in the repository's settings to be told of scheduled runs that fail",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the workflow, as an issue tells of it."""

    url: str
    version: str  # empty where it did not come so far
    failed: str  # names of its jobs, empty where none did

    def __str__(self) -> str:
        version = f" of {_code(self.version)}" if self.version else ""
        failed = f", which failed in {_code(self.failed)}" if self.failed else ""
        return f"[run]({self.url}){version}{failed}"


@dataclass(frozen=True, slots=True)
class Alert:
    """An open issue of ours."""

    number: int
    failures: int  # runs in a row that it stands for
    since: str  # when it was opened, as GitHub writes it

    @classmethod
    def read(cls, issue: Mapping[str, Any]) -> Self | None:
        """The alert that an issue is; None for anybody else's, whatever it looks like, and for pull requests."""
        author, number, body = issue.get("user"), issue.get("number"), issue.get("body")
        if not isinstance(author, dict) or (author.get("login"), author.get("type")) != (BOT, "Bot"):
            return None
        counts = _MARKER.findall(body) if isinstance(body, str) else []
        if not counts or not isinstance(number, int) or "pull_request" in issue:
            return None
        return cls(number, int(counts[-1]), one_line(str(issue.get("created_at", ""))))


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--result", required=True, choices=("success", "failure"), help="how the run ended")
    parser.add_argument("--event", required=True, choices=EVENTS, help="what started it")
    parser.add_argument("--run-url", required=True, metavar="URL", help="its page")
    parser.add_argument("--version", default="", metavar="X.Y.Z", help="what it released, or meant to")
    parser.add_argument("--failed", default="", metavar="JOBS", help="the jobs that failed")


def run(options: argparse.Namespace, job: Job) -> Mapping[str, str]:
    """Tell the repository's people; outputs what was done to which issue.

    Raises:
        InvalidValue: The run's address is none, or the environment tells of no repository or token.
    """
    told = Run(_address(options.run_url), options.version, options.failed)
    github = GitHub.of_job(job)
    try:
        if options.result == "success":
            return _close(github, told)
        return _tell(github, told) if options.event == "schedule" else _outcome("none")
    except ReleaseFailed as error:
        _make_known(job, error, options.result)
        return _outcome("none")


def _tell(github: GitHub, failed: Run) -> Mapping[str, str]:
    """Open the issue, or bring the one there is up to date without a word to those who follow it."""
    alerts = _open_alerts(github)
    if not alerts:
        opened = github.send("POST", "/issues", {"title": TITLE, "body": _body(failed, 1, "")})
        return _outcome("opened", opened.get("number") if isinstance(opened, dict) else None)
    first = min(alerts, key=lambda alert: alert.number)  # two runs at once may have opened two
    body = _body(failed, first.failures + 1, first.since)
    github.send("PATCH", f"/issues/{first.number}", {"body": body})
    return _outcome("updated", first.number)


def _close(github: GitHub, good: Run) -> Mapping[str, str]:
    alerts = _open_alerts(github)
    for alert in alerts:
        # Closed first: where the comment fails, the next good run has nothing to repeat.
        github.send("PATCH", f"/issues/{alert.number}", {"state": "closed", "state_reason": "completed"})
        comment = f"This {good} went well, after {counted(alert.failures, 'scheduled run')} that did not."
        github.send("POST", f"/issues/{alert.number}/comments", {"body": comment})
    return _outcome("closed", alerts[0].number) if alerts else _outcome("none")


def _open_alerts(github: GitHub) -> list[Alert]:
    issues = github.every("/issues?state=open&per_page=100")
    return [alert for alert in map(Alert.read, issues) if alert]


def _body(newest: Run, failures: int, since: str) -> str:
    began = f", since {since}" if since else ""
    return (
        f"The scheduled release has failed {counted(failures, 'time')} in a row{began}: newest is this {newest}.\n\n"
        "Until it is mended, the forecasts that are served grow old; `/fresh` tells how old. "
        "Every failed run brings this issue up to date, and the next good one closes it.\n\n"
        f"<!-- crypto-predict scheduled release: failures={min(failures, 999_999)} -->\n"
    )


def _make_known(job: Job, error: ReleaseFailed, result: str) -> None:
    status = error.status if isinstance(error, GitHubRefused) else None
    if status == 410 and result == "success":
        _log.info("issues are switched off: there is none to close")
        return
    advice = f"; {_ADVICE[status]}" if status in _ADVICE else ""
    job.warn(f"the issue for scheduled runs that fail was not seen to: {error}{advice}")


def _outcome(done: str, number: object = "") -> Mapping[str, str]:
    return {"alert": done, "issue": str(number) if isinstance(number, int) else ""}


def _code(text: str) -> str:
    """Text as it is, whatever Markdown would make of it."""
    return f"`{one_line(text.replace('`', ' '))}`"


def _address(text: str) -> str:
    """The address of a run, which cannot break out of a link."""
    parts = urlsplit(text)
    if (
        parts.scheme not in {"https", "http"}
        or not parts.netloc
        or not re.fullmatch(r"[!-~]+", text)
        or set("()<>") & set(text)
    ):
        raise InvalidValue("--run-url", text, "the address of a run's page")
    return text
