"""The issues that the workflow opens, changes and closes; those of anybody else stay as they are.

A comment in the body, which a reader does not see, says which issue it is, and what it counts or names.
"""

import json
import re
from dataclasses import dataclass

from crypto_predict.release.job import Environ, code, required
from crypto_predict.release.programs import gh

# Only a workflow can write as this user, so an issue of another user is never changed.
_OURS = (
    '.[] | select(.user.login == "github-actions[bot]" and .user.type == "Bot" and .pull_request == null) '
    "| {number, state, body, created_at}"
)


@dataclass(frozen=True, slots=True)
class Issue:
    """One of our issues, with what the marker in its body says: the group of its pattern, where it was found last."""

    number: int
    marked: str
    body: str
    created_at: str
    is_open: bool


@dataclass(frozen=True, slots=True)
class Issues:
    """The issues of a repository. Methods raise `ReleaseFailed` if GitHub refuses, or does not answer."""

    repository: str  # owner/name

    @classmethod
    def of(cls, environ: Environ) -> "Issues":
        """Return those of the repository whose workflow runs; raise `InvalidValue` outside a workflow."""
        return cls(required(environ, "GITHUB_REPOSITORY"))

    def are_on(self) -> bool:
        """Return whether the repository has issues; a new fork has none."""
        return gh("api", f"repos/{self.repository}", "--jq", ".has_issues").strip() == "true"

    def ours(self, marker: re.Pattern[str], state: str = "open") -> list[Issue]:
        """Return our issues with a marker, whose pattern has one group. The state is ``open`` or ``all``."""
        lines = gh("api", f"{self._path()}?state={state}&per_page=100", "--paginate", "--jq", _OURS).splitlines()
        found = [(issue, marker.findall(issue["body"] or "")) for issue in map(json.loads, lines)]
        return [
            Issue(int(issue["number"]), marks[-1], issue["body"], str(issue["created_at"]), issue["state"] == "open")
            for issue, marks in found
            if marks
        ]

    def open(self, title: str, body: str) -> None:
        """Open an issue, of which GitHub notifies those who watch the repository."""
        self._send("POST", self._path(), title=title, body=body)

    def change(self, issue: Issue, body: str) -> None:
        """Change the body, of which nobody is notified."""
        self._send("PATCH", self._path(issue), body=body)

    def close(self, issue: Issue, comment: str) -> None:
        """Close an issue as completed, with a comment."""
        self._send("PATCH", self._path(issue), state="closed", state_reason="completed")
        self._send("POST", f"{self._path(issue)}/comments", body=comment)

    def _path(self, issue: Issue | None = None) -> str:
        issues = f"repos/{self.repository}/issues"
        return issues if issue is None else f"{issues}/{issue.number}"

    def _send(self, method: str, path: str, **fields: str) -> None:
        gh("api", path, "--method", method, "--input", "-", stdin=json.dumps(fields))


def run_of(build: str, environ: Environ) -> str:
    """Return the run of the workflow in Markdown, with the build that it has made, if any."""
    server, number = required(environ, "GITHUB_SERVER_URL"), required(environ, "GITHUB_RUN_ID")
    page = f"{server}/{required(environ, 'GITHUB_REPOSITORY')}/actions/runs/{number}"
    return f"[run]({page}){f' of {code(build)}' if build else ''}"
