"""Tag the released commit with its version, so that the next one counts on from there."""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Mapping

from crypto_predict.errors import InvalidValue, ReleaseFailed
from crypto_predict.release.github import GitHub, GitHubRefused
from crypto_predict.release.job import Job
from crypto_predict.release.version import Version

SUMMARY = "Tag the released commit with its version."
EXAMPLES = """\
  ... mark --tag v0.3.1 --revision 0123456789abcdef0123456789abcdef01234567

A tag that is on this commit already is left alone; one on another commit is an error.
environment: GITHUB_TOKEN (may write contents), GITHUB_REPOSITORY, GITHUB_API_URL
outputs: tag, created (whether it was not there before)
"""

MOST_ANNOTATIONS = 5  # one tag of another; anything beyond is no release of anybody's

_REVISION = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_ADVICE = {
    401: "the token is not accepted",
    403: "the job needs the permission contents: write, and no rule may keep it from making tags",
    404: "the job needs the permission contents: write",
}

_log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--tag", required=True, metavar="vX.Y.Z", help="the tag to make")
    parser.add_argument("--revision", required=True, metavar="SHA", help="the commit that was released, in full")


def run(options: argparse.Namespace, job: Job) -> Mapping[str, str]:
    """Tag; outputs the tag and whether it is new.

    Raises:
        InvalidValue: The tag is no version, or the revision no commit.
        ReleaseFailed: The tag is on another commit, or GitHub refused.
    """
    if Version.from_tag(options.tag) is None:
        raise InvalidValue("--tag", options.tag, "a version tag such as v0.3.1")
    if not _REVISION.fullmatch(options.revision):
        raise InvalidValue("--revision", options.revision, "the full name of a commit, 40 or 64 hexadecimal digits")
    created = _mark(GitHub.of_job(job), options.tag, options.revision)
    return {"tag": options.tag, "created": str(created).lower()}


def _mark(github: GitHub, tag: str, revision: str) -> bool:
    """Make the tag; whether it was not there before."""
    try:
        github.send("POST", "/git/refs", {"ref": f"refs/tags/{tag}", "sha": revision})
    except GitHubRefused as refusal:
        _check_present(github, tag, revision, refusal)
        _log.info("%s is on %s already", tag, revision)
        return False
    _log.info("%s is on %s now", tag, revision)
    return True


def _check_present(github: GitHub, tag: str, revision: str, refusal: GitHubRefused) -> None:
    """Have it that the tag is where it should be, whoever made it; otherwise tell why it was refused."""
    if refusal.status in _ADVICE:
        raise ReleaseFailed(f"{refusal}; {_ADVICE[refusal.status]}") from refusal
    found = _target(github, tag) if refusal.status == 422 else None  # "Reference already exists", among other things
    if found is None:
        raise refusal
    if found != revision:
        raise ReleaseFailed(
            f"the tag {tag} is on {found} already, so that {revision} cannot have it: "
            "another run has released it meanwhile, or it was made by hand; run the release again"
        ) from refusal


def _target(github: GitHub, tag: str) -> str | None:
    """What a tag leads to, through annotations; None where there is no such tag."""
    try:
        found = github.get(f"/git/ref/tags/{tag}")
    except GitHubRefused as refusal:
        if refusal.status == 404:
            return None
        raise
    for _ in range(MOST_ANNOTATIONS):
        kind, name = _object_of(found, tag)
        if kind != "tag":
            return name
        found = github.get(f"/git/tags/{name}")
    raise ReleaseFailed(f"the tag {tag} leads through more than {MOST_ANNOTATIONS} others")


def _object_of(answer: object, tag: str) -> tuple[str, str]:
    target = answer.get("object") if isinstance(answer, dict) else None
    kind, name = (target.get("type"), target.get("sha")) if isinstance(target, dict) else (None, None)
    if not isinstance(kind, str) or not isinstance(name, str) or not _REVISION.fullmatch(name):
        raise ReleaseFailed(f"GitHub does not tell what the tag {tag} leads to")
    return kind, name
