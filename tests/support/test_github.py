"""The real gh and git work with the GitHub on loopback, which refuses what GitHub refuses."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.github import REPOSITORY, TOKEN, GitHub
from tests.support.repositories import Repository

URL = f"https://github.com/{REPOSITORY}.git"
ISSUES = f"repos/{REPOSITORY}/issues"


@pytest.fixture
def github(tmp_path: Path) -> Iterator[GitHub]:
    """A GitHub with an empty repository."""
    with GitHub(tmp_path) as server:
        yield server


def run(github: GitHub, *command: str, token: str = TOKEN) -> str:
    """Return the output of a program as a job of a workflow runs it, with this token, or what it complains about."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {**github.environ(), "PATH": path, "HOME": str(github.repository.git.parent), "GH_TOKEN": token}
    given = {**environ, "GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(command, capture_output=True, text=True, env=given, timeout=60, check=False)
    return done.stderr if done.returncode else done.stdout.strip()


def test_git_pushes_and_gh_asks_with_the_token_and_its_permissions(github: GitHub, tmp_path: Path) -> None:
    checkout, repository = Repository.make(tmp_path / "checkout", "feat: first"), github.repository
    run(github, "gh", "auth", "setup-git")
    push = ("git", "-C", str(checkout.folder), "push", URL, "main")
    assert "Authentication failed" in run(github, *push, token="ghs_wrong")
    repository.refused["refs/tags/*"] = "a rule protects the tags"
    assert "a rule protects the tags" in run(github, *push, "main:refs/tags/v1.0.0")
    assert repository.refs() == {"refs/heads/main": checkout.head()}
    for number in range(3):
        repository.open(f"issue {number}")
    listed = run(github, "gh", "api", "--paginate", f"{ISSUES}?per_page=2", "--jq", ".[].number")
    assert listed.split() == ["3", "2", "1"]
    repository.permissions["issues"] = "read"
    assert "(HTTP 403)" in run(github, "gh", "api", ISSUES, "-f", "title=red")
    assert "(HTTP 401)" in run(github, "gh", "api", ISSUES, token="ghs_wrong")


@pytest.mark.parametrize("address", ["https://example.org/", "http://example.org/"])
def test_no_other_host_is_reached(github: GitHub, address: str) -> None:
    asks = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=30)"
    assert "403" in run(github, sys.executable, "-c", asks, address)
