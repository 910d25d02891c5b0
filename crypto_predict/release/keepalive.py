"""Keep the schedule enabled: GitHub switches it off after 60 days in which nothing was committed."""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Mapping

from crypto_predict.errors import InvalidValue, ReleaseFailed
from crypto_predict.release.github import GitHub, GitHubRefused
from crypto_predict.release.job import Job

SUMMARY = "Keep a workflow's schedule enabled past GitHub's 60 days without a commit."
EXAMPLES = """\
  ... keepalive --workflow release.yml

What fails is a warning: the next run, six hours later, has 60 days to do better.
environment: GITHUB_TOKEN (may write actions), GITHUB_REPOSITORY, GITHUB_API_URL
outputs: enabled
"""

_WORKFLOW = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.ya?ml")
_ADVICE = {
    403: "the job needs the permission actions: write",
    404: "check the workflow's name, and that the job has the permission actions: write",
}

_log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--workflow", required=True, metavar="FILE", help="its file's name, such as release.yml")


def run(options: argparse.Namespace, job: Job) -> Mapping[str, str]:
    """Enable the workflow, as a person does with a click; outputs whether that worked.

    Raises:
        InvalidValue: The workflow is no file's name, or the environment tells of no repository or token.
    """
    workflow = options.workflow
    if not _WORKFLOW.fullmatch(workflow):
        raise InvalidValue("--workflow", workflow, "the name of a workflow's file, such as release.yml")
    try:
        GitHub.of_job(job).send("PUT", f"/actions/workflows/{workflow}/enable")
    except ReleaseFailed as error:
        job.warn(f"the schedule of {workflow} could not be kept enabled: {_advised(error)}")
        return {"enabled": "false"}
    _log.info("%s is enabled", workflow)
    return {"enabled": "true"}


def _advised(error: ReleaseFailed) -> str:
    advice = _ADVICE.get(error.status) if isinstance(error, GitHubRefused) else None
    return f"{error}; {advice}" if advice else str(error)
