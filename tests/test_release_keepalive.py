import json
from collections.abc import Iterator

import pytest

from crypto_predict.release.__main__ import BAD_ARGUMENTS, DONE, main
from tests.replay import github
from tests.replay.github import Repository
from tests.replay.server import ReplayServer, refused


@pytest.fixture
def repository() -> Repository:
    """What GitHub has: one workflow."""
    return Repository()


@pytest.fixture
def server(repository: Repository) -> Iterator[ReplayServer]:
    """GitHub."""
    with github.serving(repository) as started:
        yield started


def keep_alive(server: ReplayServer, workflow: str = "release.yml") -> int:
    """The command; its exit code."""
    return main(["keepalive", "--workflow", workflow, "--json"], github.environ(server))


def test_the_workflow_is_enabled(
    repository: Repository, server: ReplayServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keep_alive(server) == DONE
    assert repository.enabled == ["release.yml"]
    assert json.loads(capsys.readouterr().out) == {"enabled": "true"}


def test_a_missing_permission_is_a_warning_with_the_remedy(
    repository: Repository, server: ReplayServer, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.permissions.clear()
    assert keep_alive(server) == DONE
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"enabled": "false"}
    assert "actions: write" in shown.err


def test_a_workflow_that_is_not_there_is_a_warning(server: ReplayServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert keep_alive(server, "renamed.yml") == DONE
    assert "check the workflow's name" in capsys.readouterr().err


def test_an_outage_is_a_warning(server: ReplayServer, capsys: pytest.CaptureFixture[str]) -> None:
    """There are 240 runs in 60 days, of which one is enough."""
    server.inject(refused(503, "down for a while", retry_after="0"), times=4)
    assert keep_alive(server) == DONE
    assert "down for a while" in capsys.readouterr().err


@pytest.mark.parametrize(
    "workflow", ["", "release", "../release.yml", ".github/workflows/release.yml", "a.yml?x", "é.yml"]
)
def test_what_is_no_workflows_name_is_refused(server: ReplayServer, workflow: str) -> None:
    assert keep_alive(server, workflow) == BAD_ARGUMENTS
    assert server.requests == []


@pytest.mark.parametrize("missing", ["GITHUB_TOKEN", "GITHUB_REPOSITORY"])
def test_without_a_job_around_it_that_is_said(
    server: ReplayServer, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    environ = {name: value for name, value in github.environ(server).items() if name != missing}
    assert main(["keepalive", "--workflow", "release.yml"], environ) == BAD_ARGUMENTS
    assert missing in capsys.readouterr().err
