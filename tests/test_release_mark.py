import json
from collections.abc import Iterator

import pytest
from aiohttp import web

from crypto_predict.release.__main__ import BAD_ARGUMENTS, DONE, FAILED, main
from tests.replay import github
from tests.replay.github import TOKEN, Repository
from tests.replay.server import Answer, Handler, ReplayServer, answer, refused

COMMIT, OTHER, ANNOTATION, SECOND = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)


@pytest.fixture
def repository() -> Repository:
    """What GitHub has: two commits."""
    return Repository(commits={COMMIT, OTHER})


@pytest.fixture
def server(repository: Repository) -> Iterator[ReplayServer]:
    """GitHub."""
    with github.serving(repository) as started:
        yield started


def mark(server: ReplayServer, tag: str = "v0.3.1", revision: str = COMMIT, **environ: str) -> int:
    """The command; its exit code."""
    arguments = ["mark", "--tag", tag, "--revision", revision, "--json"]
    return main(arguments, {**github.environ(server), **environ})


def test_the_commit_gets_its_tag(
    repository: Repository, server: ReplayServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mark(server) == DONE
    assert repository.tags == {"v0.3.1": {"type": "commit", "sha": COMMIT}}
    assert json.loads(capsys.readouterr().out) == {"tag": "v0.3.1", "created": "true"}


def test_a_repeat_changes_nothing(
    repository: Repository, server: ReplayServer, capsys: pytest.CaptureFixture[str]
) -> None:
    mark(server)
    before = dict(repository.tags)
    capsys.readouterr()
    assert mark(server) == DONE
    assert repository.tags == before
    assert json.loads(capsys.readouterr().out) == {"tag": "v0.3.1", "created": "false"}


def test_a_tag_that_was_made_though_the_answer_was_lost_is_fine(repository: Repository, server: ReplayServer) -> None:
    """The gateway gave up waiting for what was being done behind it."""

    async def lost(request: web.Request, handler: Handler) -> Answer:
        await handler(request)
        return web.Response(status=502, headers={"Retry-After": "0"})

    server.inject(lost)
    assert mark(server) == DONE
    assert repository.tags == {"v0.3.1": {"type": "commit", "sha": COMMIT}}


def test_an_annotated_tag_is_followed_to_its_commit(repository: Repository, server: ReplayServer) -> None:
    repository.tags["v0.3.1"] = {"type": "tag", "sha": ANNOTATION}
    repository.annotations = {
        ANNOTATION: {"type": "tag", "sha": SECOND},
        SECOND: {"type": "commit", "sha": COMMIT},
    }
    assert mark(server) == DONE


def test_annotations_of_one_another_are_given_up(
    repository: Repository, server: ReplayServer, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.tags["v0.3.1"] = {"type": "tag", "sha": ANNOTATION}
    repository.annotations = {ANNOTATION: {"type": "tag", "sha": ANNOTATION}}
    assert mark(server) == FAILED
    assert "through more than 5 others" in capsys.readouterr().err


@pytest.mark.parametrize("annotated", [False, True])
def test_a_tag_on_another_commit_is_a_clear_failure(
    repository: Repository, server: ReplayServer, capsys: pytest.CaptureFixture[str], *, annotated: bool
) -> None:
    other = {"type": "commit", "sha": OTHER}
    repository.tags["v0.3.1"] = {"type": "tag", "sha": ANNOTATION} if annotated else other
    repository.annotations = {ANNOTATION: other}
    assert mark(server) == FAILED
    assert f"the tag v0.3.1 is on {OTHER} already" in capsys.readouterr().err


def test_a_commit_that_github_does_not_have_is_told(server: ReplayServer, capsys: pytest.CaptureFixture[str]) -> None:
    """The branch was rewritten while the release ran. The same status as of a tag that exists."""
    assert mark(server, revision="e" * 40) == FAILED
    assert "422" in capsys.readouterr().err


def test_any_other_refusal_is_told_as_it_is(server: ReplayServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.inject(refused(409, "Git Repository is empty."))
    assert mark(server) == FAILED
    assert "Git Repository is empty." in capsys.readouterr().err
    assert len(server.requests) == 1


def test_a_missing_permission_is_told_with_the_remedy(
    repository: Repository, server: ReplayServer, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.permissions.clear()
    assert mark(server) == FAILED
    error = capsys.readouterr().err
    assert "contents: write" in error
    assert TOKEN not in error


def test_a_token_that_is_not_accepted_is_told(server: ReplayServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert mark(server, GITHUB_TOKEN="ghs_other") == FAILED
    assert "Bad credentials; the token is not accepted" in capsys.readouterr().err


@pytest.mark.parametrize("body", ["{}", "[]", "null", '{"object": {"type": "commit", "sha": "x"}}', '{"object": 1}'])
def test_an_answer_that_tells_nothing_is_no_consent(
    server: ReplayServer, capsys: pytest.CaptureFixture[str], body: str
) -> None:
    server.inject(refused(422, "Reference already exists"))
    server.inject(answer(200, body))
    assert mark(server) == FAILED
    assert "does not tell what the tag v0.3.1 leads to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tag", "revision"),
    [
        ("0.3.1", COMMIT),
        ("latest", COMMIT),
        ("v1/../x", COMMIT),
        ("v0.3.1", "main"),
        ("v0.3.1", "A" * 40),
        ("v0.3.1", ""),
    ],
)
def test_what_is_no_version_or_no_commit_is_refused_unasked(server: ReplayServer, tag: str, revision: str) -> None:
    assert mark(server, tag, revision) == BAD_ARGUMENTS
    assert server.requests == []
