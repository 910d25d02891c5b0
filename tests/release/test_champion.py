"""Taking the last release's model and ledger out of its image: a real engine, registry, repository and `gh`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from crypto_predict.baked import schema
from crypto_predict.release.__main__ import DONE, FAILED, REFUSED
from tests.support import releases
from tests.support.github import GitHub
from tests.support.jobs import Job, Step
from tests.support.registries import failing
from tests.support.releases import BUILD, BUILT, LEDGER, MODEL, Published, published
from tests.support.repositories import Repository
from tests.support.sigstore import RELEASE, Signer

__all__ = ["published"]

pytestmark = pytest.mark.engine
EMPTY = {"digest": "", "build": "", "champion": "", "ledger": ""}
FIRST = {"follows": "nothing", **EMPTY}
MAIN = "refs/remotes/origin/main"
OTHER = f"sha256:{'5' * 64}"
OTHER_SIGNATURES = {
    "unsigned": None,
    "another workflow": Signer(workflow=".github/workflows/ci.yml"),
    "another branch": Signer(ref="refs/heads/topic"),
    "another repository": Signer(repository="Somebody/crypto-predict"),
    "another image": RELEASE,
}


@dataclass
class Place:
    """A job in a checkout whose last commit is to be released, and the image of the release before."""

    tag: str
    digest: str
    job: Job
    checkout: Repository

    def publish(self, files: Mapping[str, bytes]) -> None:
        """Publish another image with these files, and sign it."""
        self.tag = f"{self.tag.rpartition(':')[0]}:{self.job.folder.name}"
        revision = self.checkout.git("rev-parse", BUILT)
        self.digest = releases.push(self.tag, self.job.folder / "context", files, revision)
        self.sign()

    def sign(self, signer: Signer = RELEASE, digest: str | None = None) -> None:
        """Attest the image, or the one with `digest` instead, as this workflow would."""
        bundle = self.job.authority.sign(self.tag.rpartition(":")[0], digest or self.digest, signer=signer)
        self.job.github.repository.attest(bundle, self.digest)

    def champion(self, *options: str, tag: str | None = None) -> Step:
        """Run the command."""
        folders = ("--into", str(self.taken), "--repository", str(self.checkout.folder))
        return self.job.release("champion", "--image", tag or self.tag, *folders, *options)

    @property
    def taken(self) -> Path:
        """The folder into which the files of the image are copied."""
        return self.job.folder / "champion"


@pytest.fixture
def place(published: Published, tmp_path: Path) -> Iterator[Place]:
    checkout = Repository.make(tmp_path / "checkout", *releases.COMMITS)
    checkout.git("update-ref", MAIN, "HEAD")
    with GitHub(tmp_path) as github:
        yield Place(published.tag, published.digest, Job(tmp_path, github), checkout)


def test_model_and_ledger_of_the_last_release_are_handed_to_the_training(place: Place) -> None:
    place.sign()
    done = place.champion()
    result = {"digest": place.digest, "build": BUILD}
    paths = {"champion": place.taken / MODEL, "ledger": place.taken / LEDGER}
    assert done.outputs == {"follows": place.digest, **result, **{name: str(path) for name, path in paths.items()}}
    assert {path.name: path.read_bytes() for path in paths.values()} == releases.files()
    assert place.job.release("locate", "--image", place.tag).outputs == result


def test_the_first_release_has_no_champion(place: Place) -> None:
    """GHCR denies access to a package that does not exist yet."""
    unknown = place.tag.replace("crypto-predict", "unknown")
    assert place.champion(tag=unknown).outputs == FIRST
    registry, _, name = unknown.partition("/")
    with failing(registry, lambda *_: 403) as denying:
        assert place.champion(tag=f"{denying}/{name}").outputs == FIRST
    located = place.job.release("locate", "--image", unknown)
    assert (located.code, "does not exist: the package's page" in located.log) == (FAILED, True)


def test_a_registry_that_fails_is_not_taken_for_a_first_release(place: Place) -> None:
    """An outage would end the record of all forecasts."""
    registry, _, name = place.tag.partition("/")
    with failing(registry, lambda *_: 500) as broken:
        for address in (broken, "127.0.0.1:9"):
            done = place.champion(tag=f"{address}/{name}")
            assert (done.code, done.outputs, "with begin_anew" in done.log) == (FAILED, {}, True)
        anew = place.champion("--begin-anew", tag=f"{broken}/{name}")
    assert anew.outputs == {"follows": "anything", **EMPTY}
    assert "::warning::the last release cannot be used, and there is none to roll back to" in anew.log


@pytest.mark.parametrize("signer", OTHER_SIGNATURES.values(), ids=OTHER_SIGNATURES)
def test_nothing_is_taken_from_an_image_that_the_release_workflow_did_not_sign(
    place: Place, signer: Signer | None
) -> None:
    if signer is not None:
        place.sign(signer, OTHER if signer is RELEASE else None)
        place.job.github.repository.private = True  # a wrong attestation is refused there too
    for step in (place.champion(), place.job.release("locate", "--image", place.tag)):
        assert (step.code, step.outputs, place.taken.exists()) == (REFUSED, {}, False)
        assert "its attestation by .github/workflows/release.yml could not be verified" in step.log
    assert place.champion("--begin-anew").outputs == {"follows": place.digest, **EMPTY}


def test_a_private_repository_may_not_be_able_to_attest(place: Place) -> None:
    place.job.github.repository.private = True
    done = place.champion()
    assert (done.code, done.outputs["build"]) == (DONE, BUILD)
    assert "::warning::" in done.log
    assert "may not be able to attest" in done.log


@pytest.mark.parametrize("options", [(), ("--begin-anew",)])
def test_an_old_run_that_is_started_again_cannot_follow_a_newer_release(place: Place, options: tuple[str, ...]) -> None:
    """It would bring old code back under `latest`."""
    place.sign()
    place.checkout.git("checkout", "--quiet", f"{BUILT}~1")
    done = place.champion(*options)
    assert (done.code, done.outputs) == (FAILED, {})
    assert "this run is older than the last release; run the release of what main is now, or roll back" in done.log


def test_a_rewritten_main_may_follow_a_release_that_it_does_not_contain(place: Place, tmp_path: Path) -> None:
    """Only its tip: any other commit may be an old one."""
    place.sign()
    place.checkout = Repository.make(tmp_path / "rewritten", "feat: all anew")
    assert place.champion().code == FAILED
    place.checkout.git("update-ref", MAIN, "HEAD")
    done = place.champion()
    assert (done.code, done.outputs["follows"], bool(done.outputs["ledger"])) == (DONE, place.digest, True)
    assert "::warning::" in done.log
    assert "the history of main was rewritten" in done.log


def broken_files() -> dict[str, tuple[Mapping[str, bytes], int, str]]:
    """The files of releases that cannot be followed, with exit code and complaint."""
    whole = releases.files()
    changed = whole[LEDGER].replace(b'"low":[', b'"low":[1', 1)
    # A valid chain, but not the one that the model names.
    shorter = b"".join(whole[LEDGER].splitlines(keepends=True)[:-1])
    return {
        "changed ledger": ({**whole, LEDGER: changed}, REFUSED, "line 1"),
        "shorter ledger": ({**whole, LEDGER: shorter}, REFUSED, "its end is missing"),
        "damaged model": ({**whole, MODEL: whole[MODEL][:-20]}, FAILED, "no usable model"),
        "something else": ({"readme.txt": b"hello"}, FAILED, "it is not an image of this project"),
    }


@pytest.mark.parametrize(("files", "code", "complaint"), broken_files().values(), ids=broken_files())
def test_a_broken_release_stops_the_next_one_until_the_record_begins_anew(
    place: Place, files: Mapping[str, bytes], code: int, complaint: str
) -> None:
    """Its image is still the one to roll back to."""
    place.publish(files)
    done = place.champion()
    assert (done.code, done.outputs) == (code, {})
    assert complaint in done.log
    assert "run the release by hand with begin_anew" in done.log
    anew = place.champion("--begin-anew").outputs
    assert anew == {**EMPTY, "follows": place.digest, "digest": place.digest, "build": BUILD}


def test_a_model_of_another_schema_is_not_compared_and_its_ledger_goes_on(place: Place) -> None:
    """Otherwise no release could follow a change of the schema."""
    files = releases.files()
    written = bytes([schema.VERSION])
    older = files[MODEL].replace(b"schemaK" + written, b"schemaK\x01", 1)
    assert older != files[MODEL]
    place.publish({**files, MODEL: older})
    done = place.champion()
    assert (done.outputs["champion"], bool(done.outputs["ledger"])) == ("", True)
    assert "::warning::the last model has another schema" in done.log
