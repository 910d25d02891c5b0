"""The real gh and git work with the GitHub on loopback, which refuses what GitHub refuses."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.github import REPOSITORY, TOKEN, GitHub
from tests.support.replay.server import refused, reset

URL = f"https://github.com/{REPOSITORY}.git"
ISSUES = f"repos/{REPOSITORY}/issues"
RELEASES = f"repos/{REPOSITORY}/releases"
WORKFLOWS = "refusing to allow a GitHub App to create or update workflow `.github/workflows/release.yml`"


@pytest.fixture
def github(tmp_path: Path) -> Iterator[GitHub]:
    """A GitHub with an empty repository."""
    with GitHub(tmp_path) as server:
        yield server


@pytest.fixture
def checkout(github: GitHub, tmp_path: Path) -> Path:
    """A clone with one commit, not pushed yet; gh gives git the token."""
    folder = tmp_path / "checkout"
    run(github, "git", "init", "--quiet", "--initial-branch", "main", str(folder))
    (folder / "NEWS").write_text("first\n")
    run(github, "git", "-C", str(folder), "add", ".")
    author = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
    run(github, "git", "-C", str(folder), *author, "commit", "--quiet", "--message", "feat: first")
    run(github, "gh", "auth", "setup-git")
    return folder


def try_run(github: GitHub, command: Sequence[str], token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    """Run a program as a job of a workflow would, with this token."""
    home = github.repository.git.parent
    environ = {
        **github.environ(),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "GH_TOKEN": token,
        "GIT_TERMINAL_PROMPT": "0",
    }
    return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60, check=False)


def run(github: GitHub, *command: str) -> str:
    """Run a program that must succeed; return its standard output."""
    done = try_run(github, command)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def push(github: GitHub, checkout: Path, *refs: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    """Push refs by their addresses on GitHub."""
    return try_run(github, ["git", "-C", str(checkout), "push", URL, *refs], token)


def test_a_public_repository_is_cloned_without_a_token(github: GitHub, checkout: Path, tmp_path: Path) -> None:
    push(github, checkout, "main")
    (tmp_path / ".gitconfig").unlink()
    run(github, "git", "clone", "--quiet", URL, str(tmp_path / "clone"))
    assert (tmp_path / "clone" / "NEWS").read_text() == "first\n"
    github.repository.private = True
    assert try_run(github, ["git", "ls-remote", URL]).returncode != 0


@pytest.mark.parametrize(
    ("token", "permission", "reason"), [("ghs_wrong", "write", "Authentication failed"), (TOKEN, "read", "denied")]
)
def test_a_push_needs_the_token_and_write_permission(
    github: GitHub, checkout: Path, token: str, permission: str, reason: str
) -> None:
    github.repository.permissions["contents"] = permission
    done = push(github, checkout, "main", token=token)
    assert done.returncode != 0
    assert reason in done.stderr
    assert github.repository.refs() == {}


def test_a_ref_can_be_refused_with_a_message(github: GitHub, checkout: Path) -> None:
    github.repository.refused["refs/tags/*"] = WORKFLOWS
    done = push(github, checkout, "main", "main:refs/tags/v1.0.0")
    assert done.returncode != 0
    assert WORKFLOWS in done.stderr
    assert list(github.repository.refs()) == ["refs/heads/main"]


def test_rest_needs_the_token_and_its_permission(github: GitHub) -> None:
    wrong = try_run(github, ["gh", "api", ISSUES], token="ghs_wrong")
    assert (wrong.returncode, "HTTP 401" in wrong.stderr) == (1, True)
    github.repository.permissions["issues"] = "read"
    assert run(github, "gh", "api", ISSUES) == "[]"
    refused = try_run(github, ["gh", "api", ISSUES, "-f", "title=red"])
    assert "Resource not accessible by integration (HTTP 403)" in refused.stderr


def test_gh_follows_every_page_of_issues(github: GitHub) -> None:
    for number in range(7):
        github.repository.open(f"issue {number}")
    result = run(github, "gh", "api", "--paginate", f"{ISSUES}?state=open&per_page=3", "--jq", ".[].number")
    assert result.split() == ["7", "6", "5", "4", "3", "2", "1"]
    assert len(github.requests) == 3


def test_an_issue_is_opened_commented_on_and_closed(github: GitHub) -> None:
    number = run(github, "gh", "api", ISSUES, "-f", "title=red", "--jq", ".number")
    run(github, "gh", "api", f"{ISSUES}/{number}/comments", "-f", "body=still red")
    run(github, "gh", "api", "-X", "PATCH", f"{ISSUES}/{number}", "-f", "state=closed")
    assert github.repository.texts(1) == ["still red"]
    assert run(github, "gh", "api", f"{ISSUES}?state=all", "--jq", ".[].state") == "closed"
    assert run(github, "gh", "api", ISSUES) == "[]"


def test_a_release_is_published_once_and_makes_its_tag(github: GitHub, checkout: Path) -> None:
    push(github, checkout, "main")
    assert "HTTP 404" in try_run(github, ["gh", "api", f"{RELEASES}/tags/v1.0.0"]).stderr
    run(github, "gh", "api", RELEASES, "-f", "tag_name=v1.0.0", "-f", "body=notes")
    assert run(github, "gh", "api", f"{RELEASES}/tags/v1.0.0", "--jq", ".body") == "notes"
    refs = github.repository.refs()
    assert refs["refs/tags/v1.0.0"] == refs["refs/heads/main"]
    again = try_run(github, ["gh", "api", RELEASES, "-f", "tag_name=v1.0.0"])
    assert "already_exists" in again.stdout
    assert "HTTP 422" in again.stderr


def test_a_fault_affects_only_the_requests_that_it_was_injected_for(github: GitHub) -> None:
    github.inject(refused(502, "Server Error"), when=lambda request: request.method == "POST")
    github.inject(reset, when=lambda request: request.path.endswith("/crypto-predict"))
    assert run(github, "gh", "api", ISSUES) == "[]"
    assert "HTTP 502" in try_run(github, ["gh", "api", ISSUES, "-f", "title=red"]).stderr
    assert try_run(github, ["gh", "api", f"repos/{REPOSITORY}"]).returncode == 1
    run(github, "gh", "api", f"repos/{REPOSITORY}")


@pytest.mark.parametrize("address", ["https://example.org/", "http://example.org/", "https://ghcr.io/v2/"])
def test_no_other_host_is_reached(github: GitHub, address: str) -> None:
    asks = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=30)"
    done = try_run(github, [sys.executable, "-c", asks, address])
    assert done.returncode == 1
    assert "403" in done.stderr
