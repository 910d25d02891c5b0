"""One issue for scheduled runs that fail: opened by the first, updated by the next, closed by a good run.

GitHub itself notifies the person who pushed or started a run by hand, but nobody of a scheduled run.
"""

import json
import re
from dataclasses import dataclass

from crypto_predict.errors import ReleaseFailed
from crypto_predict.release.issues import Issues, run_of
from crypto_predict.release.job import Environ, add_summary, code, required, warn
from crypto_predict.wording import counted


@dataclass(frozen=True, slots=True)
class Alert:
    """What the issue says about the scheduled runs of one workflow."""

    name: str  # of what fails
    until_fixed: str

    @property
    def title(self) -> str:
        """The title of the issue."""
        return f"The scheduled {self.name} is failing"

    @property
    def marker(self) -> re.Pattern[str]:
        """The comment in its body, with the number of runs that it counts."""
        return re.compile(rf"<!-- crypto-predict scheduled {self.name}: failures=([0-9]{{1,6}}) -->")

    def body(self, run: str, failures: int, since: str) -> str:
        """Return the text of the issue after so many failures."""
        return (
            f"The scheduled {self.name} has failed {counted(failures, 'time')} in a row{since}. The newest is this "
            f"{run}.\n\nUntil this is fixed, {self.until_fixed}. "
            "Each run that fails updates this issue, and the next good one closes it.\n\n"
            f"<!-- crypto-predict scheduled {self.name}: failures={min(failures, 999_999)} -->\n"
        )


ALERTS = {
    "release": Alert("release", "the served forecasts become older; `/fresh` shows their age"),
    "dataset": Alert(
        "dataset", "the release `dataset` stays as it is; the next good run fetches the days that it lacks"
    ),
}

# Jobs after the release, which GitHub reports as successful whatever happened: `continue-on-error`.
_AFTERWARDS = frozenset({"export", "pages"})
_NOT_PUBLISHED = "the static page was not published: look at the jobs export and pages; the release itself is done"
_OFF = "Issues are switched off: failed scheduled runs raise no alarm. Switch them on in the repository's settings"


def alert(event: str, build: str, of: str, environ: Environ) -> None:
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
    issues, run = Issues.of(environ), run_of(build, environ)
    try:
        if not issues.are_on():
            if failed and event == "schedule":
                add_summary(environ, f"> [!WARNING]\n> {_OFF}.")
        elif not failed:
            _close(issues, ALERTS[of], run)
        elif event == "schedule":
            _report(issues, ALERTS[of], f"{run}, which failed or was cancelled in {', '.join(map(code, failed))}")
    except ReleaseFailed as error:
        warn(environ, f"the issue about failing scheduled runs could not be changed: {error}")


def _report(issues: Issues, about: Alert, run: str) -> None:
    """Open the issue, or change its body, which sends no notification."""
    if alerts := issues.ours(about.marker):
        first = min(alerts, key=lambda issue: issue.number)  # two runs at once may have opened two
        issues.change(first, about.body(run, int(first.marked) + 1, f", since {first.created_at}"))
    else:
        issues.open(about.title, about.body(run, 1, ""))


def _close(issues: Issues, about: Alert, run: str) -> None:
    for issue in issues.ours(about.marker):
        failures = counted(int(issue.marked), "scheduled run")
        issues.close(issue, f"This {run} succeeded, after {failures} that failed.")
