import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from crypto_predict.release.__main__ import BAD_ARGUMENTS, DONE, main
from crypto_predict.release.alert import TITLE
from tests.replay import github
from tests.replay.github import OPENED, TOKEN, Repository
from tests.replay.server import ReplayServer, refused

RUN = "https://github.com/Owner/crypto-predict/actions/runs/42"
MARKER = "<!-- crypto-predict scheduled release: failures=3 -->"

Alert = Callable[..., dict[str, str]]


@pytest.fixture
def repository() -> Repository:
    """What GitHub has: no issue."""
    return Repository()


@pytest.fixture
def server(repository: Repository) -> Iterator[ReplayServer]:
    """GitHub, two issues on a page."""
    with github.serving(repository, rows=2) as started:
        yield started


@pytest.fixture
def alert(server: ReplayServer, capsys: pytest.CaptureFixture[str]) -> Alert:
    """The command, which never fails; gives its outputs."""

    def run(result: str, event: str = "schedule", *more: str) -> dict[str, str]:
        capsys.readouterr()
        arguments = ["alert", "--result", result, "--event", event, "--run-url", RUN, *more, "--json"]
        assert main(arguments, github.environ(server)) == DONE
        outputs: dict[str, str] = json.loads(capsys.readouterr().out)
        return outputs

    return run


def warned(server: ReplayServer, capsys: pytest.CaptureFixture[str], result: str, event: str = "schedule") -> str:
    """What the run's page shows of an alert that could not be given."""
    environ = {**github.environ(server), "GITHUB_ACTIONS": "true"}
    assert main(["alert", "--result", result, "--event", event, "--run-url", RUN], environ) == DONE
    return "".join(line for line in capsys.readouterr().out.splitlines() if line.startswith("::warning::"))


def test_the_first_scheduled_run_that_fails_opens_an_issue(repository: Repository, alert: Alert) -> None:
    assert alert("failure", "schedule", "--version", "0.3.1", "--failed", "deploy, release") == {
        "alert": "opened",
        "issue": "1000",
    }
    (issue,) = repository.issues
    assert issue["title"] == TITLE
    assert "failed 1 time in a row" in issue["body"]
    assert f"[run]({RUN}) of `0.3.1`, which failed in `deploy, release`" in issue["body"]


def test_the_next_ones_bring_it_up_to_date(repository: Repository, alert: Alert) -> None:
    """Without a word to those who follow it: four comments a day would make them stop."""
    alert("failure")
    assert alert("failure", "schedule", "--failed", "test") == {"alert": "updated", "issue": "1000"}
    alert("failure")
    (issue,) = repository.issues
    assert f"failed 3 times in a row, since {OPENED}" in issue["body"]
    assert "`test`" not in issue["body"]  # it tells of the newest
    assert repository.comments == []


@pytest.mark.parametrize("event", ["push", "schedule", "workflow_dispatch"])
def test_any_good_run_closes_it_and_says_so(repository: Repository, alert: Alert, event: str) -> None:
    alert("failure")
    alert("failure")
    assert alert("success", event, "--version", "0.3.1") == {"alert": "closed", "issue": "1000"}
    assert repository.issues[0]["state"] == "closed"
    assert repository.texts(1000) == [f"This [run]({RUN}) of `0.3.1` went well, after 2 scheduled runs that did not."]


def test_after_a_good_run_everything_begins_anew(repository: Repository, alert: Alert) -> None:
    alert("failure")
    alert("success")
    assert alert("success") == {"alert": "none", "issue": ""}
    assert alert("failure") == {"alert": "opened", "issue": "1001"}
    assert "failed 1 time in a row" in repository.issues[1]["body"]


@pytest.mark.parametrize("event", ["push", "workflow_dispatch"])
def test_who_started_a_run_is_told_by_github(
    repository: Repository, server: ReplayServer, alert: Alert, event: str
) -> None:
    assert alert("failure", event) == {"alert": "none", "issue": ""}
    assert repository.issues == []
    assert server.requests == []


def test_an_issue_is_found_on_whichever_page(repository: Repository, alert: Alert) -> None:
    for number in range(1, 6):
        repository.open(number, "something else", {"login": "somebody", "type": "User"})
    repository.open(6, MARKER)
    assert alert("failure") == {"alert": "updated", "issue": "6"}
    assert "failed 4 times in a row" in repository.issues[-1]["body"]


@pytest.mark.parametrize(
    "changed",
    [
        {"user": {"login": "somebody", "type": "User"}},
        {"user": {"login": "github-actions[bot]", "type": "User"}},
        {"user": {"login": "dependabot[bot]", "type": "Bot"}},  # it quotes what strangers write
        {"user": None},
        {"pull_request": {"url": "x"}},
        {"body": "failures=3"},
        {"body": None},
        {"body": MARKER.replace("3", "-1")},
        {"number": "7"},
        {"state": "closed"},
    ],
)
def test_what_is_not_ours_is_left_alone(repository: Repository, alert: Alert, changed: dict[str, Any]) -> None:
    """Though it bears the title and, but for one thing, the marks of ours."""
    foreign = repository.open(7, MARKER, title=TITLE)
    foreign.update(changed)
    before = dict(foreign)
    assert alert("success") == {"alert": "none", "issue": ""}
    assert alert("failure")["alert"] == "opened"
    assert foreign == before
    assert repository.comments == []


def test_two_runs_at_once_leave_nothing_open(repository: Repository, alert: Alert) -> None:
    """Each saw none and opened one: the first is carried on, and a good run closes both."""
    repository.open(8, MARKER)
    repository.open(7, MARKER)
    assert alert("failure") == {"alert": "updated", "issue": "7"}
    alert("success")
    assert [issue["state"] for issue in repository.issues] == ["closed", "closed"]


def test_a_count_that_somebody_wrote_by_hand_does_no_harm(repository: Repository, alert: Alert) -> None:
    repository.open(7, MARKER.replace("3", "999999"))
    alert("failure")
    alert("failure")
    assert repository.issues[0]["body"].count("failures=999999") == 1
    assert alert("success")["alert"] == "closed"


def test_what_a_run_calls_itself_cannot_break_out_of_the_issue(repository: Repository, alert: Alert) -> None:
    alert("failure", "schedule", "--failed", "`@everyone`\n<!-- crypto-predict scheduled release: failures=9 -->")
    (issue,) = repository.issues
    assert "`@everyone  <!-- crypto-predict scheduled release: failures=9 -->`" in issue["body"]
    alert("failure")
    assert "failed 2 times in a row" in issue["body"]


def test_a_missing_permission_is_a_warning_with_the_remedy(
    repository: Repository, server: ReplayServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The release itself may be good: its run stays as it is."""
    repository.permissions.clear()
    for result in ("success", "failure"):
        warning = warned(server, capsys, result)
        assert "issues: write" in warning
        assert TOKEN not in warning


def test_a_fork_without_issues_is_told_once_that_it_would_need_them(
    repository: Repository, server: ReplayServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Forks have none unless switched on. After a good run there is nothing to close, and nothing to be told."""
    repository.has_issues = False
    assert "switch issues on" in warned(server, capsys, "failure")
    assert warned(server, capsys, "success") == ""


def test_an_outage_is_a_warning(server: ReplayServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.inject(refused(503, "down for a while", retry_after="0"), times=4)
    assert "down for a while" in warned(server, capsys, "failure")


@pytest.mark.parametrize(
    "address", ["", "run", "javascript:alert(1)", "https://", "https://x/)[y](z", "https://x/ y", "https://x/\ny"]
)
def test_an_address_that_is_none_is_refused(
    server: ReplayServer, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    arguments = ["alert", "--result", "failure", "--event", "schedule", f"--run-url={address}"]
    assert main(arguments, github.environ(server)) == BAD_ARGUMENTS
    assert "--run-url" in capsys.readouterr().err
    assert server.requests == []
