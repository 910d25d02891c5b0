"""The public record on the branch `record`: real git over HTTPS to a GitHub on loopback."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.release.__main__ import DONE, FAILED
from tests.support import releases
from tests.support.github import REPOSITORY, GitHub
from tests.support.jobs import Job, Step
from tests.support.models import BTC
from tests.support.releases import BUILD, Published, published
from tests.support.replay.server import Answer, Handler
from tests.support.repositories import Repository

__all__ = ["published"]

pytestmark = pytest.mark.engine
REF = "refs/heads/record"
FILES = {"README.md", "btc-usd.svg", "forecasts.json", "ledger.jsonl", "scorecard.json"}


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    """A job in which git uses the token, with a checkout that has a file in its index, and a picture."""
    checkout = Repository.make(tmp_path / "checkout", "feat: first")
    checkout.git("remote", "add", "origin", f"https://github.com/{REPOSITORY}.git")
    (checkout.folder / "NEWS").write_text("staged")
    checkout.git("add", "NEWS")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "btc-usd.svg").write_text("<svg/>")
    with GitHub(tmp_path) as github:
        job = Job(tmp_path, github)
        assert job.run("gh", "auth", "setup-git").returncode == 0
        yield job


def record(job: Job, published: Published) -> Step:
    folders = ("--repository", str(job.folder / "checkout"), "--pictures", str(job.folder / "pictures"))
    return job.release("record", "--image", published.image, *folders)


def show(job: Job, path: str) -> str:
    """A file of the branch."""
    return job.github.repository.run("show", f"record:{path}")


def commits(job: Job) -> list[str]:
    """The commits of the branch, newest first."""
    return job.github.repository.run("rev-list", "record").splitlines()


def strict_json(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_the_first_release_creates_the_branch_with_the_content_of_the_model(job: Job, published: Published) -> None:
    done = record(job, published)
    assert done.code == DONE, done.log
    (commit,) = commits(job)
    assert f"**Recorded** on the branch `record`, commit `{commit[:9]}`." in done.page
    assert set(job.github.repository.run("ls-tree", "--name-only", "record").split()) == FILES
    written = job.github.repository.run("log", "--format=%an: %s", "record")
    assert written == f"github-actions[bot]: record: {BUILD}"
    model, ledger = releases.made_model()
    assert strict_json(show(job, "scorecard.json")) == plain.encode(model.scorecard)
    assert show(job, "ledger.jsonl") == b"".join(ledger.content()).decode().strip()
    forecasts, forecast = strict_json(show(job, "forecasts.json")), model.forecasts[BTC]
    rows = forecasts["pairs"]["BTC/USD"]
    assert (forecasts["build"], len(rows), rows[-1]["date"]) == (BUILD, 365, str(forecast.end))
    first = Evaluator(forecast).at(model.card.pairs[BTC].forecast[0].day)
    assert rows[0] == {"date": "2024-05-18", "prediction": first.price, "low": first.low, "high": first.high}
    assert f"Build {BUILD}" in show(job, "README.md").replace("&#45;", "-").replace("&#46;", ".")


def test_the_checkout_stays_as_it_is(job: Job, published: Published) -> None:
    checkout = Repository(job.folder / "checkout")
    questions = (("status", "--porcelain"), ("for-each-ref",), ("count-objects",), ("config", "--list", "--local"))
    before = [checkout.git(*words) for words in questions]
    record(job, published)
    record(job, published)
    assert [checkout.git(*words) for words in questions] == before


def test_each_release_follows_the_one_before_and_a_deleted_branch_begins_again(job: Job, published: Published) -> None:
    record(job, published)
    (first,) = commits(job)
    record(job, published)
    assert commits(job)[1:] == [first]
    job.github.repository.run("update-ref", "-d", REF)
    assert record(job, published).code == DONE
    assert len(commits(job)) == 1


def test_a_push_by_somebody_else_in_between_is_kept(job: Job, published: Published) -> None:
    record(job, published)
    git, (first,) = job.github.repository, commits(job)
    author = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
    between = git.run(*author, "commit-tree", "record^{tree}", "-p", first, "-m", "between")

    async def overtake(request: web.Request, handler: Handler) -> Answer:
        await asyncio.to_thread(git.run, "update-ref", REF, between)
        return await handler(request)

    job.github.inject(overtake, when=lambda request: request.path.endswith("/git-receive-pack"))
    done = record(job, published)
    assert done.code == DONE, done.log
    assert commits(job)[1:] == [between, first]


def test_a_branch_that_cannot_be_pushed_is_named_with_the_reason(job: Job, published: Published) -> None:
    job.github.repository.refused[REF] = "protected branch hook declined"
    done = record(job, published)
    assert done.code == FAILED
    assert "the branch record cannot be pushed; look for a rule that protects it" in done.log
    assert "protected branch hook declined" in done.log
    assert job.github.repository.refs() == {}
