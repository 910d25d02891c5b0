"""Faults in a run of the release workflow: after each of them `latest` still names a verified image."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import workflows
from tests.support.engine import build, docker, market
from tests.support.registries import digest_at
from tests.support.workflows import First, World, after, ledger_of, needs_workflows

first = workflows.first  # a fixture
pytestmark = [needs_workflows, pytest.mark.long, pytest.mark.repeats, pytest.mark.timeout(600)]


@pytest.fixture
def later(first: First, tmp_path: Path) -> Iterator[World]:
    """The repository after its first release, which is live. A test must not change `latest` and the site."""
    with after(first, tmp_path) as world:
        yield world
        assert {tag: digest_at(f"{world.image}:{tag}") for tag in first.tags} == first.tags
        assert world.ask("/version")["build"] == first.build


@pytest.fixture
def tampered(first: First, tmp_path: Path) -> Iterator[World]:
    """The repository after its first release, and after somebody put another image under `latest`."""
    with after(first, tmp_path / "world") as world:
        (tmp_path / "Dockerfile").write_text(f"FROM {world.image}@{first.tags['latest']}\nLABEL tampered=yes\n")
        build("--provenance=false", arguments={}, context=tmp_path, tag=f"{world.image}:latest")
        docker("push", "--quiet", f"{world.image}:latest")
        yield world


def test_a_model_that_the_gate_refuses_is_not_published_and_opens_an_issue(later: World) -> None:
    """The newest candle of the exchange is ten days old."""
    with market(closed=10) as exchange:
        run = later.release("schedule", exchange.url)
    assert run.returncode != 0
    assert "refused by the gate" in run.stdout
    assert later.render.hook_server.requests == []
    (issue,) = later.github.repository.issues
    assert (issue["state"], "`train`" in issue["body"]) == ("open", True)


def test_an_image_that_the_smoke_test_refuses_is_neither_attested_nor_published(later: World) -> None:
    """Simulated prices: the gate accepts them, a release does not."""
    before = list(later.attested)
    run = later.release("schedule", "http://127.0.0.1:9", SOURCE="alpaca,simulated")
    assert run.returncode != 0
    assert "its card says that the prices are simulated" in run.stdout
    assert later.attested == before
    assert later.render.hook_server.requests == []


def test_a_deploy_that_does_not_answer_is_rolled_back(later: World, first: First) -> None:
    """The commit keeps its tag, since its tests passed; the image gets no tag."""
    later.push("fix: something that does not start at the host")
    later.render.unhealthy = 1
    with market() as exchange:
        run = later.release("push", exchange.url, DEPLOY_PATIENCE="15s")
    assert run.returncode != 0
    assert "rolled back to" in run.stdout
    deployed = [request.query["imgURL"].partition("@")[2] for request in later.render.hook_server.requests]
    assert deployed[1:] == [first.tags["latest"]]
    assert set(later.tags()) == set(first.tags)
    assert set(later.git_tags()) == {"v0.1.0", "v0.1.1"}


def test_tests_that_fail_leave_the_commit_without_a_tag(later: World) -> None:
    """So the next scheduled run tests it again before it trains."""
    later.push("feat: a test that fails")
    with market() as exchange:
        run = later.release("push", exchange.url, tests="tests/test_nothing.py")
    assert run.returncode != 0
    assert "[release/train" not in run.stdout
    assert set(later.git_tags()) == {"v0.1.0"}


def test_a_tag_that_github_refuses_stops_the_release_before_it_is_built(later: World) -> None:
    later.push("feat: a rule protects the tags")
    later.github.repository.refused["refs/tags/*"] = "refusing to create the tag"
    with market() as exchange:
        run = later.release("push", exchange.url)
    assert run.returncode != 0
    assert "v0.2.0 could not be put on" in run.stdout
    assert "[release/train" not in run.stdout


def test_an_image_that_somebody_put_under_latest_is_not_followed(tampered: World, tmp_path: Path) -> None:
    """Nothing is taken from an unsigned image. By hand, a release can begin the record anew."""
    latest = f"{tampered.image}:latest"
    before = digest_at(latest)
    with market() as exchange:
        refused = tampered.release("schedule", exchange.url)
        assert digest_at(latest) == before
        anew = tampered.release("workflow_dispatch", exchange.url, "--input", "begin_anew=true")
    assert refused.returncode != 0
    assert "its attestation by .github/workflows/release.yml could not be verified" in refused.stdout
    assert anew.returncode == 0, anew.stdout[-6000:]
    assert "the last release cannot be used, and there is none to roll back to" in anew.stdout
    assert len([entry for entry in ledger_of(latest, tmp_path) if entry["kind"] == "release"]) == 1


def test_a_rollback_to_a_build_that_was_never_published_fails(later: World) -> None:
    run = later.run("rollback.yml", "workflow_dispatch", "--input", "build=0.0.1-20200101000000")
    assert run.returncode != 0
    assert "0.0.1-20200101000000 does not exist" in run.stdout
    assert later.render.hook_server.requests == []
