"""The issue about scheduled runs that fail, by the real `gh` on a GitHub on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crypto_predict.release.__main__ import DONE
from crypto_predict.release.alert import ALERTS
from tests.support.github import BOT, GitHub
from tests.support.jobs import RUN, Job
from tests.support.replay.server import refused

BUILD = "0.3.1-20240518121047"
MARKER = "<!-- crypto-predict scheduled release: failures=3 -->"


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    """The last job of a run."""
    with GitHub(tmp_path) as github:
        yield Job(tmp_path, github)


def alert(job: Job, event: str = "schedule", *more: str, **results: str) -> str:
    """Run the command, which never fails; return the run's page and the warnings."""
    needs = {name: {"result": result, "outputs": {}} for name, result in {"version": "success", **results}.items()}
    done = job.release("alert", "--event", event, *more, NEEDS=json.dumps(needs))
    assert (done.code, done.outputs) == (DONE, {}), done.log
    return done.page + "".join(line for line in done.log.splitlines() if line.startswith("::warning::"))


def issues(job: Job) -> list[dict[str, Any]]:
    return job.github.repository.issues


def test_failures_open_an_issue_and_update_it_until_a_good_run_closes_it(job: Job) -> None:
    """An update of the body sends no notification; four comments a day would annoy those who follow the issue."""
    alert(job, "schedule", "--build", BUILD, test="success", train="failure", deploy="skipped")
    (issue,) = issues(job)
    assert issue["title"] == ALERTS["release"].title
    assert "failed 1 time in a row. " in issue["body"]
    assert f"[run]({RUN}) of `{BUILD}`, which failed or was cancelled in `train`" in issue["body"]
    alert(job, test="cancelled", smoke="failure")
    assert f"failed 2 times in a row, since {issue['created_at']}" in issue["body"]
    assert f"[run]({RUN}), which failed or was cancelled in `test`, `smoke`" in issue["body"]
    assert job.github.repository.comments == []
    alert(job, "push", "--build", BUILD, test="success", deploy="skipped")
    closed = f"This [run]({RUN}) of `{BUILD}` succeeded, after 2 scheduled runs that failed."
    assert (issue["state"], job.github.repository.texts(1)) == ("closed", [closed])
    alert(job)
    alert(job, test="failure")
    assert [issue["state"] for issue in issues(job)] == ["closed", "open"]
    assert "failed 1 time in a row" in issues(job)[1]["body"]


def test_a_failed_push_or_run_by_hand_opens_no_issue(job: Job) -> None:
    """GitHub already notifies the person who started it."""
    for event in ("push", "workflow_dispatch"):
        alert(job, event, test="failure")
    assert issues(job) == []


def test_only_our_own_issue_is_changed_whatever_page_lists_it(job: Job) -> None:
    """Each other issue differs from it in one property."""
    repository = job.github.repository
    ours = [
        repository.open(ALERTS["release"].title, MARKER),
        repository.open(ALERTS["release"].title, MARKER),
    ]  # two runs at once have opened one each
    users = ({"login": name, "type": kind} for name, kind in (("x", "User"), (BOT["login"], "User"), ("x[bot]", "Bot")))
    changes: list[dict[str, Any]] = [{"user": user} for user in users]
    changes += [{"pull_request": {"url": "x"}}, {"body": "failures=3"}]
    changes += [{"body": ""}, {"body": MARKER.replace("3", "-1")}, {"state": "closed"}]
    for change in changes:
        repository.open(ALERTS["release"].title, MARKER).update(change)
    others = [dict(issue) for issue in repository.issues[2:]]
    for number in range(100):
        repository.open(f"other {number}", user={"login": "x", "type": "User"})
    alert(job, test="failure")
    assert ("failures=4" in ours[0]["body"], ours[1]["body"]) == (True, MARKER)
    alert(job)
    assert [issue["state"] for issue in ours] == ["closed", "closed"]
    assert (repository.issues[2 : 2 + len(others)], len(repository.comments)) == (others, 2)


def test_neither_a_build_nor_a_count_can_break_the_issue(job: Job) -> None:
    alert(job, "schedule", "--build", f"`@everyone`\n{MARKER}", test="failure")
    (issue,) = issues(job)
    assert f"`'@everyone' {MARKER}`" in issue["body"]
    alert(job, test="failure")
    assert "failed 2 times in a row" in issue["body"]
    issue["body"] = MARKER.replace("3", "999999")
    alert(job, test="failure")
    assert "failures=999999" in issue["body"]


def test_if_issues_are_switched_off_the_page_of_a_failed_run_says_so(job: Job) -> None:
    """They are in every new fork."""
    job.github.repository.has_issues = False
    assert "Switch them on in the repository's settings" in alert(job, test="failure")
    assert alert(job) + alert(job, "push", test="failure") == ""


def test_a_github_that_fails_is_asked_again_and_one_that_refuses_is_a_warning(job: Job) -> None:
    """The run itself shows how the release ended."""
    job.github.inject(refused(502, "Server Error"))
    assert alert(job, test="failure") == ""
    assert len(issues(job)) == 1
    job.github.repository.permissions.clear()
    for results in ({}, {"test": "failure"}):
        assert "Resource not accessible by integration" in alert(job, **results)


@pytest.mark.parametrize(
    ("pages", "address", "record", "warned"),
    [
        ("true", "", "success", True),
        ("true", "https://owner.github.io/crypto-predict/", "success", False),
        ("false", "", "success", False),
        ("true", "", "skipped", False),
    ],
)
def test_a_static_page_that_was_not_published_is_a_warning_and_no_failure(
    job: Job, pages: str, address: str, record: str, *, warned: bool
) -> None:
    """GitHub reports a job that may fail as successful, and as cancelled if it exceeds its time."""
    for export in ("success", "cancelled", "failure"):
        needs = {
            "version": {"result": "success", "outputs": {"pages": pages}},
            "record": {"result": record, "outputs": {}},
            "export": {"result": export, "outputs": {}},
            "pages": {"result": "skipped", "outputs": {"address": address} if address else {}},
        }
        done = job.release("alert", "--event", "schedule", NEEDS=json.dumps(needs))
        assert done.code == DONE
        assert ("::warning::the static page was not published" in done.log) is warned
    assert issues(job) == []


def test_the_scheduled_dataset_has_an_issue_of_its_own(job: Job) -> None:
    alert(job, test="failure")
    alert(job, "schedule", "--of", "dataset", collect="failure", publish="skipped")
    assert [issue["title"] for issue in job.github.repository.issues] == [about.title for about in ALERTS.values()]
    alert(job, "schedule", "--of", "dataset", collect="success", publish="success")
    assert [issue["state"] for issue in job.github.repository.issues] == ["open", "closed"]
