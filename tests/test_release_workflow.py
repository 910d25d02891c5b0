"""The release workflow itself, from checkout to summary: every stage real but GitHub's own."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import render
from tests.engine import forget, running_registry
from tests.replay import github
from tests.support.workflows import KEYS, World, ledger_of, market, needs_workflows, world

pytestmark = [needs_workflows, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class First:
    """What the first release of a repository left, and what it said."""

    run: subprocess.CompletedProcess[str]
    checkout: Path
    images: Path  # of the registry
    tags: dict[str, str]
    attested: list[str]
    switched: list[str]  # images that went live
    marked: dict[str, str]  # git tags to commits
    revision: str
    image: str  # the name at that registry
    build: str  # that the site answered with
    sent: set[str]  # to the exchange, in headers


@pytest.fixture(scope="module")
def staging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The registry of the runner: its address."""
    with running_registry(tmp_path_factory.mktemp("staging")) as address:
        yield address


@pytest.fixture(scope="module")
def first(staging: str, tmp_path_factory: pytest.TempPathFactory) -> First:
    """The first release ever of a repository: no tag, no image, no ledger to go on from."""
    folder = tmp_path_factory.mktemp("first")
    with world(folder, staging) as made, market() as exchange:
        run = made.release("push", exchange.url)
        assert run.returncode == 0, run.stdout[-6000:] + run.stderr
        return First(
            run=run,
            checkout=made.checkout,
            images=folder / "published" / "images",
            tags=made.tags(),
            attested=made.attested.read_text().splitlines(),
            switched=made.render.switched,
            marked={name: target["sha"] for name, target in made.github.tags.items()},
            revision=made.head(),
            image=made.image,
            build=made.ask("/version")["build"],
            sent={value for asked in exchange.requests for value in asked.headers.values()},
        )


@pytest.fixture
def later(first: First, staging: str, tmp_path: Path) -> Iterator[World]:
    """The repository after its first release, which is live."""
    with world(tmp_path, staging, first.checkout, first.images) as made:
        made.tag("v0.1.0")
        made.commit("docs: a word")  # act takes a commit with a tag for a push of that tag
        made.github.tags["v0.1.0"] = {"type": "commit", "sha": first.revision}
        made.render.run(f"{made.image}@{first.tags['latest']}")
        made.render.hooked.clear()
        yield made


def test_a_first_release_is_published_under_three_tags_of_one_digest(first: First) -> None:
    """Under the owner's name in lower case: a registry refuses capitals."""
    assert set(first.tags) == {"latest", "0.1.0", first.build}
    assert len(set(first.tags.values())) == 1
    assert first.build.startswith("0.1.0-20")


def test_what_was_published_is_attested_and_is_what_went_live(first: First) -> None:
    reference = f"{first.image}@{first.tags['latest']}"
    assert first.attested == [f"provenance {reference}", f"sbom.json {reference}"]
    assert first.switched == [reference]


def test_the_released_commit_bears_its_version(first: First) -> None:
    assert first.marked == {"v0.1.0": first.revision}


def test_the_run_s_page_tells_what_was_released(first: First) -> None:
    """In the order in which it came true: `latest` is told once it has been moved."""
    told = first.run.stdout
    published = f"{first.image}:latest` now name `{first.tags['latest']}`"
    parts = (f"Summary - ## Build {first.build}", "xychart-beta", "### Scorecard", "is live at", published)
    places = [told.find(part) for part in parts]
    assert -1 not in places
    assert places == sorted(places)


def test_no_secret_is_in_the_log(first: First) -> None:
    """Though each of them was used."""
    said = first.run.stdout + first.run.stderr
    assert set(KEYS.values()) <= first.sent
    assert [secret for secret in (render.KEY, github.TOKEN, *KEYS.values()) if secret in said] == []


def test_a_schedule_retrains_under_the_same_version_and_carries_the_ledger_on(
    first: First, later: World, tmp_path: Path
) -> None:
    """Nobody is there when it runs: it keeps itself enabled, and closes the issue that earlier failures opened."""
    later.commit("feat: something for the next push")
    later.github.open(7, "It fails.\n\n<!-- crypto-predict scheduled release: failures=2 -->\n")
    with market() as exchange:
        run = later.release("schedule", exchange.url)
    assert run.returncode == 0, run.stdout[-6000:]
    tags = later.tags()
    (build,) = set(tags) - set(first.tags)
    assert build.startswith("0.1.0-20")
    assert tags["latest"] == tags["0.1.0"] == tags[build] != first.tags["latest"]
    assert tags[first.build] == first.tags[first.build]
    assert later.ask("/version")["build"] == build
    builds = [entry["build"] for entry in ledger_of(f"{later.image}:latest", tmp_path) if entry["kind"] == "release"]
    assert builds == [first.build, build]
    assert later.ask("/scorecard")["pairs"]["BTC/USD"]["releases"] == 2
    assert later.github.enabled == ["release.yml"]
    assert [issue["state"] for issue in later.github.issues] == ["closed"]
    assert set(later.github.tags) == {"v0.1.0"}


def test_a_push_with_a_feature_is_the_next_minor_version(first: First, later: World) -> None:
    revision = later.commit("feat: something new")
    with market() as exchange:
        run = later.release("push", exchange.url)
    assert run.returncode == 0, run.stdout[-6000:]
    tags = later.tags()
    assert tags["latest"] == tags["0.2.0"] != first.tags["latest"]
    assert tags["0.1.0"] == first.tags["0.1.0"]
    assert later.github.tags["v0.2.0"]["sha"] == revision
    assert later.ask("/version")["git_revision"] == revision
    assert later.github.enabled == []


def test_what_the_gate_refuses_is_not_published(first: First, later: World) -> None:
    """The exchange has brought nothing for ten days. The site goes on as it is, and one issue tells of it."""
    with market(closed=10) as exchange:
        run = later.release("schedule", exchange.url)
    assert run.returncode != 0
    assert "refused by the gate" in run.stdout
    _check_untouched(first, later)
    assert [issue["state"] for issue in later.github.issues] == ["open"]


def test_what_the_smoke_test_refuses_is_not_published(first: First, later: World) -> None:
    """No exchange can be reached, and an invented market is allowed: the gate passes it, a release does not."""
    run = later.release("schedule", "http://127.0.0.1:9", SOURCE="alpaca,simulated")
    assert run.returncode != 0
    assert "its card says that the prices are simulated" in run.stdout
    _check_untouched(first, later)


def test_a_deploy_that_does_not_come_up_is_rolled_back_and_latest_stays(first: First, later: World) -> None:
    """The build is published under its own tag, tried as it was, and nothing that people pull leads to it."""
    later.commit("fix: something that does not start at the host")
    later.render.faults.unhealthy = 1
    with market() as exchange:
        run = later.release("push", exchange.url, DEPLOY_PATIENCE="15s")
    assert run.returncode != 0
    tags = later.tags()
    (build,) = set(tags) - set(first.tags)
    assert build.startswith("0.1.1-20")
    assert {tag: tags[tag] for tag in first.tags} == first.tags
    asked = [asked.query["imgURL"][0].partition("@")[2] for asked in later.render.hooked]
    assert asked == [tags[build], first.tags["latest"]]
    assert later.ask("/version")["build"] == first.build
    assert set(later.github.tags) == {"v0.1.0"}


def test_an_earlier_build_goes_live_again_by_hand(first: First, later: World) -> None:
    """And the next release follows it: what it finds at `latest` is that build."""
    later.commit("feat: something that turns out to be wrong")
    with market() as exchange:
        assert later.release("push", exchange.url).returncode == 0
    assert later.ask("/version")["build"] != first.build
    run = later.run("rollback.yml", "workflow_dispatch", "--input", f"build={first.build}")
    assert run.returncode == 0, run.stdout[-6000:]
    assert later.ask("/version")["build"] == first.build
    assert later.tags()["latest"] == first.tags["latest"]


def test_a_build_that_was_never_published_cannot_be_gone_back_to(first: First, later: World) -> None:
    run = later.run("rollback.yml", "workflow_dispatch", "--input", "build=0.0.1-20200101000000")
    assert run.returncode != 0
    assert "0.0.1-20200101000000 does not exist" in run.stdout
    _check_untouched(first, later)


def test_a_change_s_image_is_built_and_tried_without_any_secret(later: World) -> None:
    """As for a pull request of a stranger, whose exchange cannot be reached either."""
    later.secrets.clear()
    run = later.run("ci.yml", "pull_request", "--job", "image", ALPACA_DATA_URL="http://127.0.0.1:9")
    forget("crypto-predict:trial")
    assert run.returncode == 0, run.stdout[-6000:]
    assert "crypto-predict:trial is fit" in run.stdout


def _check_untouched(first: First, later: World) -> None:
    """Nothing was published, marked or deployed, and the site answers as before."""
    assert later.tags() == first.tags
    assert not later.attested.exists()
    assert later.render.hooked == []
    assert set(later.github.tags) == {"v0.1.0"}
    assert later.ask("/version")["build"] == first.build
