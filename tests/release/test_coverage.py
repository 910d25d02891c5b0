"""The issue about a range that does not hold, by the real `gh` on a GitHub on loopback."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from crypto_predict.baked import plain
from crypto_predict.baked.models import Estimate
from crypto_predict.baked.schema import CoverageTest, LiveRecord, Scorecard
from crypto_predict.market import Pair
from crypto_predict.release.__main__ import DONE
from crypto_predict.release.alert import ALERTS
from crypto_predict.release.coverage import LEAST_DAYS, OUTSIDE, TITLE, WITHIN
from tests.support import repositories
from tests.support.github import GitHub
from tests.support.jobs import RUN, Job
from tests.support.models import BTC, ETH, TRAINED_AT, blank
from tests.support.replay.server import refused

BUILD = "0.3.1-20240518121047"
OUT, BACK, BETWEEN = OUTSIDE / 2, 2 * WITHIN, (OUTSIDE + WITHIN) / 2
LINE = "| BTC/USD | 1 day | 68 | 60 to 76 | 365 | 2023-05-18 | 0.0005 |"


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    """The last job of a run."""
    with GitHub(tmp_path) as github:
        yield Job(tmp_path, github)


def row(p_value: float | None, horizon: int = 1, days: int = 365) -> CoverageTest:
    return CoverageTest(horizon, date(2023, 5, 18), 4 * days, days, Estimate(0.68, 0.6, 0.76), p_value)


def publish(job: Job, content: str) -> None:
    """Commit a scorecard to the branch `record`, as the job before did."""
    git = repositories.Repository(job.github.repository.git)
    blob = git.git("hash-object", "-w", "--stdin", given=content.encode())
    tree = git.git("mktree", given=f"100644 blob {blob}\tscorecard.json\n".encode())
    git.git("update-ref", "refs/heads/record", git.git("commit-tree", tree, "-m", "record"))


def record(*tests: CoverageTest) -> LiveRecord:
    made: LiveRecord = blank(LiveRecord, since=TRAINED_AT, lately=tests)
    return made


def told(job: Job, pairs: dict[Pair, LiveRecord], simulated: dict[Pair, LiveRecord] | None = None) -> str:
    """Run the command, which never fails; return the run's page and the warnings."""
    scorecard = Scorecard(1, "0" * 64, pairs, simulated or {})
    publish(job, json.dumps(plain.encode(scorecard), indent=1))
    return run(job)


def run(job: Job) -> str:
    done = job.release("coverage", "--build", BUILD)
    assert (done.code, done.outputs) == (DONE, {}), done.log
    return done.page + "".join(line for line in done.log.splitlines() if line.startswith("::warning::"))


def issues(job: Job) -> list[dict[str, Any]]:
    return job.github.repository.issues


def test_a_coverage_beyond_chance_opens_one_issue_which_ends_when_it_is_back(job: Job) -> None:
    """A second release says nothing more, also while the p value is in between; a new episode is said again."""
    assert told(job, {BTC: record(row(OUT), row(BACK, 7))}) == ""
    (issue,) = issues(job)
    assert issue["title"] == TITLE
    assert LINE in issue["body"]
    assert f"Found by this [run]({RUN}) of `{BUILD}`." in issue["body"]
    before = dict(issue)
    for p_value in (OUT, BETWEEN, OUT):
        told(job, {BTC: record(row(p_value))})
    assert issues(job) == [before]
    told(job, {BTC: record(row(BACK))})
    assert issue["state"] == "closed"
    assert job.github.repository.texts(1) == [
        f"By this [run]({RUN}) of `{BUILD}` the coverage is within what chance allows again."
    ]
    told(job, {BTC: record(row(BETWEEN))})
    assert len(issues(job)) == 1
    told(job, {BTC: record(row(OUT))})
    assert [issue["state"] for issue in issues(job)] == ["closed", "open"]


def test_an_issue_that_somebody_closes_is_not_opened_again_for_the_same_episode(job: Job) -> None:
    """Whoever has read it may close it. Nobody is told that the episode ended, and the next one is said."""
    told(job, {BTC: record(row(OUT))})
    issues(job)[0]["state"] = "closed"
    told(job, {BTC: record(row(OUT))})
    assert len(issues(job)) == 1
    told(job, {BTC: record(row(BACK))})
    assert job.github.repository.comments == []
    told(job, {BTC: record(row(OUT))})
    assert len(issues(job)) == 2


@pytest.mark.parametrize(
    "tests",
    [
        (),
        (row(None),),
        (row(BETWEEN), row(OUTSIDE)),
        (row(OUT, days=LEAST_DAYS - 1),),
    ],
    ids=["a new record", "too few days for a test", "within chance", "too few days to judge"],
)
def test_chance_and_young_records_open_nothing(job: Job, tests: tuple[CoverageTest, ...]) -> None:
    assert told(job, {BTC: record(*tests)}) == ""
    assert issues(job) == []


def test_invented_prices_raise_no_alarm(job: Job) -> None:
    told(job, {BTC: record(row(BACK))}, {BTC: record(row(OUT))})
    assert issues(job) == []


def test_an_issue_names_all_pairs_that_left_at_once_and_a_later_one_has_its_own(job: Job) -> None:
    """A crash takes all pairs along: thirty issues would say the same. An episode is over when all are back."""
    sol = Pair("SOL", "USD")
    told(job, {BTC: record(row(OUT)), ETH: record(row(OUT)), sol: record(row(BACK))})
    assert "BTC/USD ETH/USD -->" in issues(job)[0]["body"]
    told(job, {BTC: record(row(OUT)), ETH: record(row(BACK)), sol: record(row(OUT))})
    assert [issue["state"] for issue in issues(job)] == ["open", "open"]
    assert "| SOL/USD |" in issues(job)[1]["body"]
    assert "BTC/USD" not in issues(job)[1]["body"]
    told(job, {sol: record(row(OUT))})  # the record of the others was begun anew
    assert [issue["state"] for issue in issues(job)] == ["closed", "open"]


def test_other_issues_stay_as_they_are(job: Job) -> None:
    """That about failing runs, and one of a person who quotes ours."""
    repository = job.github.repository
    repository.open(ALERTS["release"].title, "<!-- crypto-predict scheduled release: failures=2 -->\n")
    marker = "<!-- crypto-predict live coverage: BTC/USD -->\n"
    repository.open(TITLE, marker, user={"login": "x", "type": "User"})
    before = [dict(issue) for issue in issues(job)]
    told(job, {BTC: record(row(OUT))})
    told(job, {BTC: record(row(BACK))})
    assert issues(job)[:2] == before
    assert [issue["state"] for issue in issues(job)] == ["open", "open", "closed"]


def test_if_issues_are_switched_off_the_page_of_the_run_says_it(job: Job) -> None:
    job.github.repository.has_issues = False
    assert f"{TITLE}: BTC/USD. Issues are switched off" in told(job, {BTC: record(row(OUT))})
    assert told(job, {BTC: record(row(BACK))}) == ""


def test_whatever_fails_is_a_warning_and_fails_no_release(job: Job) -> None:
    """No branch, no JSON, a scorecard of another version, a GitHub that refuses; one that is down is asked again."""
    failed = "::warning::the coverage of the published forecasts could not be judged: "
    assert failed in run(job)
    for content in ("<html>", "{}", '{"entries": 1}'):
        publish(job, content)
        assert failed in run(job)
    job.github.inject(refused(502, "Server Error"))
    assert told(job, {BTC: record(row(OUT))}) == ""
    assert len(issues(job)) == 1
    job.github.repository.permissions["issues"] = "read"
    assert "Resource not accessible by integration" in told(job, {ETH: record(row(OUT))})
