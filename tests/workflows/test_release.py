"""The release workflow itself, from checkout to public record. Only GitHub, Render and the exchange are replaced."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from crypto_predict.baked.ledger import Release
from crypto_predict.sources.catalog import EXCHANGES
from tests.support import github, render, workflows
from tests.support.engine import forget, market
from tests.support.feeds import faults
from tests.support.ledgers import contents
from tests.support.workflows import KEYS, First, World, after, ledger_of, needs_workflows

first = workflows.first  # a fixture
pytestmark = [needs_workflows, pytest.mark.repeats, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Pushed:
    """A repository after two more pushes: the release of one was skipped, the next one was released."""

    world: World
    skipped: str
    revision: str


@pytest.fixture
def later(first: First, tmp_path: Path) -> Iterator[World]:
    """The repository after its first release, which is live."""
    with after(first, tmp_path) as world:
        yield world


@pytest.fixture(scope="module")
def pushed(first: First, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushed]:
    """The repository after its second release. Only the last test that uses it releases anything."""
    with after(first, tmp_path_factory.mktemp("pushed")) as world, market() as exchange:
        pushed = Pushed(world, world.push("wrote the guide anew"), world.push("added SOL pair"))
        run = world.release("push", exchange.url)
        assert run.returncode == 0, run.stdout[-6000:]
        yield pushed


def test_a_first_release_is_attested_live_and_published_under_three_tags_of_one_digest(first: First) -> None:
    """The owner's name is in lower case: a registry refuses capitals.

    The index has a provenance, and a bill of materials for each architecture.
    """
    assert set(first.tags) == {"latest", "0.1.0", first.build}
    assert len(set(first.tags.values())) == 1
    assert first.build.startswith("0.1.0-20")
    reference = f"{first.image}@{first.tags['latest']}"
    assert first.attested == [f"{kind} {reference}" for kind in ("provenance", "sbom", "sbom")]
    assert first.switched == [reference]


def test_the_image_is_smoke_tested_on_both_architectures_and_the_commit_has_a_tag_and_a_release(first: First) -> None:
    """Here both are machines of one architecture."""
    assert first.run.stdout.count("**Smoke test**: passed") == 2
    assert first.refs["refs/tags/v0.1.0"] == first.revision
    (release,) = first.releases
    assert (release["tag_name"], release["body"]) == ("v0.1.0", "- feat: everything so far")


def test_the_index_is_described_and_names_its_base(first: First) -> None:
    annotations = first.index["annotations"]
    given = {name.removeprefix("org.opencontainers.image."): value for name, value in annotations.items()}
    assert given["source"] == f"https://github.com/{github.REPOSITORY}"
    assert (given["version"], given["revision"], given["licenses"]) == (first.build, first.revision, "MIT")
    assert given["base.name"].endswith("python:3.13-slim")
    assert given["base.digest"].startswith("sha256:")
    assert given["description"]


def test_the_public_record_has_ledger_scorecard_forecasts_and_picture(first: First) -> None:
    assert first.record == ["BTC-USD.svg", "README.md", "forecasts.json", "ledger.jsonl", "scorecard.json"]
    assert f"## Build {first.build}" in first.readme


def test_the_static_page_is_published_from_the_promoted_image_and_the_record(first: First) -> None:
    """It names the live site, and its feed has the release at the address of the page."""
    page = (first.pages / "index.html").read_text(encoding="utf-8")
    assert "<title>BTC/USD: price forecast" in page
    assert 'data-site="http://127.0.0.1:' in page
    folder = first.pages / "page" / "BTC-USD"
    days = json.loads((folder / "releases.json").read_text())["days"]
    builds = [json.loads((folder / "releases" / f"{day}.json").read_text())["build"] for day in days]
    assert builds == [first.build] == [entry.build for entry in contents(first.ledger) if isinstance(entry, Release)]
    feed = (first.pages / "feed.xml").read_bytes()
    assert faults(feed, "https://owner.github.io/crypto-predict/feed.xml") == []
    assert "**Exported** /out/site: " in first.run.stdout


def test_the_run_s_page_shows_what_was_released(first: First) -> None:
    """In the order of events: `latest` is named after it was moved."""
    shown = first.run.stdout
    published = f"**Published** `{first.tags['latest']}` as `{first.image}:"
    parts = ("Smoke test**: passed", "xychart-beta", "### Scorecard", "is live at", published, "**Recorded**")
    places = [shown.find(part) for part in parts]
    assert -1 not in places
    assert places == sorted(places)


def test_no_secret_is_in_the_log(first: First) -> None:
    """The log contains no secret although each of them was used."""
    log = first.run.stdout + first.run.stderr
    assert set(KEYS.values()) <= first.sent
    assert [secret for secret in (render.KEY, github.TOKEN, *KEYS.values()) if secret in log] == []


@pytest.mark.long
def test_a_schedule_of_a_tagged_commit_retrains_without_the_tests(first: First, later: World, tmp_path: Path) -> None:
    """The version stays, ledger and record continue, the open issue is closed, and the heartbeat is sent."""
    later.github.repository.open("It fails", "<!-- crypto-predict scheduled release: failures=2 -->\n")
    recorded = later.github.repository.run("rev-parse", "record")
    with market() as exchange:
        run = later.release("schedule", exchange.url, HEARTBEAT_URL=f"{later.render.site}/livez")
    assert run.returncode == 0, run.stdout[-6000:]
    assert "[release/test" not in run.stdout
    assert later.render.site_server.requests[-1].path == "/livez"
    tags = later.tags()
    (build,) = set(tags) - set(first.tags)
    assert build.startswith("0.1.0-20")
    assert tags["latest"] == tags["0.1.0"] == tags[build] != first.tags["latest"]
    assert tags[first.build] == first.tags[first.build]
    assert later.ask("/version")["build"] == build
    builds = [entry["build"] for entry in ledger_of(f"{later.image}:latest", tmp_path) if entry["kind"] == "release"]
    assert builds == [first.build, build]
    assert later.ask("/scorecard")["pairs"]["BTC/USD"]["releases"] == 2
    assert [issue["state"] for issue in later.github.repository.issues] == ["closed"]
    assert set(later.git_tags()) == {"v0.1.0"}
    assert later.github.repository.run("rev-parse", "record^") == recorded
    assert len(later.github.repository.releases) == 1


@pytest.mark.long
def test_a_schedule_of_a_commit_without_a_tag_does_the_same_as_its_push(first: First, later: World) -> None:
    """Its push failed, was cancelled or skipped. A breaking change is never released as the old version."""
    revision = later.push("feat!: everything new")
    with market() as exchange:
        run = later.release("schedule", exchange.url)
    assert run.returncode == 0, run.stdout[-6000:]
    assert "[release/test" in run.stdout
    assert later.git_tags()["v1.0.0"] == revision
    assert later.tags()["1.0.0"] == later.tags()["latest"] != first.tags["latest"]


@pytest.mark.long
def test_every_push_raises_at_least_the_patch_version(first: First, pushed: Pushed) -> None:
    """Two commits never share a version, whatever their messages are."""
    tags = pushed.world.tags()
    assert tags["latest"] == tags["0.1.1"] != first.tags["latest"]
    assert tags["0.1.0"] == first.tags["0.1.0"]
    assert pushed.world.git_tags() == {"v0.1.0": first.revision, "v0.1.1": pushed.revision}
    assert pushed.world.ask("/version")["git_revision"] == pushed.revision
    assert [release["tag_name"] for release in pushed.world.github.repository.releases][-1] == "v0.1.1"


@pytest.mark.long
def test_an_old_run_that_is_started_again_releases_nothing(first: First, pushed: Pushed) -> None:
    """Whether its commit has a tag or not: old code would come back under `latest`."""
    before = pushed.world.tags()
    with market() as exchange:
        of_skipped = pushed.world.release("push", exchange.url, at=pushed.skipped)
        of_first = pushed.world.release("push", exchange.url, at=first.revision)
    assert of_skipped.returncode != 0
    assert "was released as part of v0.1.1: run the release of what main is now" in of_skipped.stdout
    assert of_first.returncode != 0
    assert "this run is older than the last release" in of_first.stdout
    assert pushed.world.tags() == before
    assert set(pushed.world.git_tags()) == {"v0.1.0", "v0.1.1"}


@pytest.mark.long
def test_a_rollback_by_hand_makes_an_earlier_build_live(first: First, pushed: Pushed) -> None:
    """It is verified and tested first. The next release follows it, since `latest` names it."""
    world = pushed.world
    assert world.ask("/version")["build"] != first.build
    run = world.run("rollback.yml", "workflow_dispatch", "--input", f"build={first.build}")
    assert run.returncode == 0, run.stdout[-6000:]
    verified = [request.path for request in world.github.requests if "/attestations/" in request.path]
    assert first.tags["latest"] in verified[-2]
    assert "Smoke test**: passed" in run.stdout
    assert world.ask("/version")["build"] == first.build
    assert world.tags()["latest"] == first.tags["latest"]


@pytest.mark.long
def test_without_a_hook_nothing_is_deployed_and_the_release_is_promoted(first: First, later: World) -> None:
    """A skipped job records no deployment. A private repository that cannot attest releases with a note."""
    del later.secrets["RENDER_DEPLOY_HOOK"]
    later.github.repository.private = True
    with market() as exchange:
        run = later.release("workflow_dispatch", exchange.url)
    assert run.returncode == 0, run.stdout[-6000:]
    assert "[release/deploy" not in run.stdout
    assert "[release/export" not in run.stdout
    assert "No static page: to publish one, select **GitHub Actions** as the source in" in run.stdout
    assert "**Not attested**: this repository is private" in run.stdout
    assert later.tags()["latest"] != first.tags["latest"]
    assert later.render.hook_server.requests == []


@pytest.mark.long
def test_the_image_of_a_change_is_built_and_tested_without_any_secret(later: World) -> None:
    """As for a pull request from a fork. No exchange can be reached."""
    later.secrets.clear()
    nowhere = dict.fromkeys([listed.api.variable for listed in EXCHANGES.values()], "http://127.0.0.1:9")
    run = later.run("ci.yml", "pull_request", "--job", "image", **nowhere)
    forget("crypto-predict:trial", "crypto-predict:live")
    assert run.returncode == 0, run.stdout[-6000:]
    assert "Smoke test**: passed" in run.stdout
