"""One issue for scheduled runs that fail: opened by the first, updated by the next, closed by a good run.

GitHub itself notifies the person who pushed or started a run by hand, but nobody of a scheduled run.
"""

import json
import re

from crypto_predict.errors import ReleaseFailed
from crypto_predict.release.job import Environ, add_summary, code, required, warn
from crypto_predict.release.programs import gh
from crypto_predict.wording import counted

TITLE = "The scheduled release is failing"

# Stands in the body, where a reader does not see it: which issue this is, and how many runs it counts.
_MARKER = re.compile(r"<!-- crypto-predict scheduled release: failures=([0-9]{1,6}) -->")
# Only a workflow can write as this user, so an issue of another user is never changed.
_OURS = (
    '.[] | select(.user.login == "github-actions[bot]" and .user.type == "Bot" and .pull_request == null) '
    "| {number, body, created_at}"
)
# Jobs after the release, which GitHub reports as successful whatever happened: `continue-on-error`.
_AFTERWARDS = frozenset({"export", "pages"})
_NOT_PUBLISHED = "the static page was not published: look at the jobs export and pages; the release itself is done"
_OFF = "Issues are switched off: failed scheduled runs raise no alarm. Switch them on in the repository's settings"


def alert(event: str, build: str, environ: Environ) -> None:
    """Open, update or close the issue about scheduled runs that fail. Reads the jobs of the run from NEEDS.

    NEEDS is GitHub's expression `needs` as JSON. A failure of this command is a warning: the run itself shows how the
    release ended.
    """
    needs = json.loads(required(environ, "NEEDS"))
    ended = {"failure", "cancelled"}
    failed = [name for name, outcome in needs.items() if outcome["result"] in ended and name not in _AFTERWARDS]
    outputs = {name: needs.get(name, {}).get("outputs", {}) for name in ("version", "pages")}
    has_pages = outputs["version"].get("pages") == "true"  # GitHub Pages, in this repository
    released = not failed and needs.get("record", {}).get("result") == "success"
    if released and has_pages and not outputs["pages"].get("address"):
        warn(environ, _NOT_PUBLISHED)
    repository = required(environ, "GITHUB_REPOSITORY")
    server, number = required(environ, "GITHUB_SERVER_URL"), required(environ, "GITHUB_RUN_ID")
    page = f"{server}/{repository}/actions/runs/{number}"
    run = f"[run]({page}){f' of {code(build)}' if build else ''}"
    issues = f"repos/{repository}/issues"
    try:
        if gh("api", f"repos/{repository}", "--jq", ".has_issues").strip() != "true":
            if failed and event == "schedule":
                add_summary(environ, f"> [!WARNING]\n> {_OFF}.")
        elif not failed:
            _close(issues, run)
        elif event == "schedule":
            _report(issues, f"{run}, which failed or was cancelled in {', '.join(map(code, failed))}")
    except ReleaseFailed as error:
        warn(environ, f"the issue about failing scheduled runs could not be changed: {error}")


def _report(issues: str, run: str) -> None:
    """Open the issue, or change its body, which sends no notification."""
    if alerts := _open_issues(issues):
        first, failures, since = min(alerts)  # two runs at once may have opened two
        _send("PATCH", f"{issues}/{first}", body=_body(run, failures + 1, f", since {since}"))
    else:
        _send("POST", issues, title=TITLE, body=_body(run, 1, ""))


def _close(issues: str, run: str) -> None:
    for number, failures, _ in _open_issues(issues):
        _send("PATCH", f"{issues}/{number}", state="closed", state_reason="completed")
        comment = f"This {run} succeeded, after {counted(failures, 'scheduled run')} that failed."
        _send("POST", f"{issues}/{number}/comments", body=comment)


def _open_issues(issues: str) -> list[tuple[int, int, str]]:
    """Return our open issues: number, runs that they count, and when they were opened."""
    lines = gh("api", f"{issues}?state=open&per_page=100", "--paginate", "--jq", _OURS).splitlines()
    counts = [(issue, _MARKER.findall(issue["body"] or "")) for issue in map(json.loads, lines)]
    return [(int(issue["number"]), int(count[-1]), str(issue["created_at"])) for issue, count in counts if count]


def _send(method: str, path: str, **fields: str) -> None:
    gh("api", path, "--method", method, "--input", "-", stdin=json.dumps(fields))


def _body(run: str, failures: int, since: str) -> str:
    return (
        f"The scheduled release has failed {counted(failures, 'time')} in a row{since}. The newest is this {run}.\n\n"
        "Until this is fixed, the served forecasts become older; `/fresh` shows their age. "
        "Each run that fails updates this issue, and the next good one closes it.\n\n"
        f"<!-- crypto-predict scheduled release: failures={min(failures, 999_999)} -->\n"
    )
